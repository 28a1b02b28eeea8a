"""The command `lamina export`: a bundle in a form that others take."""

from pathlib import Path
from typing import Annotated

import typer

from lamina.cli.commands import Bundle, Json, Overwrite, app, emit


@app.command()
def export(
    bundle: Bundle,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="FILE.lamina (one file), FILE.onnx (the graph), or as --format says.")
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="lamina, onnx, openapi (FILE.json), card (FILE.md), torch or docker (a folder); by -o when left out.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a bundle as one file, its graph alone, a program of PyTorch, a container, or what describes it."""
    from lamina.cli import console
    from lamina.deploy import exporting

    result = exporting.write(bundle, output, form, overwrite)
    emit(result) if as_json else console.say(f"Wrote {output} ({result['bytes']:,} bytes).")
