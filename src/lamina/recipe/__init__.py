"""A whole run as one frozen value: YAML 1.2 on disk, `key.sub=value` on the command line, every fault at once.

data: {path: adult.csv}          # or just: data: adult.csv
target: income
columns: {zip: category, id: ignore}
model: {kind: fnn, width: 256}   # or just: model: fnn
train: {epochs: 20}
also: {later: adult_2020.csv}    # evaluated with the finished network too
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lamina.config import (
    Config,
    RecipeError,
    load_yaml,
    names,
    nearest,
    once_each,
    parse,
    split_override,
    synonyms,
    typed,
)
from lamina.data import _locator, expecting
from lamina.plugins import Settings, available, every_setting, own_name, plugin
from lamina.preprocess import UNUSED
from lamina.recipe import places
from lamina.recipe.schema import json_schema
from lamina.recipe.sections import SECTIONS, Recipe, Rest, Unused
from lamina.recipe.text import dump, plain, to_yaml
from lamina.train.settings import Config as Train

__all__ = [
    "Recipe",
    "Rest",
    "Unused",
    "build",
    "dump",
    "from_words",
    "json_schema",
    "merge",
    "plain",
    "read",
    "to_yaml",
]


def read(path: Path, overrides: Iterable[str] = (), trains: bool = True) -> Recipe:
    """The recipe in a YAML file, with `key.sub=value` overrides. Raises `RecipeError` with every fault."""
    try:
        values = load_yaml(path.read_text("utf-8"), str(path))
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read ({error.strerror}). Write one with: lamina init DATA"]) from None
    except UnicodeDecodeError as error:
        raise RecipeError([f"{path}: is not UTF-8 (byte {error.start}). Save it as UTF-8."]) from None
    if not isinstance(values, dict):
        got = ", and an equals sign is no colon" if isinstance(values, str) and "=" in values else ""
        raise RecipeError([f"{path}: holds no settings{got}. Write name: value lines, such as data: FILE"])
    return build(values, overrides, trains)


def from_words(words: Sequence[str], overrides: Iterable[str] = (), trains: bool = True) -> Recipe:
    """The same for the words of a command line: a recipe file, a source, or `NAME=PATH` for each class."""
    _check(words)
    source = _locator.parse_words(words)
    if isinstance(source, str) and Path(source).suffix in (".yaml", ".yml"):
        return read(Path(source), overrides, trains)
    return build({"data": source}, overrides, trains)


def _check(words: Sequence[str]) -> None:
    """Errors: RecipeError for words that are no sources though they look so: `epochs=10`, or the target."""
    for word in words:
        name, _, value = word.partition("=")
        place = places.write(name, typed(value)) if _locator.is_class(word) and not Path(value).exists() else None
        if place:
            raise RecipeError([f"SOURCE: {word} is no source. {place}"])
    there = [word for word in words if word.startswith("toy:") or Path(word).exists()]
    if len(words) == 2 and len(there) == 1 and not any(map(_locator.is_class, words)):
        (target,) = (word for word in words if word not in there)
        got = " ".join(words)
        raise RecipeError([f"SOURCE: give one source (got '{got}'). Did you mean: {there[0]} --target {target}?"])


def build(raw: Mapping[str, Any], overrides: Iterable[str] = (), trains: bool = True) -> Recipe:
    """Plain values to a checked recipe. What only looks at data or answers rows says `trains=False`: the model is then
    not looked at, which would import torch.
    """
    if not isinstance(raw, Mapping):
        raise RecipeError([f"recipe: must be settings by name (got {raw!r}).".replace("\n", " ")[:200]])
    values, faults = merge(raw, overrides), list[str]()
    _refuse_unknown(values, (*SECTIONS, *Rest.model_fields, "columns", "train", "also"), "", faults)
    folders = {name: folder for name, folder in SECTIONS.items() if trains or name != "model"}
    sections = {name: _choice(folder, values.get(name), name, faults) for name, folder in folders.items()}
    columns = {}
    if not isinstance(values.get("columns") or {}, dict):
        faults.append(f"columns: write name: kind for each column (got {values['columns']!r}).")
    else:
        columns = {str(n): _column(str(n), v, faults) for n, v in (values.get("columns") or {}).items()}
    also = _also(values.get("also"), faults)
    if isinstance(share := values.get("split"), int | float):
        faults.append(f"split: say which part that is, such as split: {{test: {share}}}.")
        values["split"] = None
    rest = parse(Rest, _rest(values), "", faults)
    train = values.get("train") or {}
    if not isinstance(train, dict):
        cure = f" The rows are named by data: {train}." if isinstance(train, str) else ""
        faults.append(f"train: write settings as name: value (got {train!r}).{cure}")
    else:
        parse(Train, _refuse_unknown(train, Train.model_fields, "train", faults), "train", faults)
    if values.get("data") is None:
        faults.append("data: is required. Write data: FILE")
    if faults or rest is None:
        raise RecipeError(once_each(faults))
    names = (*filter(None, [rest.target]), *columns)
    also = {name: expecting(source, names) for name, source in also.items()}
    choices: dict[str, Any] = {
        "data": expecting(cast("Config", sections["data"]), names),
        "task": sections["task"],
        "columns": columns,
        "train": train,
    }
    choices |= {"model": sections.get("model"), "also": also}
    return Recipe.model_construct(**choices, **{name: rest.__dict__[name] for name in Rest.model_fields})


def _refuse_unknown(values: dict[Any, Any], names: Iterable[str], path: str, faults: list[str]) -> dict[Any, Any]:
    """The settings that are there; of each other one, a fault with its true place."""
    names, what = set(names), "setting" if path else "section"
    for name in (name for name in values if name not in names):
        place = f"{path}.{name}" if path else name
        faults.append(f"{place}: unknown {what}. {places.cure(str(name), values[name], names)}")
    return {name: value for name, value in values.items() if name in names}


def _rest(values: dict[str, Any]) -> dict[str, Any]:
    """The plain settings, with `split: random` spelled out."""
    rest = {k: v for k, v in values.items() if k in Rest.model_fields and v is not None}
    if isinstance(rest.get("split"), str):
        rest["split"] = {"kind": rest["split"]}
    if isinstance(rest.get("split"), dict):
        rest["split"] = {"kind": "auto", **rest["split"]}
    return rest


def _choice(folder: str, value: Any, path: str, faults: list[str]) -> Config | None:
    """`fnn`, `{kind: fnn, width: 256}`, or nothing; for data also a path."""
    if value is None:
        return None
    if folder == "data":
        value = _locator.settings(value)
    if isinstance(value, str):
        value = {"kind": value}
    if folder in ("models", "tasks") and isinstance(value, dict) and "kind" not in value:
        return _settings_of_any(folder, value, path, faults)
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        faults.append(f"{path}: say which one with kind: <name> (got {value!r}). {nearest('', available(folder))}")
        return None
    try:
        cls = plugin(folder, value["kind"], path).Config
        value = _refuse_unknown({**value, "kind": own_name(folder, value["kind"])}, names(cls), path, faults)
        return parse(cls, value, path, faults)
    except RecipeError as error:
        faults.extend(error.faults)
        return None


def _settings_of_any(folder: str, values: dict[str, Any], path: str, faults: list[str]) -> Config | None:
    """Settings of the network or task that the data decide for; each is one of some network or task at least."""
    values = _refuse_unknown(values, every_setting(folder), path, faults)
    return Settings(values=values) if values else None


def _also(value: Any, faults: list[str]) -> dict[str, Config]:
    """Other data by name: one choice of data, a list of them, or names and choices."""
    if isinstance(value, dict) and not _locator.one_source(value):
        choices = {str(name): _choice("data", one, f"also.{name}", faults) for name, one in value.items()}
        return {name: cfg for name, cfg in choices.items() if cfg}
    each = value if isinstance(value, list) else [value] if value else []
    sources = [_choice("data", one, "also", faults) for one in each]
    return _locator.by_name([cfg for cfg in sources if cfg])


def _column(name: str, value: Any, faults: list[str]) -> Config:
    """The kind of a column; settings without one are of the only kind that has them all, as `format` is of times."""
    if isinstance(value, dict) and value and "kind" not in value:
        own = [n for n in available("preprocess") if set(value) <= set(plugin("preprocess", n).Config.model_fields)]
        value = {"kind": own[0], **value} if len(own) == 1 else value
    kind = value.get("kind") if isinstance(value, dict) else value
    if isinstance(kind, str) and kind not in UNUSED and (same := synonyms.among(kind, UNUSED)):
        faults.append(f"columns.{name}: there is no '{kind}'. Did you mean '{same}'?")
        return Unused(kind="ignore")
    if kind in UNUSED:
        return Unused(kind=kind)
    try:
        value = {} if value is None else value
        return _choice("preprocess", value, f"columns.{name}", faults) or Unused(kind="ignore")
    except RecipeError as error:
        faults.extend(error.faults)
        return Unused(kind="ignore")


def merge(raw: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The values with each `key.sub=value` laid over them."""
    values = json.loads(json.dumps(raw))
    for override in overrides:
        (spot, *path), value = split_override(override)
        node = values
        for part in path:
            if isinstance(node.get(spot), str):
                node[spot] = {"kind": node[spot]} if spot != "data" else _locator.settings(node[spot])
            node = node.setdefault(spot, {}) if node.get(spot) is not None else node.update({spot: {}}) or node[spot]
            if not isinstance(node, dict):
                raise RecipeError([f"--set {override}: {spot} holds a value, not settings."])
            spot = part
        node[spot] = value
    return values
