"""A disk that fills up, and memory that runs out, at each place where Lamina writes or computes: what is said and left.

    python benchmarks/full_disk.py [--src OTHER/src] [--only predict] [--kind disk]

Each trial is a process of its own. When a function of Lamina is entered (the place), the small disk that its output
goes to is filled to the last byte, or the process may take no more than `--spare` MB above what it has. A trial passes
where the process ends by a sentence (exit code 1 or 75, no traceback, no signal), or gets its work done all the same,
and nothing half-written is left: no file of zero bytes, no file that cannot be read, nothing hidden, and what was there
before is there bit for bit. Needs a small file system of its own: root, or `unshare -Urm` around the command.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

BUNDLES = Path(__file__).parents[1] / "tests" / "bundles"
DISK = 64 << 20
TRAIN = (
    "train {data}/few.csv --target y --task regression --out {disk}/run --set train.epochs=2 "
    "--set train.batch_size=4096 --set model=fnn"
)
LOCKS = (".lock",)  # of a run that is stopped: the process is over, and so is the lock


class Place(NamedTuple):
    """A command, and the function (file, name) at whose entry the disk fills up, or memory runs out."""

    name: str
    words: str
    disk: tuple[str, str] | None
    memory: tuple[str, str]


PLACES = (
    Place("lock", TRAIN, ("run.py", "locked"), ("data/_sources.py", "read")),
    Place("fingerprint", TRAIN, ("run.py", "same_data"), ("preprocess/_preprocessor.py", "fit")),
    Place("recipe", TRAIN, ("run.py", "write_recipe"), ("models/__init__.py", "build")),
    Place("epochs", TRAIN, ("run.py", "log"), ("train/loop.py", "step")),
    Place("checkpoint", TRAIN, ("train/checkpoint.py", "write"), ("train/loop.py", "validate")),
    Place("bundle", TRAIN, ("deploy/bundle/__init__.py", "write"), ("deploy/packaging.py", "files")),
    Place("report", TRAIN, ("evaluate/page.py", "write"), ("evaluate/report.py", "write")),
    Place(
        "predict csv",
        "predict {data}/run {data}/rows.csv -o {disk}/answers.csv",
        ("deploy/writers.py", "writer"),
        ("deploy/batch.py", "_write_each"),
    ),
    Place(
        "predict parquet",
        "predict {data}/run {data}/rows.csv -o {disk}/answers.parquet",
        ("deploy/writers.py", "writer"),
        ("deploy/predictor.py", "pieces"),
    ),
    Place(
        "generate rows",
        "generate {bundles}/generation_gan_rows.lamina -n 200000 -o {disk}/rows.csv",
        ("deploy/writers.py", "writer"),
        ("tasks/generation/files.py", "write"),
    ),
    Place(
        "generate images",
        "generate {bundles}/generation_gan_images.lamina -n 2000 -o {disk}/images",
        ("tasks/generation/files.py", "_write_folder"),
        ("tasks/generation/files.py", "_write_folder"),
    ),
    Place(
        "export lamina",
        "export {data}/run -o {disk}/model.lamina",
        ("deploy/bundle/__init__.py", "open_bundle"),
        ("deploy/bundle/__init__.py", "open_bundle"),
    ),
    Place(
        "export onnx",
        "export {data}/run -o {disk}/model.onnx",
        ("deploy/bundle/__init__.py", "open_bundle"),
        ("deploy/bundle/__init__.py", "open_bundle"),
    ),
    Place(
        "init",
        "init {data}/rows.csv --target y -o {disk}/recipe.yaml",
        ("cli/recipe_template.py", "text"),
        ("experiment.py", "collect"),
    ),
    Place("save", "save {data}/run {disk}/model", ("estimator.py", "save"), ("estimator.py", "save")),
    Place("evaluate", "evaluate {data}/run {data}/rows.csv", None, ("deploy/session.py", "raw")),
)


class Outcome(NamedTuple):
    code: int
    sentence: str
    traceback: bool
    leftovers: list[str]

    @property
    def passes(self) -> bool:
        return self.code in (0, 1, 75) and not self.traceback and not self.leftovers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--src", type=Path, default=Path(__file__).parents[1] / "src", help="which Lamina")
    parser.add_argument("--only", default="", help="places whose name begins with this")
    parser.add_argument("--kind", choices=("disk", "memory"), help="one of the two")
    parser.add_argument("--spare", type=int, default=2, help="MB of memory above what the process has at the place")
    parser.add_argument("--work", type=Path, help="where the data are, and stay")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(json.loads(options.child), options.words)
        return
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(trials(options, options.work or Path(folder)))


def trials(options: argparse.Namespace, work: Path) -> int:
    """All trials, one line each; how many failed."""
    data = prepared(work, options.src)
    kinds = [options.kind] if options.kind else ["disk", "memory"]
    failures = count = 0
    for kind in kinds:
        for place in PLACES:
            trigger = place.disk if kind == "disk" else place.memory
            if trigger is None or not place.name.startswith(options.only):
                continue
            outcome = trial(place, kind, trigger, data, options)
            count += 1
            failures += not outcome.passes
            left = f"  LEFT: {', '.join(outcome.leftovers)}" if outcome.leftovers else ""
            mark = "ok  " if outcome.passes else "FAIL"
            print(f"{mark} {kind:6} {place.name:18} {outcome.code:4} {outcome.sentence[:190]}{left}", flush=True)
    print(f"{count - failures} of {count} pass")
    return int(failures > 0)


def prepared(work: Path, src: Path) -> Path:
    """A table and a run trained on it."""
    data = work / "data"
    if not (data / "run" / "DONE").exists():
        data.mkdir(parents=True, exist_ok=True)
        table(data / "rows.csv", 100_000)
        table(data / "few.csv", 5_000)
        words = TRAIN.format(data=data, disk=data, bundles=BUNDLES).split()
        shutil.rmtree(data / "run", ignore_errors=True)
        command = [sys.executable, "-m", "lamina", *words]
        subprocess.run(command, env=environment(src, work), check=True, capture_output=True)
    return data


def table(file: Path, rows: int, columns: int = 24) -> None:
    import numpy as np

    values = np.random.default_rng(0).normal(size=(rows, columns))
    target = values[:, :3].sum(axis=1, keepdims=True)
    head = ",".join([*(f"x{i}" for i in range(columns)), "y"])
    np.savetxt(file, np.hstack([values, target]), "%.5f", ",", header=head, comments="")


def environment(src: Path, work: Path) -> dict[str, str]:
    cache = {"LAMINA_CACHE": str(work / "cache"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**os.environ, **cache, "PYTHONPATH": str(src.resolve()), "PYTHONWARNINGS": "ignore"}


def trial(place: Place, kind: str, trigger: tuple[str, str], data: Path, options: argparse.Namespace) -> Outcome:
    with disk(DISK) as folder:
        before = earlier(folder)
        words = place.words.format(data=data, disk=folder, bundles=BUNDLES).split()
        about = {"kind": kind, "file": trigger[0], "name": trigger[1], "disk": str(folder), "spare": options.spare}
        command = [sys.executable, __file__, "--child", json.dumps(about), "--", *words]
        env = environment(options.src, data.parent)
        try:
            ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
        except subprocess.TimeoutExpired:
            return Outcome(124, "did not end in 300 s", False, [])
        (folder / FILLER).unlink(missing_ok=True)
        leftovers = [name for name, digest in before.items() if hashes(folder).get(name) != digest]
        leftovers += [name for name in hashes(folder) if name not in before and half(folder / name)]
        if "place was not reached" in ended.stderr:
            leftovers.append("PLACE NOT REACHED")
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    last_line = (lines or ended.stdout.splitlines() or [""])[-1]
    return Outcome(ended.returncode, last_line, "Traceback" in ended.stderr, leftovers)


FILLER = "filler"


@contextmanager
def disk(size: int) -> Iterator[Path]:
    """A file system of its own."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def earlier(folder: Path) -> dict[str, str]:
    """A file that is there before, which nothing may touch."""
    (folder / "mine.txt").write_text("mine")
    return hashes(folder)


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if not file.is_dir())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def half(file: Path) -> bool:
    """Whether a file is empty, hidden, or cut short."""
    text = file.read_bytes()
    if file.name in LOCKS or (len(file.name) == 64 and file.parent.name.startswith("step-")):
        return False
    hidden = any(part.startswith(".") for part in file.parts[3:])
    lines = file.suffix in (".csv", ".jsonl", ".yaml", ".sha256") and not text.endswith(b"\n")
    return not text or hidden or lines or (file.suffix == ".html" and b"</html>" not in text)


def child(about: dict[str, Any], words: list[str]) -> None:
    """Lamina's command line in this process, with the trap set."""
    reached: list[bool] = []

    def trap(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == about["name"] and code.co_filename.endswith("lamina/" + about["file"]):
            sys.setprofile(None)
            reached.append(True)
            fill(Path(about["disk"])) if about["kind"] == "disk" else limit(about["spare"])

    sys.setprofile(trap)
    try:
        command(words)
    finally:
        if not reached:
            print("the place was not reached", file=sys.stderr)


def command(words: list[str]) -> None:
    import lamina
    from lamina.cli import main

    if words[0] != "save":
        sys.argv = ["lamina", *words]
        main()
        return
    model = lamina.load(words[1])
    try:
        model.save(words[2])
    except lamina.LaminaError as error:
        sys.exit(f"lamina: {error}")


def fill(folder: Path) -> None:
    handle = os.open(folder / FILLER, os.O_CREAT | os.O_WRONLY)
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                os.write(handle, bytes(size))
        except OSError:
            continue
    os.close(handle)


def limit(spare: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (spare << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main()
