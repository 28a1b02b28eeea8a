"""What forecasts reach by default and with other networks: ETTh1 by the usual protocol, and four public series.

    python benchmarks/forecasts.py FOLDER [seeds] [--horizons 96,192,336,720] [--networks default,decompose,lstm,gru]
                                   [--series airline,sunspots,temperature,pm25] [--set train.epochs=1]

FOLDER holds etth1/ETTh1.csv, classic_univariate/airline-passengers.csv, monthly-sunspots.csv and
daily-min-temperatures.csv beside it, and beijing_pm25/pollution.csv, each as it was published. ETTh1: the borders
8640 / 2880 / 2880, all seven columns standardised by training rows, every one of the test windows (none dropped), mean
squared and absolute error in training deviations. The others: the last 15 % of the rows, from each possible origin, and
the mean absolute error in units of the seasonal naive error of training rows (MASE). Seconds are of the whole process
and of training alone. A short form: `... FOLDER 1 --horizons 96 --networks default --series airline`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BORDERS = "split={kind: time, train: 8640, validation: 2880, test: 2880}"
NETWORKS = {
    "default": [],
    "linear": ["model=linear"],
    "decompose": ["model=linear", "model.decompose=true"],
    "lstm": ["model=lstm"],
    "gru": ["model=gru"],
    "fnn": ["model=fnn"],
}
SERIES = {
    "airline": ("classic_univariate/airline-passengers.csv", "Passengers"),
    "sunspots": ("classic_univariate/monthly-sunspots.csv", "Sunspots"),
    "temperature": ("classic_univariate/daily-min-temperatures.csv", "Temp"),
    "pm25": ("beijing_pm25/pollution.csv", "pm2.5"),
}
BASELINES = ("last_value", "seasonal_naive", "linear_window")


def train(path: Path, said: list[str], seed: int) -> dict:
    """The result of one `lamina train`, with the seconds of its whole process and of its training."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [sys.executable, "-m", "lamina", "train", str(path), "--task", "forecasting", "--json"]
        command += ["--out", str(out), "--seed", str(seed), *(part for one in said for part in ("--set", one))]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        reply = json.loads((out / "report.json").read_text(encoding="utf-8"))
        return json.loads(done.stdout) | {"whole": seconds, "training": reply["training"]["seconds"]}


def spread(values: list[float]) -> str:
    more = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{more}"


def etth1(data: Path, horizons: list[int], networks: list[str], seeds: int, extra: list[str]) -> None:
    print(f"ETTh1, {seeds} seeds: scaled MSE, scaled MAE, seconds of the whole process and of training")
    for horizon in horizons:
        for name in networks:
            words = ["task.targets=all", f"task.horizon={horizon}", BORDERS, *NETWORKS[name], *extra]
            result = [train(data / "etth1/ETTh1.csv", words, seed) for seed in range(seeds)]
            errors = [spread([one["scores"][m] for one in result]) for m in ("scaled_mse", "scaled_mae")]
            seconds = [statistics.mean(one[m] for one in result) for m in ("whole", "training")]
            print(f"  {horizon:4d} {name:10s} {errors[0]:18s} {errors[1]:18s} {seconds[0]:6.1f} {seconds[1]:6.1f}")
        for rival in BASELINES:
            theirs = result[0]["baselines"].get(rival)
            if theirs:
                print(f"  {horizon:4d} {rival:14s} {theirs['scaled_mse']:.4f}   {theirs['scaled_mae']:.4f}", flush=True)


def series(data: Path, names: list[str], networks: list[str], seeds: int, extra: list[str]) -> None:
    print(f"Public series, {seeds} seeds: MASE, share inside the 90 % interval, seconds of the whole process")
    for name in names:
        path, target = SERIES[name]
        result: list[dict] = []
        for network in networks:
            words = [f"target={target}", *NETWORKS[network], *extra]
            result = [train(data / path, words, seed) for seed in range(seeds)]
            mase, inside = (spread([one["scores"][m] for one in result]) for m in ("mase", "coverage"))
            seconds = statistics.mean(one["whole"] for one in result)
            print(f"  {name:12s} {network:10s} {mase:18s} {inside:18s} {seconds:6.1f}", flush=True)
        rivals = (f"{r} {result[0]['baselines'][r]['mase']:.3f}" for r in BASELINES if r in result[0]["baselines"])
        print(f"  {name:12s} beside: {', '.join(rivals)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seeds", type=int, nargs="?", default=3)
    parser.add_argument("--horizons", default="96,192,336,720")
    parser.add_argument("--networks", default="default,decompose,lstm,gru")
    parser.add_argument("--series", default=",".join(SERIES))
    parser.add_argument("--set", action="append", default=[], dest="extra")
    options = parser.parse_args()
    networks = [name for name in options.networks.split(",") if name]
    horizons = [int(steps) for steps in options.horizons.split(",") if steps]
    etth1(options.folder, horizons, networks, options.seeds, options.extra)
    names = [name for name in options.series.split(",") if name]
    series(options.folder, names, [n for n in networks if n != "decompose"], options.seeds, options.extra)


if __name__ == "__main__":
    main()
