"""Every input of the corpus means the same to `inspect`, `train`, `predict`, the server and Python: what is right."""

import importlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lamina
from lamina import data, preprocess, recipe
from lamina.config import LaminaError
from lamina.data import arrays
from lamina.schema import Collected, clean
from meaning.corpus import Case, plain
from service_tools import ask, command

SMALL = {"kind": "fnn", "width": 8, "depth": 1, "members": 1}
QUICK = ("train.epochs=40", "train.device=cpu")
FOLDER = Path(__file__).parent
NEAR = 1e-5  # of answers by two doors


def cases() -> Iterator[Any]:
    """Every third case of a file is asked with each change, and all of them with `make slow`: a second each."""
    for file in sorted(FOLDER.glob("*.py")):
        if file.stem != "corpus" and not file.stem.startswith("test_"):
            for place, case in enumerate(importlib.import_module(f"meaning.{file.stem}").CASES):
                marks = [pytest.mark.slow] if place % 3 else []
                yield pytest.param(case, id=f"{file.stem}-{case.name}", marks=marks)


@dataclass(frozen=True)
class Training:
    """What came of training on a case."""

    model: lamina.Estimator
    report: dict[str, Any]

    @property
    def notes(self) -> list[str]:
        columns = (f"{column['name']}: {column['note']}" for column in self.report["data"]["columns"])
        return [*self.report["data"]["notes"], *columns]

    @property
    def kinds(self) -> dict[str, str]:
        return {column["name"]: column["kind"] for column in self.report["data"]["columns"]}


def overrides(case: Case) -> list[str]:
    """The choices of a case, and a network that is trained in no time."""
    own = {word.partition("=")[0] for word in case.sets}
    quick = [word for word in QUICK if word.partition("=")[0] not in own]
    names_model = any(word.startswith("model") for word in case.sets) or case.model is None
    model = [] if names_model else _model(case)
    return [*quick, *model, *case.sets]


def _model(case: Case) -> list[str]:
    if case.model != "small":
        return [f"model.kind={case.model}"]
    if case.task in (None, "classification", "regression", "multilabel"):
        return [f"model.{name}={value}" for name, value in SMALL.items()]
    return []


def words(source: Any) -> list[str] | None:
    """The source as words of a command line; None where it is rows in memory."""
    if isinstance(source, str | Path):
        return [str(source)]
    strings = isinstance(source, tuple) and all(isinstance(word, str | Path) for word in source)
    return [str(word) for word in source] if strings else None


def train(case: Case, source: Any, folder: Path) -> Training:
    """By the command line, or in Python for rows in memory. Errors: LaminaError."""
    line, sets = words(source), overrides(case)
    if line is None:
        values = recipe.merge({}, sets)
        model = lamina.fit(source, case.target, recipe=values, out=folder)
    else:
        target = ["--target", case.target] if case.target else []
        choices = [word for one in sets for word in ("--set", one)]
        code, out, error = command("train", *line, *target, "--out", folder, "--json", *choices)
        if code:
            raise LaminaError(error)
        model = lamina.load(json.loads(out)["bundle"])
    return Training(model, json.loads((folder / "report.json").read_text("utf-8")))


def collected(case: Case, source: Any, training: Training) -> pa.Table:
    """The rows as the source gives them, cells raw."""
    line = words(source)
    if line is None:
        return Collected(arrays.table(training.model.predictor.task.frame(source))).table
    sets = [one for one in case.sets if one.startswith("data")]
    cfg = recipe.from_words(line, sets, trains=False).data
    return data.load(data.expecting(cfg, training.model.predictor.names)).table


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(same(mine[name], theirs[name]) for name in mine)
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    if isinstance(mine, float) and isinstance(theirs, int | float):
        return math.isclose(mine, theirs, rel_tol=NEAR, abs_tol=NEAR)
    return mine == theirs


def check_inspection(case: Case, source: Any, training: Training, total: int) -> None:
    """`lamina inspect` counts the same rows, and takes no column for another kind."""
    line = words(source)
    if line is None:
        return
    target = ["--target", case.target] if case.target else []
    choices = [word for one in case.sets if one.startswith(("data", "columns", "missing")) for word in ("--set", one)]
    code, out, error = command("inspect", *line, *target, "--json", *choices)
    assert code == 0, error
    result = json.loads(out)
    assert result["rows"] + result["skipped"] == total
    kinds = {column["name"]: column["kind"] for column in result["columns"]}
    inputs = {name: kind for name, kind in training.kinds.items() if name != training.model.predictor.target}
    assert {name: kinds.get(name) for name in inputs} == inputs


