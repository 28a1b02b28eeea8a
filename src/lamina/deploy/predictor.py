"""Bundle and raw rows in, answers out: the one thing that evaluation, command line and servers all call. No torch."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina import models
from lamina.config import DataError
from lamina.data.arrays import like, table, timed
from lamina.deploy.bundle import Bundle, open_bundle
from lamina.deploy.bundle import onnx_graph as _graph
from lamina.deploy.bundle.strict_json import COPY, first_line, fits, refused
from lamina.plugins import plugin
from lamina.preprocess import Broken, Preprocessor, wired
from lamina.schema import clean, named
from lamina.tasks.forecasting import history as histories
from lamina.tasks.forecasting import panel as frames
from lamina.tasks.generation import conditions as _where
from lamina.tasks.generation import critic
from lamina.tasks.generation import rejection_sampling as _sought
from lamina.tasks.generation import sampling as made

AGREE = 1e-4  # relative and absolute, on the golden rows of another machine
SHOWN = 5  # broken cells in one error
BATCH, BATCH_NUMBERS = 4096, 1 << 23  # rows at a time, and numbers of their inputs
MOST_NUMBERS = 1 << 26  # of one forecast


class Forecast(NamedTuple):
    """Answers, what to know of them, and the rows given that belong to no series, with the reason."""

    answers: pa.Table
    notes: list[str]
    lost: tuple[frames.Lost, ...]


class Predictor:
    """Answers for raw rows. `Predictor(path)` opens, checks and self-tests a bundle."""

    def __init__(self, path: str | Path | Bundle, threads: int | None = None):
        self.bundle = path if isinstance(path, Bundle) else open_bundle(path)
        self.task = plugin("tasks", self.bundle.task.kind)
        self.state = self.bundle.task_state
        self._run = _runtime(self.bundle, threads)
        self.critic = _critic(self.bundle, threads)
        _self_test(self)

    @property
    def framed(self) -> bool:
        """Whether rows are steps of series, and answers the steps after them."""
        return bool(vars(self.task).get("framed"))

    @property
    def generative(self) -> bool:
        """Whether rows are requests, and answers new pictures or rows."""
        return bool(vars(self.task).get("generative"))

    @property
    def context(self) -> int | None:
        """Steps of history that a forecast looks at: of a longer one, only the last count."""
        return self.state.context if self.framed else None

    @property
    def horizon(self) -> int | None:
        """Steps ahead that a forecast has."""
        return self.state.horizon if self.framed else None

    @property
    def target(self) -> str | None:
        aim = self.bundle.schema.target
        return aim.name if aim else None

    @property
    def pictures(self) -> list[str]:
        """Names of the columns whose cells are pictures."""
        return [column.name for column in self.bundle.prep.files]

    def predict(self, rows: Any) -> Any:
        """Answers in the caller's own type, one per row, in order; of a forecast one per step ahead.

        `rows`: a list of dicts, a dict of columns, Arrow, pandas, polars or NumPy. Columns may be absent, extra or
        in any order; missing, unseen and malformed values mean what they meant in training. A picture is a path,
        bytes, a uint8 array (red first) or a PIL image; where it is all a bundle asks for, a list or an array of
        pictures will do. A bundle with a critic says how real it finds pictures or rows: `score`, the share of held-out
        real ones that are found less real, and `raw`. Errors: DataError naming each picture that cannot be used.
        """
        if self.framed:
            return self._continued(rows)
        answers, broken = self.checked(table(rows, self.pictures))
        if broken:
            told = "\n".join(f"rows[{row}].{name}: {reason}." for row, name, reason in broken[:SHOWN])
            more = f"\n... and {len(broken) - SHOWN:,} more." if len(broken) > SHOWN else ""
            raise DataError(f"{told}{more}\nLeave these rows out; None is a cell that is missing.")
        return like(answers, rows)

    def _continued(self, rows: Any) -> Any:
        """A forecast in the caller's own type; where the times of a pandas frame were its index, so are those ahead."""
        time = self.state.time[0] if len(self.state.time) == 1 else None
        given = timed(rows, time)
        found = like(self.forecast(table(given)).answers, given, aligned=False)
        asked = time is not None and given is not rows and time in found
        return found.set_index(time) if asked and self.state.series is None else found

    def named(self, rows: pa.Table, target: str | None = None) -> pa.Table:
        """Rows of a folder of pictures, whose columns are always `image` and `label`, under this bundle's names."""
        names = {"image": self.pictures[0]} if len(self.pictures) == 1 else {}
        return named(rows, names | ({target: self.target} if target and self.target else {}))

    def answers(self, rows: pa.Table) -> pa.Table:
        """Answers for an Arrow table of raw rows; a picture that cannot be used counts as missing."""
        return self.checked(rows)[0]

    def checked(self, rows: pa.Table) -> tuple[pa.Table, list[Broken]]:
        """Answers, and the cells that are there but cannot be used, such as pictures that are cut short."""
        broken = list[Broken]()
        if self.framed:
            return self.forecast(rows).answers, broken
        if self.critic and critic.given(self.bundle, rows):
            return critic.answers(self.critic, self.bundle, rows, broken), broken
        if self.generative:
            return made.answers(self._run, self.bundle, rows), broken
        return self.task.table(self.decoded(rows, broken), self.state), broken

    def forecast(self, rows: pa.Table) -> Forecast:
        """The steps after the rows given, which are the history of one or several series, and what to know of them."""
        rows = clean(rows, self.bundle.schema.missing)
        return forecast(self._run, self.task, self.state, self.bundle.prep, rows)

    def decoded(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """Answers as arrays (probabilities, predictions ...), before they get names; cells of no use go to `broken`."""
        if rows.num_columns and not set(rows.column_names) & {c.name for c in self.bundle.prep.used}:
            known = ", ".join(c.name for c in self.bundle.prep.used[:5])
            got = ", ".join(rows.column_names[:5])
            raise DataError(
                f"rows: not one of the columns is known (got {got}). This bundle was trained on {known} ..."
            )
        with np.errstate(all="ignore"):
            return self.task.decode(self.raw(rows, broken), self.state)

    def raw(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """What the network itself gives, (rows, size) float32 by output name."""
        broken = [] if broken is None else broken
        rows = rows if rows.num_columns else pa.table({"": pa.nulls(0)})
        wide = sum(math.prod(n or 1 for n in feed.shape) for feed in self.bundle.prep.inputs.values())
        size = max(1, min(BATCH, BATCH_NUMBERS // max(wide, 1)))
        parts = list[dict[str, np.ndarray]]()
        for start in range(0, max(rows.num_rows, 1), size):
            found = list[Broken]()
            parts.append(self._run(self.encode(rows.slice(start, size), found)))
            broken += [cell._replace(row=start + cell.row) for cell in found]
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def encode(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """Raw rows to network inputs; cells of no use go to `broken`."""
        return self.bundle.prep.encode(clean(rows, self.bundle.schema.missing), broken=broken)

    def bounded(self, pixels: int) -> "Predictor":
        """The same predictor, which refuses pictures of more pixels."""
        other = copy(self)
        other.bundle = replace(self.bundle, prep=self.bundle.prep.bounded(pixels))
        return other

    def generate(self, count: int, seed: int = 0, labels: Any = None, where: Any = None) -> Any:
        """New pictures (count, height, width, channels) uint8, red first, or rows as an Arrow table.

        `labels`: a class for all, or several taken in turn; as often as in training when left out. `where`: what rows
        have to meet, see `Estimator.generate`. The same seed makes the same. Errors: DataError where the bundle does
        not generate, has no such class, or hardly ever makes such rows.
        """
        self.must_generate()
        if _where.conditions(where, self.bundle) and count:
            return self.meeting(_sought.Asked(count, seed, labels, where))
        return self.requested(made.seeds(seed, count), made.classes(labels, count, self.bundle))

    def requested(self, seeds: Sequence[int], labels: Sequence[str] | None) -> Any:
        """The same for a seed and a class of each."""
        return made.generated(self._run, self.bundle, seeds, labels)

    def meeting(self, asked: _sought.Asked) -> pa.Table:
        """Rows that meet conditions, all in one table."""
        return pa.concat_tables([rows for *_, rows in self.sought(asked)]).combine_chunks()

    def sought(self, asked: _sought.Asked) -> Iterator[_sought.Piece]:
        """Seeds, classes and rows that meet conditions, some at a time, as many as are asked for in all."""
        return _sought.pieces(self.requested, self.bundle, asked)

    def must_answer(self, rows: pa.Table) -> None:
        """Errors: DataError where a bundle that generates has no critic, or rows hold nothing for it to score."""
        if self.critic is None and self.generative:
            raise DataError(
                "predict: this bundle answers no rows, it makes new ones. Make some with: lamina generate BUNDLE -n 64 "
                "-o made. It has no critic that would score pictures or rows; one trained anew with --model gan has."
            )
        if self.critic and not critic.given(self.bundle, rows):
            known = ", ".join(column.name for column in self.bundle.prep.used[:5])
            raise DataError(
                f"predict: the critic of this bundle scores {known}, and the rows have only "
                f"{', '.join(rows.column_names[:5])}. Make new ones with: lamina generate BUNDLE -n 64 -o made"
            )

    def must_generate(self) -> None:
        """Errors: DataError where the bundle makes nothing new."""
        if not self.generative:
            raise DataError(f"generate: this bundle is for {self.bundle.task.kind}. Train one with: --task generation")

    def stream(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Answers for one table after the other, in constant memory."""
        return (self.answers(rows) for rows in tables)

    def fed(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network itself gives for inputs that are encoded already, all in one batch."""
        return self._run(inputs)


def forecast(run: Any, task: Any, state: Any, prep: Preprocessor, rows: pa.Table) -> Forecast:
    """Answers of a network that forecasts, `run`, for the steps after the cleaned rows given."""
    found = histories.histories(rows, prep, state)
    count, wide = len(found.end), max(1, len(state.quantiles)) * len(state.targets) * state.horizon
    if count * wide > MOST_NUMBERS:
        raise DataError(f"rows: hold {count:,} series, each with {wide:,} numbers ahead. Send fewer series at a time.")
    size = max(1, min(BATCH, BATCH_NUMBERS // max(wide, state.context * found.seen.shape[1])))
    parts = list[dict[str, np.ndarray]]()
    for at in range(0, count, size):
        inputs = found.inputs(slice(at, at + size))
        parts.append(run(inputs) | {"spread": task.spread(inputs["history"], state)})
    raw = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    with np.errstate(all="ignore"):
        answers = task.decode(raw | {"last": found.last}, state)
    table = task.table(answers | {"ids": found.ids, "times": found.times}, state)
    return Forecast(table, list(found.notes), found.frames.lost)


def _runtime(bundle: Bundle, threads: int | None) -> Any:
    """A function from encoded inputs to raw outputs."""
    if bundle.model.runtime == "onnx":
        return onnx_runtime(bundle.files["model.onnx"], threads)
    found = bundle.model
    return fits(
        "model.json", lambda: models.runtime(found.kind, found.config, found.spec, bundle.files["weights.safetensors"])
    )


def _critic(bundle: Bundle, threads: int | None) -> critic.Critic | None:
    """What scores pictures or rows, in a bundle that generates and has it."""
    if "critic.onnx" not in bundle.files:
        return None
    return critic.of(bundle, onnx_runtime(bundle.files["critic.onnx"], threads, "critic.onnx"))


def onnx_runtime(graph: bytes, threads: int | None = None, file: str = "model.onnx") -> Any:
    """Run an ONNX graph held in memory; it may refer to nothing outside itself. `file`: its name in a bundle."""
    import onnxruntime

    fits(file, lambda: _graph.check(graph))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
        wanted = {i.name for i in session.get_inputs()}
        names = [o.name for o in session.get_outputs()]
    except Exception as error:  # ONNX Runtime raises its own classes and plain RuntimeError
        raise refused(file, "", f"cannot be loaded ({first_line(error)})", COPY) from None

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            found: list[Any] = list(session.run(names, {name: inputs[name] for name in wanted}))
        except Exception as error:  # see above; KeyError when the graph asks for an input that is not there
            raise refused(file, "", f"cannot be run ({first_line(error)})", COPY) from None
        return dict(zip(names, found, strict=True))

    return run


def json_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """A table as rows of plain JSON values: times in ISO form, NaN as null, structs as objects."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows.to_pylist()]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def from_json(rows: Sequence[Mapping[str, Any]], prep: Preprocessor) -> pa.Table:
    """Rows out of JSON as a table of raw cells: a picture is its bytes there, and never a path."""
    found = table(list(rows))
    cells = {name: [row.get(name) for row in rows] for name in found.column_names}
    for name, values in wired(prep.used, cells).items():
        found = found.set_column(found.column_names.index(name), name, values)
    return found


def _self_test(predictor: Predictor) -> None:
    """The golden rows must give their golden answers."""
    golden = predictor.bundle.golden
    if predictor.generative:
        own, schema = predictor.critic, predictor.bundle.schema
        scored = (lambda found, codes: critic.golden(own, found, codes, schema)) if own else None
        made.self_test(predictor._run, predictor.bundle, scored)
        return
    got = fits("golden.json", lambda: json_rows(predictor.answers(from_json(golden.rows, predictor.bundle.prep))))
    if len(got) != len(golden.answers):
        raise refused("golden.json", "answers", f"are {len(golden.answers)}, the network gives {len(got)}")
    for i, (mine, theirs) in enumerate(zip(got, golden.answers, strict=True)):
        if not _same(mine, theirs):
            raise refused("golden.json", f"answers.{i}", f"differ: got {mine}, expected {theirs}")


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, dict):
        return (
            isinstance(theirs, dict) and mine.keys() == theirs.keys() and all(_same(mine[k], theirs[k]) for k in mine)
        )
    if isinstance(mine, float) and isinstance(theirs, int | float) and not isinstance(theirs, bool):
        return bool(np.isclose(mine, theirs, rtol=AGREE, atol=AGREE, equal_nan=True))
    return type(mine) is type(theirs) and mine == theirs
