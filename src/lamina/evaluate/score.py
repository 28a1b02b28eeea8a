"""What a bundle is worth on rows it has never seen: the numbers of a report, from the predictor that is served."""

from typing import Any

import numpy as np
import pyarrow as pa

from lamina import labelled
from lamina.config import Config, DataError, nearest
from lamina.deploy.predictor import Predictor
from lamina.evaluate import metrics
from lamina.preprocess import typed
from lamina.schema import Collected


def truth(predictor: Predictor, rows: pa.Table) -> np.ndarray:
    """The target of rows (cleaned, label known) as metrics want it."""
    aim = predictor.bundle.schema.target
    assert aim is not None
    values = typed(rows, (aim,))[aim.name].combine_chunks()
    return predictor.task.truth(predictor.task.encode(values, predictor.state), predictor.state)


def score(predictor: Predictor, rows: pa.Table) -> dict[str, Any]:
    """`scores` by metric (primary first), the 95 % `interval` of the primary, `per_class` where there are classes,
    and the `target` and `answers` (arrays by row) that plots are made of.
    """
    target, answers = truth(predictor, rows), predictor.decoded(rows)
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
    if aim is None:
        raise DataError("evaluate: this bundle predicts no column, so there is nothing to compare with.")
    table = labelled.rows(collected, bundle.schema.missing)
    if aim.name not in table.column_names:
        raise DataError(f"evaluate: the rows have no column '{aim.name}'. {nearest(aim.name, table.column_names[:-1])}")
    table, bad = labelled.split_off(table, aim, source)
    table, worse = labelled.known(table, aim, predictor.task, predictor.state, source)
    lost = (*collected.quarantine, *bad, *worse)
    if not table.num_rows:
        raise DataError(f"evaluate: no row can be used; the first was set aside because {lost[0].reason}.")
    return score(predictor, table.drop_columns([labelled.ROW])) | {"rows": table.num_rows, "quarantine": lost}
