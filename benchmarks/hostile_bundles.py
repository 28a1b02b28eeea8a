"""Open hostile bundles, each in a process of its own with limits, and say what became of it.

    python benchmarks/hostile_bundles.py tests/bundles/regression_fnn.lamina --seconds 60 --megabytes 6000

Each attack is the given bundle with one thing changed and every hash made right, as somebody would who means it: graphs
that fill memory or do not end, numbers that are nobody's weights, JSON without bound, zips that two readers understand
differently. The child opens it, which answers its golden rows. A line of the table is the attack, what became of it
(opened, refused, died, late, raw), seconds of processors and megabytes of the whole process, and the sentence. Exit
code 1 where one died, was late or raised anything but a `BundleError`, or took more than 5 seconds or 1,000 MB.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import zip_oddities
from graph_bombs import GRAPHS

Files = dict[str, bytes]
CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]) << 20,) * 2)
import pyarrow, onnxruntime
from lamina.config import BundleError
from lamina.deploy.predictor import Predictor
began, word, sentence = time.process_time(), "opened", ""
try:
    Predictor(sys.argv[1])
except BundleError as error:
    word, sentence = "refused", str(error)
except Exception as error:
    word, sentence = "raw", f"{type(error).__name__}: {error}"
peak = next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(word, round(time.process_time() - began, 2), peak, sentence[:300].replace(chr(10), " "))
"""
SECONDS, MEGABYTES = 5.0, 1000


class Outcome(NamedTuple):
    word: str
    seconds: float
    megabytes: int
    sentence: str


