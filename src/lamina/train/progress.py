"""Where a run stands, and what the clock has to say about it."""

import math
import time
from dataclasses import dataclass, field

from lamina.schema import Row
from lamina.train import settings

TICK = 0.25  # seconds between looks at the clock's slower duties: rows, stop requests, checkpoints


@dataclass
class Progress:
    """Where a run stands, as plain values; with the tensors of a checkpoint it is everything."""

    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    step: int = 0
    elapsed: float = 0.0
    lr: float = 0.0  # of the last step
    rows: int = 0  # epoch rows yielded so far
    best: float = math.inf
    best_epoch: int = 0
    best_weights: str = "raw"
    skipped: int = 0
    done: str = ""
    warned: bool = False
    notes: list[str] = field(default_factory=list)


class Clock:
    """Progress, rates and due dates; time only ever decides *when* to save or show, or the end of a budget."""

    def __init__(self, cfg: settings.Config, state: Progress, per_epoch: int):
        self.cfg, self.state = cfg, state
        self.total = cfg.epochs * per_epoch
        self.start = time.perf_counter() - state.elapsed
        self.first_step, self.first_time = state.step, time.perf_counter()
        self.last_tick = self.last_save = time.perf_counter()

    def progress(self) -> float:
        share = self.state.step / self.total
        return min(1.0, share if self.cfg.budget is None else max(share, self.elapsed() / self.cfg.budget))

    def elapsed(self) -> float:
        self.state.elapsed = time.perf_counter() - self.start
        return self.state.elapsed

    def over(self) -> bool:
        return self.cfg.budget is not None and self.elapsed() >= self.cfg.budget

    def tick(self) -> bool:
        now = time.perf_counter()
        if now - self.last_tick < TICK:
            return False
        self.last_tick = now
        self.elapsed()
        return True

    def checkpoint_due(self) -> bool:
        now = time.perf_counter()
        due = now - self.last_save >= self.cfg.checkpoint_every
        self.last_save = now if due else self.last_save
        return due

    def rate(self) -> Row:
        """Steps per second of this process, seconds so far, and seconds left by the rate so far."""
        seconds = max(time.perf_counter() - self.first_time, 1e-9)
        rate = (self.state.step - self.first_step) / seconds
        by_steps = (self.total - self.state.step) / rate if rate else 0.0
        by_budget = math.inf if self.cfg.budget is None else max(0.0, self.cfg.budget - self.elapsed())
        return {"rate": rate, "seconds": self.elapsed(), "left": min(by_steps, by_budget), "steps": self.total}
