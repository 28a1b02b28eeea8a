"""What is meant by the name of a source: in a recipe, and in the words of a command line."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from lamina.config import Config, RecipeError
from lamina.plugins import available, kind, plugin


def settings(value: Any) -> Any:
    """A bare path, list of paths, `toy:name`, or settings without a kind, as settings that say it."""
    if isinstance(value, str) and value.startswith("toy:"):
        return {"kind": "toy", "name": value.removeprefix("toy:")}
    value = {"path": value} if isinstance(value, str | list) else value
    if not isinstance(value, dict) or "kind" in value:
        return value
    return {"kind": "classes" if "classes" in value else _claimed(value.get("path")), **value}


def _claimed(path: Any) -> str:
    """The source whose `claims(path)` says so; else plain files."""
    sources = {name: vars(plugin("data", name)) for name in available("data")} if isinstance(path, str) else {}
    return next((name for name, module in sources.items() if "claims" in module and module["claims"](path)), "files")


def one_source(value: Mapping[str, Any]) -> bool:
    """Whether settings are those of one source, and not sources by name."""
    classes = value.get("classes")
    own = isinstance(classes, dict) and "kind" not in classes and value.keys() <= {"kind", "classes"}
    return own or isinstance(value.get("kind"), str) or isinstance(value.get("path"), str | list)


def parse_words(words: Sequence[str]) -> Any:
    """What words of a command line say: one source, or `NAME=PATH` for each class; a name that comes again has more.

    Errors: RecipeError for any other words.
    """
    if len(words) == 1 and not is_class(words[0]):
        return words[0]
    if not all(map(is_class, words)):
        cure = "" if any(map(is_class, words)) else " Put a pattern in quotes, such as 'data/*.csv'."
        got = " ".join(words[:4]) + (" ..." if len(words) > 4 else "")
        raise RecipeError([f"SOURCE: give one source, or NAME=PATH for every class (got '{got}').{cure}"])
    places: dict[str, list[str]] = {}
    for word in words:
        name, _, path = word.partition("=")
        places.setdefault(name, []).append(path)
    return {"classes": {name: paths[0] if len(paths) == 1 else paths for name, paths in places.items()}}


def is_class(word: str) -> bool:
    """Whether a word is `NAME=PATH`; a path that is there may have the sign in it."""
    name, sign, path = word.partition("=")
    if not sign or not name or not path or "/" in name or os.path.exists(word):
        return False
    return not (glob.has_magic(word) and any(glob.iglob(word, recursive=True)))


def describe(cfg: Config) -> str:
    """A source in a few words, as they may be written on the command line."""
    values = cfg.model_dump()
    if "classes" in values:
        return " ".join(f"{name}={path}" for name, path in each(values["classes"]))
    words = values.get("path") or (f"toy:{values['name']}" if kind(cfg) == "toy" else kind(cfg))
    return words if isinstance(words, str) else ", ".join(words)


def each(classes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Class and path, one after the other; a class may have several."""
    for name, paths in classes.items():
        yield from ((name, path) for path in ((paths,) if isinstance(paths, str) else paths))


def by_name(sources: Sequence[Config]) -> dict[str, Config]:
    """Sources by the last part of their paths, or by all of it where that is taken."""
    by_short_name: dict[str, Config] = {}
    for cfg in sources:
        values = cfg.model_dump()
        paths = [path for _, path in each(values["classes"])] if "classes" in values else [describe(cfg)]
        short = " and ".join(PurePath(path).name or path for path in paths)
        names = (short, describe(cfg), *(f"{short} {number}" for number in range(2, len(sources) + 2)))
        by_short_name[next(name for name in names if name not in by_short_name)] = cfg
    return by_short_name
