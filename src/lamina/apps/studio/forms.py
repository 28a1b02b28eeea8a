"""Forms made of settings classes: a field is a widget by its type, with its description, bounds, choices, default."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lamina.apps import fields
from lamina.apps.messages import plain
from lamina.apps.studio import draft
from lamina.apps.theme import in_pairs
from lamina.config import Config, RecipeError, load_yaml
from lamina.deploy.request_settings import kind_of
from lamina.schema import Row

UNSET = "not set"
ABSENT = object()


class Setting(NamedTuple):
    """A field at a place in the recipe: what the recipe says, and what counts where it says nothing."""

    path: tuple[str, ...]
    field: FieldInfo
    schema: Mapping[str, Any]
    value: Any  # ABSENT where the recipe says nothing; None is said
    usual: Any

    @property
    def key(self) -> str:
        """Of its widget, which begins anew where what counts without it is another value."""
        return f"{draft.revision()} {'.'.join(self.path)} {json.dumps(self.usual, default=str)}"

    @property
    def label(self) -> str:
        mark = "" if self.value is ABSENT else " :small[:primary[set]]"
        return plain(self.path[-1].replace("_", " ")) + mark

    @property
    def help(self) -> str:
        about = (self.field.description or "").strip().rstrip(".")
        usual = UNSET if self.usual is None else _text(self.usual)
        return plain(f"{about[:1].upper()}{about[1:]}. Default: {usual}." if about else f"Default: {usual}.")

    @property
    def current(self) -> Any:
        return self.usual if self.value is ABSENT else self.value


def form(
    cls: type[Config], path: Sequence[str], values: Row, usual: Row | None = None, skip: Sequence[str] = ()
) -> None:
    """Widgets for all settings of a class but `kind`; `values` are those that the recipe says at `path`, `usual` those
    that count in place of the class's defaults. Each change goes into the recipe; what is usual is left out of it.
    """
    properties = cls.model_json_schema().get("properties", {})
    names = [name for name in cls.model_fields if name not in ("kind", *skip)]
    for name, place in in_pairs(names):
        field = cls.model_fields[name]
        default = None if field.is_required() else _plain(field.get_default(call_default_factory=True))
        setting = Setting(
            (*path, name), field, properties.get(name, {}), values.get(name, ABSENT), (usual or {}).get(name, default)
        )
        with place:
            _widget(setting)


def _widget(setting: Setting) -> None:
    annotation = setting.field.annotation
    kind, choices, groups = kind_of(annotation), fields.choices(annotation), _groups(annotation)
    if groups:
        _group(setting, groups)
    elif choices and not _has_more(annotation):
        _choice(setting, choices)
    elif kind.multiple or _has_more(annotation):
        _yaml(setting, choices)
    elif kind.type is bool:
        st.toggle(setting.label, **_common(setting, bool(setting.current)))
    elif kind.type in (int, float):
        _number(setting, kind.type)
    else:
        text = "" if setting.current is None else str(setting.current)
        st.text_input(setting.label, placeholder=UNSET, **_common(setting, text))


def _common(setting: Setting, value: Any) -> dict[str, Any]:
    """What all widgets are called with. The value is their state and no default of theirs, since that would come back
    when they are emptied.
    """
    st.session_state.setdefault(setting.key, value)
    return {"key": setting.key, "help": setting.help, "on_change": _apply, "args": (setting,)}


def _apply(setting: Setting) -> None:
    """A widget has another value: it goes into the recipe. An empty one switches a setting off, where that can be."""
    value, annotation = st.session_state[setting.key], setting.field.annotation
    if value in (None, ""):
        off = setting.usual is not None and type(None) in _members(annotation)
        draft.change(setting.path, None, off)
        if not off:
            draft.refresh()
        return
    value = None if value in (setting.usual, _text(setting.usual)) else value
    kind = kind_of(annotation)
    if isinstance(value, str) and (kind.multiple or kind.type is not str or _has_more(annotation)):
        try:
            value = load_yaml(value, ".".join(setting.path))
        except RecipeError as error:
            draft.note_faults(error)
            return
    draft.change(setting.path, value)


def _choice(setting: Setting, choices: list[Any]) -> None:
    value = setting.current if setting.current in choices else None
    st.selectbox(setting.label, choices, None, placeholder=UNSET, **_common(setting, value))


def _number(setting: Setting, kind: type) -> None:
    """A number within its bounds; a value that is none of these stands as a text, to be mended."""
    low, high = fields.bounds(kind, setting.schema)
    value = setting.current
    fits = type(value) in (int, kind) and (low is None or value >= low) and (high is None or value <= high)
    if value is not None and not fits:
        _yaml(setting, [])
    elif kind is int:
        st.number_input(setting.label, low, high, None, step=1, placeholder=UNSET, **_common(setting, value))
    else:
        value = None if value is None else float(value)
        step, common = _step(value or 0.0), _common(setting, value)
        st.number_input(setting.label, low, high, None, step=step, format="%g", placeholder=UNSET, **common)


def _step(value: float) -> float:
    """A step of about a tenth of a number."""
    return 10.0 ** (math.floor(math.log10(abs(value))) - 1) if value else 0.01


def _yaml(setting: Setting, choices: list[Any]) -> None:
    """A list, a mapping, or a choice beside which other values are allowed, as it stands in the recipe."""
    text = "" if setting.current is None else _text(setting.current)
    if choices:
        options = list(dict.fromkeys([*map(str, choices), *([text] if text else [])]))
        common = _common(setting, text or None)
        st.selectbox(setting.label, options, None, accept_new_options=True, placeholder=UNSET, **common)
    else:
        st.text_input(setting.label, placeholder=UNSET, **_common(setting, text))


def _group(setting: Setting, groups: Mapping[str, type[Config]]) -> None:
    """One of several groups of settings, chosen by its kind, and below it what this one has."""
    value, usual = _with_kind(setting.value), _with_kind(setting.usual)
    kind = str(value.get("kind", usual.get("kind", "")))
    options = list(groups)
    place = options.index(kind) if kind in groups else None
    picker = setting._replace(path=(*setting.path, "kind"), usual=usual.get("kind"), value=value.get("kind", ABSENT))
    label = plain(setting.path[-1].replace("_", " "))
    st.selectbox(
        label, options, place, key=picker.key, help=picker.help, on_change=_apply_kind, args=(setting, picker.key)
    )
    if kind in groups and len(groups[kind].model_fields) > 1:
        with st.expander(f"{label}: {kind}"):
            form(groups[kind], setting.path, value, usual if usual.get("kind") == kind else None)


def _apply_kind(setting: Setting, key: str) -> None:
    draft.change(setting.path, None)
    if st.session_state[key] not in (None, _with_kind(setting.usual).get("kind")):
        draft.change((*setting.path, "kind"), st.session_state[key])
    draft.refresh()


def _with_kind(value: Any) -> Row:
    """A group of settings, which may be its kind alone."""
    return {"kind": value} if isinstance(value, str) else value if isinstance(value, dict) else {}


def _groups(annotation: Any) -> dict[str, type[Config]]:
    """The settings classes that a field can have, by their kind; empty for a field of plain values or lists."""
    parts = _members(annotation)
    classes = [part for part in parts if isinstance(part, type) and issubclass(part, Config) and _kind(part)]
    return {_kind(cls): cls for cls in classes} if classes else {}


def _members(annotation: Any) -> list[Any]:
    """What a union is made of, without the notes of `Annotated`; of another type, itself."""
    args = get_args(annotation)
    if not args or get_origin(annotation) in (tuple, list, dict, set, frozenset):
        return [annotation]
    return [member for part in args for member in _members(part)]


def _kind(cls: type[BaseModel]) -> str:
    field = cls.model_fields.get("kind")
    return str(field.default) if field else ""


def _has_more(annotation: Any) -> bool:
    """Whether values may be lists, mappings or of several types."""
    members = [part for part in _members(annotation) if part is not type(None)]
    nested = any(get_origin(part) in (tuple, list, dict, set, frozenset) or part is dict for part in members)
    return nested or (bool(fields.choices(annotation)) and any(isinstance(part, type) for part in members))


def _plain(value: Any) -> Any:
    """A default as plain values of YAML."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _text(value: Any) -> str:
    """A value as it may be typed."""
    if isinstance(value, Mapping) and "kind" in value:
        return str(value["kind"])
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
