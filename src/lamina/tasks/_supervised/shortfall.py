"""Why a baseline is better than the network: the column of which it makes more, by permutation. Breiman 2001."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.evaluate import metrics
from lamina.evaluate.baselines import phrase
from lamina.evaluate.markup import number
from lamina.experiment import Baseline, Finding

Arrays = Mapping[str, np.ndarray]
Predict = Callable[[dict[str, np.ndarray]], Arrays]

WORSE = 0.02  # of the best baseline's error, from which on a reason is given
RANKING = "roc_auc"  # looked at beside the primary metric: it sees what a share of right labels does not
MOST_ROWS, MOST_COLUMNS = 2_000, 60
CLEAR = 0.25  # of the shortfall, that a column must explain


class _Rival(NamedTuple):
    name: str
    metric: str
    shortfall: float  # in the metric, above 0


def sentences(finding: Finding, baselines: Mapping[str, Baseline], predict: Mapping[str, Predict]) -> list[str]:
    """One sentence where a baseline makes at least 2 % fewer errors, none otherwise."""
    rival = _rival(finding, baselines)
    if rival is None:
        return []
    name, size = phrase(rival.name), finding.experiment.splits.train.num_rows
    columns = [c.name for c in finding.session.prep.columns]
    reason = ""
    if len(columns) <= MOST_COLUMNS and not preprocess.file_columns(finding.session.prep.columns):
        reason = _column(finding, rival, predict[rival.name], columns)
    if not reason:
        reason = f"no single column says why. Networks often need more rows: this one had {size:,}"
    cure = (
        "More rows help, or --preset accurate" if finding.experiment.recipe.preset != "accurate" else "More rows help"
    )
    return [f"Why {name} is better in {metrics.label(rival.metric)}: {reason}. {cure}."]


def _rival(finding: Finding, baselines: Mapping[str, Baseline]) -> _Rival | None:
    """The baseline that is better by most of its own error, in the primary metric or in ranking."""
    names, own = finding.experiment.metrics, finding.evaluation.scores
    best, most = None, WORSE
    for metric in (names[0], *(name for name in names if name == RANKING)):
        for name, baseline in baselines.items():
            value, score = own.get(metric), baseline.scores.get(metric)
            if value is None or score is None:
                continue
            gap, error = (score - value, 1 - score) if metrics.higher(metric) else (value - score, score)
            if gap > most * max(error, 1e-9):
                best, most = _Rival(name, metric, gap), gap / max(error, 1e-9)
    return best


def _column(finding: Finding, rival: _Rival, predict: Predict, columns: list[str]) -> str:
    """The column that the baseline gains more of than the network, by what shuffling it costs each; "" if none."""
    session, experiment = finding.session, finding.experiment
    rows = np.random.default_rng(0).permutation(experiment.test.num_rows)[:MOST_ROWS]
    table, truth = experiment.test.take(pa.array(rows)), finding.evaluation.target[rows]
    order = pa.array(np.random.default_rng(1).permutation(len(rows)))

    def scores(table: pa.Table) -> np.ndarray:
        inputs = session.prep.encode(table)
        each = (predict(inputs | session.prep.encode_classical(table)), session.task.decode(session.run(inputs)))
        values = [metrics.scores((rival.metric,), truth, answers)[rival.metric] for answers in each]
        return np.array(values, float) * (1 if metrics.higher(rival.metric) else -1)

    whole, losses = scores(table), dict[str, np.ndarray]()
    for name in (name for name in columns if name in table.column_names):
        shuffled = table.set_column(table.column_names.index(name), name, table[name].take(order))
        losses[name] = whole - scores(shuffled)
    name, (theirs, ours) = max(losses.items(), key=lambda item: item[1][0] - item[1][1])
    if not theirs - ours > CLEAR * rival.shortfall:
        return ""
    return (
        f"it makes more of the column '{name}', without which it loses {number(theirs)}, and the network "
        f"{number(max(ours, 0.0))}"
    )
