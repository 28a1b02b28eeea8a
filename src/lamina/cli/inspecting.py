"""Commands that look at something before anything is trained: `lamina inspect` and `lamina doctor`."""

from lamina.cli.commands import Json, Sets, Source, Target, app, emit


@app.command()
def inspect(source: Source, target: Target = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show what a data file or a bundle holds: columns, kinds, missing cells, rows that cannot be used."""
    from lamina import inspection
    from lamina.cli import overview

    result = inspection.inspect(source, target, sets or [])
    emit(result) if as_json else overview.inspected(result)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, what is installed, and what is missing for which stage."""
    from lamina import inspection
    from lamina.cli import overview

    result = inspection.machine()
    emit(result) if as_json else overview.machine(result)
