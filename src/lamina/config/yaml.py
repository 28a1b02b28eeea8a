"""YAML of plain values, and settings as they are typed on the command line."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from lamina.config import yaml_faults
from lamina.config.errors import RecipeError

LONGEST, DEEPEST = 1 << 20, 20  # characters and nesting of YAML
KEY = re.compile(r"""((?:"[^"]*"|'[^']*'|[^"'=])+)=(.*)""", re.DOTALL)
PART = re.compile(r"""(?:"[^"]*"|'[^']*'|[^"'.])+""")


def split_override(override: str) -> tuple[list[str], Any]:
    """`key.sub=value` as the parts of the key and the value. A part with a dot or a sign in it stands in quotes.

    Lists, settings in braces and text in quotes are read as YAML, numbers, true, false and null too; nothing takes a
    choice back; anything else is text as it stands, blanks, `%` and `,` included.
    """
    match = KEY.fullmatch(override)
    key, text = (match[1].strip(), match[2]) if match else ("", "")
    parts = [part.strip("\"'") if part[0] in "\"'" else part for part in PART.findall(key)]
    if not parts or not all(parts) or len(PART.sub("", key)) != len(parts) - 1:
        raise RecipeError([f"--set {override}: write key.sub=value, such as train.lr=1e-3."])
    return parts, typed(text, f"--set {key}")


def typed(text: str, where: str = "--set") -> Any:
    """The value of text on a command line, as `split_override` says."""
    if not text.strip():
        return text or None
    if text.lstrip()[0] in "[{\"'":
        return load_yaml(text, where)
    try:
        value = load_yaml(text, where)
    except RecipeError:
        return text.strip()
    if text.strip() in ("null", "~"):
        return None
    is_code = isinstance(value, int) and re.match(r"[+-]?0\d", text.strip())
    return value if isinstance(value, int | float) and not is_code else text.strip()


def as_override(key: Sequence[str], value: str) -> str:
    """A setting as a person types it: `--set 'columns.my day.format=%d %b'`, quoted for a shell where it must be."""
    parts = [f'"{part}"' if "." in part or "=" in part else part for part in key]
    return f"--set {shlex.quote('.'.join(parts) + '=' + value)}"


def load_yaml(text: str, where: str) -> Any:
    """YAML 1.2, plain values only: `1e-3` is a number, `no` is text, a key given twice is an error."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    class Plain(SafeConstructor):
        """Dates stay text."""

    Plain.add_constructor("tag:yaml.org,2002:timestamp", Plain.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Plain
    if len(text) > LONGEST:
        raise RecipeError([f"{where}: is too long for a recipe ({len(text):,} characters)."])
    try:
        _harmless(YAML(typ="safe", pure=True).parse(text), where)
        return yaml.load(text)
    except MarkedYAMLError as error:
        raise RecipeError([yaml_faults.explain(text, where, error)]) from None
    except YAMLError as error:
        raise RecipeError([f"{where}: is not YAML ({str(error).splitlines()[0]})."]) from None


def _harmless(events: Iterable[Any], where: str) -> None:
    """Refuse aliases, tags and deep nesting before anything is built, so that nothing can grow."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        spot = f"{where}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if isinstance(event, AliasEvent):
            raise RecipeError([f"{spot}: an alias (*{event.anchor}) is not allowed in a recipe. Write the value out."])
        if isinstance(event, NodeEvent) and event.ctag:  # pyrefly: ignore[missing-attribute]
            tag = event.ctag
            raise RecipeError([f"{spot}: a tag ({tag}) is not allowed in a recipe. Write a plain value."])
        if depth > DEEPEST:
            raise RecipeError([f"{spot}: is nested too deeply for a recipe."])
