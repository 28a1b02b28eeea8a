"""A small classifier by which made pictures are judged: trained on the real ones, by the same loop as any network."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lamina import models
from lamina.layers import random_features as _fixed
from lamina.layers.residual import scaled
from lamina.models import cnn
from lamina.schema import Input, Output, Spec
from lamina.train.device import decide
from lamina.train.fit import Home, fit
from lamina.train.settings import Data

CHUNK = 512


@dataclass(frozen=True)
class Seen:
    """What a network sees in pictures: `features` (rows, features), and `probabilities` (rows, classes) if it can."""

    features: np.ndarray
    probabilities: np.ndarray | None


class Examiner:
    """What a classifier sees in pictures, fitted for at most `seconds`; fixed filters where there is no class."""

    def __init__(self, feed: Input, classes: int):
        self.feed, self.classes, self.name = feed, classes, "image"
        self.filters = _fixed.Filters(feed.shape[-1] or 1)
        self.model: Any = None
        self.seconds = 0.0

    def fit(
        self, train: tuple[np.ndarray, np.ndarray], held_out: tuple[np.ndarray, np.ndarray], seconds: float
    ) -> None:
        """`train` and `held_out`: pictures (rows, height, width, channels) and codes (rows,)."""
        start, cfg = time.perf_counter(), cnn.Config()
        output = Output(size=self.classes, loss="cross_entropy")
        spec = Spec(inputs={self.name: self.feed}, output=output, rows=len(train[1]))
        with torch.random.fork_rng(devices=[]):
            model = models.build(cfg, spec, 0)
            data, held = (Data({self.name: pictures}, codes) for pictures, codes in (train, held_out))
            train_cfg = decide({"budget": seconds}, models.training(cfg, spec), model, data)
            for _ in fit(model, data, held, train_cfg, Home(_mistakes)):
                pass
        self.model, self.seconds = model, time.perf_counter() - start

    @torch.inference_mode()
    def look(self, pictures: np.ndarray) -> Seen:
        """Pictures (rows, height, width, channels), uint8."""
        features, chances = [], []
        for at in range(0, len(pictures), CHUNK):
            part = torch.from_numpy(np.ascontiguousarray(pictures[at : at + CHUNK]))
            if self.model is None:
                features.append(self.filters(scaled(part)))
                continue
            where = next(self.model.parameters()).device
            found = self.model.body({self.name: part.to(where)})
            features.append(found.float().cpu())
            chances.append(self.model.head(found).float().softmax(1).cpu())
        told = torch.cat(chances).numpy() if chances else None
        return Seen(torch.cat(features).double().numpy(), told)


def _mistakes(raw: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    """Log loss, and accuracy."""
    logits = raw["target"].astype(np.float64)
    lost = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(target)), target]
    return {"loss": float(lost.mean()), "accuracy": float((logits.argmax(1) == target).mean())}
