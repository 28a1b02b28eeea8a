"""What the columns of a few test rows add to their answers, for a report: no cell of a row is shown."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina.deploy import attributions
from lamina.evaluate.attribution_plot import RowAttributions, amount, heading, largest
from lamina.evaluate.bars import Bar, svg
from lamina.evaluate.markup import escape, figure, number
from lamina.experiment import Finding
from lamina.schema import Row

EACH = 2  # rows with the smallest loss, and with the largest: of different labels


def rows(finding: Finding) -> list[RowAttributions]:
    """Of the test rows with the best and the worst predictions; none where rows have none or one column."""
    session, task, evaluation = finding.session, finding.experiment.task, finding.evaluation
    losses = task.losses(evaluation.answers, evaluation.target)
    if losses is None or not attributions.available(session):
        return []
    order = np.argsort(losses, kind="stable").tolist()
    answers = [task.spoken(evaluation.answers, row)[0] for row in order] if task.classes else order
    places = np.array(list(dict.fromkeys([*_different(order, answers), *_different(order[::-1], answers[::-1])[::-1]])))
    test = finding.examples["test"].inputs
    inputs = {name: np.asarray(test[name])[places] for name in session.prep.inputs}
    names = [
        f"test row {place + 1:,}, actual {_text(task.label(evaluation.target[place]))}" for place in places.tolist()
    ]
    return of(session, inputs, names)


def _different(rows: list[int], answers: list[Any]) -> list[int]:
    """The first rows with another answer each."""
    first = dict(zip(reversed(answers), reversed(rows), strict=True))
    return [row for row, answer in zip(rows, answers, strict=True) if first[answer] == row][:EACH]


def of(
    session: attributions.Session, inputs: Mapping[str, np.ndarray], names: list[str], code: int | None = None
) -> list[RowAttributions]:
    """Of encoded rows, each under its name."""
    classes, columns = session.task.classes, [column.name for column in session.prep.columns]
    own = attributions.attribute(session, inputs, attributions.background_of(session), code)
    return [
        RowAttributions(
            name,
            classes[own.codes[i]] if classes else "",
            float(own.values[i]),
            float(own.bases[i]),
            tuple(zip(columns, own.contributions[i].tolist(), strict=True)),
        )
        for i, name in enumerate(names)
    ]


def facts(own: list[RowAttributions]) -> list[Row]:
    """Plain values for `report.json`."""
    return [{**row._asdict(), "bars": dict(row.bars)} for row in own]


def html(own: list[RowAttributions]) -> str:
    """The plot of the rows, and what its numbers are."""
    lead = (
        "What each column adds to the prediction of a row (Shapley values): the two best and the two worst predictions "
        "of test rows. The average is that of generated rows, whose columns are drawn as training had them, each by "
        "itself; from it the bars add up to the prediction. They say what the network does, not what causes what."
    )
    return f'<p class="quiet lead">{lead}</p>\n{"".join(map(_figure, own))}'


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)


def _figure(row: RowAttributions) -> str:
    bars = [Bar(n, v, amount(v, row.label, signed=True)) for n, v in largest(row.bars)]
    label = f"What columns add to the answer to {row.name}"
    return f"<h3>{escape(heading(row))}</h3>\n{figure(svg(bars, label, signed=True))}\n"
