"""Detectors of generated images, each tested on the generators that it has never seen.

    python benchmarks/detectors.py DATA [NAME=]BUNDLE [NAME=]BUNDLE ... [--learn 3000] [--test 1000] [--seed 0]
                                                                        [--out FOLDER] [--set train.epochs=6 ...]

DATA holds real images with a test part, such as mnist.npz; each BUNDLE (or run folder) generates such images. For
each of them `lamina train real=... generated=... --model detector`, with the others as `also`, learns from `--learn`
real images of the training part and as many generated ones, and is tested on `--test` real images of the test part with
as many made from another seed: by its own generator, and by each of the others. Prints accuracy and ROC AUC of each
pair, the share of the generated images that is recognised, and what damage to the images does to the accuracy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lamina import data, experiment
from lamina.deploy.bundle import locate
from lamina.deploy.predictor import Predictor
from lamina.recipe import build

OTHER = 1_000_003  # added to the seed for what is tested on
PARTS = ("train", "test")


def lamina(*words: Any) -> dict[str, Any]:
    """What a command says of itself with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "lamina", *map(str, words), "--json"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout)


def real(source: str, predictor: Predictor, out: Path, counts: tuple[int, int], seed: int) -> None:
    """Real images as the generator saw them, drawn from the training and the test part."""
    recipe = build({"data": source, "task": "generation", "seed": seed})
    splits = experiment.collect(recipe, data.read(recipe.data)).splits
    for part, count, table in zip(PARTS, counts, (splits.train, splits.test), strict=True):
        assert table.num_rows >= count, f"{source}: {table.num_rows:,} rows to {part} are fewer than {count:,}"
        rows = np.random.default_rng([seed, count]).permutation(table.num_rows)[:count]
        ((_, images),) = predictor.bundle.prep.encode(table.take(rows)).items()
        (out / part).mkdir(parents=True)
        for number, image in enumerate(images):
            coloured = image[:, :, ::-1] if image.shape[2] == 3 else image
            cv2.imwrite(str(out / part / f"{number:06}.png"), coloured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--learn", type=int, default=3_000)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="detectors-"))
    counts = (options.learn, options.test)
    bundles = {}
    for word in options.bundles:
        name, sign, path = word.partition("=")
        bundles[name if sign else Path(word).name] = path if sign else word
    predictors = {name: Predictor(locate(path)) for name, path in bundles.items()}
    sizes = {name: next(iter(one.bundle.prep.inputs.values())).shape for name, one in predictors.items()}
    assert len(set(sizes.values())) == 1, f"images of one size are wanted, or size is what is learned (got {sizes})"
    real(options.data, next(iter(predictors.values())), out / "real", counts, options.seed)
    for name, path in bundles.items():
        for part, count, seed in zip(PARTS, counts, (options.seed, options.seed + OTHER), strict=True):
            (out / name).mkdir(exist_ok=True)
            lamina("generate", path, "-n", count, "-o", out / name / part, "--seed", seed, "--no-sheet")
    told, harm, heads = [], [], list[str]()
    for name in bundles:
        others = [other for other in bundles if other != name]
        sets = [word for one in options.overrides for word in ("--set", one)]
        sets += ["--set", "also=" + json.dumps({o: {"classes": {"generated": str(out / o / "test")}} for o in others})]
        words = [f"real={out / 'real'}", f"generated={out / name}", "--model", "detector", "--seed", options.seed]
        result = lamina("train", *words, *sets, "--out", out / "runs" / name)
        report = json.loads((out / "runs" / name / "report.json").read_text("utf-8"))
        own = next(row["recall"] for row in report["per_class"] if row["class"] == "generated")
        rows = [("the same, other seeds", result["scores"], own)]
        rows += [(row["name"], row["scores"], row["right"]) for row in result.get("also", [])]
        for test_rows, scores, right in rows:
            told.append(
                f"| `{name}` | {test_rows} | {scores['accuracy']:.4f} | {scores['roc_auc']:.4f} | {right:.1%} |"
            )
            print(told[-1], flush=True)
        left = " | ".join(f"{row['accuracy']:.3f}" for row in report["damage"])
        harm.append(f"| `{name}` | {left} | {result['seconds']:.0f} |")
        heads = [row["damage"] for row in report["damage"]]
    print(f"\n{os.cpu_count()} cores, seed {options.seed}, {options.learn:,} real and as many made to learn from, "
          f"{options.test:,} of each to test\n")  # fmt: skip
    print("| learned from | tested on | accuracy | ROC AUC | made ones found |\n| --- | --- | --- | --- | --- |")
    print("\n".join(told))
    print(f"\n| learned from | {' | '.join(heads)} | seconds |\n| --- |{' --- |' * (len(heads) + 1)}")
    print("\n".join(harm))
    print(f"\nruns and reports in {out / 'runs'}")


if __name__ == "__main__":
    main()
