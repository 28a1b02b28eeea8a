"""Made rows of the Adult table, by the default `lamina train --task generation` for each network, beside SMOTE and real
rows: what a classifier that learns from them is worth on real rows, and how one tells them from real ones.

    python benchmarks/synthetic.py DATA [vae,gan] [seeds]

DATA holds adult/adult-train.csv and adult/adult-test.csv (the official split, files as UCI gives them).
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = {"accuracy": "accuracy", "roc_auc": "ROC AUC", "f1": "F1 (macro)"}
LIKE = {
    "detector_auc": "detector",
    "column_distance": "columns",
    "pair_difference": "pairs",
    "copies": "copies",
    "nearest": "nearest",
    "invalid": "invalid",
}


def report_of(data: Path, model: str, seed: int, out: Path) -> tuple[dict, float]:
    """What the report of one run says of the rows made, and the seconds of the whole process."""
    files = [str(data / "adult/adult-train.csv"), "--test", str(data / "adult/adult-test.csv"), "--target", "-1"]
    words = [*files, "--task", "generation", "--model", model, "--seed", str(seed), "--out", str(out), "--json"]
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "lamina", "train", *words], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["synthetic_rows"], time.perf_counter() - start


def line(name: str, learned: dict, like: dict, end: str = "") -> str:
    scores = [learned.get(key) for key in NAMES] + [like.get(key) for key in LIKE]
    return f"{name:9s}" + "".join("          -" if v is None else f"{v:11.4f}" for v in scores) + end


def main(data: Path, models: list[str], seeds: int) -> None:
    print(" " * 9 + "".join(f"{name:>11s}" for name in (*NAMES.values(), *LIKE.values())))
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(seeds):
            result = {}
            for model in models:
                result, seconds = report_of(data, model, seed, Path(scratch) / f"{model}{seed}")
                print(
                    line(f"{model} {seed}", result["trained_on"]["generated"], result, f"   {seconds:.0f} s"),
                    flush=True,
                )
            print(line(f"SMOTE {seed}", result["trained_on"]["smote"], result["smote"]))
            print(line(f"real {seed}", result["trained_on"]["real"], result["held"]), flush=True)


if __name__ == "__main__":
    models = sys.argv[2].split(",") if len(sys.argv) > 2 else ["vae", "gan"]
    main(Path(sys.argv[1]), models, int(sys.argv[3]) if len(sys.argv) > 3 else 1)
