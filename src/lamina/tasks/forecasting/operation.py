"""What can be asked of a bundle that forecasts: `predict`, with the rows of a history."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from lamina.data.arrays import json_rows
from lamina.deploy.session import example_cell
from lamina.preprocess import Broken
from lamina.schema import Row, clean
from lamina.task import CSV, Answers, Example, Operation, Request, Session, Usage
from lamina.tasks.forecasting import decoding, history, time_index
from lamina.tasks.forecasting.state import State

EXAMPLE_ROWS = 36  # of the history in an example
HISTORY_ROWS = 256  # of that in a file
MIDNIGHT = "T00:00:00"
HISTORY_FILE = "history.json"  # beside the bundle of a run: synthetic rows to try it with
EXCERPT_ROWS, EXCERPT_ANSWERS = 2, 3  # of the history and of the answer in a text on how to use it


def predict(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """The steps after the rows, which are the history of one or several series: one answer per series and step.

    Rows that belong to no series are `broken`, and left out.
    """
    assert rows is not None
    state: State = session.task.state
    histories, broken = histories_of(session, rows)
    forecasts = history.forecast_histories(session, histories)
    table = decoding.to_table(forecasts, state, histories.ids, histories.times)
    return Answers(table, histories.notes, broken, _amount(len(histories.end), state.horizon))


def histories_of(session: Session, rows: pa.Table) -> tuple[history.Histories, tuple[Broken, ...]]:
    """Raw rows as histories, and the cells of those that belong to no series."""
    state: State = session.task.state
    rows = clean(rows, session.schema.missing, session.schema.literal)
    histories = history.read_histories(rows, session.prep, state)
    column, exclusions = ", ".join(state.time) or state.names[0], histories.panel.exclusions
    return histories, tuple(Broken(row, column, e.reason) for e in exclusions for row in e.rows.tolist())


def _amount(series: int, horizon: int) -> str:
    """How much was answered, for the terminal."""
    steps = f"{horizon:,} step{'s' if horizon > 1 else ''} ahead"
    return steps + (f" of {series:,} series" if series > 1 else "")


def describe(session: Session) -> str:
    """What to send to this bundle and what comes back."""
    state: State = session.task.state
    step = time_index.describe(state.step)
    return (
        f"Send the history of one or several series, in rows of one {step}, and get the next {state.horizon:,} steps. "
        f"The last {state.context:,} rows of a series are looked at. JSON or CSV; columns may be in any order."
    )


def example(session: Session, count: int = EXAMPLE_ROWS) -> Example:
    """A history and the steps after it."""
    rows = history_example(session, count)
    return Example(rows, json_rows(predict(session, session.rows(rows), Request()).table))


def history_example(session: Session, count: int = EXAMPLE_ROWS) -> list[Row]:
    """The last golden rows, which are synthetic, as a client would write them."""
    kinds = {column.name: column.kind for column in session.prep.columns}
    rows = [{name: example_cell(v, kinds.get(name)) for name, v in row.items()} for row in session.golden]
    return _days(rows[-count:], session.task.state.time)


def _days(rows: list[Row], time: Sequence[str]) -> list[Row]:
    """Rows whose times are days, where each is a midnight."""
    if not all(str(row[name]).endswith(MIDNIGHT) for row in rows for name in time):
        return rows
    return [{name: v.removesuffix(MIDNIGHT) if isinstance(v, str) else v for name, v in row.items()} for row in rows]


def usage(session: Session, operation: Operation, bundle: str) -> Usage:
    """Commands that go on from a history: the synthetic one that a run left beside its bundle, else the example."""
    name, (rows, forecasts) = HISTORY_FILE, example(session)
    file = Path(bundle).with_name(HISTORY_FILE)
    if Path(bundle).name == "bundle" and file.is_file():
        name, rows = str(file), json.loads(file.read_text("utf-8"))["rows"]
        forecasts = json_rows(predict(session, session.rows(rows), Request()).table)
    context = session.task.state.context
    needs = (
        f"# history.csv: the last {context:,} steps of each series or more, in the columns of the training data; "
        "a shorter history is extended backwards by its first value"
    )
    path = shlex.quote(bundle)
    http = f"curl -s http://127.0.0.1:8000/predict -H 'Content-Type: application/json' -d @{shlex.quote(name)}"
    python = (
        "import json\n\nimport lamina\n\n"
        f'with open({name!r}, encoding="utf-8") as file:\n    history = json.load(file)["rows"]\n'
        f"predictor = lamina.load({bundle!r})\nforecast = predictor.predict(history)"
    )
    body = f"{name}, {len(rows):,} rows of history:\n{_excerpt(rows, -EXCERPT_ROWS, 'rows')}".replace("\n", "\n# ")
    return Usage(
        shell=f"{needs}\nlamina predict {path} history.csv -o forecast.csv",
        http=f"{http}\n\n# {body}",
        python=python,
        answer=_excerpt(forecasts, EXCERPT_ANSWERS),
    )


def _excerpt(rows: Sequence[Any], count: int, name: str = "") -> str:
    """The first or, with a negative count, last of many rows as JSON, and dots for the others."""
    more = len(rows) > abs(count)
    lines = [json.dumps(row, ensure_ascii=False) for row in (rows[count:] if count < 0 else rows[:count])]
    lines = [*(["..."] if more and count < 0 else []), *lines, *(["..."] if more and count > 0 else [])]
    inner = ",\n  ".join(lines)
    return f'{{"{name}": [\n  {inner}\n]}}' if name else f"[\n  {inner}\n]"


PREDICT = Operation(
    name="predict",
    summary="Send the history of one or several series, get the steps after it, each with an interval.",
    answer=predict,
    example=example,
    rows="together",
    takes=(CSV,),
    usage=usage,
    describe=describe,
    chart=decoding.chart,
)
