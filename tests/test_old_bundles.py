"""Bundles of earlier versions open, and answer as they did: see tests/bundles/README.md."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lamina
from lamina import models
from lamina.config import BundleError
from lamina.deploy.bundle import open_bundle

BUNDLES = sorted((Path(__file__).parent / "bundles").glob("*.lamina"))
CLOSE = {"rel": 1e-6, "abs": 1e-6}
SHADE = 1  # of 255, by which a pixel may be rounded to the other side


def plain(value: Any) -> Any:
    """Answers as they are written in JSON: times in ISO form, NaN as null."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, datetime | date) else value


def differences(new: Any, old: Any, place: str = "") -> list[str]:
    """Where two values differ: all names and texts are the same, numbers nearly so."""
    if isinstance(old, dict) and isinstance(new, dict) and new.keys() == old.keys():
        return [fault for name in old for fault in differences(new[name], old[name], f"{place}.{name}")]
    if isinstance(old, list) and isinstance(new, list) and len(new) == len(old):
        return [fault for i in range(len(old)) for fault in differences(new[i], old[i], f"{place}.{i}")]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (new, old))
    same = new == pytest.approx(old, **CLOSE) if numbers else type(new) is type(old) and new == old
    return [] if same else [f"{place}: {new!r}, was {old!r}"]


def test_there_are_two_bundles_of_each_task_at_least():
    tasks = [path.stem.split("_")[0] for path in BUNDLES]
    for task in ("classification", "forecasting", "generation", "multilabel", "regression"):
        assert tasks.count(task) >= 2


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_a_bundle_of_an_earlier_version_opens_and_answers_as_it_did(path):
    model = lamina.load(path)
    requests = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert requests
    for i, request in enumerate(requests):
        verb, old = request.pop("ask"), request.pop("answers")
        if verb == "predict":
            assert differences(plain(model.predict(request["rows"])), old, f"{i}") == []
        elif verb == "evaluate":
            assert differences(plain(model.evaluate(request["rows"])), old, f"{i}") == []
        elif verb in ("perplexity", "inverse_transform"):
            assert differences(plain(model.predictor.ask(verb, request["rows"])), old, f"{i}") == []
        elif isinstance(old, list) and isinstance(old[0], str):
            assert model.generate(**request) == old
        elif isinstance(old, dict):
            images = model.generate(**request)
            assert (list(images.shape), str(images.dtype)) == (old["shape"], old["dtype"])
            excerpt = images.reshape(-1)[: len(old["start"])].astype(int)
            assert np.abs(excerpt - old["start"]).max() <= SHADE
            assert abs(int(images.sum(dtype=np.int64)) - old["sum"]) <= images.size // 1000
        else:
            assert differences(plain(model.generate(**request).to_pylist()), old, f"{i}") == []


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_weights_of_an_earlier_version_fit_the_network_of_today(path):
    bundle = open_bundle(path)
    model = bundle.model
    network = model.kind, model.config, model.spec, bundle.files["weights.safetensors"]
    if models.is_graph_only(model.kind):
        with pytest.raises(BundleError, match="is served by its graph only"):
            models.load_network(*network)
    else:
        assert models.load_network(*network)
