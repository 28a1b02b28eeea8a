"""Rows a second of `lamina predict` on toy:churn, stage by stage, beside the least that any program would do.

    python benchmarks/predict.py [OLD_CHECKOUT ...] [--rows 300000] [--rounds 3]

Trains the default recipe by this checkout, writes the table's rows again and again as CSV and Parquet, and runs the
command in turn by each checkout. Printed are the best of the rounds: rows/s of the whole command and without its start
(the same command on 100 rows), processor time of a row, and peak memory; then the processor time of each stage in one
more run, and the plain way: `pyarrow` reads the file, ONNX Runtime runs arrays that were ready beforehand, `pyarrow`
writes. Where others use the machine, processor time says more than the clock; the load is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import pyarrow as pa
from pyarrow import csv, parquet

HERE = Path(__file__).parents[1]
FEW = 100  # rows: what a command costs before its first row


class Cost(NamedTuple):
    """Of one command: seconds by the clock and of processors, and its largest memory in MB."""

    seconds: float
    processor: float
    memory: float


def command(checkout: Path, *arguments: str) -> Cost:
    """Run `lamina` by a checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "lamina", *arguments], stdout=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"lamina {' '.join(arguments)} ended with {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def write(folder: Path, name: str, rows: int) -> None:
    from lamina.data import toy

    table = toy.load(toy.Config(name="churn")).table.drop_columns(["Churn"])
    table = pa.concat_tables([table] * (rows // table.num_rows + 1)).slice(0, rows).combine_chunks()
    csv.write_csv(table, folder / f"{name}.csv")
    parquet.write_table(table, folder / f"{name}.parquet")


def best(costs: list[Cost]) -> Cost:
    return Cost(*map(min, zip(*costs, strict=True)))


def commands(checkouts: list[Path], bundle: Path, folder: Path, suffix: str, rows: int, rounds: int) -> None:
    """The command by each checkout, in turn."""
    costs: dict[tuple[Path, str], list[Cost]] = {}
    for turn in range(rounds):
        for checkout in checkouts[:: 1 if turn % 2 else -1]:
            for name in ("few", "many"):
                target = str(folder / f"answers{suffix}")
                one = command(
                    checkout, "predict", str(bundle), str(folder / f"{name}{suffix}"), "-o", target, "--overwrite"
                )
                costs.setdefault((checkout, name), []).append(one)
    for checkout in checkouts:
        start, whole = (best(costs[checkout, name]) for name in ("few", "many"))
        net = Cost(whole.seconds - start.seconds, whole.processor - start.processor, whole.memory)
        more = rows - FEW
        print(
            f"{suffix} {checkout}: {rows / whole.seconds:,.0f} rows/s, {more / net.seconds:,.0f} without the start "
            f"({start.seconds:.2f} s); {net.processor / more * 1e6:.1f} us of processor a row; {whole.memory:,.0f} MB"
        )


def stages(bundle: Path, source: Path, output: Path) -> None:
    """Processor time of each stage of one run in this process, of the thread that it is in; the network by one thread,
    so that none of its time is elsewhere.
    """
    from lamina import data
    from lamina.data import files
    from lamina.deploy import batch
    from lamina.deploy.cell_notes import CellNotes
    from lamina.deploy.predictor import Predictor
    from lamina.preprocess import Preprocessor

    spent: defaultdict[str, float] = defaultdict(float)
    predictor = Predictor(bundle, threads=1)

    def timed(owner: Any, name: str, stage: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        @wraps(function)
        def call(*args: Any, **settings: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*args, **settings)
            finally:
                spent[stage] += time.thread_time() - began

        setattr(owner, name, call)

    def reading(*args: Any) -> Iterator[Any]:
        pieces = stream(*args)
        while True:
            began = time.thread_time()
            piece = next(pieces, None)
            spent["read"] += time.thread_time() - began
            if piece is None:
                return
            yield piece

    stream, data.stream = data.stream, reading
    timed(Preprocessor, "read", "clean and parse")
    timed(CellNotes, "add", "notes")
    timed(Preprocessor, "encode", "encode")
    timed(onnxruntime.InferenceSession, "run", "network")
    timed(type(predictor.task), "decode", "decode")
    timed(type(predictor.task), "table", "decode")

    @contextmanager
    def writing(*args: Any) -> Iterator[Callable[[pa.Table], None]]:
        with writer(*args) as append:

            def write_timed(table: pa.Table) -> None:
                began = time.thread_time()
                append(table)
                spent["write"] += time.thread_time() - began

            yield write_timed

    writer, batch.writer = batch.writer, writing
    spent.clear()
    began = time.process_time()
    settings = files.Config(path=str(source))
    rows = batch.run(predictor, "predict", settings, None, output, None, batch.WriteOptions(overwrite=True))["rows"]
    total = time.process_time() - began
    spent["other, and threads of the reader"] = total - sum(spent.values())
    for stage, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"    {stage:34} {seconds / rows * 1e6:6.2f} us a row  {seconds / total:4.0%}")


def plain(bundle: Path, folder: Path, suffix: str, rounds: int) -> None:
    """Read, run and write without any care."""
    from lamina.deploy.predictor import Predictor

    reads = {".csv": csv.read_csv, ".parquet": parquet.read_table}
    writes = {".csv": csv.write_csv, ".parquet": parquet.write_table}
    predictor = Predictor(bundle)
    table = reads[suffix](folder / f"many{suffix}")
    ready, rows = predictor.encode(table), table.num_rows
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(predictor.bundle.files["model.onnx"], options)
    times = []
    for _ in range(rounds):
        marks = [(time.perf_counter(), time.process_time())]
        reads[suffix](folder / f"many{suffix}")
        marks.append((time.perf_counter(), time.process_time()))
        outputs = [
            np.asarray(session.run(None, {name: values[i : i + 4096] for name, values in ready.items()})[0])[:, 0]
            for i in range(0, rows, 4096)
        ]
        marks.append((time.perf_counter(), time.process_time()))
        writes[suffix](pa.table({"score": pa.concat_arrays(list(map(pa.array, outputs)))}), folder / f"plain{suffix}")
        marks.append((time.perf_counter(), time.process_time()))
        times.append(marks)
    clock = min(marks[-1][0] - marks[0][0] for marks in times)
    network = min(marks[2][0] - marks[1][0] for marks in times)
    used = min(marks[-1][1] - marks[0][1] for marks in times)
    print(
        f"{suffix} plain: {rows / clock:,.0f} rows/s, {used / rows * 1e6:.1f} us of processor a row; "
        f"its network alone {rows / network:,.0f} rows/s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, nargs="*")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bundle", type=Path, help="of toy:churn; trained when left out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.bundle is None:
            command(HERE, "train", "toy:churn", "--target", "Churn", "--seed", "0", "--out", str(folder / "run"))
        bundle = args.bundle or folder / "run" / "bundle"
        write(folder, "few", FEW)
        write(folder, "many", args.rows)
        for suffix in (".csv", ".parquet"):
            print(f"load {os.getloadavg()[0]:.1f} on {len(os.sched_getaffinity(0))} processors")
            commands([*args.old, HERE], bundle, folder, suffix, args.rows, args.rounds)
            plain(bundle, folder, suffix, args.rounds)
            program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import predict; "
            places = json.dumps([str(bundle), str(folder / f"many{suffix}"), str(folder / f"staged{suffix}")])
            call = f"from pathlib import Path; predict.stages(*map(Path, {places}))"
            env = {**os.environ, "PYTHONPATH": str(HERE / "src")}
            sys.stdout.flush()
            subprocess.run([sys.executable, "-c", program + call], check=True, env=env)


if __name__ == "__main__":
    main()
