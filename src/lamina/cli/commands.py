"""The command line. Exit codes: 0 done, 1 the user's fault, 2 usage, 75 interrupted and resumable."""

import json
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Annotated, Any

import typer

from lamina.config import Interrupted, LaminaError

app = typer.Typer(
    help="From raw data to a running service, with a neural network in between.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXTRAS = {  # which extra holds an optional package
    **dict.fromkeys(("torch", "sklearn", "matplotlib", "onnx", "onnxscript"), "train"),
    **dict.fromkeys(("fastapi", "starlette", "uvicorn", "python_multipart"), "serve"),
    "python_calamine": "excel",
}

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
Bundle = Annotated[Path, typer.Argument(help="A bundle: directory, .lamina file, or the run that holds one.")]
SOURCE = (
    "A data file, a pattern such as 'data/*.csv', a folder of pictures, toy:churn, a recipe (.yaml); "
    "or NAME=PATH for each class: real=photos/ generated=made/"
)
Source = Annotated[list[str], typer.Argument(help=SOURCE)]
Target = Annotated[str | None, typer.Option(help="The column to predict, by name, or by number (-1 is the last).")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Any choice of the recipe: train.lr=1e-3. Repeatable.")]


def main() -> None:
    """Entry point: a user's mistake is one sentence on standard error, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except LaminaError as error:
        _sorry(str(error), as_json)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        _sorry(
            f"{error.name} is not installed. Install it with: pip install 'lamina[{EXTRAS[error.name or '']}]'", as_json
        )
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        _sorry(f"{error.filename}: {error.strerror}. Name another file or folder.", as_json)
        sys.exit(1)


def _sorry(text: str, as_json: bool) -> None:
    """Say what went wrong: a line each on standard error, and one JSON object on standard output if that was asked."""
    if as_json:
        print(json.dumps({"error": text}))
    for line in text.splitlines():
        print(f"lamina: {line}", file=sys.stderr)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """From raw data to a running service, with a neural network in between."""
    if version:
        from lamina import __version__

        print(f"lamina {__version__}")
        raise typer.Exit


@app.command()
def train(  # noqa: PLR0913 - one argument per option
    source: Annotated[list[str] | None, typer.Argument(help=SOURCE)] = None,
    target: Target = None,
    test: Annotated[str | None, typer.Option(help="A separate test file.")] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="Other data to judge the finished network by, as SOURCE. Repeatable.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="What is asked: classification, regression ...")] = None,
    model: Annotated[str | None, typer.Option(help="Which network: fnn, linear, sequential ...")] = None,
    budget: Annotated[str | None, typer.Option(help="Time for training, such as 60s or 5m.")] = None,
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the run; runs/<name>-<n> when left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run directory.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network on a data file or by a recipe, judge it beside baselines, and write a bundle and a report."""
    from lamina.run import Run, fresh_folder

    if resume is not None:
        if source or target or test or also or task or model or budget or sets or out or seed is not None:
            raise typer.BadParameter("goes alone: everything else is in the run's recipe.", param_hint="--resume")
        run = Run.resume(resume)
        if run.done.exists():
            found = {"run": str(run.folder), "bundle": str(run.bundle), "report": str(run.report)}
            said = f"{resume} is finished, there is nothing to go on with. Its bundle: {run.bundle}"
            _emit(found) if as_json else _show().say(said)
            return
        recipe = run.recipe()
    else:
        if not source:
            raise typer.BadParameter("is missing: a data file, or a recipe.", param_hint="SOURCE")
        options = {"target": target, "data.test": test, "task": task, "model": model, "train.budget": budget}
        options |= {"seed": None if seed is None else str(seed)}
        recipe = _recipe(source, options, [*_others(also), *(sets or [])])
        run = Run.create(out or fresh_folder(recipe.name or _stem(source)))
    with _stoppable() as stop, run.locked():
        from lamina import pipeline  # a second or two, in which the run can already be asked to stop

        show = _show()
        rows = pipeline.run(recipe, run, stop=stop)
        try:
            result = show.training(rows, run.folder, quiet=as_json)
        except Interrupted as error:
            raise Interrupted(f"{error} Go on with: lamina train --resume {shlex.quote(str(run.folder))}") from None
    _emit(result) if as_json else show.result(result)


@app.command()
def init(
    source: Source,
    target: Target = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the recipe.")] = Path("recipe.yaml"),
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Look at the data and write a recipe with every choice made, ready to be changed."""
    from lamina.cli import recipe_template as starter
    from lamina.tasks._supervised import experiment as cases

    if output.exists():
        raise LaminaError(f"-o: {output} exists. Choose another name with: -o FILE")
    case = cases.collect(_recipe(source, {"target": target}, sets or []))
    output.write_text(starter.recipe(case), "utf-8")
    found = {"recipe": str(output), **case.counts()}
    _emit(found) if as_json else _show().say(f"Wrote {output}. Train by it with: lamina train {output}")


@app.command()
def schema(as_json: Json = False) -> None:
    """Print the JSON schema of recipes, for completion in an editor."""
    from lamina.recipe import json_schema

    print(json.dumps(json_schema(), indent=None if as_json else 2))


@app.command()
def inspect(source: Source, target: Target = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show what a data file or a bundle holds: columns, kinds, missing cells, rows that cannot be used."""
    from lamina.cli import inspection as looked

    found = looked.at(source, target, sets or [])
    _emit(found) if as_json else _show().looked(found)


@app.command()
def evaluate(bundle: Bundle, source: Source, sets: Sets = None, as_json: Json = False) -> None:
    """Score a bundle on labelled rows."""
    from lamina import data
    from lamina.deploy.predictor import Predictor
    from lamina.estimator import located
    from lamina.tasks._supervised.evaluation import judged

    predictor, config = Predictor(located(bundle)), _source(source, sets)
    found = judged(predictor, data.load(config), config)
    lost = found["quarantine"]
    result = {"scores": found["scores"], "rows": found["rows"], "quarantined": len(lost)}
    _emit(result) if as_json else _show().scores(result | {"interval": found["interval"]}, lost)


@app.command()
def predict(
    bundle: Bundle,
    source: Source,
    output: Annotated[Path, typer.Option("-o", "--output", help="Answers: .csv, .parquet, .jsonl or .feather.")],
    keep: Annotated[
        str | None, typer.Option(help="Columns to copy beside the answers: id,name; paths of pictures when left out.")
    ] = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Answer every row of a file or every picture of a folder, in order, in constant memory."""
    from lamina.deploy import batch
    from lamina.deploy.predictor import Predictor
    from lamina.estimator import located

    found = batch.predict(
        Predictor(located(bundle)), _source(source, sets), output, keep.split(",") if keep is not None else None
    )
    _emit(found) if as_json else _show().predicted(found)


@app.command()
def generate(  # noqa: PLR0913 - one argument per option
    bundle: Bundle,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for pictures, or one file for rows.")],
    count: Annotated[int, typer.Option("-n", "--count", help="How many pictures or rows to make.")] = 64,
    label: Annotated[list[str] | None, typer.Option(help="The class to make; several are taken in turn.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="What rows have to meet: 'tenure>=24'; several have to hold together.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same.")] = 0,
    form: Annotated[
        str | None, typer.Option("--format", help="png, csv, parquet, jsonl, feather; by the suffix when left out.")
    ] = None,
    sheet: Annotated[bool, typer.Option(help="Beside pictures, a contact sheet and an index.")] = True,
    as_json: Json = False,
) -> None:
    """Make new pictures or rows with a bundle that generates, in constant memory; each says that it was made."""
    from lamina.deploy.predictor import Predictor
    from lamina.estimator import located
    from lamina.tasks.generation import files as written

    wish = written.Wish(
        count=count, seed=seed, label=tuple(label) if label else None, form=form, sheet=sheet, where=where
    )
    found = written.write(Predictor(located(bundle)), wish, output)
    _emit(found) if as_json else _show().made(found)


@app.command()
def explain(
    bundle: Bundle,
    pictures: Annotated[list[Path], typer.Argument(help="Picture files, such as pictures/*.jpg.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the drawing: FILE.png.")],
    label: Annotated[str | None, typer.Option(help="Explain this label; the most probable one when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Draw what the answers to pictures hang on, as heat maps."""
    from lamina.deploy.predictor import Predictor
    from lamina.estimator import located
    from lamina.evaluate.images import occlusion as why

    found = why.write(Predictor(located(bundle)), pictures, output, label)
    result = {
        "output": str(output),
        "pictures": [{"file": f.name, "label": f.label, "answers": dict(f.top)} for f in found],
    }
    _emit(result) if as_json else _show().explained(result)


@app.command()
def serve(
    bundle: Bundle,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    token: Annotated[str | None, typer.Option(help="Ask for this bearer token; also $LAMINA_TOKEN.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Rows in one request, 10,000 when left out.")] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Bytes of one request, 10 MB when left out (pictures: 32 MB).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve a bundle over HTTP: POST /predict, GET /schema, GET /docs."""
    from lamina.deploy.server import Limits
    from lamina.deploy.server import serve as run_server
    from lamina.estimator import located

    said = {"rows": max_rows, "body": max_bytes}
    limits = Limits(**{name: value for name, value in said.items() if value is not None})
    run_server(located(bundle), host=host, port=port, token=token, limits=limits, as_json=as_json)


@app.command()
def export(
    bundle: Bundle,
    output: Annotated[Path, typer.Option("-o", "--output", help="FILE.lamina (one file), or FILE.onnx (the graph).")],
    as_json: Json = False,
) -> None:
    """Write a bundle as one file, or its ONNX graph alone."""
    from lamina.deploy.bundle import open_bundle, pack
    from lamina.estimator import located

    opened = open_bundle(located(bundle))
    if output.suffix == ".onnx":
        if "model.onnx" not in opened.files:
            raise LaminaError(f"{bundle}: has no ONNX graph: {opened.model.reason}. Export to .lamina instead.")
        output.write_bytes(opened.files["model.onnx"])
    elif output.suffix == ".lamina":
        pack(opened.path, output)
    else:
        raise LaminaError(f"-o: must end in .lamina or .onnx (got '{output}').")
    found = {"output": str(output), "bytes": output.stat().st_size, "bundle": opened.id}
    _emit(found) if as_json else _show().say(f"Wrote {output} ({found['bytes']:,} bytes).")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has, what is installed, and what is missing for which stage."""
    from lamina.cli import inspection as looked

    found = looked.machine()
    _emit(found) if as_json else _show().machine(found)


def _recipe(source: list[str], options: dict[str, str | None], sets: list[str], trains: bool = True) -> Any:
    """A recipe file, or one made of a data source, with the command line's choices over it."""
    from lamina import recipe

    chosen = [f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None and key != "seed"]
    chosen += [f"seed={options['seed']}"] if options.get("seed") is not None else []
    return recipe.by_words(source, [*chosen, *sets], trains)


def _others(also: list[str] | None) -> list[str]:
    """Other data as an override of the recipe: each is a path, or classes with blanks between."""
    from lamina.data import _locator as _named

    split = [(one, shlex.split(one) if _named.is_class(one) else []) for one in also or []]
    found = [_named.said(words if words and all(map(_named.is_class, words)) else [one]) for one, words in split]
    return [f"also={json.dumps(found)}"] if found else []


def _source(source: list[str], sets: list[str] | None) -> Any:
    """The settings of a data source alone."""
    return _recipe(source, {}, sets or [], trains=False).data


def _stem(source: list[str]) -> str:
    name = "-".join(dict.fromkeys(word.partition("=")[0] for word in source)) if len(source) > 1 else source[0]
    name = Path(name.removeprefix("toy:")).name.split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "run"


def _show() -> ModuleType:
    from lamina.cli import console as show

    return show


def _emit(found: dict[str, Any]) -> None:
    print(json.dumps(found, allow_nan=False, default=str))


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM set a flag, which training looks at between steps; a second one ends the process at once."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
