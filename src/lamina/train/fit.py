"""The one loop. It yields rows; whoever pulls them prints, charts, prunes, or stops by ceasing to pull.

    for batch in batches:
        for part, loss in model.losses(batch):
            step(part, loss)

Two sorts of rows: `at: "step"`, a few per second for a progress line, and `at: "epoch"`, the record of the run.
A run that is killed at any moment and started again gives the same weights bit for bit: the order of rows depends
on (seed, epoch), and a checkpoint holds all the rest (weights, optimizers, averages, random state, best weights).
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamina.config import Interrupted, TrainingError
from lamina.schema import Batch, Row
from lamina.train import batches, checkpoint, device, optim, settings
from lamina.train import image_augmentation as pictures
from lamina.train.parameter_group import Part
from lamina.train.progress import Clock, Progress
from lamina.train.settings import Data

EARLY = 0.1  # of a run, before which nothing is wrong yet
HOPELESS = 50  # steps in a row without one finite gradient

Score = Callable[[dict[str, np.ndarray], np.ndarray], dict[str, float]]


@dataclass(frozen=True)
class Home:
    """What a run lends to training: where checkpoints go, how it is asked to stop, and how answers are scored.

    `score(raw, target)` gives named numbers; the first is minimised and decides which weights are best.
    `warn(numbers, best, epoch)` is a sentence where they tell that the run goes wrong, and "" otherwise. `sketch` is
    drawn after epochs 1, 2, 4, 8 and so on.
    """

    score: Score
    seed: int = 0
    folder: Path | None = None
    stop: Callable[[], bool] = lambda: False
    warn: Callable[[dict[str, float], float, int], str] = lambda found, best, epoch: ""
    sketch: settings.Sketch | None = None


def fit(model: nn.Module, train: Data, validation: Data, cfg: settings.Config, home: Home) -> Iterator[Row]:
    """Train `model` in place; at the end it holds the best weights seen, raw or averaged.

    Raises `TrainingError` when no step is finite any more, `Interrupted` (after saving) when asked to stop.
    """
    if cfg.accumulate > 1 and len(model.parts) > 1:  # pyright: ignore[reportArgumentType]
        raise TrainingError("train.accumulate: works for networks of one part only. Use a larger batch_size instead.")
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    where = device.choose(cfg)
    loop = _Loop(model.to(where), cfg, where)
    state = loop.restore(home.folder) or loop.begin(home.seed)
    data = batches.tensors(train.inputs, train.target, where)
    held_out = batches.tensors(validation.inputs, None, where)
    per_epoch = len(batches.bounds(batches.rows(data), cfg.batch_size))
    clock = Clock(cfg, state, per_epoch)
    while not state.done:
        model.train()
        for batch in batches.epoch(data, cfg.batch_size, home.seed, state.epoch, state.position):
            if cfg.augment:
                batch = pictures.augmented(batch, cfg.augment, (home.seed, state.epoch, state.position))
            loop.step(batch, clock.progress())
            state.position += 1
            if clock.tick():
                yield {"at": "step", **loop.live(data), **clock.rate()}
                if home.stop():
                    raise _interrupted(loop, home.folder)
                if home.folder and clock.checkpoint_due():
                    loop.save(home.folder)
            if clock.over():
                break
        row = loop.row(data) | loop.judge(held_out, np.asarray(validation.target), home.score) | clock.rate()
        row |= _told(loop, home, row, clock.progress())
        state.epoch, state.position, state.rows = state.epoch + 1, 0, state.rows + 1
        state.done = _reason(state, cfg, clock)
        yield {"at": "epoch", "epoch": state.epoch, **row}
        if home.folder and (state.done or clock.checkpoint_due()):
            loop.save(home.folder)
        if home.stop() and not state.done:
            raise _interrupted(loop, home.folder)
    loop.restore_best(data)
    yield {
        "at": "end",
        **{k: v for k, v in asdict(state).items() if k not in ("position", "notes", "rows", "lr", "warned")},
    }


def _told(loop: "_Loop", home: Home, row: Row, progress: float) -> Row:
    """What a row says beyond numbers: that a run goes wrong, once, and now and then a sketch."""
    state, said, epoch = loop.state, Row(), loop.state.epoch + 1
    wrong = home.warn(loop.found, state.best, state.best_epoch)
    if wrong and progress > EARLY and not state.warned:
        state.warned, said["notes"] = True, [*row.get("notes", []), wrong]
    if home.sketch and not epoch & (epoch - 1):
        said["sketch"] = home.sketch.draw(loop.made(home.sketch.inputs))
    return said


def _reason(state: Progress, cfg: settings.Config, clock: "Clock") -> str:
    """Why the run is over, or nothing."""
    if clock.over():
        return "time budget used"
    if cfg.patience and state.epoch - state.best_epoch >= cfg.patience:
        return f"no better validation loss for {cfg.patience} epochs"
    return "all epochs done" if state.epoch >= cfg.epochs else ""


def _interrupted(loop: "_Loop", folder: Path | None) -> Interrupted:
    if folder is None:
        return Interrupted(f"train: stopped at step {loop.state.step}; nothing was saved, the run has no folder.")
    loop.save(folder)
    return Interrupted(f"train: stopped and saved at step {loop.state.step}.")


@torch.inference_mode()
def outputs(model: nn.Module, data: Data | Batch) -> dict[str, np.ndarray]:
    """Raw outputs (rows, ...) float32 of all rows, in large batches; the model is put in evaluation mode."""
    model.eval()
    where = next(model.parameters()).device
    inputs = batches.tensors(data.inputs, None, where).inputs if isinstance(data, Data) else data.inputs
    found: dict[str, list[Tensor]] = {}
    for part in batches.in_order(inputs):
        for name, value in model(part).items():
            found.setdefault(name, []).append(value.float().cpu())
    return {name: torch.cat(values).numpy() for name, values in found.items()}


class _Loop:
    """The state of a run and what can be done to it."""

    def __init__(self, model: nn.Module, cfg: settings.Config, where: torch.device):
        self.model, self.cfg, self.where = model, cfg, where
        names: tuple[str, ...] = model.parts  # pyright: ignore[reportAssignmentType]
        self.parts = {n: Part(model.get_submodule(n), len(names) == 1, cfg, where) for n in names}
        self.half = cfg.precision == "bf16"
        self.average = copy.deepcopy(model).requires_grad_(False) if cfg.ema else None
        self.pairs: tuple[list[Tensor], list[Tensor]] = ([], [])
        if self.average is not None:
            self.pairs = ([*self.average.parameters()], [*model.parameters()])
        self.best: dict[str, Tensor] = {}
        self.found: dict[str, float] = {}  # by the last look at the validation rows
        self.state = Progress()
        self.loss_sum = torch.zeros((), device=where)
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
        self.moving = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]

    def begin(self, seed: int) -> Progress:
        torch.manual_seed(seed)
        return self.state

    def step(self, batch: Batch, progress: float) -> None:
        state, accumulate = self.state, self.cfg.accumulate
        lr = state.lr = self.cfg.lr * optim.lr_scale(self.cfg.schedule, progress)
        state.step += 1
        before = [b.clone() for b in self.moving]
        for name, loss in self._losses(batch):
            part = self.parts[name]
            self.loss_sum += loss.detach().nan_to_num(0.0, 0.0, 0.0)
            part.backward(loss if accumulate == 1 else loss / accumulate)
            if state.step % accumulate == 0:
                part.step(lr)
        for now, old in zip(self.moving, before, strict=True):  # a batch that is not finite leaves no trace here either
            torch.where(now.isfinite(), now, old, out=now)
        if self.average is not None:
            decay = min(self.cfg.ema or 0.0, state.step / (10 + state.step))
            torch._foreach_lerp_(*self.pairs, 1 - decay)

    def _losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        losses = self.model.losses(batch)  # pyright: ignore[reportCallIssue]
        if not self.half:
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
        done = max(self.state.position, 1)
        return {"epoch": self.state.epoch + 1, "step": self.state.step, "loss": self.loss_sum.item() / done}

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

    def judge(self, inputs: Batch, target: np.ndarray, score: Score) -> Row:
        """Scores raw and averaged weights on the validation rows and keeps the better where it is the best yet.

        With `keep: last` the latest that is finite counts as best: a few rows cannot tell one epoch from another.
        """
        found: dict[str, dict[str, float]] = {}
        models = {"raw": self.model} | ({"ema": self.average} if self.average is not None else {})
        for name, model in models.items():
            if name == "ema":
                for mine, theirs in zip(model.buffers(), self.model.buffers(), strict=True):
                    mine.copy_(theirs)
            found[name] = score(outputs(model, inputs), target)
        first = {name: next(iter(scores.values())) for name, scores in found.items()}
        better = min(first, key=lambda name: first[name] if math.isfinite(first[name]) else math.inf)
        if first[better] < self.state.best or (self.cfg.keep == "last" and math.isfinite(first[better])):
            self.state.best, self.state.best_weights = first[better], better
            self.state.best_epoch = self.state.epoch + 1
            self.best = {k: v.detach().clone() for k, v in models[better].state_dict().items()}
        self.found = found[better]
        (_, loss), (name, value) = list(self.found.items())[:2]
        is_best = self.state.best_epoch == self.state.epoch + 1
        return {"validation_loss": loss, "score": value, "score_name": name, "weights": better, "best": is_best}

    def made(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the generator makes now, by averaged weights where there are some; draws no random number."""
        generator = (self.average or self.model).get_submodule("generator")
        return outputs(generator, Data(inputs, np.zeros(0)))

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
        if self.half:
            return "The likely cause is half precision: try train.precision=fp32."
        return f"The loss overflows: try train.clip=1 or train.lr={self.cfg.lr / 10:.0e}."

    def restore_best(self, data: Batch) -> None:
        """The best weights, put back; a run that never moved, or never judged a finite loss, has none."""
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

    def _optimizers(self) -> Iterator[tuple[str, optim.Adam | optim.Filters | optim.Plain]]:
        for name, part in self.parts.items():
            for i, optimizer in enumerate(part.optimizers):
                yield f"{name}.{i}", optimizer

    def restore(self, folder: Path | None) -> Progress | None:
        """Everything `save` wrote, put back; None where there is nothing to go on from."""
        found = checkpoint.read(folder) if folder and folder.exists() else None
        if found is None:
            return None
        tensors, saved, notes = found
        if not tensors:
            self.state.notes = notes
            return None
        try:
            self._take(tensors, Progress(**_unjson(saved["progress"])))
        except (KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
            reason = str(error).splitlines()[0][:200]
            raise TrainingError(
                f"{folder}: what was saved does not fit this recipe ({reason}). Put the network and the optimizer back "
                "as they were, or start a new run."
            ) from None
        self.state.notes += notes
        return self.state

    def _take(self, tensors: dict[str, Tensor], state: Progress) -> None:
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            first, _, rest = key.partition("/")
            groups.setdefault(first, {})[rest] = value.to(self.where) if first != "rng" else value
        self.state = state
        self.model.load_state_dict(groups["model"])
        self.best = groups.get("best", {})
        self.loss_sum = groups["loss_sum"][""]
        for name, part in self.parts.items():
            part.skipped = groups["skipped"][name]
            part.looked = (int(part.skipped.item()), self._updates(state.step))
        if self.average is not None:
            self.average.load_state_dict(groups["ema"])
        for name, optimizer in self._optimizers():
            saved = groups.get("optimizer", {})
            own = {k.removeprefix(f"{name}/"): v for k, v in saved.items() if k.startswith(f"{name}/")}
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
