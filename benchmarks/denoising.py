"""Train a denoiser on a folder of clean images, and evaluate it on another beside non-local means and BM3D.

    python benchmarks/denoising.py train160/ set12/ --budget 10m
    python benchmarks/denoising.py train160/ set12/ --bundle runs/denoiser --bm3d-python ~/bm3d/bin/python

All methods get the same floats: clean images with Gaussian noise that is neither cut off nor rounded, as papers have
it. The table below says what is left where the same noise went through files of 8 bits, which people have. The strength
of non-local means is the best one on training images, for each level; BM3D (PyPI `bm3d`, in an environment of its
own) is told the deviation; the network is told nothing. PSNR of an image after it is cut off at black and white; means
over images. DnCNN-S is the published mean on Set12 at 25 (Zhang et al. 2017, trained for that level, on
400 images).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lamina.deploy.predictor import Predictor
from lamina.tasks.denoising import image_files

LEVELS = (15, 25, 50)
DNCNN = {25: "30.44"}
STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)  # of non-local means, of the deviation
TUNED = 12  # training images by which its strength is chosen
BM3D = """
import sys, numpy, bm3d
noisy = numpy.load(sys.argv[1], allow_pickle=False)
sigma = float(sys.argv[2])
numpy.save(sys.argv[3], bm3d.bm3d(noisy.astype(float), sigma).astype(numpy.float32))
"""


def images(folder: Path) -> list[np.ndarray]:
    """Grey images (height, width) of 0 to 1, float32."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".pgm", ".bmp"))
    return [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255 for path in files]


def noisy(clean: list[np.ndarray], sigma: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, sigma])
    return [one + np.float32(sigma / 255) * rng.standard_normal(one.shape, dtype=np.float32) for one in clean]


def quantized(values: list[np.ndarray]) -> list[np.ndarray]:
    """The same as files of 8 bits hold them."""
    return [np.rint(np.clip(one, 0, 1) * 255).astype(np.float32) / 255 for one in values]


def psnr(clean: list[np.ndarray], answers: list[np.ndarray]) -> float:
    errors = [np.square(one - np.clip(other, 0, 1), dtype=np.float64).mean()
              for one, other in zip(clean, answers, strict=True)]  # fmt: skip
    return float(np.mean(-10 * np.log10(errors)))


def non_local_means(values: list[np.ndarray], strength: float) -> list[np.ndarray]:
    return [cv2.fastNlMeansDenoising(np.rint(np.clip(one, 0, 1) * 255).astype(np.uint8), None, strength, 7, 21) / 255
            for one in values]  # fmt: skip


def block_matching(values: list[np.ndarray], sigma: int, python: str) -> list[np.ndarray]:
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "noisy.npy", Path(folder) / "clean.npy"
        for one in values:
            np.save(before, one)
            subprocess.run([python, "-c", BM3D, before, str(sigma / 255), after], check=True)
            answers.append(np.load(after, allow_pickle=False))
    return answers


def train(folder: Path, out: Path, options: list[str]) -> float:
    start = time.perf_counter()
    words = ["train", str(folder), "--task", "denoising", "--out", str(out), *options]
    subprocess.run([sys.executable, "-m", "lamina", *words], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--budget", default="10m", help="time for training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path, help="a bundle that is evaluated in place of a new one")
    parser.add_argument("--bm3d-python", help="a Python with bm3d installed")
    parser.add_argument("--set", action="append", default=[], help="any choice of the recipe")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = args.bundle
        if bundle is None:
            options = [
                "--budget",
                args.budget,
                "--set",
                f"seed={args.seed}",
                *(w for s in args.set for w in ("--set", s)),
            ]
            seconds = train(args.train, Path(folder) / "run", options)
            bundle = Path(folder) / "run" / "bundle"
            print(f"trained and evaluated in {seconds:.0f} s")
        session = Predictor(bundle)
        clean, tuning = images(args.test), images(args.train)[:TUNED]

        def network(values: list[np.ndarray]) -> list[np.ndarray]:
            return [image_files.restored(session, one[:, :, None])[:, :, 0] for one in values]

        for title, change in (("floats, as in papers", list), ("files of 8 bits", quantized)):
            table(title, clean, tuning, change, network, args)


def table(
    title: str,
    clean: list[np.ndarray],
    tuning: list[np.ndarray],
    change: Callable[[list[np.ndarray]], list[np.ndarray]],
    network: Callable[[list[np.ndarray]], list[np.ndarray]],
    args: argparse.Namespace,
) -> None:
    """PSNR by level of every method on the same noise."""
    print(f"\n{title}\nsigma  noisy  NLM    BM3D   network  above NLM  DnCNN-S  seconds an image")
    for sigma in LEVELS:
        values = change(noisy(clean, sigma, args.seed))
        held_out = change(noisy(tuning, sigma, args.seed + 1))
        strength = max(STRENGTHS, key=lambda s: psnr(tuning, non_local_means(held_out, s * sigma)))
        means = psnr(clean, non_local_means(values, strength * sigma))
        start = time.perf_counter()
        own = psnr(clean, network(values))
        seconds = (time.perf_counter() - start) / len(values)
        other = f"{psnr(clean, block_matching(values, sigma, args.bm3d_python)):.2f}" if args.bm3d_python else "-"
        print(f"{sigma:5}  {psnr(clean, values):.2f}  {means:.2f}  {other:5}  {own:.2f}    {own - means:+.2f}      "
              f"{DNCNN.get(sigma, '-'):5}    {seconds:.2f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
