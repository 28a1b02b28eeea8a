"""Images and numbers of one table: each alone, and both together, three seeds each, the same few epochs for all.

    python benchmarks/mixed.py DATA [seeds]

DATA holds object_detection/bccd (BCCD blood cells, MIT) and image_classification/mnist/mnist.npz. Two tables are made:

- cells: every annotated box of BCCD as a grey image of 16 x 16 pixels, beside its width and height in the field and
  how much of the field it covers; asked is the cell: red, white or platelet. All is real; the split is the official
  one, by field of view. An image of fixed size does not tell how large a cell is, the numbers not what it looks like.
- sums: constructed. An MNIST digit beside a number from 0 to 9; asked is the last digit of their sum, which neither
  tells alone.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet

SIDE = 16
FIELD = (480, 640)
PARTS = {"train": "train", "val": "validation", "test": "test"}


def cells(data: Path) -> tuple[pa.Table, list[str]]:
    folder, rows = data / "object_detection/bccd", list[dict[str, Any]]()
    for part, name in PARTS.items():
        for stem in (folder / f"ImageSets/Main/{part}.txt").read_text().split():
            field = cv2.imread(str(folder / f"JPEGImages/{stem}.jpg"), cv2.IMREAD_GRAYSCALE)
            for box in ET.parse(folder / f"Annotations/{stem}.xml").iter("object"):
                left, top, right, bottom = (int(box.findtext(f"bndbox/{e}", "0")) for e in EDGES)
                crop = field[max(0, top) : bottom, max(0, left) : right]
                if crop.size:
                    result = {"picture": image(cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA))}
                    size = {"width": right - left, "height": bottom - top, "share": crop.size / np.prod(FIELD)}
                    rows.append({**result, **size, "cell": box.findtext("name"), "part": name})
    return pa.Table.from_pylist(rows), ["width", "height", "share"]


EDGES = ("xmin", "ymin", "xmax", "ymax")


def sums(data: Path) -> tuple[pa.Table, list[str]]:
    rows, rng = list[dict[str, Any]](), np.random.default_rng(0)
    with np.load(data / "image_classification/mnist/mnist.npz") as file:
        for part, name, count in (("train", "train", 6000), ("train", "validation", 1000), ("test", "test", 2000)):
            start = 50_000 if name == "validation" else 0
            for pixels, digit in zip(
                file[f"x_{part}"][start : start + count], file[f"y_{part}"][start : start + count], strict=True
            ):
                number = int(rng.integers(10))
                rows.append(
                    {"picture": image(pixels), "number": number, "cell": f"{(digit + number) % 10}", "part": name}
                )
    return pa.Table.from_pylist(rows), ["number"]


def image(pixels: np.ndarray) -> dict[str, Any]:
    return {"bytes": cv2.imencode(".png", pixels)[1].tobytes(), "path": None}


def train(file: Path, ignored: list[str], out: Path, seed: int, epochs: int) -> dict[str, float]:
    settings = [
        "split.kind=column",
        "split.name=part",
        *(f"columns.{name}=ignore" for name in ignored),
        f"train.epochs={epochs}",
    ]
    command = [sys.executable, "-m", "lamina", "train", str(file), "--target", "cell", "--out", str(out), "--json"]
    command += ["--seed", str(seed), *(word for setting in settings for word in ("--set", setting))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    return {**result["scores"], "seconds": result["seconds"]}


def main(data: Path, seeds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for make, epochs in ((cells, 15), (sums, 10)):
            table, numbers = make(data)
            file = scratch / f"{make.__name__}.parquet"
            pa.parquet.write_table(table, file)
            parts = {part: sum(p == part for p in table["part"].to_pylist()) for part in PARTS.values()}
            print(f"{make.__name__}: {parts}, {seeds} seeds; % of the test rows", flush=True)
            for told, ignored in (("images only", numbers), ("numbers only", ["picture"]), ("both", [])):
                runs = [
                    train(file, ignored, scratch / f"{make.__name__}-{told}-{seed}", seed, epochs)
                    for seed in range(seeds)
                ]
                shown = []
                for score, by in (("accuracy", 100), ("balanced_accuracy", 100), ("log_loss", 1), ("seconds", 1)):
                    values = [run[score] * by for run in runs]
                    spread = statistics.stdev(values) if len(values) > 1 else 0.0
                    shown.append(f"{score} {statistics.mean(values):.3f} ± {spread:.3f}")
                print(f"  {told:14} {'  '.join(shown)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
