"""The command line. Exit codes: 0 done, 1 the user's fault, 2 usage, 75 interrupted and resumable."""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lamina.cli import arguments, usage
from lamina.cli.group import OperationGroup
from lamina.cli.interrupts import stoppable
from lamina.config import Interrupted, LaminaError, errors_with_notes
from lamina.plugins import available
from lamina.resources import disk

app = typer.Typer(
    cls=OperationGroup,
    help="From raw data to a running service, with a neural network in between.",
    epilog="A bundle may have verbs of its own, such as generate: lamina inspect BUNDLE lists them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
BUNDLE_HELP = "A bundle: directory, .lamina file, or the run that holds one."
Bundle = Annotated[Path, typer.Argument(help=BUNDLE_HELP)]
OUTPUT = "Output: .csv, .parquet, .jsonl or .feather; CSV on standard output when left out."
EXPLAINED = (
    "Of rows and forecasts .csv, .parquet, .jsonl, .feather or .png, the first ones on the screen when left out; of "
    "series and images .png, of texts .html."
)
SOURCE = (
    "A data file, a pattern such as 'data/*.csv', a folder of files, toy:churn, a recipe (.yaml); "
    "or NAME=PATH for each class: real=photos/ generated=synthetic/"
)
Source = Annotated[list[str], typer.Argument(help=SOURCE)]
Target = Annotated[str | None, typer.Option(help="The column to predict, by name, or by number (-1 is the last).")]
Task = Annotated[
    str | None,
    typer.Option(
        help=f"What is asked: {', '.join(available('tasks'))}; by the data when left out.",
        autocompletion=lambda: [*available("tasks")],
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help=f"Which network: {', '.join(available('models'))}; by the data when left out.",
        autocompletion=lambda: [*available("models")],
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is at the output already.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Any choice of the recipe: train.lr=1e-3. Repeatable.")]


EXAMPLES = """\b
Examples:
  lamina train customers.csv --target Churn
  lamina train customers.csv --target Churn --model linear --epochs 20 --lr 0.003
  lamina train prices.csv --target Close --set task.horizon=12
  lamina train real=photos/ generated=synthetic/ --budget '10 minutes'
  lamina train recipe.yaml --out runs/first

What there is to choose, with settings: lamina tasks, lamina models"""


def main() -> None:
    """Entry point: a user's mistake is one sentence on standard error, never a traceback."""
    try:
        try:
            code = app(standalone_mode=False)
        finally:
            sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the answers has enough
        _close_output()
        sys.exit(0)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error, file=sys.stderr)
            sys.exit(2)
        if (text := usage.sentence(error)) is None:
            raise
        usage.report(text, "--json" in sys.argv)
        sys.exit(usage.exit_code(error))


def _close_output() -> None:
    """Nothing more is written, not even when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", "-V", help="Print the version.")] = False) -> None:
    """From raw data to a running service, with a neural network in between."""
    if version:
        from lamina import __version__

        print(f"lamina {__version__}")
        raise typer.Exit


@app.command(epilog=EXAMPLES)
def train(  # noqa: PLR0913 - one argument per option
    source: Annotated[list[str] | None, typer.Argument(help=SOURCE)] = None,
    target: Target = None,
    test: Annotated[str | None, typer.Option(help="A separate test file.")] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="Other data to evaluate the finished network by, as SOURCE. Repeatable.")
    ] = None,
    task: Task = None,
    model: Model = None,
    preset: Annotated[str | None, typer.Option(help="How long to try: fast, default or accurate.")] = None,
    budget: Annotated[str | None, typer.Option(help="Time for training, such as 60s or 5m.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training rows; train.epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a step; train.batch_size.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate; train.lr.")] = None,
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the run; runs/<name>-<n> when left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run directory.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network on a data file or by a recipe, evaluate it beside baselines, and write a bundle and a report."""
    from lamina.run import Run, fresh_folder, name_of

    start = time.perf_counter()
    if resume is not None:
        others = (source, target, test, also, task, model, preset, budget, epochs, batch_size, lr, sets, out, seed)
        if any(value is not None for value in others):
            raise typer.BadParameter("goes alone: everything else is in the run's recipe.", param_hint="--resume")
        run = Run.resume(resume)
        if run.done.exists():
            places = {"run": str(run.folder), "bundle": str(run.bundle), "report": str(run.report)}
            sentence = f"{resume} is finished, there is nothing to go on with. Its bundle: {run.bundle}"
            emit(places) if as_json else _say(sentence)
            return
        recipe = run.recipe()
    else:
        if not source:
            raise typer.BadParameter("is missing: a data file, or a recipe.", param_hint="SOURCE")
        options = {"target": target, "data.test": test, "task": task, "model": model, "train.budget": budget}
        options |= {"preset": preset, "seed": seed, "train.epochs": epochs, "train.batch_size": batch_size}
        recipe = arguments.recipe(source, options | {"train.lr": lr}, [*arguments.also(also), *(sets or [])])
        run = Run.create(out or fresh_folder(recipe.name or name_of(source)))
    with stoppable() as stop, run.locked():
        from lamina import pipeline  # a second or two, in which the run can already be asked to stop
        from lamina.cli import progress, results

        rows = pipeline.run(recipe, run, stop=stop)
        try:
            result = progress.training(rows, run.folder, quiet=as_json)
        except Interrupted as error:
            raise Interrupted(f"{error} Go on with: lamina train --resume {shlex.quote(str(run.folder))}") from None
    emit(result) if as_json else results.result(result | {"seconds": time.perf_counter() - start})


@app.command()
def init(
    source: Source,
    target: Target = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write the recipe.")] = Path("recipe.yaml"),
    overwrite: Overwrite = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Look at the data and write a recipe with every choice made, ready to be changed."""
    from lamina import data, experiment
    from lamina.cli import recipe_template
    from lamina.recipe import json_schema

    if output.suffix not in (".yaml", ".yml"):
        raise LaminaError(f"-o: must end in .yaml or .yml, by which a recipe is told from data (got '{output}').")
    schema_file = output.with_suffix(".schema.json")
    for path in (output, schema_file):
        disk.refuse_existing(path, overwrite)
    disk.check_folder(output)
    recipe = arguments.recipe(source, {"target": target}, sets or [])
    collected = experiment.collect(recipe, data.read(recipe.data))
    text = recipe_template.text(collected, schema_file.name)
    disk.write_text(schema_file, json.dumps(json_schema()) + "\n", overwrite)
    disk.write_text(output, text, overwrite)
    result = {"recipe": str(output), **collected.counts()}
    emit(result) if as_json else _say(f"Wrote {output}. Train by it with: lamina train {output}")


@app.command()
def schema(as_json: Json = False) -> None:
    """Print the JSON schema of recipes, for completion in an editor."""
    from lamina.recipe import json_schema

    print(json.dumps(json_schema(), indent=None if as_json else 2))


@app.command()
def evaluate(bundle: Bundle, source: Source, sets: Sets = None, as_json: Json = False) -> None:
    """Score a bundle on labelled rows."""
    from lamina import data, experiment
    from lamina.cli import results
    from lamina.deploy import batch
    from lamina.deploy.bundle import locate
    from lamina.deploy.predictor import Predictor

    arguments.refuse_data(locate(bundle), source)
    predictor = Predictor(locate(bundle))
    config = arguments.source(source, sets, predictor.names)
    task, collected = experiment.of(predictor.task.kind), data.load(config)
    with errors_with_notes(collected.notes):
        evaluation = task.evaluate_source(predictor, collected, config)
    skipped = evaluation.skipped_rows
    notes = [*collected.notes, *batch.notes_on(predictor, predictor.with_bundle_names(collected.table))]
    result = {"scores": evaluation.scores, "rows": evaluation.rows, "skipped": len(skipped), "notes": notes}
    emit(result) if as_json else results.scores(result, skipped)


@app.command()
def predict(  # noqa: PLR0913 - one argument per option
    bundle: Bundle,
    source: Source,
    output: Annotated[Path | None, typer.Option("-o", "--output", help=OUTPUT)] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Columns to copy beside the predictions: id,name or * for all; paths of files when left out."
        ),
    ] = None,
    overwrite: Overwrite = False,
    escape_formulas: Annotated[
        bool,
        typer.Option("--escape-formulas", help="In CSV, put ' in front of cells that a spreadsheet would compute."),
    ] = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Predict every row of a file or every file of a folder, in order, in constant memory."""
    from lamina.cli import results
    from lamina.deploy import batch
    from lamina.deploy.bundle import locate
    from lamina.deploy.predictor import Predictor
    from lamina.deploy.writers import STDOUT

    arguments.refuse_data(locate(bundle), source)
    predictor, columns = Predictor(locate(bundle)), keep.split(",") if keep is not None else None
    options, config = batch.WriteOptions(overwrite, escape_formulas), arguments.source(source, sets, predictor.names)
    result = batch.run(predictor, "predict", config, None, output or STDOUT, columns, options)
    emit(result) if as_json and output else results.answered(result, "predictions")


@app.command()
def explain(  # noqa: PLR0913 - one argument per option
    bundle: Bundle,
    files: Annotated[
        list[str],
        typer.Argument(
            help="Rows, such as rows.csv, or the history of series; or files of images, such as images/*.jpg, or texts."
        ),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help=EXPLAINED)] = None,
    label: Annotated[str | None, typer.Option(help="Explain this label; the most probable one when left out.")] = None,
    step: Annotated[int | None, typer.Option(help="Explain this step of forecasts; the mean when left out.")] = None,
    keep: Annotated[str | None, typer.Option(help="Columns to copy beside the numbers: id,name or * for all.")] = None,
    overwrite: Overwrite = False,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Explain predictions: what each column of a row adds, stretches of series, heat maps, marked words."""
    from lamina.cli import explanations, results
    from lamina.deploy.bundle import locate
    from lamina.deploy.predictor import Predictor

    arguments.refuse_data(locate(bundle), files)
    predictor = Predictor(locate(bundle))
    options = explanations.Options(
        output, label, step, keep.split(",") if keep is not None else None, overwrite, sets or [], as_json
    )
    result = explanations.explain(predictor, files, options)
    emit(result) if as_json else results.explained(result)


@app.command()
def serve(  # noqa: PLR0913 - one argument per option
    bundles: Annotated[
        list[str], typer.Argument(metavar="BUNDLE...", help=f"{BUNDLE_HELP} Of several, also as NAME=BUNDLE.")
    ],
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 is any free one.")] = 8000,
    token: Annotated[str | None, typer.Option(help="Ask for this bearer token; also $LAMINA_TOKEN.")] = None,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Rows in one request, 10,000 when left out.")] = None,
    max_bytes: Annotated[
        int | None, typer.Option(min=1, help="Bytes of one request, 10 MB when left out (files: 32 MB).")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="A public name it is reached by, as behind a proxy. Repeatable.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="A web page's origin that may ask (CORS): https://app.example.com.")
    ] = None,
    root_path: Annotated[str, typer.Option(help="The path a proxy shows it under, such as /models/churn.")] = "",
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that serve, each with the bundles.")] = 1,
    policy: Annotated[
        list[str] | None,
        typer.Option(help="Cells that training had none of: COLUMN=reject, impute or flag; * for all. Repeatable."),
    ] = None,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="How lines on standard error are written.")
    ] = "text",
    access_log: Annotated[bool, typer.Option("--access-log", help="Write a line for each request.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Take a bundle that changes on disk; SIGHUP does, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve a bundle over HTTP: POST /predict, GET /schema, GET /docs. Several are below /models/NAME."""
    from lamina.deploy import server
    from lamina.deploy.input_policy import policies_of

    options = {"rows": max_rows, "body": max_bytes}
    limits = server.Limits.model_validate({name: value for name, value in options.items() if value is not None})
    for name in bundles:
        arguments.refuse_data(Path(name.rpartition("=")[2]), ())
    paths = server.bundles_by_name(bundles)
    path = paths if len(paths) > 1 else next(iter(paths.values()))
    server.serve(
        path, host=host, port=port, token=token, limits=limits, as_json=as_json,
        hosts=allowed_host or (), origins=allow_origin or (), root_path=root_path, watch=watch, workers=workers,
        policies=policies_of(policy or ()), log_format=log_format, access_log=access_log,
    )  # fmt: skip


def _say(sentence: str) -> None:
    from lamina.cli import console

    console.say(sentence)


def emit(result: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(result, allow_nan=False, default=str))


if __name__ == "__main__":
    main()
