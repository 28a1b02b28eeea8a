"""Commands that say what there is to choose: `lamina tasks` and `lamina models`, with the settings of each."""

import json
from typing import Annotated, Any

import typer
from pydantic_core import PydanticUndefined

from lamina import plugins
from lamina.cli.commands import Json, app


def _names(folder: str) -> Any:
    return typer.Argument(
        help="One of them, for all its settings; all when left out.",
        autocompletion=lambda: [*plugins.available(folder)],
    )


@app.command()
def tasks(name: Annotated[str | None, _names("tasks")] = None, as_json: Json = False) -> None:
    """List what can be asked of data (--task), with the settings of each."""
    _list("tasks", "task", name, as_json)


@app.command()
def models(name: Annotated[str | None, _names("models")] = None, as_json: Json = False) -> None:
    """List the networks there are (--model), with the settings of each."""
    _list("models", "model", name, as_json)


def _list(folder: str, section: str, name: str | None, as_json: bool) -> None:
    from lamina.cli import console

    names = [plugins.own_name(folder, name)] if name else [*plugins.available(folder)]
    rows = [_describe(folder, one) for one in names]
    if as_json:
        print(json.dumps(rows[0] if name else {folder: rows}))
        return
    for row in rows:
        also = f" (also {', '.join(row['aliases'])})" if row["aliases"] else ""
        console.out.print(f"[bold]{row['name']}[/]{also}  {console.escape(row['about'])}")
        if not name:
            names = ", ".join(one["name"] for one in row["settings"]) or "no settings"
            console.out.print(console.indented(names))
    if name:
        listed = console.table("setting", "usual", "what it is", bend=(2,))
        for one in rows[0]["settings"]:
            listed.add_row(one["name"], console.escape(one["default"]), console.escape(one["about"]))
        listed.columns[-1].no_wrap, listed.columns[-1].overflow = False, "fold"
        console.out.print(listed)
    example = name or rows[0]["name"]
    setting = f" --set {section}.{rows[0]['settings'][0]['name']}=VALUE" if rows[0]["settings"] else ""
    console.line(f"Choose it: lamina train DATA --target COLUMN --{section} {example}{setting}")
    if not name:
        console.line(f"All settings of one: lamina {folder} {example}")


def _describe(folder: str, name: str) -> dict[str, Any]:
    """A plug-in in plain values: what it is, and its settings by its `Config`."""
    module = plugins.plugin(folder, name, folder.removesuffix("s"))
    fields = module.Config.model_fields
    return {
        "name": name,
        "aliases": [*plugins.aliases(folder, name)],
        "about": " ".join((module.__doc__ or "").strip().split("\n\n")[0].split()),
        "settings": [
            {"name": key, "default": _usual(field), "about": _about(field)}
            for key, field in fields.items()
            if key != "kind"
        ],
    }


def _usual(field: Any) -> str:
    """The default as it is written in a recipe."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return "" if plain is None else plain if isinstance(plain, str) else json.dumps(plain, default=str)


def _about(field: Any) -> str:
    """What it is, or the values that it takes."""
    choices = [str(value) for value in getattr(field.annotation, "__args__", ()) if isinstance(value, str)]
    return field.description or (f"one of {', '.join(choices)}" if choices else "")
