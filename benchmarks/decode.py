"""Images per second from files on disk to the array a network is fed: Lamina beside a plain loop of OpenCV.

    python benchmarks/decode.py [--data ../shared/data/image_classification] [--rounds 5] [--count 2000]

First epoch: every file is read, decoded and brought to one size. Lamina does what a training does: it looks at a
sample, looks for broken images, fits the preprocessing and writes the memory map, with an empty cache. The plain loop
is `cv2.imread`, `cvtColor`, `resize` with INTER_AREA into one array, on one thread. Second epoch: the map is found
and read whole. Rounds take turns, so that a busy machine slows both; the best and the median of each are printed, and
the processor time, which does not depend on who else is busy.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.preprocess.image import parallel
from lamina.schema import Column, Schema


class Took(NamedTuple):
    """Seconds by the clock and of the processors."""

    clock: float
    cpu: float


def photographs(source: Path, folder: Path, count: int) -> list[str]:
    """JPEG of 500 x 375 made from photographs, each shifted by other columns once they repeat."""
    result = sorted(source.rglob("*.jpg"))
    assert result, f"there is no photograph in {source}"
    for i in range(count):
        pixels = cv2.resize(cv2.imread(str(result[i % len(result)])), (500, 375), interpolation=cv2.INTER_AREA)
        pixels = np.roll(pixels, 37 * (i // len(result)), axis=1)
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), pixels, (cv2.IMWRITE_JPEG_QUALITY, 90))
    return sorted(map(str, folder.glob("*.jpg")))


def unpacked(archive: Path, folder: Path, count: int) -> list[str]:
    """The first images of a zip as files."""
    with zipfile.ZipFile(archive) as opened:
        names = sorted(n for n in opened.namelist() if n.lower().endswith((".png", ".jpg")))[:count]
        for i, name in enumerate(names):
            (folder / f"{i:05d}{Path(name).suffix}").write_bytes(opened.read(name))
    return sorted(map(str, folder.iterdir()))


def timed(work: Callable[[], Any]) -> tuple[Took, Any]:
    clock, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Took(time.perf_counter() - clock, time.process_time() - cpu), result


def plain(files: list[str], side: int, grey: bool) -> np.ndarray:
    out = np.empty((len(files), side, side, 1 if grey else 3), np.uint8)
    for i, file in enumerate(files):
        pixels = cv2.imread(file, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        pixels = pixels if grey else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        out[i] = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA).reshape(out.shape[1:])
    return out


def lamina(files: list[str], side: int, grey: bool, fit: str) -> np.ndarray:
    """What a training does with a column of paths."""
    settings = {"size": side, "fit": fit, "channels": 1 if grey else 3}
    column = Column(name="image", kind="image", settings=settings)
    table = pa.table({"image": files})
    for reasons in preprocess.faults([table], column):
        assert not any(reasons)
    (result,) = preprocess.fit(table, Schema(columns=(column,))).encode(table, cache=True).values()
    return result


def compared(name: str, files: list[str], side: int, grey: bool, rounds: int) -> None:
    took: dict[str, list[Took]] = {}
    for _ in range(rounds):
        took.setdefault("OpenCV, one thread", []).append(timed(lambda: plain(files, side, grey))[0])
        for fit in ("stretch", "letterbox"):
            shutil.rmtree(os.environ["LAMINA_CACHE"], ignore_errors=True)
            first, _ = timed(lambda fit=fit: lamina(files, side, grey, fit))
            second, _ = timed(lambda fit=fit: lamina(files, side, grey, fit)[:].sum(dtype=np.uint64))
            took.setdefault(f"Lamina, {fit}", []).append(first)
            took.setdefault(f"Lamina, {fit}, kept", []).append(second)
    print(f"\n{name}: {len(files):,} files to {side} x {side} x {1 if grey else 3}, {parallel.CORES} cores")
    print(f"{'':28}{'best/s':>10}{'median/s':>10}{'ratio':>8}{'median ratio':>14}{'ms of CPU each':>16}")
    base = took["OpenCV, one thread"]
    for way, runs in took.items():
        best, middle = min(t.clock for t in runs), statistics.median(t.clock for t in runs)
        ratio = min(t.clock for t in base) / best
        turns = statistics.median(b.clock / t.clock for b, t in zip(base, runs, strict=True))
        cpu = min(t.cpu for t in runs) / len(files) * 1e3
        print(f"{way:28}{len(files) / best:10,.0f}{len(files) / middle:10,.0f}{ratio:8.2f}{turns:14.2f}{cpu:16.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).parents[2] / "shared" / "data" / "image_classification"
    parser.add_argument("--data", type=Path, default=shared)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["LAMINA_CACHE"] = str(root / "cache")
        for name in ("a", "b", "c"):
            (root / name).mkdir()
        files = photographs(args.data / "hymenoptera", root / "a", args.count)
        compared("JPEG of 500 x 375", files, 224, False, args.rounds)
        files = unpacked(args.data / "mnist" / "mnist_png_sample.zip", root / "b", 2 * args.count)
        compared("MNIST, PNG of 28 x 28", files, 28, True, args.rounds)
        files = unpacked(args.data / "cifar10_jpg" / "cifar10_jpg_6k.zip", root / "c", 2 * args.count)
        compared("CIFAR-10, JPEG of 32 x 32", files, 32, False, args.rounds)


if __name__ == "__main__":
    main()
