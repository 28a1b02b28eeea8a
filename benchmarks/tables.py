"""Accuracy and whole-process seconds of the default `lamina train` on two public tables, three seeds each.

    python benchmarks/tables.py DATA [seeds]

DATA holds adult/adult-train.csv and adult/adult-test.csv (the official split, files as UCI gives them) and
california_housing/housing.csv (Geron's raw form; 20 % test by scikit-learn's train_test_split, random_state 0).
"""

import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sklearn.model_selection import train_test_split


def train(arguments: list[str], out: Path, seed: int) -> tuple[dict, float]:
    """The result of one `lamina train` and the wall time of its whole process."""
    command = [sys.executable, "-m", "lamina", "train", *arguments, "--out", str(out), "--seed", str(seed), "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout), time.perf_counter() - start


def adult(data: Path, scratch: Path) -> list[str]:
    return [str(data / "adult/adult-train.csv"), "--test", str(data / "adult/adult-test.csv"), "--target", "-1"]


def california(data: Path, scratch: Path) -> list[str]:
    with open(data / "california_housing/housing.csv", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    names = []
    for name, part in zip(("train", "test"), train_test_split(rows, test_size=0.2, random_state=0), strict=True):
        names.append(scratch / f"california-{name}.csv")
        with open(names[-1], "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([head, *part])
    return [str(names[0]), "--test", str(names[1]), "--target", "median_house_value"]


def told(name: str, values: list[float], digits: int = 4) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{name} {statistics.mean(values):.{digits}f} ± {spread:.{digits}f}"


def main(data: Path, seeds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for table, scores, unit in ((adult, ("accuracy", "roc_auc"), 1.0), (california, ("rmse",), 1e5)):
            arguments = table(data, scratch)
            result = [train(arguments, scratch / f"{table.__name__}-{seed}", seed) for seed in range(seeds)]
            print(f"{table.__name__}, {seeds} seeds")
            for score in scores:
                print(f"  {told(score, [r['scores'][score] / unit for r, _ in result])}")
                for rival, theirs in result[0][0]["baselines"].items():
                    print(f"    {rival.replace('_', ' '):20s} {theirs[score] / unit:.4f}")
            print(f"  {told('seconds, whole process', [s for _, s in result], 1)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
