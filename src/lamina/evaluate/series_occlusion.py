"""Why an answer: the stretches of a series it hangs on, by covering one after the other, in each channel.

A stretch is covered by the training mean, which is what a missing series is to a network. Works with any bundle,
because it only asks the predictor. Zeiler and Fergus 2014, section 4.2, for steps in place of pixels.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.evaluate.log_odds import best, strength, uncalibrated
from lamina.evaluate.markup import number
from lamina.evaluate.plots import canvas
from lamina.schema import Column
from lamina.task import Session

STRETCHES = 20  # of a series
MOST_CHANNELS = 8  # more are covered all at once
PANELS = 4  # channels of a series
NUMBERS = 1 << 21  # of inputs that are run at a time
HIGHEST = 1e30  # the largest number of a plot
FLAT = 1e-3  # an effect below this, in log-odds, is none at all
WIDTH, LINE = 760, 150
LEGEND = "Orange speaks for the prediction, blue against it: its odds fall, or rise, when the stretch is covered."


class Explanation(NamedTuple):
    """A series (steps, channels) in its own unit, without what is behind its end, and its best answers.

    `falls` (stretches, channels), or (stretches, 1) of all channels at once: by how much the log-odds of `label` (of a
    number: the number) fall when the steps from one of `edges` to the next are covered.
    """

    name: str
    series: np.ndarray
    edges: tuple[int, ...]
    falls: np.ndarray
    label: str
    top: tuple[tuple[str, float], ...]


def column(session: Session) -> Column | None:
    """The first column of series; None where there is no such."""
    return next((c for c in session.prep.columns if session.prep.feed(c.name).kind == "series"), None)


def explain(session: Session, rows: pa.Table, label: str | None = None) -> list[Explanation]:
    """Explain the answer to each row by its series; every other column stays as it is.

    Errors: DataError for a bundle without series, a label that it does not know, and a cell of no use.
    """
    own = column(session)
    if own is None:
        raise DataError("explain: this bundle has no column of series. Name a bundle that was trained on series.")
    broken: list[Any] = []
    inputs = session.encode(rows, broken)
    if broken:
        raise DataError(f"rows[{broken[0].row}].{broken[0].column}: {broken[0].reason}.")
    name, state = session.prep.input_name(own.name), session.prep.states[session.prep.columns.index(own)].model_dump()
    mean, std = (np.clip(state[field], -HIGHEST, HIGHEST) for field in ("mean", "std"))
    explanations = []
    for row in range(rows.num_rows):
        one = {key: values[row : row + 1] for key, values in inputs.items()}
        code, top = best(session.task, session.run(one), label)
        series = one[name][0]
        length = max(1, int((~np.isnan(series).all(axis=1)).sum()))
        edges = np.unique(np.linspace(0, length, STRETCHES + 1).astype(int))
        falls = _falls(session, one, name, edges, code)
        answer = session.task.classes[code] if code is not None else session.target or ""
        cells = series[:length].astype(np.float64) * std + mean
        explanations.append(Explanation(f"row {row + 1:,}", cells, tuple(edges.tolist()), falls, answer, top))
    return explanations


def _falls(session: Session, row: dict[str, np.ndarray], name: str, edges: np.ndarray, code: int | None) -> np.ndarray:
    """(stretches, channels) by how much the answer's strength falls when each is covered."""
    task, series = uncalibrated(session.task), row[name][0]
    channels = series.shape[1] if series.shape[1] <= MOST_CHANNELS else 1
    copies = np.repeat(series[None], (len(edges) - 1) * channels, axis=0)
    for i, copy in enumerate(copies):
        stretch, channel = divmod(i, channels)
        part = slice(channel, channel + 1) if channels == series.shape[1] else slice(None)
        copy[edges[stretch] : edges[stretch + 1], part] = 0.0  # the mean, since inputs are standardised
    whole, strengths = strength(task.decode(session.run(row)), code), list[np.ndarray]()
    size = max(1, NUMBERS // series.size)
    for start in range(0, len(copies), size):
        some = copies[start : start + size]
        others = {key: np.repeat(values, len(some), axis=0) for key, values in row.items() if key != name}
        strengths.append(strength(task.decode(session.run({**others, name: some})), code))
    return (whole - np.concatenate(strengths)).reshape(-1, channels)


def stretches(one: Explanation) -> list[tuple[str, float]]:
    """Each stretch by its steps, and with several channels its channel, from 1 on; and what it speaks for."""
    several = one.falls.shape[1] > 1
    return [
        (
            f"steps {one.edges[i] + 1:,} to {one.edges[i + 1]:,}" + (f", channel {k + 1}" if several else ""),
            float(one.falls[i, k]),
        )
        for i in range(one.falls.shape[0])
        for k in range(one.falls.shape[1])
    ]


def draw(explanations: Sequence[Explanation], output: Path | IO[bytes]) -> None:
    """Write one PNG: for each series its line in each channel, on what speaks for the answer."""
    channels = [_channels(one) for one in explanations]
    height, above = sum(map(len, channels)) * LINE + 30, 0
    with canvas.style():
        fig = canvas.figure(WIDTH, height)
        for one, places in zip(explanations, channels, strict=True):
            most = max(float(np.abs(one.falls).max()), FLAT)
            for channel in places:
                axes = canvas.panel(fig, (70, above + 34, 20, height - above - LINE + 22), _title(one, channel))
                _line(axes, one, channel, most)
                above += LINE
        fig.text(0.5, 10 / height, LEGEND, ha="center", fontsize=11.5, color=canvas.QUIET)
        fig.savefig(output, format="png", dpi=144, facecolor="white", metadata={"Software": None})


def heading(one: Explanation) -> str:
    """The best answer, and what is explained where that is another."""
    name, chance = one.top[0]
    answer = f"{canvas.text(name, 24)} {chance:.3f}" if name else number(chance)
    about = f", what speaks for {canvas.text(one.label, 24)}" if name and one.label != name else ""
    return f"{one.name}: {answer}{about}"


def _channels(one: Explanation) -> list[int]:
    """Those that matter most, in order; the first ones where they are covered all at once."""
    count = one.series.shape[1]
    sizes = np.broadcast_to(np.abs(one.falls).max(axis=0), count)
    return sorted(np.argsort(-sizes, kind="stable")[:PANELS].tolist())


def _title(one: Explanation, channel: int) -> str:
    count = one.series.shape[1]
    return heading(one) + (f", channel {channel + 1} of {count}" if count > 1 else "")


def _line(axes: Any, one: Explanation, channel: int, most: float) -> None:
    falls = one.falls[:, channel if one.falls.shape[1] > 1 else 0]
    for i, fall in enumerate(falls.tolist()):
        shade = 0.75 * min(1.0, abs(fall) / most)
        axes.axvspan(
            one.edges[i] + 0.5,
            one.edges[i + 1] + 0.5,
            color=canvas.WARM if fall > 0 else canvas.ACCENT,
            alpha=shade,
            lw=0,
        )
    axes.plot(np.arange(1, len(one.series) + 1), one.series[:, channel], color=canvas.INK, linewidth=1.3)
    axes.set_xlim(0.5, len(one.series) + 0.5)
    axes.locator_params(axis="y", nbins=4)
    axes.grid(visible=False)
