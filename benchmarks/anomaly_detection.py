"""Anomaly detection beside nearest neighbours, principal components and an isolation forest, in the same runs.

    python benchmarks/anomaly_detection.py tables ADBENCH_FOLDER --seeds 3
    python benchmarks/anomaly_detection.py recordings NAB_FOLDER
    python benchmarks/anomaly_detection.py stream --rows 1000000 --pyod

`tables`: each .npz of the folder (X, y) is learned twice by each seed: clean, from half of the normal rows, evaluated
on the rest and all anomalies; and contaminated, from 60 % of all rows, evaluated on the rest. Labels only evaluate.
Printed: ROC AUC and PR AUC of each set, method and setting, and their means.

`recordings`: the first 15 % of each file is learned, as the Numenta benchmark does; then steps are flagged by a
threshold that no label has set. Printed: labelled windows in which a step is flagged, and flagged steps outside of them
for 1,000 steps, beside a moving z-score whose window is as long and whose threshold is 3 deviations.

`stream`: a file of so many rows is scored by `lamina predict`; printed: rows a second and the memory it took, and rows
a second of PyOD's autoencoder on the same rows in memory, where that is installed.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

import lamina
from lamina.config import DataError

NETWORK, LABEL = "network", "anomaly"
SCORES = {"ranking_auc": "ROC AUC", "ranking_precision": "PR AUC"}
PROBATION = 0.15
DEVIATIONS = 3.0
WINDOW = 32  # steps of the moving z-score where there is no detector


def split(labels: np.ndarray, setting: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of training and test rows."""
    rng = np.random.default_rng(seed)
    if setting == "contaminated":
        order = rng.permutation(len(labels))
        return order[: int(0.6 * len(labels))], order[int(0.6 * len(labels)) :]
    normal = rng.permutation(np.flatnonzero(labels == 0))
    half = len(normal) // 2
    return normal[:half], np.concatenate([normal[half:], np.flatnonzero(labels == 1)])


