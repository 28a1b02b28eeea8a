"""Who is it? Rows become points; a gallery of names is enrolled after training, into a new bundle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field
from safetensors.numpy import load, save

from lamina import config
from lamina.config import DataError
from lamina.data.arrays import json_rows
from lamina.deploy import bundle
from lamina.schema import Output, Row
from lamina.task import Answers, Asset, Example, Operation, Request, Session
from lamina.tasks._supervised import labels
from lamina.tasks._supervised.task import SupervisedTask

GALLERY = "gallery.safetensors"


class Config(config.Config):
    kind: Literal["toy_gallery"] = "toy_gallery"
    size: int = Field(default=4, ge=2, le=64)


class State(config.Config):
    people: tuple[str, ...] = Field(min_length=2)


class Enrolment(Request):
    """Which column says who a row is."""

    name: str = Field(default="name", description="the column that says who a row is")


def embed(session: Session, rows: pa.Table) -> np.ndarray:
    return session.raw(rows)["target"]


def identify(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """The nearest of those enrolled, and how alike it is."""
    assert rows is not None
    gallery = load(session.assets[GALLERY])
    names = bytes(gallery["names"]).decode().split("\n")
    alike = embed(session, rows) @ gallery["points"].T  # (rows, people)
    best = alike.argmax(1) if len(alike) else np.zeros(0, np.int64)
    return Answers(pa.table({"name": [names[i] for i in best], "alike": pa.array(alike[np.arange(len(best)), best])}))


def points(session: Session, rows: pa.Table | None, request: Request) -> Answers:
    """Each row as a point."""
    assert rows is not None
    columns = {f"z{i + 1}": pa.array(values) for i, values in enumerate(embed(session, rows).T)}
    return Answers(pa.table(columns))


def enroll(session: Session, rows: pa.Table | None, request: Enrolment, output: Path) -> Row:
    """A new bundle whose gallery has the mean point of each name."""
    assert rows is not None
    if request.name not in rows.column_names:
        raise DataError(f"--name: the rows have no column '{request.name}'.")
    names = np.array(rows[request.name].cast(pa.string()).to_pylist())
    vectors = embed(session, rows)
    people = sorted(set(names.tolist()))
    means = np.stack([vectors[names == one].mean(0) for one in people]).astype(np.float32)
    body = save({"points": means, "names": np.frombuffer("\n".join(people).encode(), np.uint8).copy()})
    bundle.with_assets(session.bundle, {GALLERY: body}, output)
    return {"output": str(output), "people": len(people), "sentences": [f"{len(people)} people are enrolled."]}


def row_example(session: Session) -> Example:
    row = session.example_row()
    operation = identify if GALLERY in session.assets else points
    return Example([row], json_rows(operation(session, session.rows([row]), Request()).table))


def has_gallery(session: Session) -> bool:
    return GALLERY in session.assets


@dataclass(frozen=True)
class Task(SupervisedTask):
    cfg: Config
    state: State

    target_kind: ClassVar[str] = "category"
    metrics: ClassVar[tuple[str, ...]] = ("toy_pairs",)
    assets: ClassVar[Mapping[str, Asset]] = {GALLERY: Asset("people who are enrolled", 1 << 20)}
    operations: ClassVar[tuple[Operation, ...]] = (
        Operation("identify", "Who of those enrolled each row is.", identify, row_example, available=has_gallery),
        Operation("embed", "Each row as a point.", points, row_example),
        Operation(
            "enroll",
            "Write a new bundle that knows more people.",
            points,
            row_example,
            request=Enrolment,
            write=enroll,
            faces=frozenset({"cli", "python"}),
        ),
    )

    def replay(self, session: Session, requests: Sequence[Row]) -> list[Row]:
        """Golden rows are compared as points: these do not change when people are enrolled."""
        return json_rows(points(session, session.rows(requests), Request()).table)

    @classmethod
    def suits(cls, values: pa.Array) -> float:
        return 0.0

    @classmethod
    def fit(cls, values: pa.Array, cfg: Config) -> State:
        return State(people=labels.classes(values).names)

    def unknown(self, values: pa.Array) -> np.ndarray:
        """People of the test rows are new ones: nobody is unknown."""
        return np.zeros(len(values), bool)

    def encode(self, values: pa.Array) -> np.ndarray:
        """Codes of people; those whom training has not seen get codes behind."""
        codes = labels.codes(values, self.state.people)
        strangers = np.unique(np.array(values.to_pylist()), return_inverse=True)[1]
        return np.where(codes < 0, len(self.state.people) + strangers, codes)

    def truth(self, encoded: np.ndarray) -> np.ndarray:
        return encoded.astype(np.int64)

    def label(self, value: int) -> str:
        return self.state.people[value] if value < len(self.state.people) else "somebody new"

    def output(self) -> Output:
        settings: dict[str, float | list[float]] = {"classes": float(len(self.state.people))}
        return Output(head="embedding", size=self.cfg.size, loss="toy_prototypes", settings=settings)

    def decode(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"points": outputs["target"].astype(np.float64)}

    def table(self, answers: Mapping[str, np.ndarray]) -> pa.Table:
        return pa.table({f"z{i + 1}": pa.array(values) for i, values in enumerate(answers["points"].T)})

    def validate(self, outputs: Mapping[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
        separation = pairs(outputs["target"], target)
        return {"loss": 1 - separation, "separation": separation}


def pairs(vectors: np.ndarray, names: np.ndarray) -> float:
    """The chance that two rows of one person are more alike than two of different ones (area under the ROC curve)."""
    alike, same = (vectors @ vectors.T)[np.triu_indices(len(names), 1)], None
    same = (names[:, None] == names[None])[np.triu_indices(len(names), 1)]
    if not same.any() or same.all():
        return 0.5
    ranks = alike.argsort().argsort() + 1.0
    return float((ranks[same].sum() - same.sum() * (same.sum() + 1) / 2) / (same.sum() * (~same).sum()))
