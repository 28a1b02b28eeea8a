"""What a bundle is worth on rows it has never seen: the numbers of a report, from the predictor that is served."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina.config import Config, DataError, nearest
from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.preprocess import Broken, typed
from lamina.schema import Collected
from lamina.tasks._supervised import target as labelled
from lamina.tasks.forecasting import backtest
from lamina.tasks.generation import evaluation as generated

FEWEST = 10  # real rows that what was made can be compared with


def truth(predictor: Predictor, rows: pa.Table) -> np.ndarray:
    """The target of rows (cleaned, label known) as metrics want it."""
    aim = predictor.bundle.schema.target
    assert aim is not None
    values = typed(rows, (aim,))[aim.name].combine_chunks()
    return predictor.task.truth(predictor.task.encode(values, predictor.state), predictor.state)


def score(predictor: Predictor, rows: pa.Table, answers: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """`scores` by metric (primary first), the 95 % `interval` of the primary, `per_class` where there are classes,
    and the `target` and `answers` (arrays by row) that plots are made of. `answers`: those of the rows, if known.
    """
    if predictor.framed:
        return backtest.score(predictor, rows)
    if predictor.generative:
        return generated.score(predictor, rows)
    target, answers = truth(predictor, rows), predictor.decoded(rows) if answers is None else answers
    names = predictor.task.metrics
    found: dict[str, Any] = {
        "scores": metrics.scores(names, target, answers),
        "interval": metrics.bootstrap(names[0], target, answers),
        "target": target,
        "answers": answers,
    }
    if "chosen" in answers:
        found["per_class"] = metrics.per_label(target, answers, predictor.state.classes)
    elif "probabilities" in answers:
        found["per_class"] = metrics.per_class(target, answers["probabilities"], predictor.state.classes)
    return found


def judged(predictor: Predictor, collected: Collected, source: Config) -> dict[str, Any]:
    """`score` of a source's rows; those without a usable target are in `quarantine`, with the reason."""
    bundle = predictor.bundle
    aim = bundle.schema.target
    if predictor.generative:
        return _compared(predictor, collected, source)
    if aim is None:
        raise DataError("evaluate: this bundle predicts no column, so there is nothing to compare with.")
    collected = replace(collected, table=predictor.named(collected.table, collected.target))
    table = labelled.rows(collected, bundle.schema.missing)
    if aim.name not in table.column_names:
        raise DataError(f"evaluate: the rows have no column '{aim.name}'. {nearest(aim.name, table.column_names[:-1])}")
    if predictor.framed:
        found = backtest.score(predictor, table.drop_columns([labelled.ROW]))
        lost = [*collected.quarantine]
        for gone in found["test"].frames.lost:
            bad = np.isin(np.arange(table.num_rows), gone.rows)
            lost += labelled.lines(table, bad, aim.name, [gone.reason] * len(gone.rows), source)
        return found | {"rows": table.num_rows, "quarantine": tuple(lost)}
    table, bad = labelled.split_off(table, aim, source)
    table, worse = labelled.known(table, aim, predictor.task, predictor.state, source)
    broken = list[Broken]()
    answers = predictor.decoded(table.drop_columns([labelled.ROW]), broken) if table.num_rows else {}
    first = {cell.row: cell for cell in reversed(broken)}
    good = np.ones(table.num_rows, bool)
    good[list(first)] = False
    for name in dict.fromkeys(cell.column for cell in first.values()):
        mine = sorted(cell.row for cell in first.values() if cell.column == name)
        mask = np.isin(np.arange(table.num_rows), mine)
        worse += labelled.lines(table, mask, name, [first[row].reason for row in mine], source)
    lost = (*collected.quarantine, *bad, *worse)
    if not good.any():
        raise DataError(f"evaluate: no row can be used; the first was set aside because {lost[0].reason}.")
    table, answers = table.filter(pa.array(good)), {name: values[good] for name, values in answers.items()}
    found = score(predictor, table.drop_columns([labelled.ROW]), answers)
    return found | {"rows": table.num_rows, "quarantine": lost}


def _compared(predictor: Predictor, collected: Collected, source: Config) -> dict[str, Any]:
    """The same for a generator: what it makes beside these real rows, at most 2,000, whose classes play no part."""
    prep = predictor.bundle.prep
    table = predictor.named(collected.table, collected.target)
    if absent := [column.name for column in prep.used if column.name not in table.column_names]:
        raise DataError(f"evaluate: the rows have no column '{absent[0]}'. {nearest(absent[0], table.column_names)}")
    table = labelled.rows(replace(collected, table=table), predictor.bundle.schema.missing)
    table = table.take(np.sort(np.random.default_rng(0).permutation(table.num_rows)[: generated.MOST]))
    lost, broken = [*collected.quarantine], list[Broken]()
    if prep.files:
        predictor.encode(table.drop_columns([labelled.ROW]), broken)
        bad = np.isin(np.arange(table.num_rows), [cell.row for cell in broken])
        told = [cell.reason for cell in sorted(broken, key=lambda cell: cell.row)]
        lost += labelled.lines(table, bad, prep.files[0].name, told, source)
        table = table.filter(pa.array(~bad))
    if table.num_rows < FEWEST:
        raise DataError(f"evaluate: {table.num_rows} usable rows are too few to compare with. Give {FEWEST} or more.")
    found = score(predictor, table.drop_columns([labelled.ROW]))
    return found | {"rows": table.num_rows, "quarantine": tuple(lost)}
