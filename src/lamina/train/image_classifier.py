"""A small classifier by which generated images are evaluated: trained on real ones, by the same loop as any network."""

import time
from typing import Any, NamedTuple

import numpy as np
import torch

from lamina import models
from lamina.layers.random_features import Filters
from lamina.layers.residual import scale_pixels
from lamina.models import cnn
from lamina.schema import Input, Output, Spec
from lamina.train import settings
from lamina.train.batches import bounds
from lamina.train.device import decide
from lamina.train.fit import Hooks, fit
from lamina.train.settings import Examples

BATCH = 512
NAME = "image"  # of the input

Images = tuple[np.ndarray, np.ndarray]


class ImagePredictions(NamedTuple):
    """`features` (rows, features) of images, and `probabilities` (rows, classes) where there are classes."""

    features: np.ndarray
    probabilities: np.ndarray | None


class ImageClassifier:
    """Features and classes of images by a network once it is fitted; by fixed filters before that."""

    def __init__(self, feed: Input, classes: int):
        self.feed, self.classes = feed, classes
        self.filters = Filters(feed.shape[-1] or 1)
        self.model: Any = None
        self.seconds = 0.0

    def fit(self, train: Images, validation: Images, count: int, cfg: settings.Config) -> None:
        """Learn from about `count` images, some of them several times: as many steps on any machine, however long.

        `train` and `validation`: images (rows, height, width, channels) and codes (rows,). `cfg`: the device,
        precision and threads of which are taken.
        """
        start, choice = time.perf_counter(), cnn.Config()
        output = Output(head="logits", size=self.classes, loss="cross_entropy")
        spec = Spec(inputs={NAME: self.feed}, output=output, rows=len(train[1]))
        exact = {"device": cfg.device, "precision": cfg.precision, "threads": cfg.threads or torch.get_num_threads()}
        with torch.random.fork_rng(devices=[]):
            model = models.build(choice, spec, 0)
            examples, other = (Examples({NAME: images}, codes) for images, codes in (train, validation))
            train_cfg = decide(exact, models.training(choice, spec), model, examples)
            batch = train_cfg.batch_size
            most = train_cfg.epochs * len(bounds(len(train[1]), batch))
            train_cfg = train_cfg.with_plan([(0, min(most, max(1, round(count / batch))))])
            for _ in fit(model, examples, other, train_cfg, Hooks(_validate)):
                pass
        self.model, self.seconds = model, time.perf_counter() - start

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> ImagePredictions:
        """Images (rows, height, width, channels), uint8."""
        features, chances = [], []
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + BATCH]))
            if self.model is None:
                features.append(self.filters(scale_pixels(batch)))
                continue
            device = next(self.model.parameters()).device
            body = self.model.body({NAME: batch.to(device)})
            features.append(body.float().cpu())
            chances.append(self.model.head(body).float().softmax(1).cpu())
        probabilities = torch.cat(chances).numpy() if chances else None
        return ImagePredictions(torch.cat(features).double().numpy(), probabilities)


def _validate(outputs: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    """Log loss, and accuracy."""
    logits = outputs["target"].astype(np.float64)
    losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(target)), target]
    return {"loss": float(losses.mean()), "accuracy": float((logits.argmax(1) == target).mean())}
