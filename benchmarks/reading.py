"""How long a large CSV file takes to be read and understood, beside another checkout, in turn on one machine.

    python benchmarks/reading.py OLD_CHECKOUT [NEW_CHECKOUT] [--rows 1000000] [--columns 20] [--rounds 3]

A table of numbers, whole numbers, categories, days and booleans is written once. Each round reads it (`files.load`) and
finds the kinds of its columns (`preprocess.infer`) by the one and the other checkout, each in a process of its own, the
older first in one round and last in the next. Printed are the medians, and the ratio new / old.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

MEASURE = """
import json, sys, time
import duckdb, pyarrow.compute
from lamina import preprocess
from lamina.config import Config
from lamina.data import files
from lamina.schema import MISSING, clean
began = time.perf_counter()
collected = files.load(files.Config(path=sys.argv[1]))
read = time.perf_counter()
schema = preprocess.infer(clean(collected.table, MISSING), None, {}, MISSING)
kinds = [column.kind for column in schema.columns]
print(json.dumps([read - began, time.perf_counter() - read, kinds]))
"""


def write(path: Path, rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    sorts = (
        lambda: np.round(rng.normal(size=rows), 4),
        lambda: rng.integers(0, 100_000, rows),
        lambda: np.array(["red", "green", "blue", "grey", "black"])[rng.integers(0, 5, rows)],
        lambda: (np.datetime64("2020-01-01") + rng.integers(0, 1500, rows)).astype(str),
        lambda: np.array(["yes", "no"])[rng.integers(0, 2, rows)],
    )
    csv.write_csv(pa.table({f"c{i}": pa.array(sorts[i % len(sorts)]()) for i in range(columns)}), path)


def measure(checkout: Path, path: Path) -> tuple[float, float, list[str]]:
    env = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, env=env, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return tuple(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    times: dict[str, list[tuple[float, float, list[str]]]] = {"old": [], "new": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        write(path, args.rows, args.columns)
        for number in range(args.rounds):
            for name in ("old", "new") if number % 2 == 0 else ("new", "old"):
                times[name].append(measure(getattr(args, name), path))
    rows = {name: [statistics.median(one[i] for one in several) for i in (0, 1)] for name, several in times.items()}
    print(f"{args.rows:,} rows x {args.columns} columns, kinds {sorted(set(times['new'][0][2]))}")
    print(f"{'':12}{'old':>8}{'new':>8}{'ratio':>8}")
    for place, name in enumerate(("read", "kinds")):
        old, new = rows["old"][place], rows["new"][place]
        print(f"{name:12}{old:8.2f}{new:8.2f}{new / old:8.2f}")
    old, new = sum(rows["old"]), sum(rows["new"])
    print(f"{'together':12}{old:8.2f}{new:8.2f}{new / old:8.2f}")
    assert times["old"][0][2] == times["new"][0][2], "the two find other kinds"


if __name__ == "__main__":
    main()
