"""Scores of a language model on a text it has not seen, token by token: how surprised it is, and how often right.

Answers by token: `nll` in nats, `best` (that of the most likely token), `bytes` of the text for each token.
"""

import numpy as np

from lamina.evaluate.metrics import Answers, metric

NAMES = ("nats_per_token", "bits_per_byte", "perplexity", "next_token_accuracy")
BLOCKS, SHORTEST = 200, 20  # stretches of a text that an interval is drawn from, and the fewest tokens of one
MOST_NATS = 700.0


def _by_blocks(target: np.ndarray, answers: Answers, rng: np.random.Generator, draws: int) -> np.ndarray | None:
    """Means of redrawn stretches of the text, since tokens beside one another are not independent (Kuensch 1989)."""
    nll = answers["nll"]
    size = max(SHORTEST, len(nll) // BLOCKS)
    if len(nll) < 2 * size:
        return None
    starts = np.arange(0, len(nll), size)
    sums, counts = np.add.reduceat(nll.astype(np.float64), starts), np.diff(np.append(starts, len(nll)))
    picks = rng.integers(len(starts), size=(draws, len(starts)))
    return sums[picks].sum(1) / counts[picks].sum(1)


@metric(False, "nll", label="loss (nats per token)", resample=_by_blocks)
def nats_per_token(target: np.ndarray, answers: Answers) -> float:
    """Mean negative log likelihood of the next token, given what was before it."""
    return mean(answers["nll"])


@metric(False, "nll", "bytes", label="bits per byte")
def bits_per_byte(target: np.ndarray, answers: Answers) -> float:
    """The same for a byte of the text in UTF-8, whatever a token is."""
    return mean(answers["nll"]) / np.log(2) / mean(answers["bytes"])


@metric(False, "nll")
def perplexity(target: np.ndarray, answers: Answers) -> float:
    """Among how many tokens of the same likelihood the next one would be as hard to tell."""
    return float(np.exp(min(mean(answers["nll"]), MOST_NATS)))


@metric(True, "nll", "best", label="accuracy of the next token")
def next_token_accuracy(target: np.ndarray, answers: Answers) -> float:
    """Share of tokens that were the most likely one."""
    return float((answers["nll"] <= answers["best"]).mean())


def mean(values: np.ndarray) -> float:
    return float(values.mean(dtype=np.float64))
