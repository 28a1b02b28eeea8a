"""Words of a command line as a recipe. Nothing heavy is imported before it is needed."""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lamina.config import LaminaError, split_override


def recipe(words: list[str], options: dict[str, Any], sets: list[str], trains: bool = True) -> Any:
    """A recipe file, or one made of a data source, with the command line's choices over it."""
    from lamina.recipe import from_words

    target = options.get("target")
    if len(words) == 1 and target and _is_data(target) and not _is_data(words[0]):
        cure = f"Did you mean: {target} --target {words[0]}?"
        raise LaminaError(f"SOURCE: {words[0]} is no file, and --target {target} is one. {cure}")
    refuse_conflicts(options, sets)
    choices = {key: value for key, value in options.items() if value is not None}
    settings = [f"{key}={json.dumps(value)}" for key, value in choices.items()]
    return from_words(words, [*settings, *sets], trains)


def refuse_conflicts(options: dict[str, Any], sets: list[str]) -> None:
    """Errors: LaminaError where `--set` gives a setting another value than the option that is short for it."""
    settings = {".".join(key): value for key, value in map(split_override, sets)}
    for key, value in options.items():
        if value is not None and key in settings and str(settings[key]) != str(value):
            option = f"--{key.rpartition('.')[2].replace('_', '-')} {value}"
            raise LaminaError(f"{option}: --set {key}={settings[key]} says otherwise. Leave one of them out.")


def refuse_data(bundle: Path, words: Sequence[str]) -> None:
    """Errors: LaminaError where a bundle is asked for and a file of data is named, or both are swapped."""
    if not bundle.is_file() or bundle.suffix == ".lamina":
        return
    from lamina.deploy.bundle import locate
    from lamina.inspection import is_bundle

    if other := next((word for word in words if is_bundle(locate(word))), None):
        raise LaminaError(f"BUNDLE: {bundle} is data, and {other} is the bundle. Name the bundle first.")
    raise LaminaError(f"BUNDLE: {bundle} is not a bundle. Make one with: lamina train {bundle} --target COLUMN")


def _is_data(word: str) -> bool:
    return word.startswith("toy:") or Path(word).exists()


def also(sources: list[str] | None) -> list[str]:
    """Other data as an override of the recipe: each is a path, or classes with blanks between."""
    from lamina.data import _locator

    lists = [_words(source, _locator.is_class) for source in sources or []]
    return [f"also={json.dumps([_locator.parse_words(words) for words in lists])}"] if lists else []


def _words(source: str, is_class: Callable[[str], bool]) -> list[str]:
    """One path, which may have blanks in it, or `NAME=PATH` for each class."""
    words = shlex.split(source) if is_class(source) else []
    return words if words and all(map(is_class, words)) else [source]


def source(words: list[str], sets: list[str] | None, names: Iterable[str]) -> Any:
    """The settings of a data source alone, whose rows have columns of these names."""
    from lamina import data

    return data.expecting(recipe(words, {}, sets or [], trains=False).data, names)