def read(path: Path) -> Files:
    """The files of a bundle but the manifest."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "manifest.json"}


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def sealed(files: Files) -> Files:
    """The files with a manifest, and with the hashes of the golden rows made right."""
    golden = json.loads(files["golden.json"])
    golden["of"] = {name: digest(files[name]) for name in golden["of"] if name in files}
    files = files | {"golden.json": json.dumps(golden).encode()}
    entries = [{"path": n, "bytes": len(b), "sha256": digest(b), "role": ""} for n, b in sorted(files.items())]
    manifest = {"format": "lamina-bundle", "format_version": "1.0", "created_by": "lamina 0", "files": entries}
    return files | {"manifest.json": json.dumps(manifest).encode()}


def changed(name: str, change: Callable[[Any], Any]) -> Callable[[Files], Files]:
    """One JSON file changed in place."""

    def apply(files: Files) -> Files:
        value = json.loads(files[name])
        change(value)
        return files | {name: json.dumps(value).encode()}

    return apply


def more_rows(golden: Any, count: int) -> None:
    for part in ("rows", "answers"):
        golden[part] = (golden[part] * (count // len(golden[part]) + 1))[:count]


def nested(names: int, depth: int) -> Any:
    """An object of many names at the end of a chain of objects."""
    value: Any = {f"n{i}": i for i in range(names)}
    for _ in range(depth):
        value = {"a": value}
    return value


def deep_list(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def more_columns(count: int) -> Callable[[Files], Files]:
    """A schema of many columns that nothing uses."""

    def change(schema: Any) -> None:
        schema["columns"] += [{"name": f"c{i}", "kind": "ignore"} for i in range(count)]

    return changed("schema.json", change)


JSONS: dict[str, Callable[[Files], Files]] = {
    "100,000 golden rows": changed("golden.json", lambda g: more_rows(g, 100_000)),
    "a golden row of 300,000 names": changed(
        "golden.json", lambda g: g["rows"][0].update({f"n{i}": 1 for i in range(300_000)})
    ),
    "golden rows of 5,000 names each": changed(
        "golden.json", lambda g: [row.update({f"r{k}n{i}": 1 for i in range(5000)}) for k, row in enumerate(g["rows"])]
    ),
    "a golden cell of 21,000 names": changed("golden.json", lambda g: g["rows"][0].update(x=nested(21_000, 1))),
    "a golden cell 50 deep": changed("golden.json", lambda g: g["rows"][0].update(area=deep_list(50))),
    "a golden cell of 500,000 values": changed("golden.json", lambda g: g["rows"][0].update(area=[1] * 500_000)),
    "a golden text of 30 MB": changed("golden.json", lambda g: g["rows"][0].update(town="x" * 30_000_000)),
    "a golden answer of 500,000 values": changed("golden.json", lambda g: g["answers"][0].update(a=[1] * 500_000)),
    "300,000 columns": more_columns(300_000),
    "20,000 columns": more_columns(20_000),
    "500,000 texts that mean missing": changed(
        "schema.json", lambda s: s.update(missing=[f"m{i}" for i in range(500_000)])
    ),
    "2,000,000 values of training": changed("training.json", lambda t: t.update(a=[1] * 2_000_000)),
    "60 MB of training": changed("training.json", lambda t: t.update(a="x" * 60_000_000)),
    "training 60 deep": changed("training.json", lambda t: t.update(a=deep_list(59))),
    "500,000 settings of the model": changed(
        "model.json", lambda m: m["config"].update({f"n{i}": 1 for i in range(500_000)})
    ),
    "500,000 values in the spec": changed(
        "model.json", lambda m: m["spec"]["inputs"]["category"].update(sizes=[2] * 500_000)
    ),
    "500,000 values in the task's state": changed("task.json", lambda t: t["state"].update(a=[1] * 500_000)),
    "a fitted column of 500,000 values": changed(
        "preprocess.json", lambda p: p[-1]["state"].update(values=["v"] * 500_000)
    ),
    "100,000 fitted columns": changed("preprocess.json", lambda p: p.extend([p[0]] * 100_000)),
}


def attacks(files: Files, only: str) -> Iterator[tuple[str, bytes]]:
    """Name and zip of every attack."""
    for name, change in JSONS.items():
        if only in name:
            yield name, zip_oddities.stored(sealed(change(files)))
    for name, change in GRAPHS.items():
        if only in name:
            yield name, zip_oddities.stored(sealed(files | {"model.onnx": change(files["model.onnx"])}))
    for name, change in zip_oddities.ODDITIES.items():
        if only in name:
            yield name, change(sealed(files))


def opened(path: Path, seconds: float, megabytes: int) -> Outcome:
    """What becomes of a bundle in a process of its own."""
    began = time.perf_counter()
    call = [sys.executable, "-W", "ignore", "-c", CHILD, str(path), str(megabytes)]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Outcome("late", time.perf_counter() - began, 0, "")
    line = re.match(r"(\w+) (\S+) (\d+) (.*)", done.stdout)
    if line is None:
        tail = (done.stderr.strip().splitlines() or [""])[-1][:200]
        return Outcome("died", time.perf_counter() - began, 0, f"exit status {done.returncode} {tail}")
    return Outcome(line[1], float(line[2]), int(line[3]), line[4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="wall clock of a child")
    parser.add_argument("--megabytes", type=int, default=6000, help="address space of a child")
    parser.add_argument("--only", default="", help="attacks with this in their name")
    choice = parser.parse_args()
    counts, bad = dict[str, int](), 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "attack.lamina"
        for name, body in attacks(read(choice.bundle), choice.only):
            path.write_bytes(body)
            got = opened(path, choice.seconds, choice.megabytes)
            over = got.word not in ("opened", "refused") or got.seconds > SECONDS or got.megabytes > MEGABYTES
            counts[got.word], bad = counts.get(got.word, 0) + 1, bad + over
            sign, size = "!" if over else " ", f"{len(body) / 1000:,.0f} kB"
            line = f"{sign} {name:44} {size:>10} {got.word:8} {got.seconds:6.2f} s {got.megabytes:6,} MB"
            print(line, got.sentence[:150], flush=True)
    print(f"\n{counts}, {bad} beyond {SECONDS:.0f} s, {MEGABYTES:,} MB or an honest answer")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
