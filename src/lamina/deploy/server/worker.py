"""Who works: a thread, which joins what comes while it is busy; and, where that wakes up too slowly, the event loop.

Work of a few milliseconds is done in the event loop itself, all that came at once together, with a share of its time
that grows with what comes in; so a loop that is busy refusing still answers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, NamedTuple

from lamina.deploy.server.content_types import Body
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import RequestError
from lamina.deploy.server.service_time import JOIN, MOST

FEW = 16  # results that are handed over between two looks at the sockets
QUICK, LONGEST = 0.004, 0.03  # seconds of a batch that the event loop may be held up for, and of several at most
OVERDUE = 0.01  # seconds of other work of the event loop, after which quick jobs have their turn
OTHERS = 8  # batches of which one has half as many requests as it could
SHORT = 1 << 14  # bytes of a body that may be in such a batch: times are those of usual ones


class Client:
    """Who asks, as far as it matters here; of this one it is not known whether its whole body is here."""

    gone = sending = complete = False

    def enter(self) -> None:
        """Its request begins."""


class Job(NamedTuple):
    """A body that waits for the thread, or a call of a function of its own; and the result to come."""

    endpoint: Endpoint
    client: Client
    future: Any  # an asyncio.Future, or what is done and takes a result as one is
    body: Body | None = None
    function: Callable[[], Any] | None = None
    since: float = 0.0  # when it began to wait

    @property
    def over(self) -> bool:
        return self.future.done() or self.client.gone


class Worker:
    """The thread, which sleeps while there are quick jobs alone. `submit` jobs from the event loop; they are done in
    order of arrival, bodies together.
    """

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._quick: deque[Job] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lamina-predict")
        self._awake = False
        self._left = 0.0  # when the event loop went back to its sockets
        self._behind = self._working = self._scheduled = False  # whether it left jobs then; is at them; comes back
        self._batches = count()

    @property
    def depth(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting) + len(self._quick)

    def submit(self, job: Job) -> None:
        """Have it done; one whose future is done or whose client has gone before its turn is never worked on."""
        if not self._awake and self._is_quick(job):
            self._quick.append(job)
            self._schedule()
            return
        self._wake(job)

    def _wake(self, job: Job) -> None:
        """Have the thread do it."""
        self._waiting.append(job)
        if not self._awake:
            self._awake = True
            self._thread.submit(self._work)

    def _is_quick(self, job: Job) -> bool:
        if job.body is None or not job.endpoint.joins or len(job.body) > SHORT:
            return False
        return job.endpoint.work.requests_in(QUICK) > 0

    def tend(self) -> None:
        """Do quick jobs that are overdue: the loop calls nothing else as long as a thousand sockets are ready."""
        if not self._quick or self._working:
            return
        if time.perf_counter() - max(self._left, self._quick[0].since) > OVERDUE:
            self._do_some()

    def _work_at_once(self) -> None:
        self._scheduled = False
        if self._quick:
            self._do_some()
            self._schedule()

    def _schedule(self) -> None:
        """Have the event loop come back to quick jobs, if there are any."""
        if self._quick and not self._scheduled:
            self._scheduled = True
            self._quick[0].future.get_loop().call_soon(self._work_at_once)

    def _do_some(self) -> None:
        """Do some of the quick jobs, all that have come between two looks at the sockets."""
        if self._awake:  # the thread is at work again, and one is enough
            while self._quick:
                self._wake(self._quick.popleft())
            return
        self._working = True
        try:
            self._share_out()
        finally:
            self._left, self._behind, self._working = time.perf_counter(), bool(self._quick), False

    def _share_out(self) -> None:
        """Quick jobs, batch after batch, for as long as the loop was busy with its sockets."""
        start = time.perf_counter()
        share, began = min(max(QUICK, start - self._left), LONGEST), self._left if self._behind else start
        while self._quick and time.perf_counter() - start < share:
            endpoint = self._quick[0].endpoint
            most = endpoint.time.most = max(1, endpoint.work.requests_in(QUICK))
            most = most // 2 if next(self._batches) % OTHERS == 0 else most  # what a request costs shows by comparison
            if batch := self._batch(self._quick, max(1, most)):
                results, work = _results(batch)
                end = time.perf_counter()
                self._settle([*zip(batch, results, strict=True)], end - began, work, len(batch))
                began = end

    def _work(self) -> None:
        while True:
            while batch := self._batch(self._waiting):
                start = time.perf_counter()
                batch[0].endpoint.time.most = MOST
                results, work = _results(batch)
                seconds = time.perf_counter() - start
                for loop in {job.future.get_loop() for job in batch}:
                    mine = [(j, r) for j, r in zip(batch, results, strict=True) if j.future.get_loop() is loop]
                    if not loop.is_closed():
                        loop.call_soon_threadsafe(self._settle, mine, seconds, work)
                if self._give_back():
                    return
            self._awake = False
            if not self._waiting:  # else one came before the thread was known to sleep
                return

    def _give_back(self) -> bool:
        """Leave what is quick to the event loop: where that is busy, the thread has hardly a turn beside it."""
        if not self._waiting or not self._is_quick(job := self._waiting[0]) or job.future.get_loop().is_closed():
            return False
        self._awake = False
        job.future.get_loop().call_soon_threadsafe(self._take_back)
        return True

    def _take_back(self) -> None:
        if not self._awake:
            jobs, self._waiting = self._waiting, deque()
            for job in jobs:
                self.submit(job)

    def _settle(self, pairs: Sequence[tuple[Job, Any]], seconds: float, work: float, most: int = FEW) -> None:
        """Hand results over, in the event loop: one call for a batch, since each one wakes the loop. `work`: seconds
        in which the processor was at it; `most`: results between two looks at the sockets.
        """
        pairs[0][0].endpoint.time.add(len(pairs), seconds)
        pairs[0][0].endpoint.work.add(len(pairs), work)
        self._hand_over(pairs, most)

    def _hand_over(self, pairs: Sequence[tuple[Job, Any]], most: int) -> None:
        """A few at a time, since every one begins an answer; the loop looks at its sockets between."""
        for job, result in pairs[:most]:
            if job.future.done():
                continue
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
        if len(pairs) > most:
            asyncio.get_running_loop().call_soon(self._hand_over, pairs[most:], most)

    def _batch(self, waiting: deque[Job], most: int = MOST) -> list[Job]:
        """Those at the front that can be done together."""
        batch, size, now = list[Job](), 0, time.perf_counter()
        while waiting and size < JOIN and len(batch) < most:
            job = waiting[0]
            single = job.body is None or not job.endpoint.joins
            if batch and (single or batch[0].body is None or job.endpoint is not batch[0].endpoint):
                break
            waiting.popleft()
            if not job.over:
                batch.append(job)
                size += len(job.body or b"")
                job.endpoint.metrics.queue_wait.observe(now - job.since)
            elif not job.future.done() and not job.future.get_loop().is_closed():
                job.future.get_loop().call_soon_threadsafe(_let_go, job.future)
        return batch


def _let_go(future: Any) -> None:
    """End the wait for a job whose client has gone, which holds a place in the queue."""
    if not future.done():
        future.set_exception(RequestError(400, "request: the client left before its response."))


def _results(batch: Sequence[Job]) -> tuple[Sequence[Any], float]:
    """A reply or an exception for each, and seconds of work."""
    start = time.thread_time()
    results: Sequence[Any]
    try:
        if batch[0].function is not None:
            results = [batch[0].function()]
        else:
            results = batch[0].endpoint.replies([job.body for job in batch if job.body is not None])
        assert len(results) == len(batch)
    except Exception as error:
        results = [error] * len(batch)
    return results, time.thread_time() - start
