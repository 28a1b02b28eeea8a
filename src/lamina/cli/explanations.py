"""`lamina explain`: rows on the screen, in a table or drawn; images and texts drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from lamina.cli import arguments
from lamina.config import Config, DataError, parse
from lamina.data.arrays import json_rows
from lamina.deploy import attributions, batch
from lamina.deploy.predictor import Predictor
from lamina.deploy.writers import FORMATS
from lamina.evaluate import explanation
from lamina.schema import Row, SkippedRow
from lamina.task import Operation

FIRST = 5  # rows on the screen


class Options(NamedTuple):
    """Where to write, which label, which step of a forecast, the columns to copy beside the numbers, settings of the
    source, and for whom.
    """

    output: Path | None
    label: str | None
    step: int | None
    keep: list[str] | None
    overwrite: bool
    sets: list[str]
    as_json: bool


def explain(predictor: Predictor, words: Sequence[str], options: Options) -> Row:
    """What was done, or what there is to show."""
    output = options.output
    operation = next((one for one in predictor.operations if one.name == "explain"), None)
    if operation is not None and operation.rows == "together":
        return _histories(predictor, operation, arguments.source(list(words), options.sets, predictor.names), options)
    explanation.check(predictor)
    if options.step is not None:
        raise DataError("--step: is for forecasts, and this bundle predicts each row by itself. Leave --step out.")
    source = arguments.source(list(words), options.sets, predictor.names) if _reads_rows(predictor, output) else None
    if source is None:
        assert output is not None
        explanations = explanation.write(predictor, list(words), output, options.label, options.overwrite)
        answers = [{"file": one.name, "label": one.label, "answers": dict(one.top)} for one in explanations]
        return {"output": str(output), "images": answers}
    if output is not None and output.suffix in FORMATS:
        if operation is None:
            raise DataError("-o: this bundle reads one column, which adds everything. Its parts are drawn: -o FILE.png")
        request = predictor.operation("explain").request.model_validate({"label": options.label})
        write = batch.WriteOptions(options.overwrite)
        return batch.run(predictor, "explain", source, request, output, options.keep, write)
    most = FIRST if output is None and not options.as_json else None
    rows = batch.read(predictor, source, predictor.operation("predict"), most)
    notes = [*rows.notes, *batch.notes_on(predictor, rows.table), *_reading_faults(rows.skipped_rows)]
    facts = {"rows": rows.table.num_rows, "complete": rows.complete, "notes": notes}
    if output is not None:
        explanation.draw(predictor, rows.table, output, options.label, options.overwrite)
        return {"output": str(output), **facts}
    if options.as_json and operation is not None:
        return {"explanations": _numbers(predictor, rows.table, options.label), **facts}
    return _bars(explanation.rows(predictor, rows.table.slice(0, FIRST), options.label)) | facts


def _reading_faults(skipped_rows: Sequence[SkippedRow]) -> list[str]:
    """A sentence on rows that could not be read."""
    if not skipped_rows:
        return []
    first, count = skipped_rows[0], len(skipped_rows)
    place = f"{first.file}, line {first.line}" if first.line else first.file
    return [f"{count:,} row{'s' * (count != 1)} could not be read; the first, {place}: {first.reason}."]


def _bars(explanations: Sequence[Any]) -> Row:
    """Bars with their names, and what they are."""
    listings = [explanation.listing(one) for one in explanations]
    bars_by_row = [{"name": name, "bars": [bar._asdict() for bar in bars]} for name, bars in listings]
    return {"explanations": bars_by_row, "about": explanation.note(explanations[0]) if explanations else ""}


def _histories(predictor: Predictor, operation: Operation, source: Config, options: Options) -> Row:
    """The same of bundles whose rows belong together."""
    output, faults = options.output, list[str]()
    if options.label is not None:
        raise DataError("--label: this bundle predicts numbers, not labels. Leave --label out.")
    request = parse(operation.request, {} if options.step is None else {"step": options.step}, "", faults)
    if request is None:
        raise DataError("\n".join(faults))
    if output is not None and output.suffix in FORMATS:
        write = batch.WriteOptions(options.overwrite)
        return batch.run(predictor, operation.name, source, request, output, options.keep, write)
    answers = list(batch.stream(predictor, operation.name, source, request))
    table, notes = pa.concat_tables([piece.table for piece in answers]), [n for piece in answers for n in piece.notes]
    facts = {"rows": table.num_rows, "complete": True, "notes": notes}
    if output is not None:
        explanation.draw_answers(table, output, options.overwrite)
        return {"output": str(output), **facts}
    if options.as_json:
        return {"explanations": json_rows(table), **facts}
    return _bars(explanation.of_answers(table.slice(0, FIRST))) | facts


def _numbers(predictor: Predictor, rows: pa.Table, label: str | None) -> list[Row]:
    """All rows as they are served."""
    operation = predictor.operation("explain")
    pieces = predictor.pieces(operation, rows, operation.request.model_validate({"label": label}))
    return [row for piece in pieces for row in json_rows(piece.table)]


def _reads_rows(predictor: Predictor, output: Path | None) -> bool:
    """Whether what is named are rows, and not images or texts, each in a file of its own."""
    if output is None and not attributions.available(predictor) and explanation.column(predictor) is not None:
        raise DataError("-o: is missing. Name where to draw: FILE.png of images, FILE.html of texts.")
    return explanation.column(predictor) is None or output is None or output.suffix in FORMATS
