"""Where and how precisely to compute, decided once at the start of a run."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lamina.config import RecipeError, TrainingError, parse
from lamina.schema import Batch
from lamina.train import settings
from lamina.train.batches import tensors

Said = Mapping[str, Any]

WORTH_THREADS = 3e7  # multiply-adds of a step below which fork and join cost more than the work
WORTH_PROBE = 3e8
FASTER = 1.15
AGREE = 0.02


def choose(cfg: settings.Config) -> torch.device:
    """The device asked for, or the best there is."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if cfg.device == "auto":
        return torch.device(next(name for name, there in found.items() if there))
    if not found[cfg.device]:
        there = [name for name, ok in found.items() if ok]
        raise TrainingError(f"train.device: this machine has no {cfg.device} (it has {', '.join(there)}). Use auto.")
    return torch.device(cfg.device)


def decide(said: Said, suggested: Said, model: nn.Module, data: settings.Data) -> settings.Config:
    """What the recipe says, over what the architecture suggests, over the defaults; then device, precision and
    threads are settled, so that a resumed run computes as this one does.
    """
    faults: list[str] = []
    cfg = parse(settings.Config, {**suggested, **said}, "train", faults)
    if cfg is None:
        raise RecipeError(faults)
    where = choose(cfg)
    rows = slice(0, min(cfg.batch_size, len(data.target)))
    batch = tensors({name: values[rows] for name, values in data.inputs.items()}, data.target[rows], where)
    own = model.to(where)
    found = {"device": where.type, "precision": precision(cfg, own, batch, where), "threads": threads(cfg, own)}
    return cfg.model_copy(update=found)


def work(model: nn.Module, batch_size: int) -> float:
    """Multiply-adds of one step, roughly: three passes over every matrix. A function of sizes, never of a clock."""
    return 3.0 * batch_size * sum(p.numel() for p in model.parameters() if p.ndim >= 2)


def threads(cfg: settings.Config, model: nn.Module) -> int:
    """One thread for a tiny network, else what the machine offers."""
    if cfg.threads:
        return cfg.threads
    return 1 if work(model, cfg.batch_size) < WORTH_THREADS else torch.get_num_threads()


def precision(cfg: settings.Config, model: nn.Module, batch: Batch, device: torch.device) -> str:
    """bf16 where a short probe shows that it is faster here and gives the same loss; fp32 otherwise."""
    if cfg.precision != "auto":
        return cfg.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    if device.type != "cpu" or work(model, cfg.batch_size) < WORTH_PROBE:
        return "fp32"
    with torch.random.fork_rng(devices=[]):
        plain, loss = _probe(model, batch, enabled=False)
        half, half_loss = _probe(model, batch, enabled=True)
    good = half * FASTER < plain and abs(half_loss - loss) <= AGREE * max(abs(loss), 1e-3)
    return "bf16" if good else "fp32"


def _probe(model: nn.Module, batch: Batch, enabled: bool) -> tuple[float, float]:
    """Fastest of a few forward and backward passes in seconds, and the sum of the losses. State is put back."""
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    best, total, end = float("inf"), 0.0, time.perf_counter() + 0.05
    while best == float("inf") or time.perf_counter() < end:
        torch.manual_seed(0)
        start, total = time.perf_counter(), 0.0
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            pairs = list(model.losses(batch))  # pyright: ignore[reportCallIssue]
        for _, loss in pairs:
            loss.backward(retain_graph=len(pairs) > 1)
            total += float(loss)
        best = min(best, time.perf_counter() - start)
    model.load_state_dict(saved)
    model.zero_grad(set_to_none=True)
    return best, total
