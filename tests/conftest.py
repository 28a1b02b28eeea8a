"""Toy rows and the two runs that most tests look at, made once through the public door."""

import csv
import gc
import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import data
from lamina.data import toy
from lamina.experiment import Experiment, collect
from lamina.recipe import Recipe
from lamina.schema import Collected

if "PYTEST_XDIST_WORKER" in os.environ:  # two processes on two cores: each computes on one, and so do those it starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REMARKS = ("the line drops every evening", "asked twice for a refund", "kind and quick service", "never had a problem")
SMALL = {"kind": "fnn", "width": 32, "depth": 1, "members": 2}
QUICK = {"epochs": 10, "batch_size": 64}
LONGEST = (
    *(
        "test_docs",
        "test_meaning",
        "test_models",
        "test_pretrained",
        "test_resume",
        "test_discriminator",
        "test_bundle",
    ),
    *("test_cli", "test_generate", "test_image_fidelity", "test_generators", "test_plugins", "test_stranger_tasks"),
    *("test_series_outcomes", "test_series", "test_preprocess", "test_pretrained_texts", "test_importing"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that two processes that take file after file end together."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def customers(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with a number, money as text, a category, a boolean, a date, a remark, missing cells, and who left."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        risk = rng.normal()
        remark = f"{REMARKS[(risk < 0) * 2 + rng.integers(2)]} {rng.integers(count)}"
        rows.append(
            {
                "months": None if rng.random() < 0.05 else round(float(30 - 12 * risk + 4 * rng.normal()), 1),
                "charges": f"${1000 + 200 * rng.normal():,.2f}",
                "plan": None if rng.random() < 0.05 else str(rng.choice(["basic", "plus", "pro"])),
                "paperless": bool(rng.random() < 0.5),
                "since": f"20{18 + i % 6}-{1 + i % 12:02d}-{1 + i % 28:02d}",
                "remark": None if rng.random() < 0.1 else remark,
                "left": "yes" if risk + 0.3 * rng.normal() > 0 else "no",
            }
        )
    return rows


def houses(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with two numbers, a category, and a price that depends on them."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        area, rooms = float(rng.normal(100, 20)), int(rng.integers(1, 7))
        town = str(rng.choice(["north", "south", "west"]))
        price = 1000 * area + 9000 * rooms + {"north": 0, "south": 20_000, "west": 40_000}[town] + 4000 * rng.normal()
        rows.append({"area": round(area, 2), "rooms": rooms, "town": town, "price": round(float(price), 1)})
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as a CSV file; missing cells are empty, booleans are lower case."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(rows[0])
        for row in rows:
            writer.writerow("" if v is None else str(v).lower() if isinstance(v, bool) else v for v in row.values())
    return path


def experiment_of(recipe: Recipe, rows: Collected | None = None, test_rows: Collected | None = None) -> Experiment:
    """What a recipe asks of its source, or of rows in memory, understood by its task."""
    return collect(recipe, data.read(recipe.data, rows, test_rows))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory) -> None:
    """Nothing that a test decodes stays in the user's cache."""
    os.environ["LAMINA_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _imported_once() -> None:
    """Compiled packages that warn while being imported do so here and not in whichever test comes first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("matplotlib.figure", "sklearn.ensemble", "torch.onnx"):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is imported stays: without it, a twentieth of all time goes into looking it through
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def churn_rows() -> list[dict[str, Any]]:
    return customers(300)


@pytest.fixture(scope="session")
def churn_csv(churn_rows, tmp_path_factory) -> Path:
    return write_csv(tmp_path_factory.mktemp("churn") / "churn.csv", churn_rows)


@pytest.fixture(scope="session")
def churn_run(churn_rows, tmp_path_factory) -> lamina.Estimator:
    """Who leaves: two classes from columns of every kind. Its run directory is `result["run"]`."""
    remark = {"kind": "text", "buckets": 128, "length": 12}
    recipe = {"model": SMALL, "train": QUICK, "columns": {"remark": remark}}
    return lamina.fit(churn_rows, "left", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "churn")


@pytest.fixture(scope="session")
def churn_bundle(churn_run) -> Path:
    return Path(churn_run.result["bundle"])


@pytest.fixture(scope="module")
def predictor(churn_bundle) -> Any:
    from lamina.deploy.predictor import Predictor

    return Predictor(churn_bundle)


@pytest.fixture(scope="module")
def api(predictor) -> Any:
    """Who leaves, as an application to ask."""
    from lamina.deploy.server import app

    return app(predictor)


@pytest.fixture(scope="module")
def rows(churn_rows) -> list[dict[str, Any]]:
    """Rows to send it."""
    return [{name: cell for name, cell in row.items() if name != "left"} for row in churn_rows[:50]]


@pytest.fixture(scope="session")
def numbers_run(tmp_path_factory) -> lamina.Estimator:
    """What a house costs: a number from numbers and a category."""
    recipe = {"model": SMALL, "train": {**QUICK, "epochs": 25}}
    return lamina.fit(houses(300), "price", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "numbers")


@pytest.fixture(scope="session")
def numbers_bundle(numbers_run) -> Path:
    return Path(numbers_run.result["bundle"])


@pytest.fixture(scope="session")
def months_bundle(tmp_path_factory) -> Path:
    """Airline passengers of the next six months."""
    task = {"kind": "forecasting", "horizon": 6, "context": 24}
    recipe = {"task": task, "model": "linear", "train": {**QUICK, "epochs": 2}}
    rows = toy.load(toy.Config(name="airline")).table
    out = tmp_path_factory.mktemp("runs") / "months"
    return Path(lamina.fit(rows, "Passengers", recipe=recipe, out=out).result["bundle"])
