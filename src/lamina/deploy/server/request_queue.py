"""Bodies in, replies out, within limits of number, size and time; off the event loop, several at once.

One thread does the work; requests that arrive while it is busy are joined and answered together. What is over sooner
than a thread wakes up is done in the event loop itself, joined with all that came at once. Answers that come in pieces
take turns with other requests, a piece at a time. Whoever would wait too long is sent away before its body is
read; deadlines are kept by the event loop, so they hold while the thread is busy.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import count
from math import ceil
from typing import Any, NamedTuple

from lamina.deploy.server.content_types import Body, Message, Reply
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits, RequestError, busy
from lamina.deploy.server.service_time import JOIN, MOST, ServiceTime

BODIES = 8  # largest bodies that may be in memory at a time
FEW = 16  # requests that may wait for their turn however slow the model is, if they can be answered in time
QUICK, LONGEST = 0.004, 0.03  # seconds of a batch that the event loop may be held up for, and of several at most
OVERDUE = 0.01  # seconds of other work of the event loop, after which quick jobs have their turn
OTHERS = 8  # batches of which one has half as many requests as it could
SHORT = 1 << 14  # bytes of a body that may be in such a batch: times are those of usual ones
LATE = "Try again later, or send fewer rows at a time."


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
        start, self._working = time.perf_counter(), True
        share = min(max(QUICK, start - self._left), LONGEST)  # as long as the loop was busy with its sockets
        began = self._left if self._behind else start
        while self._quick and time.perf_counter() - start < share:
            endpoint = self._quick[0].endpoint
            most = endpoint.time.most = max(1, endpoint.work.requests_in(QUICK))
            most = most // 2 if next(self._batches) % OTHERS == 0 else most  # what a request costs shows by comparison
            batch = self._batch(self._quick, max(1, most))
            if batch:
                results, work = _results(batch)
                end = time.perf_counter()
                self._settle([*zip(batch, results, strict=True)], end - began, work, len(batch))
                began = end
        self._left, self._behind, self._working = time.perf_counter(), bool(self._quick), False

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
        future.set_exception(RequestError(400, "request: the client left before its answer."))


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


class RequestQueue:
    """Takes bodies in, within limits of number, size and time, and gives replies out."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.coming = self.requests = self.bytes = 0  # let in but not here yet; here; bytes of bodies in memory
        self.rejected = Counter[str]()  # requests, by what there was not enough of
        self._worker = Worker()
        self._times = set[ServiceTime]()  # of what is being answered

    @property
    def depth(self) -> int:
        """Requests that wait for their turn."""
        return self._worker.depth

    def refusal(self, line: int = 0, more: float = 0.0) -> RequestError | None:
        """Why no other request is let in now, if so; `line` stand before it at the door, for `more` seconds."""
        count, limits = self.requests + self.coming + line, self.limits
        if count == 0:
            return None
        seconds = self._wait(line) + more
        if count < limits.waiting and seconds <= (limits.seconds if count < FEW else limits.wait):
            return None
        self.rejected["queue"] += 1
        return _too_busy(max(1, ceil(seconds)))

    def tend(self) -> None:
        """Give work its share of the event loop, which is busy with requests that come."""
        self._worker.tend()

    def _wait(self, line: int) -> float:
        """Seconds until all that are inside are answered, and those that are about to come."""
        if not self.requests:
            return 0.0
        seconds = sum(time.wait() for time in self._times)
        return seconds * (1 + (self.coming + line) / self.requests)

    async def reply(
        self,
        endpoint: Endpoint,
        stream: AsyncIterator[bytes],
        kind: str,
        query: str = "",
        client: Client | None = None,
        read: Callable[[Body], Message] | None = None,
    ) -> Reply:
        """Read one body, whose `Content-Type` is `kind`, and answer it; `read`: the way of another protocol than our
        own. Errors: RequestError.
        """
        client = client or Client()
        async with self._received(endpoint, stream, client) as content:
            return await self._result(endpoint, client, body=Body(content, kind, query, read))

    async def replies(
        self, endpoint: Endpoint, stream: AsyncIterator[bytes], kind: str, query: str = "", client: Client | None = None
    ) -> AsyncIterator[Reply]:
        """The same in pieces, each as soon as it is there; whoever stops listening stops the work."""
        client = client or Client()
        async with self._received(endpoint, stream, client) as content:
            pieces = endpoint.stream(Body(content, kind, query))
            try:
                while (reply := await self._result(endpoint, client, function=lambda: next(pieces, None))) is not None:
                    yield reply
            finally:
                future = asyncio.get_running_loop().create_future()
                self._worker.submit(Job(endpoint, Client(), future, function=pieces.close))  # type: ignore[attr-defined]

    def enter(self, endpoint: Endpoint, size: int) -> None:
        """Count a request that is here, of so many bytes."""
        self._times.add(endpoint.time)
        endpoint.time.count(1, size)
        self.requests += 1

    def leave(self, endpoint: Endpoint, size: int) -> None:
        """Count one less."""
        endpoint.time.count(-1, -size)
        if not endpoint.time.requests:
            self._times.discard(endpoint.time)
        self.requests -= 1

    def submit(self, job: Job) -> asyncio.TimerHandle:
        """Have it done before its deadline; the timer of that is to be cancelled once it is."""
        self._worker.submit(job)
        return job.future.get_loop().call_later(self.limits.seconds, self._expire, job.future)

    @asynccontextmanager
    async def _received(
        self, endpoint: Endpoint, stream: AsyncIterator[bytes], client: Client
    ) -> AsyncIterator[bytearray]:
        """A whole body, counted among those that are being answered while it is."""
        body = bytearray()
        try:
            self._admit()
            if client.complete:
                await self._collect(stream, body, endpoint.limits.body)
            else:
                await self._receive(stream, body, endpoint.limits.body)
                self._admit()  # others came while the body did
            self.enter(endpoint, len(body))
            try:
                yield body
            finally:
                self.leave(endpoint, len(body))
        finally:
            self.bytes -= len(body)

    def _admit(self) -> None:
        if refusal := self.refusal():
            raise RequestError(refusal.status, str(refusal), refusal.headers)

    async def _receive(self, stream: AsyncIterator[bytes], body: bytearray, most: int) -> None:
        """Collect a body that is still to come."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                await self._collect(stream, body, most)
        except TimeoutError:
            sentence = f"body: did not arrive within {self.limits.seconds:g} seconds. Send it faster, or in parts."
            raise RequestError(408, sentence) from None

    async def _collect(self, stream: AsyncIterator[bytes], body: bytearray, most: int) -> None:
        """Count what really arrives, and not what was announced."""
        async for chunk in stream:
            body += chunk
            self.bytes += len(chunk)
            if len(body) > most:
                raise RequestError(413, f"body: is larger than {most:,} bytes. Send fewer rows at a time.")
            if self.bytes > BODIES * self.limits.body:
                self.rejected["memory"] += 1
                raise busy("The server holds as many requests as it can. Try again in a second.")

    async def _result(
        self, endpoint: Endpoint, client: Client, body: Body | None = None, function: Callable[[], Any] | None = None
    ) -> Any:
        future = asyncio.get_running_loop().create_future()
        timer = self.submit(Job(endpoint, client, future, body, function, time.perf_counter()))
        try:
            return await future
        finally:
            timer.cancel()

    def _expire(self, future: Any) -> None:
        """The deadline of a request is over."""
        if not future.done():
            sentence = f"There was no answer within {self.limits.seconds:g} seconds. {LATE}"
            future.set_exception(RequestError(504, sentence))


@lru_cache(64)
def _too_busy(seconds: int) -> RequestError:
    """One for all, which is not to be raised: it would keep what it went through."""
    sentence = "The server is busy: it could not answer in time. Try again in a second, or less often."
    return RequestError(503, sentence, {"Retry-After": str(seconds)})


async def chunks(receive: Callable[[], Awaitable[Any]]) -> AsyncIterator[bytes]:
    """The body of a request, as ASGI hands it over. Errors: RequestError where the client leaves."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "body: ended before it was complete. Send it again.")
        more = message.get("more_body", False)
        yield message.get("body", b"")
