"""MNIST as 2 and as 32 numbers for each image, beside PCA with as many; and a variational network of 32.

    python benchmarks/dimensionality_reduction.py DATA [--out FOLDER] [--seeds 0 1] [--only map] [--set train.budget=5m]

DATA is mnist.npz, or the folder that holds it (also under image_classification/mnist). Each run is that of `lamina
train DATA --task dimensionality-reduction`, on one core; its scores are those of the official test images, by which
neither weights nor settings were chosen. FOLDER keeps the runs, whose reports are to be looked at: the map, the
images all over it, the ways between digits, the samples.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RUNS: dict[str, list[str]] = {
    "map": ["--set", "task.dimensions=2"],
    "codes": ["--set", "task.dimensions=32"],
    "vae": ["--model", "vae", "--set", "task.dimensions=32"],
}
SCORES = {
    "reconstruction_error": "MSE",
    "explained_variance": "variance",
    "trustworthiness": "trust",
    "continuity": "continuity",
    "nearest_neighbour_accuracy": "1-NN",
    "elbo": "ELBO",
}


def trained(source: Path, words: list[str], folder: Path) -> tuple[dict[str, Any], float]:
    """The result of one run, and the seconds of the whole process; read again where it is there."""
    place, start = folder / "result.json", time.perf_counter()
    if not place.exists():
        command = [sys.executable, "-m", "lamina", "train", str(source), "--task", "dimensionality-reduction", *words]
        done = subprocess.run([*command, "--out", str(folder), "--json"], check=True, capture_output=True, text=True)
        result = json.loads(done.stdout.splitlines()[-1]) | {"wall": time.perf_counter() - start}
        place.write_text(json.dumps(result))
    result = json.loads(place.read_text())
    return result, result["wall"]


def line(name: str, scores: dict[str, float | None], end: str = "") -> str:
    values = [scores.get(score) for score in SCORES]
    return f"{name:16s}" + "".join("         -" if v is None else f"{v:10.4f}" for v in values) + end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    options = parser.parse_args()
    places = (options.data, options.data / "mnist.npz", options.data / "image_classification/mnist/mnist.npz")
    source = next(place for place in places if place.is_file())
    out = options.out or Path(tempfile.mkdtemp(prefix="dimensionality-"))
    sets = [word for override in options.overrides for word in ("--set", override)]
    print(f"{'':16s}" + "".join(f"{label:>10s}" for label in SCORES.values()))
    for name in options.only:
        for seed in options.seeds:
            words = [*RUNS[name], "--seed", str(seed), "--set", "train.threads=1", *sets]
            result, seconds = trained(source, words, out / f"{name}-{seed}")
            print(line(f"{name}, seed {seed}", result["scores"], f"{seconds:8.0f} s"), flush=True)
            print(line("  PCA", result["baselines"]["pca"]), flush=True)
    print(f"Reports: {out}/*/report.html")


if __name__ == "__main__":
    main()
