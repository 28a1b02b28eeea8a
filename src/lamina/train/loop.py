"""The state of a run, and what can be done to it: step, evaluate, save, restore."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamina import models
from lamina.config import TrainingError
from lamina.resources import memory
from lamina.schema import Batch, Row
from lamina.train import batches, checkpoint, optim, settings
from lamina.train.parameter_group import ParameterGroup
from lamina.train.progress import Progress
from lamina.train.settings import Examples

HOPELESS = 50  # steps in a row without one finite gradient

Validate = Callable[[dict[str, np.ndarray], np.ndarray], dict[str, float]]


@torch.inference_mode()
def outputs(model: nn.Module, data: Examples | Batch) -> dict[str, np.ndarray]:
    """Raw outputs (rows, ...) float32 of all rows, in large batches; the model is put in evaluation mode."""
    model.eval()
    where = next(model.parameters()).device
    inputs = batches.tensors(data.inputs, None, where).inputs if isinstance(data, Examples) else data.inputs
    raw: dict[str, list[Tensor]] = {}

    def answer(start: int, stop: int) -> dict[str, Tensor]:
        return {k: v.float().cpu() for k, v in model({n: x[start:stop] for n, x in inputs.items()}).items()}

    for part in memory.halving(*batches.evaluation_size(inputs), answer):
        for name, value in part.items():
            raw.setdefault(name, []).append(value)
    return {name: torch.cat(values).numpy() for name, values in raw.items()}


class Loop:
    """The state of a run and what can be done to it."""

    def __init__(self, model: nn.Module, cfg: settings.Config, where: torch.device):
        self.model, self.cfg, self.where = model, cfg, where
        names: tuple[str, ...] = model.parts  # pyrefly: ignore[bad-assignment]
        self.parts = {n: ParameterGroup(model.get_submodule(n), len(names) == 1, cfg, where) for n in names}
        self.autocast = cfg.precision == "bf16"
        self.average = copy.deepcopy(model).requires_grad_(False) if cfg.ema else None
        self.average_pairs: tuple[list[Tensor], list[Tensor]] = ([], [])
        if self.average is not None:
            self.average_pairs = ([*self.average.parameters()], [*model.parameters()])
        self.best: dict[str, Tensor] = {}
        self.scores: dict[str, float] = {}  # of the validation rows, after the last epoch
        self.state = Progress()
        self.loss_sum = torch.zeros((), device=where)
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        self.running_stats = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]

    def start(self, seed: int) -> Progress:
        torch.manual_seed(seed)
        return self.state

    def step(self, batch: Batch, progress: float) -> None:
        state, accumulate = self.state, self.cfg.accumulate
        lr = state.lr = self.cfg.lr * optim.lr_scale(self.cfg.schedule, progress)
        state.step += 1
        before = [b.clone() for b in self.running_stats]
        for name, loss in self._losses(batch):
            part = self.parts[name]
            self.loss_sum += loss.detach().nan_to_num(0.0, 0.0, 0.0)
            part.backward(loss if accumulate == 1 else loss / accumulate)
            if state.step % accumulate == 0:
                part.step(lr)
        for now, old in zip(self.running_stats, before, strict=True):  # a batch that is not finite leaves no trace
            torch.where(now.isfinite(), now, old, out=now)
        if self.average is not None:
            decay = min(self.cfg.ema or 0.0, state.step / (10 + state.step))
            torch._foreach_lerp_(*self.average_pairs, 1 - decay)

    def _losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        losses = self.model.losses(batch)  # pyrefly: ignore[not-callable]
        if not self.autocast:
            return losses
        return self._autocast(losses)

    def _autocast(self, losses: Iterator[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """Forward passes in bf16; backward runs outside, as PyTorch wants it."""
        while True:
            with torch.autocast(self.where.type, torch.bfloat16):
                item = next(losses, None)
            if item is None:
                return
            yield item

    def live(self, data: Batch) -> Row:
        """The mean loss of this epoch so far; also the place where a run that no longer moves is noticed."""
        self._give_up(data)
        count = max(self.state.position, 1)
        return {"epoch": self.state.epoch + 1, "step": self.state.step, "loss": self.loss_sum.item() / count}

    def row(self, data: Batch) -> Row:
        """Closes an epoch: its mean training loss and what is worth a sentence. Nothing here depends on the clock."""
        self._give_up(data)
        state, skipped = self.state, sum(int(part.skipped.item()) for part in self.parts.values())
        if fresh := skipped - state.skipped:
            updates = (self._updates(state.step) - self._updates(state.step - state.position)) * len(self.parts)
            state.notes.append(f"{fresh} of {updates} steps were not finite and were left out. {self._cause(data)}")
        state.skipped = skipped
        loss = self.loss_sum.item() / max(state.position, 1)
        self.loss_sum.zero_()
        row: Row = {"step": state.step, "loss": loss, "lr": state.lr}
        if state.notes:
            row["notes"], state.notes = state.notes, []
        return row

    def _updates(self, step: int) -> int:
        return step // self.cfg.accumulate

    def validate(self, inputs: Batch, target: np.ndarray, validate: Validate) -> Row:
        """Scores raw and averaged weights on the validation rows and keeps the better where it is the best yet.

        With `keep: last` the latest that is finite counts as best: a few rows cannot tell one epoch from another.
        """
        scores: dict[str, dict[str, float]] = {}
        models = {"raw": self.model} | ({"ema": self.average} if self.average is not None else {})
        for name, model in models.items():
            if name == "ema":
                for mine, theirs in zip(model.buffers(), self.model.buffers(), strict=True):
                    mine.copy_(theirs)
            with np.errstate(over="ignore", invalid="ignore"):  # a network that diverges is told of in a sentence
                scores[name] = validate(outputs(model, inputs), target)
        first = {name: next(iter(own.values())) for name, own in scores.items()}
        better = min(first, key=lambda name: first[name] if math.isfinite(first[name]) else math.inf)
        if first[better] < self.state.best or (self.cfg.keep == "last" and math.isfinite(first[better])):
            self.state.best, self.state.best_weights = first[better], better
            self.state.best_epoch = self.state.epoch + 1
            self.best = {k: v.detach().clone() for k, v in models[better].state_dict().items()}
        self.scores = scores[better]
        (_, loss), (name, value) = list(self.scores.items())[:2]
        is_best = self.state.best_epoch == self.state.epoch + 1
        return {"validation_loss": loss, "score": value, "score_name": name, "weights": better, "best": is_best}

    def preview(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network would serve now, by averaged weights where there are some; draws no random number."""
        served = (self.average or self.model).served()  # pyrefly: ignore[not-callable]
        return outputs(served["model"], Examples(inputs, np.zeros(0)))

    def _give_up(self, data: Batch) -> None:
        stuck = max(part.stuck(self._updates(self.state.step)) for part in self.parts.values())
        if stuck >= HOPELESS:
            raise TrainingError(
                f"train: no gradient was finite for the last {stuck} steps (now at step {self.state.step}). "
                f"The weights are the last good ones. {self._cause(data)}"
            )

    def _cause(self, data: Batch) -> str:
        """The likely reason of a loss or gradient that is not finite, with its cure."""
        values = (data.target, *data.inputs.values())
        if not all(batches.finite(v) for v in values):
            return "The data holds values that are not finite. Look at the columns with: lamina inspect."
        largest = max((p.detach().abs().max().item() for p in self.model.parameters()), default=0.0)
        if largest > 1e3 or self.cfg.lr > 0.1:
            lower = min(self.cfg.lr / 10, 1e-3)
            return f"The likely cause is the learning rate: try train.lr={lower:.0e} or train.clip=1."
        if self.autocast:
            return "The likely cause is half precision: try train.precision=fp32."
        return f"The loss overflows: try train.clip=1 or train.lr={self.cfg.lr / 10:.0e}."

    def restore_best(self, data: Batch) -> None:
        """The best weights, put back; a run that never moved, or never evaluated a finite loss, has none."""
        updates = self._updates(self.state.step)
        if not updates:
            few = f"{self.cfg.accumulate} batches make one step, and the run has {self.state.step} batches"
            raise TrainingError(f"train.accumulate: {few}. Use a smaller number, or more epochs.")
        if any(int(part.skipped.item()) == updates for part in self.parts.values()):
            raise TrainingError(f"train: not one gradient was finite in {updates} steps. {self._cause(data)}")
        if not self.best:
            raise TrainingError(f"train: the validation loss was not finite after any epoch. {self._cause(data)}")
        self.model.load_state_dict(self.best)
        self.model.eval()

    def save(self, folder: Path) -> None:
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        tensors |= {f"skipped/{name}": part.skipped for name, part in self.parts.items()}
        tensors |= {"loss_sum": self.loss_sum, "rng/cpu": torch.get_rng_state()}
        if models.is_stateful(self.model):
            tensors |= {f"state/{i}": value for i, value in enumerate(self.model.state)}  # pyrefly: ignore[not-iterable]
        if self.average is not None:
            tensors |= {f"ema/{k}": v for k, v in self.average.state_dict().items()}
        if self.where.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.where)
        for name, optimizer in self._optimizers():
            tensors |= {f"optimizer/{name}/{k}": v for k, v in optimizer.tensors().items()}
        for name, p in ((n, p) for n, part in self.parts.items() for p in enumerate(part.params)):
            if p[1].grad is not None:  # in the middle of an accumulation
                tensors[f"grad/{name}/{p[0]}"] = p[1].grad
        tensors = {k: v.detach().clone() for k, v in tensors.items()}  # tied weights may not share memory on disk
        checkpoint.write(folder, self.state.step, tensors, {"progress": _json(asdict(self.state))})

    def _optimizers(self) -> Iterator[tuple[str, optim.Adam | optim.Muon | optim.Plain]]:
        for name, part in self.parts.items():
            for i, optimizer in enumerate(part.optimizers):
                yield f"{name}.{i}", optimizer

    def restore(self, folder: Path | None) -> Progress | None:
        """Everything `save` wrote, put back; None where there is nothing to go on from."""
        newest = checkpoint.read(folder) if folder and folder.exists() else None
        if newest is None:
            return None
        tensors, state, notes = newest
        if not tensors:
            self.state.notes = notes
            return None
        try:
            self._load(tensors, Progress(**_unjson(state["progress"])))
        except (KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0][:200]
            raise TrainingError(
                f"{folder}: what was saved does not fit this recipe ({reason}). Put the network and the optimizer back "
                "as they were, or start a new run."
            ) from None
        self.state.notes += notes
        return self.state

    def _load(self, tensors: dict[str, Tensor], state: Progress) -> None:
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            first, _, rest = key.partition("/")
            groups.setdefault(first, {})[rest] = value.to(self.where) if first != "rng" else value
        self.state = state
        self.model.load_state_dict(groups["model"])
        self.best = groups.get("best", {})
        self.loss_sum = groups["loss_sum"][""]
        if models.is_stateful(self.model):
            carried = groups.get("state", {})
            self.model.state = [carried[str(i)] for i in range(len(carried))]  # pyrefly: ignore[bad-argument-type]
        for name, part in self.parts.items():
            part.skipped = groups["skipped"][name]
            part.last_move = (int(part.skipped.item()), self._updates(state.step))
        if self.average is not None:
            self.average.load_state_dict(groups["ema"])
        for name, optimizer in self._optimizers():
            states = groups.get("optimizer", {})
            own = {k.removeprefix(f"{name}/"): v for k, v in states.items() if k.startswith(f"{name}/")}
            if own.keys() != optimizer.tensors().keys():
                raise KeyError("another optimizer")
            optimizer.load(own)
        for key, value in groups.get("grad", {}).items():
            part, _, index = key.rpartition("/")
            self.parts[part].params[int(index)].grad = value
        torch.set_rng_state(groups["rng"]["cpu"])
        if "cuda" in groups["rng"]:
            torch.cuda.set_rng_state(groups["rng"]["cuda"], self.where)


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isinf(v) else v for k, v in values.items()}


def _unjson(values: dict[str, Any]) -> dict[str, Any]:
    return {k: math.inf if v is None else v for k, v in values.items()}
