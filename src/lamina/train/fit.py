"""The one loop. It yields rows; whoever pulls them prints, charts, prunes, or stops by ceasing to pull.

    for batch in batches:
        for part, loss in model.losses(batch):
            step(part, loss)

Two sorts of rows: `at: "step"`, a few per second for a progress line, and `at: "epoch"`, the record of the run.
A run that is killed at any moment and started again gives the same weights bit for bit: the order of rows depends
on (seed, epoch), and a checkpoint holds all the rest (weights, optimizers, averages, random state, best weights).
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lamina import models
from lamina.config import Interrupted, TrainingError
from lamina.schema import Row
from lamina.train import batches, device, image_augmentation, settings
from lamina.train.loop import Loop, Validate, outputs
from lamina.train.progress import Clock, Progress
from lamina.train.settings import Examples

__all__ = ["Hooks", "fit", "outputs"]

EARLY = 0.1  # of a run, before which nothing is wrong yet


@dataclass(frozen=True)
class Hooks:
    """What a run lends to training: where checkpoints go, how it is asked to stop, and how answers are scored.

    `validate(raw, target)` gives named scores; the first is minimised and decides which weights are best.
    `warn(scores, best, epoch)` is a sentence where they tell that the run goes wrong, and "" otherwise. `preview` is
    drawn after epochs 1, 2, 4, 8 and so on. `target_transform(target, affine, size)` is called where augmentation has
    moved images, to move a target with them, such as boxes: `affine` (rows, 2, 3) maps a place (x, y) in pixels, of
    which (0, 0) is the upper left corner of the first, to where it is now; `size` is (height, width).
    """

    validate: Validate
    seed: int = 0
    folder: Path | None = None
    stop: Callable[[], bool] = lambda: False
    warn: Callable[[dict[str, float], float, int], str] = lambda scores, best, epoch: ""
    preview: settings.Preview | None = None
    target_transform: Callable[[Any, Tensor, tuple[int, int]], Any] | None = None


def fit(model: nn.Module, train: Examples, validation: Examples, cfg: settings.Config, hooks: Hooks) -> Iterator[Row]:
    """Train `model` in place; at the end it holds the best weights seen, raw or averaged.

    Raises `TrainingError` when no step is finite any more, `Interrupted` (after saving) when asked to stop.
    """
    if cfg.accumulate > 1 and len(model.parts) > 1:  # pyrefly: ignore[bad-argument-type]
        raise TrainingError("train.accumulate: works for networks of one part only. Use a larger batch_size instead.")
    moves = hooks.target_transform
    image_augmentation.check(train, cfg.augment, moves is not None)
    torch.set_num_threads(cfg.threads or torch.get_num_threads())
    where = device.choose(cfg.device)
    loop = Loop(model.to(where), cfg, where)
    state = loop.restore(hooks.folder) or loop.start(hooks.seed)
    data = batches.tensors(train.inputs, train.target, where, train.lengths)
    held_out = batches.tensors(validation.inputs, None, where)
    lanes = train.contiguous and models.is_stateful(model)
    per_epoch = cfg.steps_per_epoch or len(batches.sizes_of(data, cfg.batch_size, lanes))
    clock = Clock(cfg, state, per_epoch)
    first = state.epoch * per_epoch + state.position
    stream = batches.stream(data, cfg.batch_size, hooks.seed, first, lanes, train.padding)
    while not state.done:
        model.train()
        for batch in islice(stream, per_epoch - state.position):
            if state.position and clock.over():
                break
            if cfg.augment:
                seed = hooks.seed, state.epoch, state.position
                batch = image_augmentation.augment(batch, cfg.augment, seed, moves)
            loop.step(batch, clock.progress())
            state.position += 1
            if clock.tick():
                yield {"at": "step", **loop.live(data), **clock.rate()}
                if hooks.stop():
                    raise _interrupted(loop, hooks.folder)
                if hooks.folder and clock.checkpoint_due():
                    loop.save(hooks.folder)
        row = loop.row(data) | loop.validate(held_out, np.asarray(validation.target), hooks.validate)
        over = clock.over()  # evaluating takes time too
        row |= clock.rate() | _remarks(loop, hooks, row, clock)
        state.epoch, state.position, state.rows = state.epoch + 1, 0, state.rows + 1
        state.done = _reason(state, cfg, over)
        yield {"at": "epoch", "epoch": state.epoch, **row}
        if hooks.folder and (state.done or clock.checkpoint_due()):
            loop.save(hooks.folder)
        if hooks.stop() and not state.done:
            raise _interrupted(loop, hooks.folder)
    loop.restore_best(data)
    yield {
        "at": "end",
        **{k: v for k, v in asdict(state).items() if k not in ("position", "notes", "rows", "lr", "warned")},
    }


def _remarks(loop: Loop, hooks: Hooks, row: Row, clock: Clock) -> Row:
    """What a row says beyond numbers: that a run goes wrong, once, that it was cut short, now and then a preview."""
    state, remarks, epoch, notes = loop.state, Row(), loop.state.epoch + 1, clock.remarks()
    warning = hooks.warn(loop.scores, state.best, state.best_epoch)
    if warning and clock.progress() > EARLY and not state.warned:
        state.warned, notes = True, [*notes, warning]
    if notes:
        remarks["notes"] = [*row.get("notes", []), *notes]
    if hooks.preview and not epoch & (epoch - 1):
        remarks["preview"] = hooks.preview.draw(loop.preview(hooks.preview.inputs))
    return remarks


def _reason(state: Progress, cfg: settings.Config, over: bool) -> str:
    """Why the run is over, or nothing."""
    if cfg.patience and state.epoch - state.best_epoch >= cfg.patience:
        return f"no better validation loss for {cfg.patience} epochs"
    if state.epoch >= cfg.epochs:
        return "all epochs done"
    return "" if not over else "all planned steps done" if cfg.plan else "time budget used"


def _interrupted(loop: Loop, folder: Path | None) -> Interrupted:
    if folder is None:
        return Interrupted(f"train: stopped at step {loop.state.step}; nothing was saved, the run has no folder.")
    loop.save(folder)
    return Interrupted(f"train: stopped and saved at step {loop.state.step}.")
