"""The recipe of a finished run leaves nothing open: run again on the same rows, it gives the same weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from conftest import customers, houses
from lamina.config import load_yaml
from lamina.data import toy
from lamina.plugins import available

RNG = np.random.default_rng(0)
AIRLINE = toy.load(toy.Config(name="airline")).table
WAVE = np.sin(np.arange(200) / 5) + 0.1 * RNG.normal(size=200)
IMAGES = RNG.integers(0, 255, (40, 12, 12), dtype=np.uint8)
TAGS = [
    {"x": float(x), "z": float(z), "tags": "|".join(t for t, on in (("low", x < 0), ("high", z > 0)) if on)}
    for x, z in RNG.normal(size=(60, 2))
]
TWO_TEXTS = [{"short": "ab" * 3 + str(i), "long": f"some longer text of {i % 7} words " * 4} for i in range(60)]
LISTS = [{"id": f"m{i}", "v": np.sin(np.arange(40) / 4 + i).tolist()} for i in range(8)]
DAYS = [{"day": str(np.datetime64("2020-01-01") + i), "volts": float(v)} for i, v in enumerate(WAVE)]
COMMAS = [
    {"a": f"{i % 9},{i % 7}", "d": f"{1 + i % 28:02d}.03.2020", "x": ["NA", "EU", "US"][i % 3],
     "y": ["Yes", "yes ", "no", "NO"][i % 4]}
    for i in range(80)
]  # fmt: skip
SMALL = {"kind": "fnn", "width": 8, "depth": 1, "members": 1}
TEXTS = {"kind": "gru", "width": 8}

QUICK = ("numbers and dates as text, spellings", "a number", "tags", "months", "rows")  # the others with -m slow

Case = tuple[str, Any, str | None, Any]  # task, rows, target, model
CASES: dict[str, Case] = {
    "two classes": ("classification", customers(60), "left", SMALL),
    "numbers and dates as text, spellings": ("classification", COMMAS, "y", "linear"),
    "pictures": ("classification", {"image": IMAGES, "y": ["a", "b"] * 20}, "y", "cnn"),
    "a number": ("regression", houses(60), "price", SMALL),
    "tags": ("multilabel", TAGS, "tags", SMALL),
    "months": ("forecasting", AIRLINE, "Passengers", None),
    "rows that are series": ("forecasting", LISTS, "v", None),
    "the second of two texts": ("language_modelling", TWO_TEXTS, "short", TEXTS),
    "one text": ("language_modelling", {"text": ["the cat sat on the mat and ran over there " * 60]}, None, TEXTS),
    "rows": ("dimensionality_reduction", houses(60), None, None),
    "strange rows": ("anomaly_detection", houses(60), None, None),
    "a recording": ("anomaly_detection", DAYS, None, None),
    "a noisy signal": ("denoising", {"volts": WAVE}, None, {"kind": "unet", "widths": [4, 8], "patch": 32}),
    "generated rows": ("generation", houses(60), "town", "vae"),
}


def trained(rows: Any, out: Path, **options: Any) -> tuple[bytes, dict[str, Any]]:
    """The weights of a run, and its recipe as it stands on disk."""
    lamina.fit(rows, out=out, **options)
    recipe = load_yaml((out / "recipe.yaml").read_text("utf-8"), "recipe")
    return (out / "bundle" / "weights.safetensors").read_bytes(), recipe


def quick(model: Any) -> dict[str, Any]:
    """Two epochs, of few steps where an architecture has long ones."""
    short = {"steps_per_epoch": 3} if isinstance(model, dict) and model["kind"] == "unet" else {}
    return {"recipe": {"train": short}, "epochs": 2, "batch_size": 16, "seed": 5}


def test_every_task_has_a_case():
    assert {task for task, *_ in CASES.values()} == set(available("tasks"))


each = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in CASES]
)


@each
def test_the_recipe_of_a_run_gives_the_same_weights_and_the_same_recipe(name, tmp_path):
    task, rows, target, model = CASES[name]
    first, recipe = trained(rows, tmp_path / "first", target=target, task=task, model=model, **quick(model))
    again, same = trained(rows, tmp_path / "again", recipe=tmp_path / "first" / "recipe.yaml")
    assert again == first
    assert same == recipe
    assert recipe["task"]["kind"] == task
    assert recipe["split"]["kind"] != "auto" or task == "denoising"  # of few signals, each is cut in three
    assert len(recipe["model"]) > 1
    assert set(recipe["columns"]) >= {target} - {None}


def test_a_run_with_a_budget_says_which_steps_it_made_and_these_give_the_same_weights(tmp_path):
    rows = houses(60)
    first, recipe = trained(rows, tmp_path / "first", target="price", model=SMALL, budget="1s", epochs=3)
    again, _ = trained(rows, tmp_path / "again", recipe=tmp_path / "first" / "recipe.yaml")
    other, _ = trained(rows, tmp_path / "other", recipe=tmp_path / "first" / "recipe.yaml", seed=6)
    assert other != first
    assert "budget" not in recipe["train"]
    assert recipe["train"]["plan"]
    assert again == first


def test_the_recipe_says_what_the_data_said(tmp_path):
    _, recipe = trained(AIRLINE, tmp_path / "run", target="Passengers", model="linear", epochs=1)
    assert recipe["task"] | {"horizon": 12, "season": 12, "step": "1mo", "time": ["Month"]} == recipe["task"]
    assert recipe["task"]["context"] >= 12
    assert recipe["columns"] == {"Month": {"kind": "time", "format": "%Y-%m"}, "Passengers": {"kind": "number"}}
    assert recipe["split"] | {"kind": "time", "test": 0.15} == recipe["split"]
