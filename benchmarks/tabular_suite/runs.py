"""Fits that are not in the file of results yet: of the competitors, and of Lamina under a label."""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from tabular_suite import store
from tabular_suite.scores import score
from tabular_suite.store import Result
from tabular_suite.tables import Table

PEERS = ("lightgbm", "boosting", "linear", "catboost", "realmlp")
ONE_SPLIT = {"catboost": 10_000, "realmlp": 2_000}  # above these rows, the slow ones are measured on the first split
ONE_THREAD = os.environ | {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}


def facts(cache: Path) -> dict[str, dict]:
    """What preparation wrote of each table: rows, columns, classes."""
    return json.loads((cache / "tables.json").read_text(encoding="utf-8"))


def keep(cache: Path, result: Result) -> None:
    store.add(cache, result)
    value = result.note if result.score is None else f"{result.score:.4f}"
    print(f"{result.table:14s} {result.split} {result.competitor:12s} {value:>10s} {result.cpu:7.1f} s", flush=True)


def peer(cache: Path, python: Path, name: str, table: Table, splits: list[int]) -> None:
    """The fits of one competitor on splits of one table, in one process."""
    with tempfile.TemporaryDirectory() as scratch:
        outs = [Path(scratch) / f"{split}.csv" for split in splits]
        common = {"target": table.target, "kind": table.kind}
        jobs = [
            {"folder": str(table.folder(cache, split)), "seed": split, "out": str(out), **common}
            for split, out in zip(splits, outs, strict=True)
        ]
        done = subprocess.run(
            [str(python), "-W", "ignore", str(Path(__file__).parent / "peers.py"), name],
            input="\n".join(json.dumps(job) for job in jobs),
            capture_output=True,
            text=True,
            check=False,
            env=ONE_THREAD,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if len(answers) < len(splits):
            print(f"{name} on {table.name} stopped:\n{done.stderr[-1000:]}", file=sys.stderr, flush=True)
        for split, out, answer in zip(splits, outs, answers, strict=False):
            if "error" in answer:
                keep(cache, Result(table.name, split, name, "", None, 0.0, 0.0, answer["error"][:300]))
                continue
            value = score(pd.read_csv(out), table.folder(cache, split), table.target, table.kind)
            keep(cache, Result(table.name, split, name, answer["version"], value, answer["seconds"], answer["cpu"]))


def peers(cache: Path, python: Path, names: Sequence[str], tables: Sequence[Table], jobs: int) -> None:
    """Everything of these competitors that is not there yet, competitor by competitor, small tables first."""
    about = facts(cache)
    there = {(r.table, r.split, r.competitor) for r in store.read(cache) if r.score is not None}
    tasks: list[Future[None]] = []
    with ThreadPoolExecutor(jobs) as pool:
        for name in names:
            for table in sorted(tables, key=lambda table: about[table.name]["rows"]):
                few = about[table.name]["rows"] > ONE_SPLIT.get(name, math.inf)
                splits = [i for i in range(1 if few else 3) if (table.name, i, name) not in there]
                if splits:
                    tasks.append(pool.submit(peer, cache, python, name, table, splits))
    for task in tasks:
        task.result()


def process(command: list[str], out: Path) -> tuple[int, float, float]:
    """Exit status, wall seconds and CPU seconds of a process whose output goes to a file."""
    start = time.perf_counter()
    with out.open("w") as file, (out.parent / "errors.txt").open("w") as errors:
        child = subprocess.Popen(command, stdout=file, stderr=errors, env=ONE_THREAD)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def probabilities(bundle: Path, test: Path, target: str, kind: str) -> pd.DataFrame:
    """Lamina's answers for the cells of test.csv, as the competitors give theirs."""
    import lamina

    rows = pd.read_csv(test, dtype=str, keep_default_na=False).drop(columns=target)
    answers = lamina.load(bundle).predict(rows.to_dict("records"))
    if kind == "regression":
        return pd.DataFrame({"prediction": [answer["prediction"] for answer in answers]})
    return pd.DataFrame([answer["probabilities"] for answer in answers])


def fit(cache: Path, table: Table, split: int, label: str, options: list[str]) -> None:
    """One `lamina train` as a process of its own; its test rows are answered through Python afterwards."""
    folder = table.folder(cache, split)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "output.json"
        command = [sys.executable, "-m", "lamina", "train", str(folder / "train.csv"), "--target", table.target]
        command += ["--test", str(folder / "test.csv"), "--out", f"{scratch}/run", "--seed", str(split), "--json"]
        status, seconds, cpu = process([*command, *options], out)
        version = " ".join(options)
        if status:
            why = (Path(scratch) / "errors.txt").read_text().strip()[-300:]
            keep(cache, Result(table.name, split, label, version, None, seconds, cpu, why))
            return
        predictions = probabilities(Path(scratch) / "run", folder / "test.csv", table.target, table.kind)
        value = score(predictions, folder, table.target, table.kind)
        own = json.loads(out.read_text())["scores"]
        theirs = own["rmse"] if table.kind == "regression" else own.get("roc_auc")
        differs = theirs is not None and abs(theirs / value - 1) > 1e-3
        note = f"the report says {theirs:.4f}" if differs else ""
        keep(cache, Result(table.name, split, label, version, value, seconds, cpu, note))


def lamina_fits(cache: Path, tables: Sequence[Table], label: str, options: list[str], plan: tuple[int, int]) -> None:
    """Lamina on the first splits of tables under a label; `plan` is how many splits, and how many fits at once."""
    about = facts(cache)
    there = {r.key for r in store.read(cache) if r.score is not None}
    tasks: list[Future[None]] = []
    with ThreadPoolExecutor(plan[1]) as pool:
        for table in sorted(tables, key=lambda table: about[table.name]["rows"]):
            for split in range(plan[0]):
                if (table.name, split, label, " ".join(options)) not in there:
                    tasks.append(pool.submit(fit, cache, table, split, label, options))
    for task in tasks:
        task.result()
