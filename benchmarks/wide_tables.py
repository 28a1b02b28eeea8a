"""How each stage grows with the columns of a table: seconds of processor, and the exponent from one size to the next.

python benchmarks/wide_tables.py [columns ...] [--kinds mixed|number] [--stages read,clean,...]

1 is linear, 2 is quadratic. Of ten columns seven are numbers (one of them whole), and one each is a category, a boolean
and a time; `--kinds number` leaves only numbers. Rows: 1 (as a server sees them) and 200.
"""

import argparse
import csv
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import lamina
from lamina import data, inspection, preprocess
from lamina.data.files import Config
from lamina.deploy.predictor import Predictor
from lamina.schema import MISSING, clean

SIZES = (500, 1000, 2000, 4000, 8000, 16_000)
ROWS = 200
RECIPE = {"train": {"epochs": 2}, "model": {"kind": "fnn", "width": 16, "number_width": 2}}
STAGES = (
    *("read", "inspect", "clean", "infer", "fit", "encode", "train", "open"),
    *("clean 1 row", "encode 1 row", "predict 1 row"),
)


def cells(kinds: str, columns: int) -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    table: dict[str, list[Any]] = {"target": rng.integers(0, 2, ROWS).tolist()}
    for i in range(columns):
        kind = i % 10 if kinds == "mixed" else 0
        table[f"x{i}"] = {
            6: lambda: rng.integers(0, 1000, ROWS).tolist(),
            7: lambda: rng.choice(["red", "green", "blue", "grey"], ROWS).tolist(),
            8: lambda: rng.choice(["yes", "no"], ROWS).tolist(),
            9: lambda: [f"2024-{m:02}-{d:02}" for m, d in rng.integers(1, 13, (ROWS, 2))],
        }.get(kind, lambda: rng.normal(size=ROWS).round(4).tolist())()
    return table


def stages(kinds: str, columns: int, folder: Path, only: set[str]) -> Iterator[tuple[str, float]]:
    """Name and seconds of each stage."""
    table = cells(kinds, columns)
    path = folder / f"{columns}.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))

    results: dict[str, Any] = {}

    def timed(name: str, function: Callable[[], Any], times: int = 1) -> Iterator[tuple[str, float]]:
        start = time.process_time()
        for _ in range(times):
            results[name] = function()
        yield name, (time.process_time() - start) / times

    yield from timed("read", lambda: data.load(Config(path=str(path))).table)
    rows: pa.Table = results["read"]
    if "inspect" in only:
        yield from timed("inspect", lambda: inspection.inspect([str(path)], "target", []))
    yield from timed("clean", lambda: clean(rows, MISSING))
    ready = results["clean"]
    yield from timed("clean 1 row", lambda: clean(rows.slice(0, 1), MISSING), 3)
    yield from timed("infer", lambda: preprocess.infer(ready, "target", {}, MISSING))
    yield from timed("fit", lambda: preprocess.fit(ready, results["infer"]))
    yield from timed("encode", lambda: results["fit"].encode(ready))
    yield from timed("encode 1 row", lambda: results["fit"].encode(ready.slice(0, 1)), 3)
    if "train" in only:
        run = folder / f"run{columns}"
        yield from timed("train", lambda: lamina.fit(rows, "target", recipe=RECIPE, out=run))
        yield from timed("open", lambda: Predictor(run / "bundle"))
        row = {name: values[0] for name, values in table.items() if name != "target"}
        yield from timed("predict 1 row", lambda: results["open"].predict([row]), 3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("columns", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--kinds", choices=("mixed", "number"), default="mixed")
    parser.add_argument("--stages", default=",".join(STAGES))
    args = parser.parse_args()
    only = set(args.stages.split(","))
    print(f"{Path(lamina.__file__).parent}: {args.kinds} columns, {ROWS} rows and 1 row; seconds (exponent)")
    lines: dict[str, list[tuple[int, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in args.columns:
            for name, seconds in stages(args.kinds, size, Path(folder), only):
                earlier = lines.setdefault(name, [])
                growth = ""
                if earlier:
                    before, least = earlier[-1]
                    growth = f" ({math.log(seconds / least) / math.log(size / before):.1f})"
                earlier.append((size, seconds))
                print(f"{size:>8,d} {name:14s} {seconds:9.3f}{growth}", flush=True)


if __name__ == "__main__":
    main()
