"""Bodies in, replies out, within limits of number, size and time; off the event loop, several at once.

Who works is in `worker`. Answers that come in pieces take turns with other requests, a piece at a time. Whoever would
wait too long is sent away before its body is read; deadlines are kept by the event loop, so they hold while the thread
is busy.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from math import ceil
from typing import Any

from lamina.deploy.server.content_types import Body, Message, Reply
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits, RequestError, busy
from lamina.deploy.server.service_time import ServiceTime
from lamina.deploy.server.worker import Client, Job, Worker

BODIES = 8  # largest bodies that may be in memory at a time
FEW = 16  # requests that may wait for their turn however slow the model is, if they can be answered in time
LATE = "Try again later, or send fewer rows at a time."


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
            sentence = f"There was no response within {self.limits.seconds:g} seconds. {LATE}"
            future.set_exception(RequestError(504, sentence))


@lru_cache(64)
def _too_busy(seconds: int) -> RequestError:
    """One for all, which is not to be raised: it would keep what it went through."""
    sentence = "The server is busy: it could not respond in time. Try again in a second, or less often."
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
