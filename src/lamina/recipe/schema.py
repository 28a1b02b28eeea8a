"""A JSON schema of recipes, for completion and checks in editors."""

from typing import Any

from lamina.config import parse
from lamina.plugins import available, plugin
from lamina.preprocess import UNUSED
from lamina.recipe.sections import SECTIONS, Rest
from lamina.train.settings import Config as Train


def json_schema() -> dict[str, Any]:
    """A JSON schema of recipes, for completion and checks in editors."""
    definitions: dict[str, Any] = {}

    def choice(folder: str) -> dict[str, Any]:
        refs = []
        for name in available(folder):
            schema = plugin(folder, name).Config.model_json_schema(ref_template="#/$defs/{model}")
            definitions.update(schema.pop("$defs", {}))
            definitions[f"{folder}.{name}"] = schema
            refs.append({"$ref": f"#/$defs/{folder}.{name}"})
        return {"anyOf": [{"enum": [*available(folder), *(UNUSED if folder == "preprocess" else ())]}, *refs]}

    rest = Rest.model_json_schema(ref_template="#/$defs/{model}")
    train = Train.model_json_schema(ref_template="#/$defs/{model}")
    definitions |= rest.pop("$defs", {}) | train.pop("$defs", {})
    for name, schema in train["properties"].items():
        if parse(Train, {name: "1s"}, name, []):  # a time, which is read from text too
            train["properties"][name] = {"anyOf": [{"type": "string"}, schema]}
    paths = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    sources = {"anyOf": [*paths, *choice("data")["anyOf"][1:]]}
    properties = rest["properties"] | {name: choice(folder) for name, folder in SECTIONS.items() if name != "data"}
    properties |= {
        "data": sources,
        "also": {"anyOf": [*sources["anyOf"], {"type": "object", "additionalProperties": sources}]},
        "columns": {"type": "object", "additionalProperties": choice("preprocess")},
        "train": train,
    }
    return _open(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Lamina recipe",
            "type": "object",
            "properties": {name: {"anyOf": [schema, {"type": "null"}]} for name, schema in properties.items()},
            "required": ["data"],
            "additionalProperties": False,
            "$defs": definitions,
        }
    )


def _open(schema: Any) -> Any:
    """The schema with every choice by kind open to the kind's bare name."""
    if isinstance(schema, list):
        return [_open(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "discriminator" in schema and "oneOf" in schema:
        names = {"enum": sorted(schema["discriminator"]["mapping"])}
        rest = {k: v for k, v in schema.items() if k not in ("discriminator", "oneOf")}
        return {**rest, "anyOf": [names, *schema["oneOf"]]}
    return {k: _open(v) for k, v in schema.items()}