def answers_of(case: Case, source: Any, training: Training, folder: Path) -> list[dict[str, Any]]:
    """Answers to the rows of the case: by HTTP, in Python, by text/csv and by file, which have to agree."""
    model = training.model
    table = collected(case, source, training)
    table = model.predictor.with_bundle_names(table)
    names = [name for name in table.column_names if name != model.predictor.target or model.predictor.task.required]
    files = set(model.predictor.files)
    cells = table.select(names).slice(0, 500).to_pylist()
    rows = case.rows or [{name: plain(file(v) if name in files else v) for name, v in row.items()} for row in cells]
    reply = ask(model, "POST", "/predict", json={"rows": rows})
    assert reply.status_code == 200, reply.text
    answers = reply.json()["predictions"]
    if not model.predictor.files:
        python = json.loads(json.dumps(model.predict(rows), default=plain))
        assert same(answers, python), f"Python answers otherwise than the server: {python[0]} and {answers[0]}"
    line = words(source)
    body = case.body or (_body(Path(line[0])) if line and len(line) == 1 and not case.rows else None)
    if body is not None and not model.predictor.files and "text/csv" in model.predictor.operations[0].takes:
        reply = ask(model, "POST", "/predict", content=body, headers={"Content-Type": "text/csv"})
        assert reply.status_code == 200, reply.text
        assert same(answers, reply.json()["predictions"]), "text/csv is answered otherwise than JSON"
    if line is not None and not case.rows:
        sets = [word for one in case.sets if one.startswith("data") for word in ("--set", one)]
        code, _, error = command("predict", folder, *line, "-o", folder / "answers.jsonl", "--json", *sets)
        assert code == 0, error
        lines = [json.loads(row) for row in (folder / "answers.jsonl").read_text("utf-8").splitlines()]
        by_file = [{name: row[name] for name in answers[0]} for row in lines]
        assert same(answers, by_file[: len(answers)]), "a file is answered otherwise than JSON"
    return answers


def file(cell: Any) -> Any:
    """A cell of a column of files: the path, or the bytes, of one."""
    if isinstance(cell, dict):
        return cell["bytes"] or Path(cell["path"])
    return Path(cell) if isinstance(cell, str) else cell


def _body(path: Path) -> bytes | None:
    """A file that can be sent as it is."""
    return path.read_bytes() if path.suffix in (".csv", ".txt") else None


def check_cells(case: Case, source: Any, training: Training) -> None:
    """The first cells of columns as their kind reads them."""
    schema = training.model.predictor.schema
    table = training.model.predictor.with_bundle_names(collected(case, source, training))
    columns = {column.name: column for column in (*schema.columns, *([schema.target] if schema.target else []))}
    for name, expected in (case.cells or {}).items():
        cells = clean(table.select([name]), schema.missing, schema.literal)
        values = preprocess.parse_columns(cells, (columns[name],))[name].to_pylist()
        values = [plain(value) for value in values[: len(expected)]]
        assert same(values, expected), f"{name}: {values} is not {expected}"


def check_answer(case: Case, answers: list[dict[str, Any]]) -> None:
    for name, expected in (case.answer or {}).items():
        got = answers[0][name]
        if isinstance(expected, tuple):
            assert expected[0] <= got <= expected[1], f"{name}: {got} is not between {expected}"
        else:
            assert got == expected


@pytest.mark.parametrize("case", list(cases()))
def test_an_input_means_what_its_owner_meant_by_every_door(case: Case, tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    source = case.build(tmp_path / "input")
    if case.error:
        with pytest.raises(LaminaError) as refusal:
            train(case, source, tmp_path / "run")
        assert all(fragment in str(refusal.value) for fragment in case.error), str(refusal.value)
        return
    training = train(case, source, tmp_path / "run")
    counts, notes = training.report["data"]["rows"], training.notes
    assert case.task in (None, training.report["task"])
    assert (case.kinds or {}).items() <= training.kinds.items(), training.kinds
    assert counts["skipped"] == case.aside
    assert counts["read"] == counts["used"] + counts["skipped"]
    assert case.used in (None, counts["used"])
    for fragment in case.notes:
        assert any(fragment in note for note in notes), f"no note has '{fragment}': {notes}"
    for fragment in case.silent:
        assert not any(fragment in note for note in notes), f"a note has '{fragment}': {notes}"
    check_inspection(case, source, training, counts["read"])
    check_cells(case, source, training)
    check_answer(case, answers_of(case, source, training, tmp_path / "run"))
