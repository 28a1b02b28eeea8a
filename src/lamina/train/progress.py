"""Where a run stands: how much of it is over by its steps, and what the clock has to say about it."""

import math
import time
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lamina.schema import Row
from lamina.train import settings

TICK = 0.25  # seconds between looks at the clock's slower duties: rows, stop requests, checkpoints
REPLANS = [2.0**-n for n in range(8, 1, -1)] + [1 - 2.0**-n for n in range(1, 7)]  # shares of a budget: 1/256 to 63/64
CUT = 0.9  # of the schedule: a run that ends before it says so


@dataclass
class Progress:
    """Where a run stands, as plain values; with the tensors of a checkpoint it is everything."""

    epoch: int = 0
    position: int = 0  # batches of this epoch already used
    step: int = 0
    elapsed: float = 0.0
    plan: list[Sequence[int]] = field(default_factory=list)  # pairs: from a step on, the steps of the run
    lr: float = 0.0  # of the last step
    rows: int = 0  # epoch rows yielded so far
    best: float = math.inf
    best_epoch: int = 0
    best_weights: str = "raw"
    skipped: int = 0
    done: str = ""
    warned: bool = False
    notes: list[str] = field(default_factory=list)


class Plan:
    """How much of a run is over at a step, by pairs of a step and the steps of the run as planned there: what was left
    then is spread evenly over the steps that were left. A function of steps, never of a clock.
    """

    def __init__(self, pairs: Iterable[Sequence[int]]):
        self.steps, self.totals, self.shares = list[int](), list[int](), list[float]()
        for step, total in pairs:
            self.add(step, total)

    def add(self, step: int, total: int) -> None:
        """From `step` on, the run is planned to have `total` steps; `step` itself ends it."""
        share = self.share(step) if self.steps else 0.0
        self.steps.append(step)
        self.totals.append(total)
        self.shares.append(share)

    def total(self, step: int) -> int:
        return self.totals[bisect_right(self.steps, step) - 1]

    def share(self, step: int) -> float:
        """What is over before the step after `step`, 0 to 1."""
        i = bisect_right(self.steps, step) - 1
        start, total, share = self.steps[i], self.totals[i], self.shares[i]
        return share + (1 - share) * (step - start) / (total - start) if step < total else 1.0

    def over(self, step: int) -> bool:
        return step >= self.total(step)


class Clock:
    """The plan of a run, rates and due dates. Time decides when to save or show; where there is a budget, it also
    decides, at a few moments, how many steps the run will have. That is written down: by its plan, the run is the same
    again bit for bit.
    """

    def __init__(self, cfg: settings.Config, state: Progress, per_epoch: int):
        self.cfg, self.state = cfg, state
        self.epochs_end = cfg.epochs * per_epoch
        state.plan = [*(cfg.plan or (state.plan if cfg.budget else ()) or ((0, self.epochs_end),))]
        self.plan = Plan(state.plan)
        self.start = time.perf_counter() - state.elapsed
        self.first_step, self.first_time = state.step, time.perf_counter()
        self.last_tick = self.last_save = time.perf_counter()
        budget = cfg.budget or 0.0
        self.replans = [at for at in (share * budget for share in REPLANS) if at > state.elapsed] + [budget]
        self.base: tuple[int, float] | None = None  # step and time from which speed is measured: the first step is slow

    def progress(self) -> float:
        return self.plan.share(self.state.step)

    def elapsed(self) -> float:
        self.state.elapsed = time.perf_counter() - self.start
        return self.state.elapsed

    def over(self) -> bool:
        """Whether the planned steps are done; to be asked after each step, because the plan follows a budget here."""
        if self.cfg.budget is not None and not self.plan.over(self.state.step):
            self._follow(self.cfg.budget, self.elapsed())
        return self.plan.over(self.state.step)

    def _follow(self, budget: float, elapsed: float) -> None:
        """Plan again by the speed so far, where it is time to; at the end of the budget, end here."""
        step = self.state.step
        if self.base is None and step > self.first_step:
            self.base = step, elapsed
        if elapsed < self.replans[0]:
            return
        total = step
        if elapsed < budget:
            if self.base is None or step == self.base[0]:
                return
            speed = (step - self.base[0]) / max(elapsed - self.base[1], 1e-9)
            total = min(self.epochs_end, step + max(1, int((budget - elapsed) * speed)))
        self.replans = [at for at in self.replans if at > elapsed]
        if total != self.plan.total(step):
            self.plan.add(step, total)
            self.state.plan.append((step, total))

    def remarks(self) -> list[str]:
        """A sentence where time was up before the learning rate had come down."""
        share, step = self.plan.shares[-1], self.state.step
        if not (self.plan.steps[-1] == self.plan.totals[-1] == step and share < CUT):
            return []
        return [
            f"Time was up at {share:.0%} of the schedule, because the machine became slower: the learning rate had not "
            "come down all the way. More time may give better scores."
        ]

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
        rate, total = (self.state.step - self.first_step) / seconds, self.plan.total(self.state.step)
        by_steps = (total - self.state.step) / rate if rate else 0.0
        by_budget = math.inf if self.cfg.budget is None else max(0.0, self.cfg.budget - self.elapsed())
        return {"rate": rate, "seconds": self.elapsed(), "left": min(by_steps, by_budget), "steps": total}
