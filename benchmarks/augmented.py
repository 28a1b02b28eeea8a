"""Whether generated rows or images help a classifier that has few real ones: `train.augment_with`, several seeds.

    python benchmarks/augmented.py DATA [--seeds 3] [--model vae] [--share 1.0] [--each 20]

DATA is a folder with adult/adult-train.csv and adult/adult-test.csv (500 rows are learned from), or an .npz of images
with x_train, y_train, x_test, y_test (20 images of each class). For each seed: a generator trained on these, then the
default classifier without and with `train.augment_with`, both evaluated on the same 4,000 test rows; the run keeps the
one with the better validation loss.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, TESTED = 500, 4_000


def lines(data: Path, seed: int, folder: Path) -> list[str]:
    """Arguments of `lamina train`: some rows of both files of the Adult table."""
    for name, count in (("train", ROWS), ("test", TESTED)):
        text = (data / f"adult/adult-{name}.csv").read_text("utf-8").splitlines()
        some = random.Random(seed).sample([line for line in text if line.count(",") == 14], count)
        (folder / f"{name}.csv").write_text("\n".join(some) + "\n", "utf-8")
    return [str(folder / "train.csv"), "--test", str(folder / "test.csv"), "--target", "-1"]


def images(data: Path, seed: int, folder: Path, each: int) -> list[str]:
    """Arguments of `lamina train`: a few images of each class."""
    rng, arrays = np.random.default_rng(seed), np.load(data)
    codes = arrays["y_train"].ravel()
    few = np.concatenate([rng.permutation(np.flatnonzero(codes == code))[:each] for code in np.unique(codes)])
    some = rng.permutation(len(arrays["y_test"]))[:TESTED]
    parts = {"train": few, "test": some}
    np.savez(
        folder / "few.npz", **{f"{x}_{part}": arrays[f"{x}_{part}"][at] for part, at in parts.items() for x in "xy"}
    )
    return [str(folder / "few.npz")]


def train(arguments: list[str]) -> dict:
    command = [sys.executable, "-m", "lamina", "train", *arguments, "--json"]
    result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return json.loads((Path(result["run"]) / "report.json").read_text("utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", default="vae")
    parser.add_argument("--share", default="1.0")
    parser.add_argument("--each", type=int, default=20)
    options = parser.parse_args()
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as name:
            folder, table = Path(name), options.data.is_dir()
            data = lines(options.data, seed, folder) if table else images(options.data, seed, folder, options.each)
            data += ["--seed", str(seed)]
            run = folder / "generator"
            train([*data, "--task", "generation", "--model", options.model, "--out", str(run)])
            more = ["--set", f"train.augment_with={run}", "--set", f"train.augment_share={options.share}"]
            result = train([*data, *more, "--out", str(folder / "mixed")])
        facts = result["augmented"]
        named = {
            "validation loss": facts["validation"],
            **{f"test {name}": both for name, both in facts["test"].items()},
        }
        messages = "   ".join(f"{name} {without:.4f} {other:.4f}" for name, (without, other) in named.items())
        remaining = "with" if facts["helped"] else "without"
        print(
            f"seed {seed}   without, with:   {messages}   kept: {remaining}   scores of that: {result['scores']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
