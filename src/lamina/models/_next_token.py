"""What networks share that say the next token of a text: how likely each token is, and what is learned of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina import losses
from lamina.losses.next_token import PADDING
from lamina.schema import Batch, Spec

BATCH = 4096  # tokens of a batch
EACH = 250  # batches after which the network is looked at, where a pass over the text takes more
PASSES, STEPS, LONGEST = 20, 4_000, 20_000  # of a run: a small text is passed over often, a large one once or in part
AT_ONCE = 1 << 14  # tokens of rows at once, without gradients: a bound on memory, and faster than more
TIED = 2048  # tokens of a vocabulary, from which on the scores share the table of the embedding


def schedule(spec: Spec) -> dict[str, Any]:
    """Batches of about 4,096 tokens. 4,000 of them, but no more than 20 passes over the text; of a large one a whole
    pass, or 20,000 batches. The network is evaluated after each pass, or after 250 batches where that is less.
    """
    (feed,), rows = spec.inputs.values(), max(spec.rows, 1)
    size = max(8, min(256, BATCH // max((feed.shape[0] or 2) - 1, 1)))
    a_pass = math.ceil(rows / size)
    steps = min(PASSES * a_pass, max(STEPS, min(a_pass, LONGEST)))
    each = min(a_pass, EACH)
    pieces = {} if each == a_pass else {"steps_per_epoch": each}
    return {"epochs": max(1, round(steps / each)), **pieces, "batch_size": size, "patience": max(5, a_pass // each)}


class TokenTable(nn.Module):
    """Ids to vectors of some width, and vectors to scores of every id."""

    def __init__(self, vocabulary: int, width: int):
        super().__init__()
        self.table = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.table.weight, std=0.02 if vocabulary >= TIED else 0.1)
        self.scores = None if vocabulary >= TIED else nn.Parameter(0.02 * torch.randn(vocabulary, width))

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids)

    def logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.table.weight if self.scores is None else self.scores)


class NextToken(nn.Module, ABC):
    """Gives `losses` and `forward` to a network that has `states`, tokens (rows, steps) to what scores are made of."""

    parts = ("",)

    def __init__(self, spec: Spec, width: int):
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        self.context = (feed.shape[0] or 2) - 1  # tokens before the last of a window
        self.tokens = TokenTable(spec.output.size, width)
        self.loss = losses.loss(spec.output)

    @abstractmethod
    def hidden(self, tokens: Tensor, carried: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Tokens (rows, steps) to what scores are made of (rows, steps, width), and the state to go on from."""

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tokens = inputs[self.name]
        size = max(1, AT_ONCE // tokens.shape[1])
        if torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_exporting() or len(tokens) <= size:
            return self._nll(tokens)
        parts = [self._nll(part) for part in tokens.split(size)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _nll(self, tokens: Tensor) -> dict[str, Tensor]:
        """(rows, steps) negative log likelihoods: of each token after the first, and of the most likely one there."""
        target = tokens[:, 1:]
        logits = self.tokens.logits(self.hidden(tokens[:, :-1], [])[0]).float()
        total, absent = logits.logsumexp(2), target == PADDING
        scores = {"nll": logits.gather(2, target.unsqueeze(2)).squeeze(2), "best": logits.amax(2)}
        return {name: (total - own).masked_fill(absent, 0.0) for name, own in scores.items()}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        tokens = batch.inputs[self.name]
        yield "", self.loss(self.tokens.logits(self.hidden(tokens[:, :-1], [])[0]), tokens[:, 1:])
