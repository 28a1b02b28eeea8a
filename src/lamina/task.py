"""What a task is where it is served: what can be asked of a bundle, and how it is answered. NumPy and Arrow only.

A task is a module or a package in `tasks/` (or in `$LAMINA_PLUGINS/tasks/`), named by its file, with

- `Config`: settings, with `kind: Literal["<name>"]`;
- `State`: what was learned from training rows, plain JSON values only;
- `Task`: the class below, whose `operations` say what a bundle can be asked.

Where it has more to say of training than that one column of each row is predicted, it is a package whose module
`experiment` has the other half, `Experiment` (see `lamina.experiment`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
from pydantic import Field

from lamina.config import Config
from lamina.data import arrays
from lamina.data._checkpoint import Checkpoint
from lamina.data.arrays import json_rows
from lamina.plugins import kind
from lamina.preprocess import Broken, Preprocessor
from lamina.schema import Input, Output, Row, Schema, Spec

JSON, CSV, EVENTS = "application/json", "text/csv", "text/event-stream"
ALIKE = 1e-4  # relative and absolute, between answers of two machines
FACES = frozenset({"http", "cli", "python"})


class Answers(NamedTuple):
    """One piece of answers: a table (one row per answer), what to say of it, and the cells that could not be used.

    `broken` counts rows as they were given. Where each row is answered by itself, a request over HTTP is refused for
    one, and a row of a file is skipped; where rows are one thing, that goes on without them, and `notes` say so.
    `amount` says how many answers there are where that is no number of rows: "7 steps ahead of 3 series".
    """

    table: pa.Table
    notes: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    amount: str = ""


class Example(NamedTuple):
    """What to send, as plain JSON values (rows as a list, or the settings of a request as a dict), and the answers."""

    payload: Any
    answers: list[Row]


class Usage(NamedTuple):
    """How an operation is used, as text to copy: commands, a request with curl, Python, and the answer to expect."""

    shell: str
    http: str = ""
    python: str = ""
    answer: str = ""


class Line(NamedTuple):
    """A number of answers as it is drawn: its column, those of its interval, and the column of the rows that it goes
    on from, or gives anew. What stands inside of another column has a dot in its name: `price.low`.
    """

    value: str
    low: str = ""
    high: str = ""
    source: str = ""


class Chart(NamedTuple):
    """How answers are drawn: lines along the column `x` (their order without one), apart for each value of `group`."""

    lines: tuple[Line, ...]
    x: str = ""
    group: str = ""


class Request(Config):
    """Settings of one call, beside its rows: `{"count": 4, "seed": 1}`. Empty for most operations."""


class RequestLimits(Config):
    """What one request may ask for where strangers ask."""

    rows: int = Field(default=10_000, ge=1, description="rows of one request")
    samples: int = Field(default=256, ge=1, description="images generated for one request; of rows as many as `rows`")
    attempts: int = Field(
        default=50_000, ge=1, description="rows generated to find those that meet the conditions of a request"
    )
    tokens: int = Field(
        default=16_384, ge=1, description="of texts written for one request, all together, and again of its prompt"
    )
    seconds: float = Field(default=30.0, gt=0, description="for the upload of one request, and again for its response")


class TooMuch(Exception):
    """A request that asks for more than `RequestLimits` allow: a sentence that names the setting and the cure."""


class Session(Protocol):
    """An opened bundle as a task sees it; `deploy.session.Session` is one."""

    @property
    def task(self) -> "Task": ...

    @property
    def prep(self) -> Preprocessor: ...

    @property
    def spec(self) -> Spec: ...

    @property
    def id(self) -> str:
        """Of the bundle; "" while it is being written."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Settings of the architecture."""
        ...

    @property
    def golden(self) -> Sequence[Row]:
        """Requests that travel with the bundle."""
        ...

    @property
    def assets(self) -> Mapping[str, bytes]:
        """The task's own files in the bundle."""
        ...

    @property
    def graphs(self) -> frozenset[str]:
        """Names of the networks there are to run, "model" and others."""
        ...

    @property
    def limits(self) -> RequestLimits | None:
        """Where strangers ask."""
        ...

    @property
    def schema(self) -> Schema: ...

    @property
    def target(self) -> str | None: ...

    @property
    def names(self) -> frozenset[str]:
        """The columns of rows that are of any use."""
        ...

    def run(self, inputs: Mapping[str, np.ndarray], graph: str = "model") -> dict[str, np.ndarray]:
        """What a network of the bundle gives for encoded inputs, all in one batch."""
        ...

    def rows(self, rows: Sequence[Row]) -> pa.Table:
        """Rows of plain JSON values as a table of raw cells: a file is its bytes there, and never a path."""
        ...

    def encode(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """Raw rows to network inputs; cells of no use go to `broken`."""
        ...

    def example_row(self) -> Row:
        """A row to try: the golden one with the fewest gaps, long cells cut short, a tiny file for each file."""
        ...

    def raw(self, rows: pa.Table, broken: list[Broken] | None = None) -> dict[str, np.ndarray]:
        """`encode` and `run`, so many rows at a time that memory is bounded."""
        ...


def nothing(session: Session) -> bool:
    return True


@dataclass(frozen=True)
class Operation:
    """Something that can be asked of a bundle, declared once: `POST /<name>`, `lamina <name> BUNDLE`,
    `model.<name>(...)`.

    `rows`: "each" (each row is answered by itself, in order, so that requests are joined), "together" (the rows of a
    request are one thing, such as a history), or "none" (a request alone). `answer` gives one piece of answers, or
    yields several: then they are streamed. `answer_inputs` is the same for a few rows that are encoded already, as
    plain values of JSON, where that is had without a table. `example` works as it stands.

    `takes`: media types of a body beside JSON and those of the columns' files; `gives`: JSON, `text/event-stream` for
    answers one after the other, or another type, whose bytes are the only cell of the only answer. Answers stand under
    `items` in a reply in JSON, with the `facts` beside them.

    `call` is what Python gets where that is no table; `write` is an own way into files, and `options` its settings
    where they are more than those of a request; under `broken` it gives the cells that could not be used. `available`
    says whether this bundle has it. `preprocessor` says which columns its rows have, where these are not those of the
    bundle. `chart` says which numbers of its answers are drawn, and how.
    """

    name: str
    summary: str
    answer: "Callable[[Session, pa.Table | None, Any], Answers | Iterator[Answers]]"
    example: Callable[[Session], Example]
    request: type[Request] = Request
    rows: Literal["none", "each", "together"] = "each"
    takes: tuple[str, ...] = ()
    gives: str = JSON
    items: str = "predictions"
    facts: Mapping[str, Any] = field(default_factory=dict)
    call: Callable[[Session, Any], Any] | None = None
    write: "Callable[[Session, pa.Table | None, Any, Path], Row] | None" = None
    options: type[Request] | None = None
    usage: "Callable[[Session, Operation, str], Usage] | None" = None
    describe: Callable[[Session], str] | None = None  # `summary` for this bundle
    schema: Callable[[Session], Row] | None = None  # JSON schema of a request to this bundle
    available: Callable[[Session], bool] = nothing
    preprocessor: Callable[[Session], Preprocessor] | None = None
    answer_inputs: "Callable[[Session, Mapping[str, np.ndarray], Any], list[Row]] | None" = None
    chart: Callable[[Session], Chart] | None = None
    faces: frozenset[str] = FACES

    def prep(self, session: Session) -> Preprocessor:
        """How its rows are read."""
        return self.preprocessor(session) if self.preprocessor else session.prep

    def names(self, session: Session) -> frozenset[str]:
        """The columns of its rows that are of any use."""
        return frozenset(column.name for column in self.prep(session).columns) if self.preprocessor else session.names


class Asset(NamedTuple):
    """A file of its own that a task may keep in a bundle: what it is, its size in bytes at most, whether a graph."""

    role: str
    largest: int = 1 << 30
    graph: bool = False


@dataclass(frozen=True)
class Task(ABC):
    """A task with its settings and what it learned. Made of `task.json` alone; frozen."""

    cfg: Any
    state: Any

    operations: ClassVar[tuple[Operation, ...]]
    target_kind: ClassVar[str | None] = None  # the column kind by which a target is read
    assets: ClassVar[Mapping[str, Asset]] = {}

    @property
    def kind(self) -> str:
        """The name of the plug-in."""
        return kind(self.cfg)

    @classmethod
    def imported(cls, checkpoint: Checkpoint) -> Self | None:
        """The task that a network of others does without training; None where that is another one, as for most."""
        return None

    def with_state(self, **changes: Any) -> Self:
        """The same task with more in its state."""
        return replace(self, state=self.state.model_copy(update=changes))

    def notes(self) -> list[str]:
        """Sentences on what was decided by looking at the training targets."""
        return []

    # what a network is built for

    @abstractmethod
    def output(self) -> Output:
        """Head, size and loss. Computed again when a bundle is opened, and compared with `model.json`."""

    def inputs(self, prep: Preprocessor) -> dict[str, Input]:
        """What a network is fed: by column, as preprocessing gives it."""
        return prep.inputs

    # what can be asked

    def offered(self, session: Session) -> tuple[Operation, ...]:
        """The operations that this bundle has; the first is the one that a server's page leads to."""
        return tuple(operation for operation in self.operations if operation.available(session))

    def about(self, session: Session) -> Row:
        """Facts for /schema and `lamina inspect` beyond columns, classes and examples."""
        return {}

    @property
    def required(self) -> frozenset[str]:
        """Columns without which a row says nothing."""
        return frozenset()

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels that are answered, or can be asked for."""
        return ()

    # the caller's own types

    @classmethod
    def frame(cls, rows: Any) -> Any:
        """Rows given in Python before they become a table, for training."""
        return rows

    def read(self, rows: Any, files: Sequence[str]) -> pa.Table:
        """Rows in the caller's own type as a table of raw cells; `files`: the columns whose cells are files."""
        return arrays.table(rows, files)

    def like(self, answers: pa.Table, rows: Any) -> Any:
        """Answers in the type that the rows came in, as many as rows."""
        return arrays.like(answers, rows)

    # safety

    def check(self, session: Session) -> None:  # noqa: B027 - most tasks have nothing to refuse
        """Refuse what is impossible before memory is given. Errors: BundleError."""

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        """Answers to golden requests, as plain JSON values. By default the first operation's answers to rows."""
        operation = self.offered(session)[0]
        answers = operation.answer(session, session.rows(requests), operation.request())
        pieces = (answers,) if isinstance(answers, Answers) else answers
        return [row for piece in pieces for row in json_rows(piece.table)]

    def agrees(self, mine: Any, theirs: Any) -> bool:
        """Whether two golden answers are the same up to what another machine's arithmetic does."""
        return alike(mine, theirs, ALIKE, ALIKE)


def alike(mine: Any, theirs: Any, relative: float, absolute: float) -> bool:
    """Whether plain JSON values are equal, numbers up to a tolerance."""
    if isinstance(mine, dict):
        same = isinstance(theirs, dict) and mine.keys() == theirs.keys()
        return same and all(alike(mine[k], theirs[k], relative, absolute) for k in mine)
    if isinstance(mine, list):
        same = isinstance(theirs, list) and len(mine) == len(theirs)
        return same and all(alike(a, b, relative, absolute) for a, b in zip(mine, theirs, strict=True))
    if isinstance(mine, float) and isinstance(theirs, int | float) and not isinstance(theirs, bool):
        return bool(np.isclose(mine, theirs, rtol=relative, atol=absolute, equal_nan=True))
    return type(mine) is type(theirs) and mine == theirs
