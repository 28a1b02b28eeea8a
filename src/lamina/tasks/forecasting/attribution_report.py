"""Attributions in the report: what each stretch of the past and each column adds to forecasts of the test part, in the
mean of absolute Shapley values over some of them (Lundberg et al. 2020, "From local explanations to global
understanding with explainable AI for trees").
"""

from collections.abc import Sequence
from time import monotonic

import numpy as np

from lamina.evaluate.bars import Bar, svg
from lamina.evaluate.markup import escape, figure, number, section
from lamina.schema import Row
from lamina.task import Session
from lamina.tasks.forecasting import attributions, encoding
from lamina.tasks.forecasting.backtest import Backtest

FORECASTS, TARGETS = 16, 3  # that are explained, at most
SECONDS = 4.0  # after which no other one is begun
BARS = 16  # of a plot

_LIMITS = (
    "In units of the target, as the mean of all steps ahead. A bar says how far a part moves forecasts, up or down, "
    "away from that of a series which stands still at its own mean; parts that move together share what they add."
)


def facts(session: Session, test: Backtest) -> list[Row]:
    """For each of the first targets the parts, the largest first, with the mean of absolute `attribution`; `forecasts`
    is how many these are of. Of none, where one takes too long.
    """
    state, steps = test.state, encoding.encode(test.panel, session.prep, test.state)
    origins = test.origins[np.unique(np.linspace(0, len(test.origins) - 1, FORECASTS).astype(int))]
    rows, began = list[Row](), monotonic()
    for target, name in enumerate(state.names[:TARGETS]):
        parts, sizes = attributions.parts_of(session.prep, state, target), list[np.ndarray]()
        for i in np.random.default_rng(0).permutation(len(origins)):
            if monotonic() - began > SECONDS * (target + 1) / min(TARGETS, len(state.names)):
                break
            origin = origins[i : i + 1]
            windows = {key: views[:] for key, views in steps.windows(origin, state).items()}
            last = test.latest[origin - 1]
            sizes.append(np.abs(attributions.attribute(session, windows, last, parts, (None, target))[1:]))
        if sizes:
            mean = np.mean(sizes, axis=0)
            order = np.argsort(-mean, kind="stable").tolist()
            own = [{"part": parts.names[part], "attribution": float(mean[part])} for part in order]
            rows.append({"target": name, "forecasts": len(sizes), "parts": own})
    return rows


def html(rows: Sequence[Row]) -> str:
    """A plot for each target, and what it does not say; nothing where there is only one part."""
    figures = []
    for row in rows:
        bars = [Bar(one["part"], one["attribution"], number(one["attribution"])) for one in row["parts"][:BARS]]
        title = f"<h3>{escape(row['target'], 60)}</h3>" if len(rows) > 1 else ""
        figures.append(title + figure(svg(bars, f"Mean absolute attributions of {row['target']}")))
    if not figures:
        return ""
    count = rows[0]["forecasts"]
    lead = (
        f"What the stretches of the past and the other columns add to a forecast: the mean size of their Shapley "
        f"values over {count:,} test forecast{'s' if count > 1 else ''}. {_LIMITS}"
    )
    return section("Attributions", "attributions", f'<p class="quiet lead">{lead}</p>', *figures)
