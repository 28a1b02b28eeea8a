"""The network beside its baselines, as one report."""

import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import __version__, evaluate, models
from lamina.data import _locator as _named
from lamina.deploy.predictor import Predictor, json_rows
from lamina.evaluate import baselines, metrics, report
from lamina.evaluate import series_gallery as _series_shots
from lamina.evaluate.images import corruptions as damaged
from lamina.evaluate.images import gallery
from lamina.experiment import Case
from lamina.plugins import kind
from lamina.recipe import dump
from lamina.run import Run
from lamina.schema import Row, Spec
from lamina.tasks._supervised import external_report as elsewhere
from lamina.tasks.forecasting import backtest
from lamina.tasks.forecasting import report as outlook
from lamina.tasks.forecasting.experiment import Ahead
from lamina.tasks.generation import critic_evaluation as _critic
from lamina.tasks.generation import evaluation as generated
from lamina.tasks.generation import image_fidelity as _made_pictures
from lamina.tasks.generation import image_report as _made_sheets
from lamina.tasks.generation import table_report as _made_page
from lamina.tasks.generation.experiment import Originals
from lamina.train.settings import Config as Train
from lamina.train.settings import Data

SHOWN = 20  # quarantined rows in the report
STEPS = 12  # of a series in the example of a row
RARE = 0.05  # of the training rows, below which a class is easily overlooked


@dataclass(frozen=True)
class Finding:
    """A trained run and its scores, everything a report tells."""

    case: Case
    spec: Spec
    cfg: Train
    layers: list[Row]
    end: Row
    predictor: Predictor
    score: dict[str, Any]


