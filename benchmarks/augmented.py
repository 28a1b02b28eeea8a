"""Whether made rows help a classifier that has 500 rows of the Adult table: `train.augment_with`, three seeds.

    python benchmarks/augmented.py DATA [seeds]

DATA holds adult/adult-train.csv and adult/adult-test.csv. For each seed: 500 training rows, a `vae` trained on them,
then the default classifier without and with `train.augment_with`, both judged on the same 4,000 official test rows.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS, TESTED = 500, 4_000
SCORES = ("accuracy", "roc_auc", "log_loss")


def some(path: Path, count: int, seed: int, to: Path) -> Path:
    lines = [line for line in path.read_text("utf-8").splitlines() if line.count(",") == 14]
    to.write_text("\n".join(random.Random(seed).sample(lines, count)) + "\n", "utf-8")
    return to


def train(arguments: list[str]) -> dict:
    command = [sys.executable, "-m", "lamina", "train", *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(data: Path, seeds: int) -> None:
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = [
                str(some(data / "adult/adult-train.csv", ROWS, seed, folder / "train.csv")),
                *("--test", str(some(data / "adult/adult-test.csv", TESTED, seed, folder / "test.csv"))),
                *("--target", "-1", "--seed", str(seed)),
            ]
            train([*files, "--task", "generation", "--model", "vae", "--out", str(folder / "made")])
            plain = train([*files, "--out", str(folder / "plain")])
            more = ["--set", f"train.augment_with={folder / 'made'}", "--set", "train.augment_share=1"]
            mixed = train([*files, *more, "--out", str(folder / "mixed")])
        for name, found in (("without", plain), ("with", mixed)):
            print(f"seed {seed}  {name:8s}" + "".join(f"  {s} {found['scores'][s]:.4f}" for s in SCORES), flush=True)
        print("        " + mixed["notes"][-1], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
