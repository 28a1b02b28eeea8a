"""Generators of images side by side, evaluated by one classifier that has seen neither.

    python benchmarks/generators.py DATA [--out FOLDER] [--models gan vae] [--seed 0] [--set train.budget=5m ...]

Trains each network on DATA (images with a label, such as mnist.npz or toy:digits) as `lamina train --task generation`
would, then one classifier on the training rows (60 s at most), and prints its accuracy on test rows; for each network,
and for validation images that were held out, the Frechet distance to test images by the classifier's features, the
classes of 1,000 images and the share of the class asked for. Writes a sheet of each, which is to be looked at.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

import lamina
from lamina import data, experiment, pipeline
from lamina.recipe import build
from lamina.run import Run
from lamina.tasks.generation import memorization, sampling
from lamina.tasks.generation.metrics import frechet
from lamina.train import settings
from lamina.train.image_classifier import ImageClassifier

COMPARED, COUNTED, COLUMNS = 5_000, 1_000, 16
LEARNED = 300_000  # images for the classifier, each several times


def trained(source: str, kind: str, seed: int, overrides: list[str], folder: Path) -> tuple[lamina.Estimator, float]:
    """The bundle of one run, made unless it is there, and the seconds that the run took."""
    start = time.perf_counter()
    if not (folder / "DONE").exists():
        recipe = build({"data": source, "task": "generation", "model": kind, "seed": seed}, overrides)
        for row in pipeline.run(recipe, Run.create(folder)):
            if row["at"] == "epoch":
                score = f"{row['score_name']} {row['score']:.4g}"
                print(f"  {kind} epoch {row['epoch']}  {score}  {row['rate']:.1f} steps/s", flush=True)
    return lamina.load(folder), time.perf_counter() - start


def sheet(images: np.ndarray, path: Path) -> None:
    """Images as one PNG, `COLUMNS` in a row, twice as large."""
    rows = len(images) // COLUMNS * COLUMNS
    _, height, width, channels = images.shape
    whole = images[:rows].reshape(-1, COLUMNS, height, width, channels).transpose(0, 2, 1, 3, 4)
    whole = whole.reshape(-1, COLUMNS * width, channels).repeat(2, 0).repeat(2, 1)
    cv2.imwrite(str(path), whole[:, :, ::-1] if channels == 3 else whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--models", nargs="+", default=["gan", "vae"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], dest="overrides")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp(prefix="generators-"))
    out.mkdir(parents=True, exist_ok=True)
    result = {}
    for kind in options.models:
        result[kind] = trained(options.data, kind, options.seed, options.overrides, out / kind)
    recipe = build({"data": options.data, "task": "generation", "seed": options.seed})
    collected = experiment.collect(recipe, data.read(recipe.data))
    prep = next(iter(result.values()))[0].predictor.prep
    ((name, feed),) = prep.inputs.items()
    examples, state = collected.examples(prep), collected.task.state
    real = {part: np.asarray(rows.inputs[name]) for part, rows in examples.items()}
    codes = {part: np.asarray(rows.target) for part, rows in examples.items()}
    examiner = ImageClassifier(feed, len(state.classes))
    examiner.fit((real["train"], codes["train"]), (real["validation"], codes["validation"]), LEARNED, settings.Config())
    right = (examiner.predict(real["test"]).probabilities.argmax(1) == codes["test"]).mean()
    print(f"{os.cpu_count()} cores. Classifier: {right:.2%} right on {len(codes['test']):,} test rows, "
          f"trained for {examiner.seconds:.0f} s")  # fmt: skip
    test = examiner.predict(real["test"][:COMPARED]).features
    count = len(test)

    def report(who: str, images: np.ndarray, targets: np.ndarray, seconds: float | None) -> None:
        seen = examiner.predict(images)
        classes = seen.probabilities.argmax(1)
        counts = np.bincount(classes[:COUNTED], minlength=len(state.classes))
        memory = memorization.measure(images, real["test"], real["train"])
        took = "" if seconds is None else f"   {seconds:.0f} s in all"
        print(f"{who:10} Frechet {frechet(test, seen.features):8.3f}   as asked {np.mean(classes == targets):.1%}   "
              f"classes of {COUNTED:,}: {' '.join(map(str, counts))}   nearest training image "
              f"{np.median(memory.samples):.1f} (real {np.median(memory.held_out):.1f}), closer than any real one "
              f"{memory.closer:.1%}{took}", flush=True)  # fmt: skip
        order = np.argsort(targets[: COLUMNS * 30], kind="stable")
        first = [order[targets[order] == code][:COLUMNS] for code in range(len(state.classes))]
        sheet(images[np.concatenate([rows for rows in first if len(rows) == COLUMNS])], out / f"{who}.png")

    held_out = np.random.default_rng(0).permutation(len(real["validation"]))[:count]
    report("real", real["validation"][held_out], codes["validation"][held_out], None)
    for kind, (estimator, seconds) in result.items():
        targets = sampling.sample_codes(count, state, np.random.default_rng(options.seed))
        generated = estimator.generate(count, options.seed, [state.classes[code] for code in targets])
        report(kind, generated, targets, seconds)
    print(f"sheets in {out}")


if __name__ == "__main__":
    main()
