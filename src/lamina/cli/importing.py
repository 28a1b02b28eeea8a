"""The command `lamina import`: a network of Hugging Face becomes a bundle."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lamina.cli.commands import Json, Overwrite, app


@app.command("import")
def import_(
    path: Annotated[str, typer.Argument(help="A folder of Hugging Face with config.json, or a name on the hub.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the bundle, a directory.")],
    task: Annotated[str | None, typer.Option(help="What it does; by its architecture when left out.")] = None,
    column: Annotated[str | None, typer.Option(help="The column to read; text or image when left out.")] = None,
    target: Annotated[str, typer.Option(help="The column of labels, in rows that have some.")] = "label",
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Make a bundle of a network that others trained, without training: it is served and evaluated like any other."""
    from lamina.cli import console
    from lamina.deploy import importing

    result = importing.write(path, output, task, importing.Names(column, target), overwrite)
    if as_json:
        print(json.dumps(result, allow_nan=False))
        return
    for note in result["notes"]:
        console.say(f"note {note}")
    console.say(f"Wrote {result['bundle']}. Evaluate it: lamina evaluate {result['bundle']} DATA")
