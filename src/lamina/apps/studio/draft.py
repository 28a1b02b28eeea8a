"""The recipe that is being edited: its YAML is what counts, and forms change it setting by setting."""

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from lamina import recipe
from lamina.config import RecipeError, load_yaml
from lamina.data import _locator
from lamina.recipe import Recipe
from lamina.schema import Row

TEXT, REVISION, NAME, FAULTS = "recipe text", "recipe revision", "run name", "recipe faults"
ADDRESS, ADDRESS_NAME, LONGEST = "recipe", "run", 8000  # of the page's address, and characters in it


def begin(values: Row, name: str) -> None:
    """Edit these values from now on; a run by them will have this name and a number."""
    st.session_state[NAME] = name
    replace_text(recipe.to_yaml(values))


def restore() -> bool:
    """Whether there is a recipe: the one of this browser tab, or after a reload that in the page's address."""
    if TEXT not in st.session_state and ADDRESS in st.query_params:
        st.session_state[NAME] = st.query_params.get(ADDRESS_NAME, "run")
        replace_text(st.query_params[ADDRESS])
    return TEXT in st.session_state


def save() -> None:
    """Put it into the page's address, as long as it is short enough for one."""
    if len(text()) <= LONGEST:
        st.query_params.from_dict({ADDRESS: text(), ADDRESS_NAME: st.session_state[NAME]})


def text() -> str:
    return st.session_state[TEXT]


def revision() -> int:
    """Changes with every text that was typed: widgets show its values then, and no longer their own."""
    return st.session_state.get(REVISION, 0)


def replace_text(new: str) -> None:
    """Go on with another text, which may have faults."""
    st.session_state[TEXT] = new
    refresh()


def values() -> Row:
    """The plain values of the text. Errors: RecipeError where it is no YAML of settings."""
    settings = load_yaml(text(), "recipe")
    if not isinstance(settings, dict):
        raise RecipeError(["recipe: holds no settings. Write name: value lines, such as data: FILE"])
    return settings


def build() -> Recipe:
    """The checked recipe. Errors: RecipeError with every fault, as on the command line."""
    return recipe.build(values())


def change(path: Sequence[str], value: Any, off: bool = False) -> None:
    """Set one setting, or take it back with None; the rest stays as it is. `off`: None is a value of its own, written
    down. What cannot be done is one of `faults`.
    """
    try:
        settings = values()
        key = ".".join(f'"{part}"' if "." in part or "=" in part else part for part in path)
        settings = recipe.merge(settings, [f"{key}={json.dumps(value)}"])
    except RecipeError as error:
        note_faults(error)
        return
    if value is None and not off:
        _remove(settings, path)
    st.session_state[TEXT] = recipe.to_yaml(settings)


def refresh() -> None:
    """Let all widgets show what the recipe says."""
    st.session_state[REVISION] = revision() + 1


def note_faults(error: RecipeError) -> None:
    """Keep what is wrong with a change, to be said by the page."""
    st.session_state[FAULTS] = list(error.faults)


def pop_faults() -> list[str]:
    """What was wrong with the last change."""
    return st.session_state.pop(FAULTS, [])


def _remove(settings: Row, path: Sequence[str]) -> None:
    """Take a setting away, and groups of settings that are empty without it."""
    *groups, name = path
    nodes = [settings]
    for group in groups:
        nodes.append(nodes[-1][group])
    nodes[-1].pop(name, None)
    for node, group in zip(nodes[-2::-1], groups[::-1], strict=True):
        if node[group] == {}:
            del node[group]


def source(words: Sequence[str]) -> Row:
    """The values of a recipe that says nothing but its data. Errors: RecipeError for words that name none."""
    return {"data": _locator.parse_words(words)}
