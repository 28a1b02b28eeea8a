"""The folder is the registry: a plug-in is a module in one of the stage folders, named by its file.

Names come from the folder only: no dotted path, no import string and no callable is ever taken from a recipe or a
bundle.
"""

import difflib
import functools
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from lamina.config import Config, RecipeError, names, nearest_setting, parse

STAGES = ("data", "preprocess", "tasks", "models")


def kind(cfg: Config) -> str:
    """Which plug-in a group of settings belongs to."""
    return vars(cfg)["kind"]


def available(folder: str) -> tuple[str, ...]:
    """Names of the plug-ins in a stage folder, without importing any of them."""
    return _names(folder, os.environ.get("LAMINA_PLUGINS", ""))


def plugin(folder: str, name: str, path: str = "") -> ModuleType:
    """The plug-in module `name` of a stage folder, or the one that has it among its `ALIASES`; `path` is where the name
    was written, for the error.
    """
    module = _module(folder, *_words(name))
    if module is None:
        raise RecipeError([f"{path or folder}: there is no '{name}'. {_nearest(folder, _words(name)[0])}"])
    return module


def own_name(folder: str, name: str) -> str:
    """The name of the file of a plug-in that is asked for by that or by an alias; any other as it is."""
    module = _module(folder, *_words(name))
    return name if module is None else module.__name__.rpartition(".")[2]


def aliases(folder: str, name: str) -> tuple[str, ...]:
    """Other names of a plug-in, by which other tools know it."""
    return vars(plugin(folder, name)).get("ALIASES", ())


def _nearest(folder: str, word: str) -> str:
    """`Did you mean 'x'?`, also where the word is near an alias; or the names there are."""
    owners = {alias: name for name in available(folder) for alias in aliases(folder, name)}
    near, cure = difflib.get_close_matches(word.lower(), owners, n=1), nearest_setting(word, available(folder))
    return f"Did you mean '{owners[near[0]]}'?" if near and not cure.startswith("Did") else cure


def _words(name: str) -> tuple[str, str]:
    return name.replace("-", "_"), os.environ.get("LAMINA_PLUGINS", "")


def sibling_module(module: ModuleType, name: str, default: str) -> ModuleType:
    """The module `name` of a plug-in that is a package; of one that is a single file, the module `default`."""
    return importlib.import_module(f"{module.__name__}.{name}" if "__path__" in vars(module) else default)


@functools.cache
def _names(folder: str, roots: str) -> tuple[str, ...]:
    """Looked up once for a folder and the user's own folders: a server needs the same names with every request."""
    spec = importlib.util.find_spec(f"lamina.{folder}")
    assert spec and spec.submodule_search_locations
    paths = [*spec.submodule_search_locations, *_own(folder, roots)]
    return tuple(sorted({m.name for m in pkgutil.iter_modules(paths) if not m.name.startswith("_")}))


@functools.cache
def _module(folder: str, word: str, roots: str) -> ModuleType | None:
    """The module, or None where there is none of this name or alias. One that fails to import is tried again."""
    names = _names(folder, roots)
    package = importlib.import_module(f"lamina.{folder}")
    package.__path__ += [path for path in _own(folder, roots) if path not in package.__path__]
    if word in names:
        return importlib.import_module(f"lamina.{folder}.{word}")
    modules = (importlib.import_module(f"lamina.{folder}.{name}") for name in names)
    return next((one for one in modules if word.lower() in vars(one).get("ALIASES", ())), None)


def _own(folder: str, roots: str) -> list[str]:
    """The user's own folders of such plug-ins, `$LAMINA_PLUGINS/<folder>`, never named by data."""
    paths = [os.path.join(root, folder) for root in roots.split(os.pathsep) if root]
    return [path for path in paths if os.path.isdir(path)]


class Settings(Config):
    """Settings of a plug-in that the data decide for: they are checked once it is known."""

    values: dict[str, Any]


def setting_names(folder: str, name: str) -> set[str]:
    return set(names(plugin(folder, name).Config))


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
        raise RecipeError([*faults[:-1], f"{faults[-1]} {cure()}"])
    return cfg
