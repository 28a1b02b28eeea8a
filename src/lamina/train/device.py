"""Where and how precisely to compute, decided once at the start of a run."""

import functools
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from lamina.config import RecipeError, TrainingError, parse
from lamina.schema import Batch
from lamina.train import settings
from lamina.train.batches import tensors

Choices = Mapping[str, Any]

WORTH_PROBE = 6e7  # multiply-adds of a step below which fork and join, and casting, cost more than the work
FASTER = 1.15
MUCH_FASTER = 1.5  # before all threads are taken: they pay back little, and badly when a neighbour comes
LONG, LONG_FASTER = 0.02, 1.25  # seconds of a pass in which threads wait seldom for one another, and what is then asked
PROBE_SECONDS, LONG_PROBE = 0.05, 0.4  # of each probe; beyond the latter, one pass after the first is enough
AGREE = 0.02


def choose(name: str) -> torch.device:
    """The device of a name, or the best there is for `auto`."""
    there = present()
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise TrainingError(f"train.device: this machine has no {name} (it has {', '.join(there)}). Use auto.")
    return torch.device(name)


def present() -> list[str]:
    """The kinds of device of this machine, best first."""
    devices = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in devices.items() if there]


def decide(recipe: Choices, suggestion: Choices, model: nn.Module, data: settings.Examples) -> settings.Config:
    """What the recipe says, over what the architecture suggests, over the defaults; then device, precision and
    threads are fixed, so that a resumed run computes as this one does.
    """
    faults: list[str] = []
    cfg = parse(settings.Config, {**suggestion, **recipe}, "train", faults)
    if cfg is None:
        raise RecipeError(faults)
    if cfg.augment and not any(values.ndim == 4 for values in data.inputs.values()):
        what = "there are no images to change: the data has none, or a frozen network has made features of them"
        raise RecipeError([f"train.augment: {what}. Leave it out (or set model.frozen=false)."])
    where = choose(cfg.device)
    rows = slice(0, min(cfg.batch_size, len(data.target)))
    lengths = None if data.lengths is None else data.lengths[rows]
    batch = tensors({name: values[rows] for name, values in data.inputs.items()}, data.target[rows], where, lengths)
    threads, precision = _choice(cfg, model.to(where), batch, where)
    return cfg.model_copy(update={"device": where.type, "precision": precision, "threads": threads})


def work(model: nn.Module, batch_size: int) -> float:
    """Multiply-adds of one step, roughly: three passes over every matrix. A function of sizes, never of a clock."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    return 3.0 * batch_size * sum(p.numel() for p in model.parameters() if p.ndim >= 2 and id(p) not in tables)


def _choice(cfg: settings.Config, model: nn.Module, batch: Batch, where: torch.device) -> tuple[int, str]:
    """CPU threads and precision: what was asked for, else by size for small networks, else by a short probe.

    A tiny network is always fp32 on one thread, so that its numbers never depend on a clock.
    """
    cores, size = torch.get_num_threads(), work(model, cfg.batch_size)
    if where.type != "cpu" or size < WORTH_PROBE:
        half = where.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = ("bf16" if half else "fp32") if cfg.precision == "auto" else cfg.precision
        return cfg.threads or (1 if size < WORTH_PROBE else cores), precision
    probe = functools.cache(functools.partial(_probe, model, batch))
    precision = "fp32" if cfg.precision == "auto" else cfg.precision
    # Precision by the fastest pass on one thread, which is the machine's and not its neighbours'.
    if cfg.precision == "auto" and multiplies_bf16():
        (plain, loss), (half, half_loss) = probe(1, "fp32"), probe(1, "bf16")
        agree = abs(half_loss - loss) <= AGREE * max(abs(loss), 1e-3)
        precision = "bf16" if min(half) * FASTER < min(plain) and agree else "fp32"
    threads = cfg.threads or 1
    if not cfg.threads and cores > 1:  # by the usual pass, neighbours and all: two threads on a busy core wait for it
        usual = {count: statistics.median(probe(count, precision)[0]) for count in (1, cores)}
        least = LONG_FASTER if usual[cores] > LONG else MUCH_FASTER
        threads = cores if usual[cores] * least < usual[1] else 1
    torch.set_num_threads(cores)
    return threads, precision


@functools.cache
def multiplies_bf16() -> bool:
    """Whether this processor multiplies matrices in bf16 by itself; where it only imitates that, fp32 is many times as
    fast.
    """
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def _probe(model: nn.Module, batch: Batch, threads: int, precision: str) -> tuple[list[float], float]:
    """Seconds of a few forward and backward passes, and the sum of the losses. State is put back."""
    saved = {name: value.clone() for name, value in model.state_dict().items()}
    torch.set_num_threads(threads)
    times, total, end = [], 0.0, time.perf_counter() + PROBE_SECONDS
    with torch.random.fork_rng(devices=[]):
        while len(times) < 2 or (len(times) < 4 and sum(times) < LONG_PROBE) or time.perf_counter() < end:
            torch.manual_seed(0)
            start, total = time.perf_counter(), 0.0
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                pairs = list(model.losses(batch))  # pyrefly: ignore[not-callable]
            for _, loss in pairs:
                loss.backward(retain_graph=len(pairs) > 1)
                total += float(loss.detach())
            times.append(time.perf_counter() - start)
    model.load_state_dict(saved)
    model.zero_grad(set_to_none=True)
    return times[1:], total
