"""Settings of a request as widgets, made of its pydantic class and what this bundle says of them."""

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import streamlit as st
from pydantic.fields import FieldInfo

from lamina.apps.try_app.model import plain
from lamina.config import DataError, parse
from lamina.deploy.predictor import Predictor
from lamina.deploy.request_settings import kind_of
from lamina.task import Operation, Request

LARGEST = (1 << 53) - 1  # whole number that a browser has
LONG = 200  # characters that a text may have from which on it has room for several lines


def request(operation: Operation, predictor: Predictor) -> Request:
    """The request that a person set. Errors: DataError, a sentence for each setting that is wrong."""
    cls = operation.request
    schema = (operation.schema(predictor) if operation.schema else cls.model_json_schema()).get("properties", {})
    fields = {name: field for name, field in cls.model_fields.items() if name in schema}
    usual = [name for name, field in fields.items() if field.default is not None or "examples" in schema[name]]
    rare = [name for name in fields if name not in usual]
    values = dict[str, Any]()
    columns = st.columns(2) if len(usual) > 1 else [st.container()]
    for i, name in enumerate(usual):
        with columns[i % len(columns)]:
            values[name] = _setting(operation, name, fields[name], schema[name])
    if rare:
        with st.expander("More settings"):
            values |= {name: _setting(operation, name, fields[name], schema[name]) for name in rare}
    values = {name: value for name, value in values.items() if value not in (None, "", [])}
    faults = list[str]()
    result = parse(cls, values, "", faults)
    if result is None:
        raise DataError("\n".join(faults))
    return result


def _setting(operation: Operation, name: str, field: FieldInfo, schema: Mapping[str, Any]) -> Any:
    """What a person chose; None where nothing."""
    label, key = plain(name.replace("_", " ")), f"setting {operation.name} {name}"
    about = plain(field.description) if field.description else None
    kind, default = kind_of(field.annotation), field.default if not field.is_required() else None
    choices = _choices(field.annotation)
    if choices:
        place = choices.index(default) if default in choices else None
        return st.selectbox(label, choices, place, key=key, help=about)
    if kind.multiple and not _takes_one(field.annotation):
        examples = next(iter(schema.get("examples", [])), [])
        text = st.text_area(
            f"{label}, one in a line", key=key, help=about, placeholder="\n".join(map(str, examples)), height="content"
        )
        return [line.strip() for line in text.splitlines() if line.strip()]
    if "examples" in schema:
        return st.selectbox(
            label, schema["examples"], None, key=key, help=about, placeholder="any", accept_new_options=True
        )
    if kind.type is bool:
        return st.toggle(label, bool(default), key=key, help=about)
    if kind.type in (int, float):
        return _number(label, key, about, kind.type, default, schema)
    long = schema.get("maxLength", LONG) >= LONG and default is not None
    enter = st.text_area if long else st.text_input
    return enter(label, default or "", key=key, help=about)


def _number(label: str, key: str, about: str | None, kind: type, default: Any, schema: Mapping[str, Any]) -> Any:
    options = [schema, *schema.get("anyOf", [])]
    low = next((o[k] for o in options for k in ("minimum", "exclusiveMinimum") if k in o), None)
    high = next((o[k] for o in options for k in ("maximum", "exclusiveMaximum") if k in o), None)
    if kind is int:
        low, high = (None if end is None else max(-LARGEST, min(int(end), LARGEST)) for end in (low, high))
        return st.number_input(label, low, high, default, step=1, key=key, help=about)
    low, high, default = (None if end is None else float(end) for end in (low, high, default))
    return st.number_input(label, low, high, default, step=0.1, format="%g", key=key, help=about)


def _choices(annotation: Any) -> list[Any]:
    """The values of a `Literal`, also of an optional one."""
    parts = (annotation, *get_args(annotation))
    return [value for part in parts if get_origin(part) is Literal for value in get_args(part)]


def _takes_one(annotation: Any) -> bool:
    """Whether a setting that may be a list may be a plain value, too."""
    return any(part in (str, int, float, bool) for part in get_args(annotation))
