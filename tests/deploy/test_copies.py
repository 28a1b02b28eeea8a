"""A model goes where Python objects go: pickled, copied, and to processes of their own."""

import copy
import io
import json
import pickle
import subprocess
import sys
from operator import methodcaller
from pathlib import Path

import joblib
import numpy as np
import pytest

import lamina

BUNDLES = sorted((Path(__file__).parent.parent / "bundles").glob("*.lamina"))


@pytest.fixture(scope="module")
def rows(churn_rows):
    return churn_rows[:7]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_answers_as_the_model_does(churn_run, rows, duplicate):
    other = duplicate(churn_run)
    assert other.predict(rows) == churn_run.predict(rows)
    assert (repr(other), other.result) == (repr(churn_run), churn_run.result)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_a_model_of_every_task_and_network_is_copied_with_its_answers(path, duplicate):
    request = json.loads(path.with_suffix(".json").read_text("utf-8"))[0]
    verb, model = request.pop("ask"), lamina.load(path)
    request.pop("answers")

    def ask(one):
        settings = {name: value for name, value in request.items() if name != "rows"}
        answers = methodcaller(verb, *([request["rows"]] if "rows" in request else []), **settings)(one)
        return answers.tolist() if isinstance(answers, np.ndarray) else answers

    assert ask(duplicate(model)) == ask(model)


def test_joblib_keeps_a_model_in_a_file(churn_run, rows, tmp_path):
    joblib.dump(churn_run, tmp_path / "model.joblib")
    assert joblib.load(tmp_path / "model.joblib").predict(rows) == churn_run.predict(rows)


def test_a_predictor_is_pickled_by_its_bundle_and_checked_where_it_is_opened(churn_run, rows):
    body = pickle.dumps(churn_run.predictor)
    assert (
        pickle.loads(body)
        .answers(churn_run.predictor.rows(rows))
        .equals(churn_run.predictor.answers(churn_run.predictor.rows(rows)))
    )
    weights = churn_run.predictor.bundle.files["weights.safetensors"]
    assert weights in body
    damaged = body.replace(weights, weights[:-4] + b"\0\0\x80?")
    with pytest.raises(lamina.BundleError):
        pickle.load(io.BytesIO(damaged))


def test_a_process_of_its_own_answers_the_same(churn_run, rows, tmp_path):
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(churn_run))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    code = (
        "import json, pickle, sys\nmodel = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(json.dumps(model.predict(json.load(open(sys.argv[2]))), default=str))"
    )
    call = [sys.executable, "-c", code, tmp_path / "model.pickle", tmp_path / "rows.json"]
    done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    answers = json.loads(done.stdout)
    assert [row["prediction"] for row in answers] == [row["prediction"] for row in churn_run.predict(rows)]
