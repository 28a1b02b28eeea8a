"""What the discriminator of a finished run of a gan is worth, by its last weights, their average, and those in the
bundle.

    lamina train toy:digits --task generation --model gan --set model.width=16 --budget 280s --out runs/digits
    python benchmarks/discriminators.py runs/digits [BUNDLE OF ANOTHER GENERATOR]

Prints ROC AUC: test rows against made ones with the class told and not told, training rows against test and validation
rows, and for the weights in the bundle, of images, test ones against noise, negatives, images of another class, and
what the other generator makes.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from lamina import data, experiment, load, models, preprocess
from lamina.recipe import read
from lamina.tasks.generation import discriminator_scores, sampling, table_transformer
from lamina.train import checkpoint

MOST = 1_000  # of each sort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("other", nargs="?", type=Path)
    choice = parser.parse_args()
    recipe = read(choice.run / "recipe.yaml")
    collected = experiment.collect(recipe, data.read(recipe.data))
    prep = preprocess.fit(collected.splits.train, collected.schema)
    spec, arrays, state = collected.spec(prep), collected.examples(prep), collected.task.state
    result = checkpoint.read(choice.run / "checkpoints")
    assert result is not None
    (name,) = (n for n in spec.inputs if n != "condition")
    rng, real = np.random.default_rng(5), dict[str, tuple[np.ndarray, np.ndarray]]()
    for part, examples in arrays.items():
        some = np.sort(rng.permutation(len(examples.target))[:MOST])
        real[part] = np.asarray(examples.inputs[name][some]), np.asarray(examples.target)[some]
    sample_codes, model = sampling.sample_codes(MOST, state, rng), models.choice(recipe.model, spec)
    inputs = {"noise": rng.standard_normal((MOST, model.latent)).astype(np.float32)}
    inputs |= {"condition": sample_codes[:, None]} if state.classes else {}
    for which in ("model", "ema", "best"):
        weights = {k.partition("/")[2]: v for k, v in result[0].items() if k.startswith(f"{which}/")}
        if not weights:
            continue
        network = models.build(model, spec, 0)
        network.load_state_dict(weights)
        network.eval()
        fake = next(iter(run_by(network.generator)(inputs).values()))
        if state.columns:
            fake = table_transformer.encode(
                table_transformer.decode(fake, state.columns, range(MOST)), prep.schema, state.columns
            )
        held_out = arrays["validation"]
        run = run_by(models.served(network)["discriminator"])
        calibration = discriminator_scores.calibrate(
            run, name, np.asarray(held_out.inputs[name]), np.asarray(held_out.target), state
        )
        own = discriminator_scores.Discriminator(run, name, state, np.array(calibration.medians))
        test, untold = own.raw(*real["test"]), np.full(MOST, -1)
        facts = {
            "test from made": auc(test, own.raw(fake, sample_codes)),
            "not told": auc(own.raw(real["test"][0], untold[: len(test)]), own.raw(fake, untold)),
            "training from test": auc(own.raw(*real["train"]), test),
            "training from validation": auc(own.raw(*real["train"]), own.raw(*real["validation"])),
        }
        if which == "best" and not state.columns:
            facts |= strange(own, *real["test"], test)
        if which == "best" and choice.other and not state.columns:
            generated = load(choice.other).generate(
                MOST, 7, [state.classes[k] for k in sample_codes] if state.classes else None
            )
            facts["test from another generator's"] = auc(test, own.raw(generated, sample_codes))
        print(which, ", ".join(f"{key} {value:.3f}" for key, value in facts.items()))


def strange(
    own: discriminator_scores.Discriminator, images: np.ndarray, codes: np.ndarray, test: np.ndarray
) -> dict[str, float]:
    """Test images against what the discriminator was never asked about."""
    noise = np.random.default_rng(1).integers(0, 256, images.shape, np.uint8)
    wrong = (codes + 1) % max(len(own.state.classes), 1)
    facts = {
        "test from noise": auc(test, own.raw(noise, codes)),
        "from negatives": auc(test, own.raw(255 - images, codes)),
    }
    return facts | ({"from another class": auc(test, own.raw(images, wrong))} if own.state.classes else {})


def run_by(module: nn.Module) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """A network as a graph is run."""

    def run(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        with torch.inference_mode():
            result = module({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in inputs.items()})
        return {name: value.numpy() for name, value in result.items()}

    return run


def auc(higher: np.ndarray, lower: np.ndarray) -> float:
    """The chance that one of the first scores higher than one of the second."""
    return float(roc_auc_score(np.repeat([1, 0], [len(higher), len(lower)]), np.concatenate([higher, lower])))


if __name__ == "__main__":
    main()
