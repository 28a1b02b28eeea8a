"""How long texts are in tokens, how many are cut, and whether long or short ones are answered worse."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.evaluate import metrics
from lamina.evaluate.markup import escape, number, table
from lamina.experiment import Finding
from lamina.preprocess.text import tokenizers
from lamina.schema import Row

MOST_TRAINING = 50_000  # texts measured, evenly spaced of more
BINS = 5  # of about as many test texts
QUANTILES = {"median": 0.5, "95 %": 0.95, "99 %": 0.99}


class Lengths(NamedTuple):
    """What `report.json` says of lengths, and the rows of a table: test texts by length, with their primary score."""

    facts: Row
    rows: list[Row]


def of(finding: Finding, column: str) -> Lengths:
    """Tokens of the training and test texts of a column."""
    prep, splits = finding.session.prep, finding.experiment.splits
    state: Any = prep.states[[c.name for c in prep.columns].index(column)]
    train = splits.train
    if train.num_rows > MOST_TRAINING:
        train = train.take(pa.array(np.linspace(0, train.num_rows - 1, MOST_TRAINING).astype(np.int64)))
    counts = {"train": _tokens(train, finding, column), "test": _tokens(splits.test, finding, column)}
    facts: Row = {"column": column, "tokenizer": state.tokenizer, "length": state.length}
    facts |= {f"{name}_cut": int((values > state.length).sum()) for name, values in counts.items()}
    smooth = privacy.coarse(counts["train"].astype(np.float64))
    facts["train"] = {name: round(float(np.quantile(smooth, at))) for name, at in QUANTILES.items()}
    return Lengths(facts, _by_length(finding, counts["test"]))


def _tokens(rows: pa.Table, finding: Finding, column: str) -> np.ndarray:
    """(rows,) how many tokens each text has, those that are cut off included."""
    prep = finding.session.prep
    state: Any = prep.states[[c.name for c in prep.columns].index(column)]
    return tokenizers.encode(prep.parse(rows, [column])[column], state).lengths


def _by_length(finding: Finding, tokens: np.ndarray) -> list[Row]:
    """Test texts from short to long in parts of about one size, each with its primary score."""
    evaluation, primary = finding.evaluation, finding.experiment.metrics[0]
    smooth = privacy.coarse(tokens.astype(np.float64))
    edges = np.unique(np.rint(np.quantile(smooth, np.linspace(0, 1, BINS + 1))))
    part = np.clip(np.searchsorted(edges, smooth, "right") - 1, 0, max(0, len(edges) - 2))
    rows = list[Row]()
    for i in np.unique(part).tolist():
        mask = part == i
        if mask.sum() < privacy.MIN_ROWS:
            continue
        answers = {name: values[mask] for name, values in evaluation.answers.items()}
        score = metrics.scores((primary,), evaluation.target[mask], answers)[primary]
        high = int(edges[i + 1]) - 1 if i + 2 < len(edges) else None
        rows.append({"from": int(edges[i]), "to": high, "rows": int(mask.sum()), "score": score})
    return rows


def html(lengths: Lengths, primary: str, test_rows: int) -> str:
    """A sentence and a table."""
    facts, train = lengths.facts, lengths.facts["train"]
    cells = [[_range(row), number(row["rows"]), number(row["score"])] for row in lengths.rows]
    usual = f"Half of the training texts have at most {train['median']:,} tokens, 95 of 100 at most {train['95 %']:,}."
    cells = cells if len(cells) > 1 else []
    heads = ["tokens of a text", "test rows", escape(metrics.label(primary))]
    return f'<p class="quiet lead">{usual} {escape(cut(facts, test_rows), 400)}</p>\n{table(heads, cells, (1, 2))}'


def _range(row: Row) -> str:
    """Tokens from and to, without an end for the longest texts."""
    low, high = number(row["from"]), row["to"]
    return f"{low} or more" if high is None else low if high == row["from"] else f"{low} to {number(high)}"


def cut(facts: Row, test_rows: int) -> str:
    """How many test texts are longer than what the network reads."""
    count, length = facts["test_cut"], facts["length"]
    if not count:
        return f"No test text is longer than the {length:,} tokens that the network reads."
    share = f"{count / max(1, test_rows):.1%}".replace("%", " %")
    return (
        f"{count:,} of {test_rows:,} test texts ({share}) are longer than the {length:,} tokens that the network reads "
        f"(more: --set columns.{facts['column']}.length={2 * length})."
    )
