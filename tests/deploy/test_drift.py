"""A server notices when the rows that come are no longer those of training, and hardly ever where they are."""

import hashlib
import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats

from conftest import customers
from lamina.deploy.bundle import manifest, open_bundle
from lamina.deploy.drift import WINDOW, DriftMonitor, tail
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app
from lamina.preprocess import fit, infer
from lamina.schema import Output, Spec
from service_tools import send


def table(rng, rows, shift=0.0, move=0.0):
    """Numbers of several shapes, some missing, values few and many; the first number and the first value may drift."""
    columns = {f"x{i}": rng.normal(shift if i == 0 else 0.0, size=rows) for i in range(12)}
    columns["skewed"], columns["few"] = np.exp(rng.normal(size=rows)), rng.integers(0, 4, rows).astype(float)
    columns["gaps"] = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows))
    letters = rng.choice(list("abcde"), rows, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    columns["letter"] = np.where(rng.random(rows) < move, "c", letters)
    columns["many"] = rng.choice([f"v{i}" for i in range(300)], rows)
    columns["yes"] = rng.random(rows) < 0.3
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def monitor_of(train, window=WINDOW):
    prep = fit(train, infer(train, None, {}, ()))
    spec = Spec(inputs=prep.inputs, output=Output(size=1, loss="squared"))
    return prep, DriftMonitor(prep, spec, window, share=None)


def share_of_alarms(trials, rows=5000, **drift):
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(max(1, trials // 20)):
        prep, monitor = monitor_of(table(rng, rows))
        for _ in range(min(trials, 20)):
            inputs = prep.encode(table(rng, WINDOW, **drift))
            for start in range(0, WINDOW, 250):
                monitor.add({name: values[start : start + 250] for name, values in inputs.items()})
            monitor.add({name: values[:0] for name, values in inputs.items()})
            monitor.count()
            alarms += monitor.alarm
    return alarms / trials


TRIALS = [40, pytest.param(200, marks=pytest.mark.slow)]


@pytest.mark.parametrize("trials", TRIALS)
@pytest.mark.parametrize("drift", [{"shift": 0.5}, {"move": 0.2}], ids=["mean", "category"])
def test_half_a_sigma_and_a_fifth_of_the_values_alarm_within_a_window(trials, drift):
    assert share_of_alarms(trials, **drift) >= 0.95


@pytest.mark.parametrize("trials", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_rows_like_those_of_training_hardly_ever_alarm(trials):
    assert share_of_alarms(trials) <= 0.01


@pytest.mark.parametrize("freedom", [1, 4, 9, 40])
def test_the_tail_of_chi_square_is_near_scipy_s(freedom):
    for p in (0.5, 0.01, 1e-4, 1e-6):
        assert 0.9 * p <= tail(scipy.stats.chi2.isf(p, freedom), freedom) <= 2.5 * p  # rather too careful


def test_missing_cells_and_unseen_values_are_drift():
    rng = np.random.default_rng(0)
    prep, monitor = monitor_of(table(rng, 2000))
    rows = table(rng, WINDOW)
    for name, cells in (("x3", pa.nulls(WINDOW, pa.float64())), ("many", pa.array(["new"] * WINDOW))):
        odd = rows.set_column(rows.column_names.index(name), name, cells)
        monitor.add(prep.encode(odd))
        assert [column.name for column in monitor.columns if monitor.is_alarming(column)] == [name]
        assert name in monitor.note


def test_what_is_kept_is_bounded_and_the_time_is_a_hundredth():
    rng = np.random.default_rng(0)
    prep, _ = monitor_of(table(rng, 2000))
    monitor = DriftMonitor(prep, Spec(inputs=prep.inputs, output=Output(size=1, loss="squared")))
    inputs = prep.encode(table(rng, 4096))
    for _ in range(200):
        monitor.add(inputs)
    assert monitor.windows * WINDOW + monitor.rows <= 3 * 4096  # the rest came before it was time to count again


# Served


@pytest.fixture(scope="module")
def drifting(predictor):
    """A server after rows like those of training, and then others."""
    api = app(predictor)
    own = predictor_of(api)
    own.drift._share = None
    post(api, customers(1200, seed=5))
    calm = send(api, (("GET", "/drift"), {}))[0].json()
    post(api, [{**row, "charges": "$1,400.00"} for row in customers(1500, seed=6)])
    return api, calm


def predictor_of(api):
    return next(iter(api.state.lamina.metrics.models.values()))


def post(api, rows):
    rows = [{name: cell for name, cell in row.items() if name != "left"} for row in rows]
    for start in range(0, len(rows), 100):
        body = {"json": {"rows": rows[start : start + 100]}}
        assert send(api, (("POST", "/predict"), body))[0].status_code == 200


def test_the_server_tells_by_json_metrics_and_a_page(drifting):
    api, calm = drifting
    report = send(api, (("GET", "/drift"), {}))[0].json()
    assert calm["windows"] == 1 and not calm["alarm"]
    assert report["alarm"] and "'charges'" in report["note"]
    (charges,) = [column for column in report["columns"] if column["column"] == "charges"]
    assert charges["alarm"] and sum(piece["requests"] for piece in charges["pieces"]) == pytest.approx(1, abs=0.01)
    assert set(report["not_watched"]) == {"since", "remark"}
    text = send(api, (("GET", "/metrics"), {}))[0].text
    assert (
        'lamina_drift_alarm{model="churn"} 1' in text and 'lamina_drift_score{model="churn",column="charges"}' in text
    )
    page = send(api, (("GET", "/drift"), {"headers": {"accept": "text/html"}}))[0]
    assert page.headers["content-type"].startswith("text/html") and "unlike training" in page.text
    assert "://" not in page.text  # nothing from elsewhere


def test_a_bundle_without_statistics_opens_and_says_so(churn_bundle, tmp_path, rows):
    old = shutil.copytree(churn_bundle, tmp_path / "old")
    prep = json.loads((old / "preprocess.json").read_text())
    for column in prep if isinstance(prep, list) else prep["columns"]:
        column["state"].pop("histogram", None)
    files = {path.name: path.read_bytes() for path in old.iterdir() if path.name != "manifest.json"}
    before = open_bundle(churn_bundle)
    files["preprocess.json"] = json.dumps(prep).encode()
    golden = json.loads(files["golden.json"])
    golden["of"]["preprocess.json"] = hashlib.sha256(files["preprocess.json"]).hexdigest()
    files["golden.json"] = json.dumps(golden).encode()
    for name, body in {**files, "manifest.json": manifest(files, before.roles)}.items():
        (old / name).write_bytes(body)
    api = app(Predictor(old))
    post(api, rows)
    report = send(api, (("GET", "/drift"), {}))[0].json()
    assert report["note"].startswith("This bundle tells nothing of its training rows")
    assert "lamina_drift" not in send(api, (("GET", "/metrics"), {}))[0].text
