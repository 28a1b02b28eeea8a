"""How fast one checkout is beside another, measured in turn on one machine: steps of training, start-up, serving.

    python benchmarks/versus.py OLD_CHECKOUT [NEW_CHECKOUT] [--rounds 3] [--seconds 2]

Each round runs `steps.py`, `startup.py` and `serving.py` of both checkouts, each of one right after that of the other
(the older first in one round, last in the next), and asks a bundle in the process for one row of 30 numbers. Both serve
the same bundle, which the older trains. Printed are the median of the rounds and the ratio new / old.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NUMBERS = 30
TRAIN = """
import sys
import numpy as np
import lamina
numbers = np.random.default_rng(0).normal(size=(400, {n}))
rows = [{{**{{f"n{{i}}": float(v) for i, v in enumerate(row)}}, "y": float(row[0] - row[1])}} for row in numbers]
lamina.fit(rows, "y", recipe={{"model": "fnn", "train": {{"epochs": 2, "threads": 1}}}}).save(sys.argv[1])
"""
ASK = """
import statistics, sys, time
import lamina
model, row = lamina.load(sys.argv[1]), [{{f"n{{i}}": i / 10 for i in range({n})}}]
times = []
for _ in range(3000):
    start = time.perf_counter()
    model.predict(row)
    times.append(time.perf_counter() - start)
print(f"one row in process {{1e3 * statistics.median(times[500:]):.4f}} ms")
"""
MEASURES = {  # the number after each of these words in what is printed; whether more is better
    "training, steps/s": (r"lamina fit +([\d,.]+)", True),
    "import lamina, s": (r"import lamina +([\d,.]+)", False),
    "lamina --help, s": (r"lamina --help +([\d,.]+)", False),
    "server, start to first answer, s": (r"start to first answer +([\d,.]+)", False),
    "server, one row, p50 ms": (r"one row, one client +p50 ([\d,.]+)", False),
    "server, one row, p99 ms": (r"one row, one client .*p99 ([\d,.]+)", False),
    "server, 16 clients, rows/s": (r"  1 rows, 16 clients +([\d,.]+)", True),
    "server, 16 clients of 100 rows, rows/s": (r"100 rows, 16 clients +([\d,.]+)", True),
    f"one row of {NUMBERS} numbers in process, ms": (r"one row in process +([\d,.]+)", False),
}


def run(tree: Path, *words: str) -> str:
    """What a script prints with the package of a checkout."""
    command = [sys.executable, "-W", "ignore", *words]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def measured(trees: Sequence[Path], bundle: str, seconds: float) -> list[dict[str, float]]:
    """Every measure of each checkout, once; each script is run for one right after the other."""
    printed = [""] * len(trees)
    for name, *words in (
        ["steps.py", "1"],
        ["startup.py", "5"],
        ["serving.py", bundle, "--seconds", str(seconds)],
        [""],
    ):
        for i, tree in enumerate(trees):
            call = [str(tree / "benchmarks" / name), *words] if name else ["-c", ASK.format(n=NUMBERS), bundle]
            printed[i] += run(tree, *call)
    return [numbers(text) for text in printed]


def numbers(printed: str) -> dict[str, float]:
    values = {}
    for name, (pattern, _) in MEASURES.items():
        match = re.search(pattern, printed)
        assert match, f"{name} is not printed by these benchmarks:\n{printed}"
        values[name] = float(match[1].replace(",", ""))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path, help="a checkout: src/ and benchmarks/ are taken from there")
    parser.add_argument("new", type=Path, nargs="?", default=Path(__file__).parents[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each of the three measurements of a server")
    args = parser.parse_args()
    trees = {"old": args.old.resolve(), "new": args.new.resolve()}
    rounds = defaultdict[str, list[dict[str, float]]](list)
    with tempfile.TemporaryDirectory() as folder:
        bundle = str(Path(folder) / "numbers.lamina")
        run(trees["old"], "-c", TRAIN.format(n=NUMBERS), bundle)
        for number in range(args.rounds):
            order = sorted(trees, reverse=number % 2 == 0)
            for side, values in zip(
                order, measured([trees[side] for side in order], bundle, args.seconds), strict=True
            ):
                rounds[side].append(values)
    print(f"{'':40s} {'old':>10s} {'new':>10s}  new / old (of the rounds)")
    for name, (_, more) in MEASURES.items():
        old, new = ([one[name] for one in rounds[side]] for side in ("old", "new"))
        ratios = np.array(new) / np.array(old)
        better = "more is better" if more else "less is better"
        spread = f"{statistics.median(ratios):.2f}  ({ratios.min():.2f} to {ratios.max():.2f}), {better}"
        print(f"{name:40s} {statistics.median(old):10,.4g} {statistics.median(new):10,.4g}  {spread}")


if __name__ == "__main__":
    main()
