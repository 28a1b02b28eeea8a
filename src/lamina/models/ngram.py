"""Texts by the n-grams they hold: a linear model that starts from naive Bayes, beside a network over their vectors.

The linear one weighs each n-gram by how much more often it stands in texts of a class than in others, and learns from
there (Wang and Manning 2012, NB-SVM). The other one sums the vectors of n-grams, as fastText does (Joulin et al. 2017),
some of which are hidden in training. Words and parts of words are told apart: each text counts for one in either. Both
are trained at once, each on a loss of its own, and answer with the mean of their probabilities or numbers. N-grams of
a single training text are left out.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from lamina import config
from lamina.layers.basic import Dropout, mean_of_members
from lamina.layers.token_sums import TokenSums
from lamina.models._single_part import SinglePart
from lamina.schema import ROW_HEADS, Batch, Input, Output, OutputActivation, Spec

HEADS = ROW_HEADS

LARGEST_LINEAR, LARGEST_VECTORS = 1 << 21, 1 << 20  # numbers in a table; more n-grams than fit share their places
TEXTS = 2  # that hold an n-gram at least
SHRINK = 1.0  # texts of no leaning that are added to each n-gram
STARTS = (1.0, 0.5, 0.25, 0.125, 0.0625)  # of the weights of naive Bayes, of which validation texts choose
CHUNK = 1 << 12  # texts that are counted at once


class Config(config.Config):
    kind: Literal["ngram"] = "ngram"
    width: int = Field(default=16, ge=1, le=1024, description="length of an n-gram's vector")
    hidden: int | None = Field(
        default=None, ge=1, le=1 << 14, description="numbers in a layer behind the vectors; none when unset"
    )
    dropout: float = Field(default=0.3, ge=0, lt=1, description="share of the n-grams hidden in training")


def suits(spec: Spec) -> float:
    """Texts alone; it reads nothing else."""
    return 0.9 if all(feed.kind == "tokens" for feed in spec.inputs.values()) else 0.0


def column_settings(cfg: Config) -> dict[str, dict[str, Any]]:
    """Texts as n-grams, of which few share a code."""
    return {"text": {"tokenizer": "ngram", "buckets": 1 << 18}}


def training(cfg: Config, spec: Spec) -> dict[str, Any]:
    """Some hundred steps in 4 to 20 epochs: it starts from what naive Bayes knows."""
    rows = max(spec.rows, 1)
    size = min(256, max(16, 2 ** round(math.log2(max(rows / 40, 1)))))
    return {
        "epochs": max(4, min(20, math.ceil(400 / math.ceil(rows / size)))),
        "batch_size": size,
        "lr": 5e-3,
        "optimizer": {"kind": "adamw", "weight_decay": 1e-2},
        "schedule": {"kind": "linear", "warmup": 0.0},
        "patience": 5,
    }


class Text(nn.Module):
    """One text of a row, as ids (rows, length): the sum of its n-grams' weights and their vectors."""

    def __init__(self, feed: Input, cfg: Config, outputs: int):
        super().__init__()
        size = feed.sizes[0]
        self.first_part = size // 2  # the first id of parts of words
        self.linear = TokenSums(size, outputs, LARGEST_LINEAR)
        self.linear.weight.lr_scale = 10.0  # pyrefly: ignore[missing-attribute] - read by train.optim
        self.vectors = TokenSums(size, cfg.width, LARGEST_VECTORS)
        nn.init.normal_(self.vectors.weight, std=0.1)
        self.hide = Dropout(cfg.dropout)
        self.used: Tensor
        self.register_buffer("used", torch.ones(size, dtype=torch.bool))
        self.used[0] = False
        # how far a step of the optimizer moves each weight; learned from the rows at the start, and no part of a bundle
        self.scale: Tensor
        self.register_buffer("scale", torch.ones_like(self.linear.weight), persistent=False)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(rows, outputs) and (rows, width)."""
        used = F.embedding(ids, self.used.to(torch.float32).unsqueeze(1)).squeeze(2)  # (rows, length)
        words = used * (ids < self.first_part)
        share = sum(own / own.sum(1, keepdim=True).clamp(min=1).sqrt() for own in (words, used - words))
        return self.linear(ids, share, self.scale), self.vectors(ids, self.hide(share))

    def initialize(self, ids: np.ndarray, target: np.ndarray, output: Output) -> None:
        """Which n-grams are used, and the weights of naive Bayes."""
        size = len(self.used)
        texts = _sums(ids, np.ones(len(ids)), size)
        used = texts >= TEXTS
        used[0] = False
        self.used.copy_(torch.from_numpy(used))
        codes = np.arange(size)
        places = codes // self.linear.step
        count = len(self.linear.weight)
        total = np.bincount(places, texts * used, count)
        is_word = codes < self.first_part
        apart = [np.bincount(places, used & kind, count) > 0 for kind in (is_word, ~is_word)]
        for column, values in enumerate(_columns(target, output)):
            own = np.bincount(places, _sums(ids, values, size) * used, count)
            leaning = own / (total + SHRINK) if output.head == "value" else _log_ratio(own, total - own, apart)
            self.scale[:, column] = torch.from_numpy(np.where(total > 0, leaning, 0.0))


class Model(SinglePart):
    def __init__(self, cfg: Config, spec: Spec):
        super().__init__(spec.output)
        self.output = spec.output
        self.texts = nn.ModuleDict({name: Text(feed, cfg, spec.output.size) for name, feed in spec.inputs.items()})
        width = cfg.width * len(self.texts)
        self.bias = nn.Parameter(torch.zeros(spec.output.size))
        hidden = [nn.Linear(width, cfg.hidden), nn.ReLU(), Dropout(0.1)] if cfg.hidden else []
        self.head = nn.Sequential(*hidden, nn.Linear(cfg.hidden or width, spec.output.size))
        self.activation: OutputActivation = spec.output.activation

    def members(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(2, rows, size): of the linear model, and of the network."""
        sums, vectors = zip(*(text(inputs[name]) for name, text in self.texts.items()), strict=True)
        return torch.stack([torch.stack(sums).sum(0) + self.bias, self.head(torch.cat(vectors, 1))])

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": mean_of_members(self.members(inputs), self.activation)}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        yield "", self.loss(self.members(batch.inputs), batch.target, batch.lengths)

    @torch.no_grad()
    def initialize(self, train: Batch, validation: Batch) -> None:
        """Naive Bayes from training texts; how far it is to be trusted, from validation texts."""
        target = np.asarray(train.target)
        for name, text in self.texts.items():
            text.initialize(np.asarray(train.inputs[name]), target, self.output)  # pyrefly: ignore[not-callable]
        if self.output.head != "value":
            share = np.array([values.mean() for values in _columns(target, self.output)]).clip(1e-4, 1 - 1e-4)
            odds = share if self.activation == "softmax" else share / (1 - share)
            self.bias.copy_(torch.from_numpy(np.log(odds)))
        rows = slice(0, CHUNK)
        inputs = {name: torch.from_numpy(np.asarray(ids[rows])) for name, ids in validation.inputs.items()}
        answer = torch.from_numpy(np.asarray(validation.target[rows]))
        losses = [self._start(start).loss(self.eval().members(inputs)[0], answer).item() for start in STARTS]
        self._start(STARTS[int(np.argmin(losses))])

    def _start(self, weight: float) -> "Model":
        for text in self.texts.values():
            assert isinstance(text, Text)
            text.linear.weight.fill_(weight)
        return self

    @torch.no_grad()
    def finalize(self, inputs: Mapping[str, Tensor]) -> None:
        """Weights as they are served, without a scale."""
        for text in self.texts.values():
            assert isinstance(text, Text)
            text.linear.weight.mul_(text.scale)
            text.scale.fill_(1.0)


def _columns(target: np.ndarray, output: Output) -> Iterator[np.ndarray]:
    """For each raw answer, (rows,): what the target is of it, 0 or 1 for a class."""
    if output.activation == "softmax":
        yield from ((target == code).astype(np.float64) for code in range(output.size))
    else:
        yield from target.reshape(len(target), -1).T.astype(np.float64)


def _sums(ids: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(size,) the sum of `values` (rows,) over the rows that hold an id."""
    rows, sums = np.flatnonzero(values), np.zeros(size)
    for start in range(0, len(rows), CHUNK):
        some = rows[start : start + CHUNK]
        part = ids[some]
        sums += np.bincount(part.ravel(), np.repeat(values[some], part.shape[1]), size)
    return sums


def _log_ratio(own: np.ndarray, others: np.ndarray, apart: list[np.ndarray]) -> np.ndarray:
    """The logarithm of how much more often each n-gram stands in texts of a class than in others; `apart`: which are
    words, and which are parts of words.
    """
    ratio = np.zeros(len(own))
    for there in apart:
        p, q = own[there] + SHRINK, others[there] + SHRINK
        ratio[there] = np.log(p / p.sum()) - np.log(q / q.sum())
    return ratio
