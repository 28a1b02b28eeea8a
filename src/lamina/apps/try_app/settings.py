"""Settings of a request as widgets, made of its pydantic class and what this bundle says of them."""

from collections.abc import Mapping
from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from lamina.apps.fields import bounds, choices
from lamina.apps.messages import plain
from lamina.apps.theme import in_pairs
from lamina.config import DataError, parse
from lamina.deploy.predictor import Predictor
from lamina.deploy.request_settings import kind_of
from lamina.task import Operation, Request

LONG = 200  # characters that a text may have from which on it has room for several lines


def request(operation: Operation, predictor: Predictor) -> Request:
    """The request that a person set. Errors: DataError, a sentence for each setting that is wrong."""
    cls = operation.request
    schema = (operation.schema(predictor) if operation.schema else cls.model_json_schema()).get("properties", {})
    fields = {name: field for name, field in cls.model_fields.items() if name in schema}
    usual = [name for name, field in fields.items() if field.default is not None or "examples" in schema[name]]
    rare = [name for name in fields if name not in usual]
    values = dict[str, Any]()
    wide = [name for name in usual if _is_long(fields[name], schema[name])]
    for name in wide:
        values[name] = _setting(operation, name, fields[name], schema[name])
    for name, place in in_pairs([name for name in usual if name not in wide]):
        with place:
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
    if values := choices(field.annotation):
        place = values.index(default) if default in values else None
        return st.selectbox(label, values, place, key=key, help=about)
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
    enter = st.text_area if _is_long(field, schema) else st.text_input
    return enter(label, default or "", key=key, help=about)


def _is_long(field: FieldInfo, schema: Mapping[str, Any]) -> bool:
    """Whether a setting is a text that may have several lines, such as a prompt."""
    return isinstance(field.default, str) and field.annotation is str and schema.get("maxLength", LONG) >= LONG


def _number(label: str, key: str, about: str | None, kind: type, default: Any, schema: Mapping[str, Any]) -> Any:
    low, high = bounds(kind, schema)
    if kind is int:
        return st.number_input(label, low, high, default, step=1, key=key, help=about)
    value = None if default is None else float(default)
    return st.number_input(label, low, high, value, step=0.1, format="%g", key=key, help=about)


def _takes_one(annotation: Any) -> bool:
    """Whether a setting that may be a list may be a plain value, too."""
    return any(part in (str, int, float, bool) for part in get_args(annotation))
