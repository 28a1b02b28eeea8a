"""Commands made of operations: `lamina predict BUNDLE SOURCE -o OUT`, `lamina generate BUNDLE -n 64 -o OUT` ...

The bundle on the command line says which operations there are; for help without one, all tasks that are installed.
Options are the settings of the operation's `options` or `request`, with their descriptions as help.
"""

import json
from collections.abc import Container, Iterator, Sequence
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from lamina.cli import arguments, results
from lamina.config import Config, LaminaError, parse
from lamina.data.arrays import json_rows
from lamina.deploy import batch
from lamina.deploy.bundle import locate
from lamina.deploy.input_policy import applied, check_names, policies_of
from lamina.deploy.predictor import Predictor, summary
from lamina.deploy.request_settings import kind_of
from lamina.deploy.writers import STDOUT
from lamina.inspection import is_bundle
from lamina.plugins import available, plugin
from lamina.schema import Row
from lamina.task import EVENTS, JSON, Answers, Operation

BUNDLE = "A bundle: directory, .lamina file, or the run that holds one."
SOURCE = (
    "A data file, a pattern such as 'data/*.csv', a folder of files, toy:churn, a recipe (.yaml); "
    "or NAME=PATH for each class: real=photos/ generated=synthetic/"
)
OUTPUT = "Output: .csv, .parquet, .jsonl or .feather; CSV on standard output when left out."
KEEP = "Columns to copy beside the predictions: id,name or * for all; paths of files when left out."
POLICY = "What becomes of cells that training had none of: COLUMN=reject, impute or flag; * for all. Repeatable."
SETS = "Any choice of the recipe: data.delimiter=';'. Repeatable."
OVERWRITE = "Replace what is at the output already."
ESCAPE = "In CSV, put ' in front of cells that a spreadsheet would compute."
AS_JSON = "Print exactly one JSON object on standard output."
PREFIX = "set_"  # before the name of a setting, which may be that of a place


def command(name: str, words: Sequence[str], builtin: Container[str] = ()) -> TyperCommand | None:
    """The command of an operation: of the bundle among the words, else of any task; None where there is none, or
    one that is `builtin`.

    Errors: MissingOperation where another task has it and the bundle has not; BundleError where it cannot be opened.
    """
    path = next((path for path in map(locate, words) if path.exists() and is_bundle(path)), None)
    if path is not None:
        predictor = Predictor(path)
        offers = {operation.name: operation for operation in predictor.operations if "cli" in operation.faces}
        if name in offers or any(one.name == name for one in installed()):
            return OperationCommand(offers.get(name) or predictor.operation(name), predictor)
    operations = [one for one in installed() if one.name == name]
    several = len({one.request for one in operations}) > 1  # options, of which a bundle says which there are
    if several and words and not words[0].startswith("-") and "--help" not in words:
        Predictor(locate(words[0]))  # what is wrong with it comes first
    return OperationCommand(operations[0], others=operations[1:]) if operations and name not in builtin else None


def installed() -> Iterator[Operation]:
    """The operations of all tasks there are."""
    for name in available("tasks"):
        for operation in plugin("tasks", name).Task.operations:
            if "cli" in operation.faces:
                yield operation