def table_of(values: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    columns = {f"x{i}": values[:, i].astype(float).tolist() for i in range(values.shape[1])}
    return columns | {LABEL: ["yes" if label else "no" for label in labels]}


def run_set(path: Path, setting: str, seed: int, overrides: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Scores of each method on one set."""
    with np.load(path) as arrays:
        values, labels = arrays["X"], arrays["y"].ravel()
    train, test = split(labels, setting, seed)
    task = {"kind": "anomaly_detection", "training": setting, "normal": "no"}
    kinds = {f"x{i}": "number" for i in range(values.shape[1])}
    recipe = {"task": task, "seed": seed, "columns": kinds, **overrides}
    rows = [table_of(values[part], labels[part]) for part in (train, test)]
    model = lamina.fit(rows[0], LABEL, test=rows[1], recipe=recipe)
    return {NETWORK: model.result["scores"], **model.result["baselines"]}


def tables(args: argparse.Namespace) -> None:
    files = sorted(args.folder.glob("*.npz"))
    overrides = json.loads(args.recipe)
    for setting in args.settings:
        means: dict[str, dict[str, list[float]]] = {score: defaultdict(list) for score in SCORES}
        print(f"\n{setting}: means of {args.seeds} seeds", flush=True)
        for path in files:
            began, runs = time.perf_counter(), []
            for seed in range(args.seeds):
                runs.append(run_set(path, setting, seed, overrides))
            for score, label in SCORES.items():
                values = {method: [run[method][score] for run in runs] for method in runs[0]}
                for method, numbers in values.items():
                    means[score][method].append(float(np.mean(numbers)))
                cells = "  ".join(f"{m} {np.mean(v):.3f} ({np.std(v):.3f})" for m, v in values.items())
                print(f"{path.stem:16s} {label:8s} {cells}", flush=True)
            print(f"{'':16s} {(time.perf_counter() - began) / args.seeds:.1f} s a seed", flush=True)
        for score, label in SCORES.items():
            cells = "  ".join(f"{method} {np.mean(numbers):.4f}" for method, numbers in means[score].items())
            print(f"{'mean':16s} {label:8s} {cells}", flush=True)


def moving_z(values: np.ndarray, window: int) -> np.ndarray:
    """How far each value is from the mean of so many before it, in their deviations."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(v)]) for v in (values, np.square(values)))
    ends = np.arange(len(values))
    starts = np.maximum(ends - window, 0)
    count = np.maximum(ends - starts, 1)
    mean = (sums[ends] - sums[starts]) / count
    deviation = np.sqrt(np.maximum((squares[ends] - squares[starts]) / count - mean**2, 1e-12))
    return np.where(ends >= 2, np.abs(values - mean) / deviation, 0.0)


def evaluate(flag: np.ndarray, windows: list[tuple[int, int]]) -> tuple[int, int, int]:
    """Windows with a flagged step, and flagged steps and all steps outside of windows."""
    inside = np.zeros(len(flag), bool)
    for start, stop in windows:
        inside[start : stop + 1] = True
    hits = sum(bool(flag[start : stop + 1].any()) for start, stop in windows)
    return hits, int(flag[~inside].sum()), int((~inside).sum())


def recordings(args: argparse.Namespace) -> None:
    labels = json.loads((args.folder / "labels" / "combined_windows.json").read_text("utf-8"))
    totals: dict[str, np.ndarray] = {}
    count = 0
    files = sorted((args.folder / "data").glob("*/*.csv"))[:: args.every]
    for path in files:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        stamps = [row["timestamp"] for row in rows]
        times = np.array(stamps, "M8[s]")
        values = np.array([float(row["value"]) for row in rows])
        first = min(int(PROBATION * len(rows)), 750)
        bounds = [
            np.array([w[:19] for w in window], "M8[s]")
            for window in labels[str(path.relative_to(args.folder / "data"))]
        ]
        spans = [(int(np.searchsorted(times, a)), int(np.searchsorted(times, b, "right")) - 1) for a, b in bounds]
        windows = [(max(a - first, 0), b - first) for a, b in spans if b >= first]
        began = time.perf_counter()
        own, window = detector_flags(stamps, values, first, args)
        flags = {NETWORK: own, "moving z-score": (moving_z(values, window) > DEVIATIONS)[first:]}
        seconds = time.perf_counter() - began
        line = []
        for method, flag in flags.items():
            result = np.array(evaluate(flag, windows))
            totals[method] = totals.get(method, np.zeros(3)) + result
            line.append(f"{method}: {result[0]} of {len(windows)}, {1000 * result[1] / max(result[2], 1):.2f}")
        count += len(windows)
        print(f"{path.stem:40s} {'; '.join(line)} (window {window}, {seconds:.1f} s)", flush=True)
    for method, (hits, alarms, steps) in totals.items():
        print(f"{method}: {int(hits)} of {count} windows, {1000 * alarms / steps:.2f} flagged steps outside in 1,000")


def detector_flags(
    stamps: list[str], values: np.ndarray, first: int, args: argparse.Namespace
) -> tuple[np.ndarray, int]:
    """Which steps from `first` on a detector flags that learned those before, and how long its window is."""
    learned = {"timestamp": stamps[:first], "value": values[:first].tolist()}
    task = {"kind": "anomaly_detection", "time": "timestamp", **json.loads(args.task)}
    recipe = {"task": task, "seed": 0, "columns": {"value": "number"}, **json.loads(args.recipe)}
    try:
        model = lamina.fit(learned, recipe=recipe)
    except DataError as error:  # all steps are the same: there is nothing to learn, and nothing is flagged
        print(f"refused: {error}")
        return np.zeros(len(values) - first, bool), WINDOW
    window = model.predictor.task.state.recording.window
    rest = {"timestamp": stamps[first - window + 1 :], "value": values[first - window + 1 :].tolist()}
    return np.array([bool(flag) for flag in model.predict(rest)["anomaly"]])[window - 1 :], window


def stream(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 8))

    def rows(count: int) -> np.ndarray:
        return np.round(np.tanh(rng.normal(size=(count, 3))) @ mixing + 0.1 * rng.normal(size=(count, 8)), 4)

    names = [f"sensor{i}" for i in range(8)]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        learned = rows(args.learned)
        recipe = {"task": {"kind": "anomaly_detection", "training": "clean"}, "seed": 0}
        model = lamina.fit(dict(zip(names, learned.T.tolist(), strict=True)), recipe=recipe, out=place / "run")
        for count in (args.rows // 10, args.rows):
            with (place / "big.csv").open("wb") as file:
                for start in range(0, count, 100_000):
                    part = rows(min(100_000, count - start))
                    options = pacsv.WriteOptions(include_header=start == 0)
                    pacsv.write_csv(pa.table(dict(zip(names, part.T, strict=True))), file, options)
            began = time.perf_counter()
            command = ["predict", model.result["bundle"], str(place / "big.csv"), "-o", str(place / f"{count}.csv")]
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            subprocess.run([sys.executable, "-m", "lamina", *command], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - began
            peak = max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
            speed = f"{count:,} rows in {seconds:.1f} s, {count / seconds:,.0f} rows a second"
            print(f"lamina predict: {speed}, file to file, at most {peak:,.0f} MB", flush=True)
        if args.pyod:
            beside_pyod(learned, rows(args.rows))


def beside_pyod(learned: np.ndarray, values: np.ndarray) -> None:
    """Rows a second of PyOD's autoencoder, from memory to memory."""
    try:
        from pyod.models.auto_encoder import AutoEncoder
    except ImportError:
        print("PyOD is not installed here: pip install pyod, in an environment of its own")
        return
    began = time.perf_counter()
    detector = AutoEncoder(epoch_num=10, verbose=0)
    detector.fit(learned)
    print(f"PyOD's autoencoder: trained in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    detector.decision_function(values)
    seconds = time.perf_counter() - began
    speed = f"{len(values):,} rows in {seconds:.1f} s, {len(values) / seconds:,.0f} rows a second"
    print(f"PyOD's autoencoder: {speed}, memory to memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("tables")
    one.add_argument("folder", type=Path)
    one.add_argument("--seeds", type=int, default=3)
    one.add_argument("--settings", nargs="+", default=["clean", "contaminated"])
    one.add_argument("--recipe", default="{}", help="more of a recipe, as JSON")
    one.set_defaults(run=tables)
    one = parts.add_parser("recordings")
    one.add_argument("folder", type=Path)
    one.add_argument("--every", type=int, default=1, help="only every so many files")
    one.add_argument("--task", default="{}", help="more settings of the task, as JSON")
    one.add_argument("--recipe", default="{}", help="more of a recipe, as JSON")
    one.set_defaults(run=recordings)
    one = parts.add_parser("stream")
    one.add_argument("--rows", type=int, default=1_000_000)
    one.add_argument("--learned", type=int, default=10_000)
    one.add_argument("--pyod", action="store_true")
    one.set_defaults(run=stream)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
