"""The folder is the registry: a plug-in is a module in one of the stage folders, named by its file.

Names come from the folder only: no dotted path, no import string and no callable is ever taken from a recipe or a
bundle.
"""

import functools
import importlib
import os
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from lamina.config import Config, RecipeError, nearest, parse

STAGES = ("data", "preprocess", "tasks", "models")


def kind(cfg: Config) -> str:
    """Which plug-in a group of settings belongs to."""
    return vars(cfg)["kind"]


def available(folder: str) -> tuple[str, ...]:
    """Names of the plug-ins in a stage folder, without importing any of them."""
    return _names(folder, os.environ.get("LAMINA_PLUGINS", ""))


def plugin(folder: str, name: str, path: str = "") -> ModuleType:
    """The plug-in module `name` of a stage folder; `path` is where the name was written, for the error."""
    word = name.replace("-", "_")
    module = _module(folder, word, os.environ.get("LAMINA_PLUGINS", ""))
    if module is None:
        raise RecipeError([f"{path or folder}: there is no '{name}'. {nearest(word, available(folder))}"])
    return module


def module_beside(module: ModuleType, name: str, default: str) -> ModuleType:
    """The module `name` of a plug-in that is a package; of one that is a single file, the module `default`."""
    return importlib.import_module(f"{module.__name__}.{name}" if "__path__" in vars(module) else default)


@functools.cache
def _names(folder: str, roots: str) -> tuple[str, ...]:
    """Looked up once for a folder and the user's own folders: a server needs the same names with every request."""
    package = importlib.import_module(f"lamina.{folder}")
    extend(folder, package, roots)
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")))


@functools.cache
def _module(folder: str, word: str, roots: str) -> ModuleType | None:
    """The module, or None where there is none of this name. One that fails to import is tried again."""
    return importlib.import_module(f"lamina.{folder}.{word}") if word in _names(folder, roots) else None


def extend(folder: str, package: ModuleType, roots: str) -> None:
    """Let `$LAMINA_PLUGINS/<folder>` hold plug-ins too: the user's own folder, never named by data."""
    for root in roots.split(os.pathsep):
        path = os.path.join(root, folder)
        if root and os.path.isdir(path) and path not in package.__path__:
            package.__path__.append(path)


class Settings(Config):
    """Settings of a plug-in that the data decide for: they are checked once it is known."""

    values: dict[str, Any]


def setting_names(folder: str, name: str) -> set[str]:
    return set(plugin(folder, name).Config.model_fields)


def every_setting(folder: str) -> set[str]:
    """The names of the settings of all plug-ins in a stage folder."""
    return set[str]().union(*(setting_names(folder, name) for name in available(folder)))


def settings_of(folder: str, name: str, settings: Settings | None, path: str, cure: Callable[[], str]) -> Config:
    """The settings of the plug-in that the data decided for. Errors: RecipeError for one that it does not have, with
    the cure behind.
    """
    faults = list[str]()
    cfg = parse(plugin(folder, name).Config, {"kind": name, **(settings.values if settings else {})}, path, faults)
    if cfg is None:
        raise RecipeError([*faults, cure()])
    return cfg
