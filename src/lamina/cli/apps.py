"""Commands that open an app in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from lamina.cli.commands import Bundle, app

Host = Annotated[str, typer.Option(help="Address to listen on; on any but this machine everybody can use it.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Port to listen on; the first free one from 8501 when left out.")
]


@app.command("app")
def try_app(bundle: Bundle, host: Host = "127.0.0.1", port: Port = None) -> None:
    """Open a page in the browser to try a bundle: widgets for its columns, answers as numbers, charts and images."""
    from lamina.apps.try_app import command

    command.start(bundle, host, port)


@app.command()
def studio(
    folder: Annotated[Path, typer.Argument(help="Where data and runs are; made where it is not there.")] = Path(),
    port: Port = None,
) -> None:
    """Open the workbench in the browser: bring data, choose, train, evaluate, compare and serve, without code."""
    from lamina.apps.studio import command

    command.start(folder, port)