class OperationCommand(TyperCommand):
    """`lamina <operation> BUNDLE [SOURCE] -o OUTPUT` with an option for each setting."""

    def __init__(self, operation: Operation, predictor: Predictor | None = None, others: Sequence[Operation] = ()):
        """`others`: of the same name, which bundles of other tasks have."""
        self.operation, self.predictor = operation, predictor
        self.fields = (operation.options or operation.request).model_fields
        about = summary(operation, predictor) if predictor else operation.summary
        if summaries := {other.summary: None for other in others if other.summary != operation.summary}:
            sentences = " ".join(summaries)
            about += f"\n\nOther bundles: {sentences} What one takes: lamina {operation.name} BUNDLE --help"
        settings = map(_setting, self.fields.items())
        parameters = _parameters([*_places(operation), *settings, *_choices(operation)])
        super().__init__(operation.name, params=parameters, help=about, rich_markup_mode=None)

    def invoke(self, ctx: Any) -> Any:
        """Ask the bundle and show what came of it."""
        values = ctx.params
        path = locate(values["bundle"])
        arguments.refuse_data(path, values.get("source") or ())
        predictor = self.predictor if self.predictor and self.predictor.bundle.path == path else Predictor(path)
        if policies := policies_of(values.get("policy") or ()):
            check_names([predictor.prep], policies)
            predictor = predictor.with_policies(applied(predictor.prep, policies).policies)
        operation = predictor.operation(self.operation.name)
        words = values.get("source")
        names = operation.names(predictor)
        source = arguments.source(list(words), list(values["sets"] or ()), names) if words else None
        request = self._request(values)
        if values["output"] is None and (operation.gives == EVENTS or values["as_json"]):
            pieces = batch.stream(predictor, operation.name, source, request)
            return _stream(predictor, operation, pieces, values["as_json"])
        keep, output = values.get("keep"), Path(values["output"] or STDOUT)
        columns = keep.split(",") if keep is not None else None
        options = batch.WriteOptions(values.get("overwrite", False), values.get("escape_formulas", False))
        result = batch.run(predictor, operation.name, source, request, output, columns, options)
        return _write(result, values["as_json"])

    def _request(self, values: dict[str, Any]) -> Config:
        """Settings that were said, checked. Errors: LaminaError naming the option."""
        cls, faults = self.operation.options or self.operation.request, list[str]()
        options = {name: values[PREFIX + name] for name in self.fields}
        options = {name: value for name, value in options.items() if value is not None and value != () and value != []}
        request = parse(cls, options, "", faults)
        if request is None:
            raise LaminaError("\n".join(f"--{fault}" for fault in faults))
        return request


def _places(operation: Operation) -> Iterator[Parameter]:
    """What is read and written."""
    yield _parameter("bundle", str, typer.Argument(help=BUNDLE))
    if operation.rows != "none":
        yield _parameter("source", list[str], typer.Argument(help=SOURCE))
    output = typer.Option("-o", "--output", help="Where to write it." if operation.write else OUTPUT)
    printable = operation.gives == EVENTS or (operation.write is None and operation.gives == JSON)
    yield _parameter("output", str, output, None if printable else Parameter.empty)


def _choices(operation: Operation) -> Iterator[Parameter]:
    """What is there for any operation beside its own settings."""
    if operation.rows == "each" and operation.write is None:
        yield _parameter("keep", str | None, typer.Option("--keep", help=KEEP), None)
        yield _parameter("policy", list[str] | None, typer.Option("--policy", help=POLICY), None)
    if operation.write is None:
        yield _parameter("overwrite", bool, typer.Option("--overwrite", help=OVERWRITE), False)
        if operation.gives in (JSON, EVENTS):
            yield _parameter("escape_formulas", bool, typer.Option("--escape-formulas", help=ESCAPE), False)
    if operation.rows != "none":
        yield _parameter("sets", list[str] | None, typer.Option("--set", help=SETS), None)
    yield _parameter("as_json", bool, typer.Option("--json", help=AS_JSON), False)


def _setting(item: tuple[str, FieldInfo]) -> Parameter:
    """The option of one setting."""
    (name, field), kind = item, kind_of(item[1].annotation)
    extra, long = field.json_schema_extra, "--" + name.replace("_", "-")
    short = [f"-{extra['short']}"] if isinstance(extra, dict) and "short" in extra else []
    long = f"{long}/--no-{long[2:]}" if kind.type is bool else long
    default = Parameter.empty if field.is_required() else None if kind.multiple else field.default
    option = typer.Option(*short, long, help=_sentence(field.description or ""), show_default=default is not None)
    return _parameter(PREFIX + name, list[kind.type] if kind.multiple else kind.type, option, default)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _parameter(name: str, annotation: Any, about: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, about])


def _parameters(parameters: Sequence[Parameter]) -> Any:
    """The same as the framework has them, which it makes of a function's signature."""

    def declare() -> None:
        """A function that is never called."""

    declare.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    declare.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    single = typer.Typer(add_completion=False)
    single.command()(declare)
    return typer.main.get_command(single).params


def _write(result: Row, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, allow_nan=False, default=str))
    else:
        results.answered(result)


def _stream(predictor: Predictor, operation: Operation, pieces: Iterator[Answers], as_json: bool) -> None:
    """Answers as they come; as one JSON object when all are there, if that is asked for."""
    if not as_json:
        results.streamed(pieces)
        return
    rows = [row for piece in pieces for row in json_rows(piece.table)]
    print(json.dumps({operation.items: rows, "model": predictor.id, **operation.facts}, allow_nan=False))
