"""Words of a command line as a recipe. Nothing heavy is imported before it is needed."""

import json
import shlex
from collections.abc import Callable, Iterable
from typing import Any


def recipe(words: list[str], options: dict[str, str | None], sets: list[str], trains: bool = True) -> Any:
    """A recipe file, or one made of a data source, with the command line's choices over it."""
    from lamina.recipe import from_words

    settings = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None and key != "seed"]
    settings += [f"seed={options['seed']}"] if options.get("seed") is not None else []
    return from_words(words, [*settings, *sets], trains)


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
