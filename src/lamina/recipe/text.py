"""A recipe as YAML, without what is only the default; reading it back gives the same recipe."""

import io
import json
from collections.abc import Mapping
from typing import Any

from lamina.config import Config
from lamina.plugins import Settings
from lamina.recipe.sections import Recipe
from lamina.schema import MISSING


def dump(recipe: Recipe) -> str:
    """The recipe as YAML, without what is only the default."""
    return to_yaml(plain(recipe))


def to_yaml(values: Mapping[str, Any]) -> str:
    """Plain values of a recipe as YAML; lists of numbers, and of lists of them, on one line."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Plain(SafeRepresenter):
        """Numbers beside one another."""

        def represent_list(self, data: list[Any]) -> Any:
            short = bool(data) and not any(isinstance(item, (str, dict)) for item in data)
            return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=short)

    Plain.add_representer(list, Plain.represent_list)
    yaml, out = YAML(typ="safe", pure=True), io.StringIO()
    yaml.Representer = Plain
    yaml.default_flow_style = False
    yaml.representer.sort_base_mapping_type_on_output = False
    yaml.width = 100
    yaml.dump(values, out)
    return out.getvalue()


def plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values; reading them back gives the same recipe."""
    values: dict[str, Any] = {"data": _with_kind(recipe.data), "target": recipe.target}
    if recipe.task:
        values["task"] = _non_defaults(recipe.task)
    if recipe.columns:
        values["columns"] = {name: _non_defaults(cfg) for name, cfg in recipe.columns.items()}
    if recipe.missing != MISSING:
        values["missing"] = list(recipe.missing)
    if recipe.literal is not None:
        values["literal"] = list(recipe.literal)
    values["split"] = _non_defaults(recipe.split)
    if recipe.model:
        values["model"] = _non_defaults(recipe.model)
    if recipe.preset != "default":
        values["preset"] = recipe.preset
    if recipe.train:
        values["train"] = recipe.train
    values["seed"] = recipe.seed
    if recipe.name:
        values["name"] = recipe.name
    if recipe.also:
        values["also"] = {name: _with_kind(cfg) for name, cfg in recipe.also.items()}
    return {k: v for k, v in json.loads(json.dumps(values)).items() if v is not None}


def _with_kind(source: Config) -> Any:
    """A source with its kind spelled out: a bare name would be a path."""
    settings = _non_defaults(source)
    return {"kind": settings} if isinstance(settings, str) else settings


def _non_defaults(cfg: Config) -> Any:
    """`kind` and whatever is not the default."""
    if isinstance(cfg, Settings):
        return cfg.values
    values = cfg.model_dump(mode="json")
    settings = cfg.model_dump(mode="json", exclude_defaults=True)
    settings = {"kind": values["kind"], **settings} if "kind" in values else settings
    return settings["kind"] if set(settings) == {"kind"} else settings
