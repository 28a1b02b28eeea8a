"""Give Lamina damaged files of every format and say what became of each.

    python benchmarks/mutants.py --count 1000 --seed 1
    python benchmarks/mutants.py --only feather --case 17 --seed 1

Each mutant is a small valid file with something wrong in it, and is opened in a process of its own, as a person would:
`inspect`, then what training does before there is a network (split, preprocessing), then the rows in pieces, as they
are answered; bundles are opened. All three have to see as many rows, and rows in are rows used and rows skipped; what
differs counts as a raw exception. The table has a line for each format: answers, sentences (a `LaminaError` at every
one of these doors), raw exceptions, deaths, those that took more than 5 seconds of processor time (or 30 of the clock)
and more than 1 GB. Exit code 1 where any of the last four is not 0. `--only` and `--case` run one again and show its
traceback.
"""

import argparse
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutant_seeds import FORMATS
from mutations import mutate

SECONDS, CLOCK, MEGABYTES, ADDRESSES = 5.0, 30.0, 1000, 8 << 30
TARGETS = {"csv": "y", "json": "y", "jsonl": "y", "parquet": "y", "feather": "y", "excel": "y"}
FAULTS = ("raw", "death", "slow", "large")


class Outcome(NamedTuple):
    form: str
    case: int
    name: str
    words: tuple[str, ...]  # answer, sentence, raw, death, slow, large
    seconds: float
    megabytes: int
    text: str


def use(form: str, path: str) -> None:
    """What a person does with a file: look at it, begin to train on it, answer its rows."""
    from lamina import data, experiment, inspection, preprocess
    from lamina.config import LaminaError
    from lamina.deploy.predictor import Predictor
    from lamina.recipe import from_words

    if form == "bundle":
        Predictor(Path(path))
        return
    target = TARGETS.get(form)
    recipe = from_words([path], [f"target={target}"] if target else [], trains=False)
    doors = (
        lambda: _inspection_rows(inspection.inspect([path], None, [])),
        lambda: sum(piece.table.num_rows + len(piece.skipped_rows) for piece in data.stream(recipe.data, 16)),
        lambda: _experiment_rows(experiment.collect(recipe, data.read(recipe.data)), preprocess),
    )
    counts, faults = [], []
    for interface in doors:
        try:
            counts.append(interface())
        except LaminaError as error:
            faults.append(error)
    assert len(set(counts)) <= 1, f"rows of the doors differ: {counts}"
    if len(faults) == len(doors):
        raise faults[0]


def _inspection_rows(result) -> int:
    return result["rows"] + result["skipped"]


def _experiment_rows(subject, preprocess) -> int:
    preprocess.fit(subject.splits.train, subject.schema)
    counts = subject.counts()
    assert counts["read"] == counts["used"] + counts["skipped"], f"rows in are not rows out: {counts}"
    return counts["read"]


def outcomes(forms: list[str], cases: range, seed: int) -> Iterator[Outcome]:
    """Each mutant in a child of this process, which has everything imported and no threads."""
    _import()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.environ["LAMINA_CACHE"] = folder
        for form in forms:
            for case in cases:
                name, body = mutate(form, case, seed)
                path = Path(folder) / name
                path.write_bytes(body)
                yield _outcome(form, case, path)
                path.unlink()


def _outcome(form: str, case: int, path: Path) -> Outcome:
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reader)
        _child(form, path, writer)
    os.close(writer)
    body = b""
    while (left := began + CLOCK - time.monotonic()) > 0:
        if not select.select([reader], [], [], left)[0]:
            break
        if not (block := os.read(reader, 1 << 16)):
            break
        body += block
    os.close(reader)
    late = time.monotonic() - began > CLOCK
    if late:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    word, megabytes, text = json.loads(body) if body else ("death", 0, signal.Signals(status & 127).name)
    words = [] if late and not body else [word]
    words += ["slow"] * (late or seconds > SECONDS) + ["large"] * (megabytes > MEGABYTES)
    return Outcome(form, case, path.name, tuple(words), round(seconds, 2), megabytes, text)


def _child(form: str, path: Path, writer: int) -> None:
    """Never comes back."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    try:
        word, text = _answer(form, str(path))
        os.write(writer, json.dumps([word, _peak(), text[:4000]]).encode())
    finally:
        os._exit(0)


def _answer(form: str, path: str) -> tuple[str, str]:
    from lamina.config import LaminaError

    try:
        use(form, path)
    except LaminaError as error:
        return "sentence", str(error)
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}lamina{os.sep}" in f.filename]
        last = (
            f"{'/'.join(Path(frames[-1].filename).parts[-2:])}:{frames[-1].lineno} {frames[-1].name}" if frames else ""
        )
        lines = str(error).strip().splitlines() or [""]
        return "raw", f"{type(error).__name__} at {last}: {lines[0][:150]}"
    return "answer", ""


def _peak() -> int:
    return next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM"))


def _import() -> None:
    """Everything that is imported lazily, so that it counts for no mutant; what has threads is held to none."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    import cv2
    import duckdb  # noqa: F401
    import onnxruntime  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import python_calamine  # noqa: F401

    from lamina import (
        experiment,
        inspection,  # noqa: F401
    )
    from lamina.deploy.predictor import Predictor  # noqa: F401
    from lamina.plugins import available, plugin

    cv2.setNumThreads(1)
    for folder in ("data", "preprocess"):
        for name in available(folder):
            plugin(folder, name)
    for name in available("tasks"):
        experiment.of(name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="mutants of each format")
    parser.add_argument("--first", type=int, default=0, help="the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", choices=list(FORMATS), help="a format; may be said again")
    parser.add_argument("--case", type=int, help="one case of one format, with its traceback; the file is kept in .")
    args = parser.parse_args()
    forms = args.only or list(FORMATS)
    if args.case is not None:
        _import()
        name, body = mutate(forms[0], args.case, args.seed)
        Path(f"mutant-{args.case}-{name}").write_bytes(body)
        use(forms[0], f"mutant-{args.case}-{name}")
        return 0
    faults = 0
    head = ("format", "mutants", "answer", "sentence", "raw", "death", "slow", "large", "s at most", "MB at most")
    print("  ".join(f"{word:>9}" for word in head))
    for form in forms:
        counts, seconds, megabytes, lines = Counter[str](), 0.0, 0, []
        for one in outcomes([form], range(args.first, args.first + args.count), args.seed):
            counts.update(one.words)
            seconds, megabytes = max(seconds, one.seconds), max(megabytes, one.megabytes)
            if set(one.words) & set(FAULTS):
                cost = f"{one.seconds} s {one.megabytes} MB"
                lines.append(f"    {form} {one.case} {one.name} {','.join(one.words)} {cost}: {one.text}")
        cells = (form, args.count, *(counts[word] for word in head[2:8]), seconds, megabytes)
        print("  ".join(f"{cell:>9}" for cell in cells), *lines, sep="\n", flush=True)
        faults += len(lines)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