def rivals(finding: Finding, arrays: dict[str, Data], notes: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answers and scores of each baseline on the test rows."""
    if isinstance(finding.case, Originals):
        return generated.rivals(finding, arrays)
    state, task = finding.case.state, finding.case.task
    classes = len(state.model_dump().get("classes", ()))
    target = task.truth(arrays["train"].target, state)
    seen, new = ({n: np.asarray(v) for n, v in arrays[part].inputs.items()} for part in ("train", "test"))
    fitted = baselines.fit(task.baselines, seen, target, finding.spec, classes, notes)
    answers = {name: predict(new) for name, predict in fitted.items()}
    truth = finding.score["target"]
    return answers, {name: metrics.scores(_own(task.metrics, a), truth, a) for name, a in answers.items()}


def _pictured(finding: Finding, arrays: dict[str, Data]) -> _made_pictures.Made | None:
    """What made pictures are worth; nothing where a run makes none."""
    if not isinstance(finding.case, Originals) or finding.case.state.columns:
        return None
    return _made_pictures.judged(finding.predictor, arrays, finding.end["elapsed"])


def _naive(tests: dict[str, backtest.Backtest], names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of baselines that forecast."""
    flat = {name: backtest.flat(test, test.answers) for name, test in tests.items()}
    scored = {name: metrics.scores(_own(names, a), truth, a) for name, (truth, a) in flat.items()}
    return {name: answers for name, (_, answers) in flat.items()}, scored


def _own(names: tuple[str, ...], answers: dict[str, Any]) -> tuple[str, ...]:
    """Metrics a baseline can have: one without an interval has no coverage."""
    return names if "low" in answers or "probabilities" in answers else tuple(n for n in names if n not in INTERVAL)


INTERVAL = ("coverage", "interval_width")


def write(finding: Finding, arrays: dict[str, Data], out: Run, seconds: float) -> Row:
    """Fit the baselines, write `report.html` and `report.json`, and return the result of the run."""
    case, found = finding.case, finding.score
    augmented = finding.end.get("augmented")
    mixed = [augmented["told"]] if augmented else []
    notes = [*case.notes, *_rare(case, found["scores"]), *mixed]
    sketches = {row["epoch"]: row["sketch"] for row in out.rows() if "sketch" in row}
    rows = [{name: value for name, value in row.items() if name != "sketch"} for row in out.rows()]
    primary, end = case.task.metrics[0], finding.end
    seen, pieces = gallery.made(case, finding.predictor, found, arrays, finding.cfg.augment)
    outlined: Row = {}  # of a forecast
    recorded: Row = {}  # of whole series
    pictured: _made_pictures.Made | None = None  # of pictures that were made
    tabled: Any = None  # of rows that were made
    critic: Row | None = None  # of a generator that has one
    if isinstance(case, Ahead):
        tests = backtest.rivals(found["test"], case)
        answers, scored = _naive(tests, case.task.metrics)
        outlined, drawn = outlook.made(case, finding.predictor, found["test"], tests)
        target = outlook.targets(case)
        verdict = outlook.verdict(outlined, target, found, scored)
        example = outlook.example(case, finding.predictor)
        out.history.write_text(json.dumps({"rows": example["rows"]}, ensure_ascii=False) + "\n", "utf-8")
    elif isinstance(case, Originals):
        answers, scored = rivals(finding, arrays, notes)
        target, pictured, drawn = case.about, _pictured(finding, arrays), dict[str, str]()
        tabled = generated.tabled(finding)
        verdict = generated.verdict(found["scores"], scored)
        if pictured:
            found: dict[str, Any] = {**found, "scores": pictured.scores}
            scored, verdict = {"held_out": pictured.held}, _made_pictures.verdict(pictured)
            drawn["made_pictures"] = _made_sheets.pieces(pictured, case.state.classes, sketches)
        if tabled:
            verdict, drawn["made_rows"] = _made_page.verdict(tabled), _made_page.piece(tabled)
        if critic := _critic.judged(finding.predictor, arrays):
            drawn["made_rows" if tabled else "made_pictures"] += _critic.piece(critic)
        example = generated.example(finding.predictor)
    else:
        answers, scored = rivals(finding, arrays, notes)
        recorded, drawn = _series_shots.made(case, finding.predictor, found, arrays)
        target = case.about
        verdict = report.verdict(primary, metrics.HIGHER[primary], found["scores"], scored, target, found["interval"])
        row = case.judged.slice(0, 1).select([c.name for c in finding.predictor.bundle.prep.used])
        example = _example(finding.predictor, row)
    context = evaluate.Context(
        target=found["target"],
        answers=found["answers"],
        primary=primary,
        classes=tuple(case.state.model_dump().get("classes", ())),
        baselines=answers,
        scores=found["scores"],
        baseline_scores=scored,
        interval=found["interval"],
        rows=rows,
        best=end["best_epoch"],
    )
    harm, others = _damage(finding, arrays["test"]), elsewhere.rows(case, finding.predictor, found)
    verdict += elsewhere.headline(others)
    page = report.write(
        out.folder,
        {
            "name": case.recipe.name or out.folder.name,
            "task": kind(case.task_cfg),
            "target": target,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "verdict": verdict,
            "primary": primary,
            "scores": found["scores"],
            "interval": found["interval"],
            "baselines": scored,
            "per_class": found.get("per_class", []),
            **({"made_pictures": pictured.facts} if pictured else {}),
            **({"made_rows": tabled} if tabled else {}),
            **({"critic": critic} if critic else {}),
            "model": {
                "kind": finding.predictor.bundle.model.kind,
                "parameters": sum(layer["parameters"] for layer in finding.layers),
                "layers": finding.layers,
            },
            "pictures": seen,
            "series": recorded,
            **({"forecast": outlined, "history": str(out.history)} if outlined else {}),
            **({"damage": harm} if harm else {}),
            **({"augmented": augmented} if augmented else {}),
            **({"also": others} if others else {}),
            "data": _sized(_data(case, notes), finding.predictor),
            "training": {
                "rows": rows,
                "best": {"epoch": end["best_epoch"], "weights": end["best_weights"]},
                "seconds": end["elapsed"],
                "stopped": end["done"],
                "skipped": end["skipped"],
                "device": finding.cfg.device,
                "precision": finding.cfg.precision,
                "seed": case.recipe.seed,
            },
            "calibration": _calibration(case),
            "recipe": dump(out.recipe()),
            "example": example,
            "versions": versions(),
            "bundle": str(out.bundle),
        },
        evaluate.draw(case.task.plots, context) | pieces | drawn,
    )
    return {
        "run": str(out.folder),
        "bundle": str(out.bundle),
        "report": str(page),
        "task": kind(case.task_cfg),
        "scores": found["scores"],
        "baselines": scored,
        "seconds": round(seconds, 3),
        "rows": case.counts()["used"],
        "quarantined": len(case.quarantine),
        "parts": {name: table.num_rows for name, table in case.parts._asdict().items()},
        "verdict": verdict,
        **({"also": others} if others else {}),
        **({"made_pictures": pictured.facts} if pictured else {}),
        **({"made_rows": {k: v for k, v in tabled.items() if k != "columns"}} if tabled else {}),
        **({"critic": critic} if critic else {}),
        **({"notes": told} if (told := [*_twice(seen, pieces), *mixed]) else {}),
    }


def _twice(seen: Row, pieces: dict[str, str]) -> list[str]:
    return [seen["duplicates"]["told"]] if "duplicates" in pieces else []


def _damage(finding: Finding, test: Data) -> list[Row]:
    """What damaged test pictures do to the answers, where the architecture is judged by that."""
    inputs = {name: values for name, values in test.inputs.items() if isinstance(values, np.ndarray)}
    if (
        not models.tried_by_damage(finding.predictor.bundle.model.kind)
        or "classes" not in finding.case.state.model_dump()
    ):
        return []
    target = finding.case.task.truth(np.asarray(test.target), finding.case.state)
    return damaged.table(finding.predictor, inputs, target) if target.ndim == 1 else []


def _rare(case: Case, scores: dict[str, float | None]) -> list[str]:
    """A sentence where accuracy misleads because a class is rare."""
    state, told = case.state.model_dump(), scores.get("balanced_accuracy")
    if told is None or scores.get("accuracy") is None:
        return []
    shares = {name: count / sum(state["counts"]) for name, count in zip(state["classes"], state["counts"], strict=True)}
    rare = sorted((name for name in shares if shares[name] < RARE), key=lambda name: shares[name])
    if not rare or len(shares) > 1 / RARE:  # of many classes all are rare
        return []
    named = ", ".join(f"'{name}' ({shares[name]:.1%})" for name in rare[:5]) + (" ..." if len(rare) > 5 else "")
    said = case.task_cfg.model_dump()
    tried = said.get("class_weight") != "none" or said.get("focal") != 0
    cure = "" if tried else " Try --set task.focal=2, or --set task.class_weight=balanced."
    return [
        f"Rare classes: {named} of the training rows. Accuracy {scores['accuracy']:.3f} says little of them; "
        f"balanced accuracy is {told:.3f}.{cure}"
    ]


def _data(case: Case, notes: list[str]) -> Row:
    aim = case.schema.target
    columns = [c for c in case.schema.columns if not aim or c.name != aim.name] + ([aim] if aim else [])
    return {
        "source": _named.told(case.recipe.data),
        "rows": case.counts(),
        "columns": [c.model_dump(mode="json", exclude={"settings"}) for c in columns],
        "quarantine": [q._asdict() for q in case.quarantine[:SHOWN]],
        "notes": notes,
    }


def _calibration(case: Case) -> Row:
    state = case.state.model_dump()
    return {name: state[name] for name in ("temperature", "half_width") if name in state}


def versions() -> dict[str, str]:
    """This package, Python and what the answers depend on."""
    found = {"lamina": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "pyarrow", "duckdb", "onnxruntime", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _sized(data: Row, predictor: Predictor) -> Row:
    """The same, with what the network sees of pictures."""
    prep = predictor.bundle.prep
    for told in (c for c in data["columns"] if c["name"] in prep.pictures):
        height, width, channels = prep.inputs[prep.pictures[told["name"]]].shape
        told["note"] += f"; the network sees {width} x {height}, {'grey' if channels == 1 else 'colour'}"
    return data


def _example(predictor: Predictor, row: pa.Table) -> Row:
    """A row and its answer; a picture is a file's name here, because its bytes are long and say nothing to a reader."""
    prep = predictor.bundle.prep
    for name in (c.name for c in prep.used if c.kind == "series" and c.name in row.column_names):
        row = row.set_column(row.column_names.index(name), name, _shortened(row[name].combine_chunks()))
    cells = json_rows(row.drop_columns([name for name in prep.pictures if name in row.column_names]))[0]
    told = {c.name: "picture.jpg" if c.name in prep.pictures else cells.get(c.name) for c in prep.used}
    return {"row": told, "answer": json_rows(predictor.answers(row))[0], "pictures": list(prep.pictures)}


def _shortened(series: pa.Array) -> pa.Array:
    """The first steps of one series, rounded: enough to show how it is written."""
    if not (pa.types.is_list(series.type) or pa.types.is_large_list(series.type)):
        return series
    cell = series[0].as_py()
    if cell is None:
        return series
    short = [[_rounded(v) for v in step[:STEPS]] if isinstance(step, list) else _rounded(step) for step in cell[:STEPS]]
    return pa.array([short])


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value
