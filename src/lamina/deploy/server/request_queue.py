"""Bodies in, replies out, within limits of number, size and time; off the event loop, several at once.

One thread does the work; requests that arrive while it is busy are joined and answered together. Answers that come in
pieces take turns with other requests, a piece at a time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from lamina.deploy.server.content_types import Body
from lamina.deploy.server.endpoint import Endpoint, Reply
from lamina.deploy.server.limits import Limits, RequestError, busy

JOIN = 1 << 20  # bytes of request bodies after which a batch is closed
BODIES = 8  # largest bodies that may be in memory at a time
LATE = "Try again later, or send fewer rows at a time."


class Waiting(NamedTuple):
    """A body that waits for the thread, and the reply to come."""

    endpoint: Endpoint
    body: Body
    future: "Future[Reply]"


class Worker:
    """The thread. `submit` bodies from the event loop; they are answered in order of arrival."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lamina-predict")

    def submit(self, endpoint: Endpoint, body: Body) -> "Future[Reply]":
        """The reply to come. A future cancelled before its turn is never worked on."""
        future: Future[Reply] = Future()
        self._waiting.append(Waiting(endpoint, body, future))
        self._thread.submit(self._work)  # one call per body, so none is left waiting; most calls find nothing
        return future

    def run(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Any other call, between two batches."""
        return self._thread.submit(function, *arguments)

    def _work(self) -> None:
        batch = self._batch()
        if not batch:
            return
        try:
            replies = batch[0].endpoint.replies([one.body for one in batch])
        except Exception as error:
            replies = [error] * len(batch)
        for one, reply in zip(batch, replies, strict=True):
            if isinstance(reply, Exception):
                one.future.set_exception(reply)
            else:
                one.future.set_result(reply)

    def _batch(self) -> list[Waiting]:
        """Those at the front that can be answered together."""
        batch, size = list[Waiting](), 0
        while self._waiting and size < JOIN:
            if batch and not (batch[0].endpoint.joins and self._waiting[0].endpoint is batch[0].endpoint):
                break
            one = self._waiting.popleft()
            if one.future.set_running_or_notify_cancel():
                batch.append(one)
                size += len(one.body)
        return batch


class RequestQueue:
    """Takes bodies in, within limits of number, size and time, and gives replies out."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self.requests = self.bytes = 0
        self._worker = Worker()

    async def reply(self, endpoint: Endpoint, stream: AsyncIterator[bytes], kind: str, query: str = "") -> Reply:
        """Read one body, whose `Content-Type` is `kind`, and answer it. Errors: RequestError."""
        async with self._received(stream) as content:
            return await self._result(self._worker.submit(endpoint, Body(content, kind, query)))

    async def replies(
        self, endpoint: Endpoint, stream: AsyncIterator[bytes], kind: str, query: str = ""
    ) -> AsyncIterator[Reply]:
        """The same in pieces, each as soon as it is there; whoever stops listening stops the work."""
        async with self._received(stream) as content:
            pieces = endpoint.stream(Body(content, kind, query))
            try:
                while (reply := await self._result(self._worker.run(next, pieces, None))) is not None:
                    yield reply
            finally:
                self._worker.run(pieces.close)  # type: ignore[attr-defined]

    @asynccontextmanager
    async def _received(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytearray]:
        """A whole body, counted among those that are being answered while it is."""
        body = bytearray()
        try:
            await self._receive(stream, body)
            if self.requests >= self.limits.waiting:
                raise busy(f"The server is busy with {self.requests:,} requests. Try again in a second.")
            self.requests += 1
            try:
                yield body
            finally:
                self.requests -= 1
        finally:
            self.bytes -= len(body)

    async def _receive(self, stream: AsyncIterator[bytes], body: bytearray) -> None:
        """Collect a body, counting what really arrives and not what was announced."""
        from starlette.requests import ClientDisconnect

        try:
            async with asyncio.timeout(self.limits.seconds):
                async for chunk in stream:
                    body += chunk
                    self.bytes += len(chunk)
                    if len(body) > self.limits.body:
                        cure = "Send fewer rows at a time."
                        raise RequestError(413, f"body: is larger than {self.limits.body:,} bytes. {cure}")
                    if self.bytes > BODIES * self.limits.body:
                        raise busy("The server holds as many requests as it can. Try again in a second.")
        except TimeoutError:
            sentence = f"body: did not arrive within {self.limits.seconds:g} seconds. Send it faster, or in parts."
            raise RequestError(408, sentence) from None
        except ClientDisconnect:
            raise RequestError(400, "body: ended before it was complete. Send it again.") from None

    async def _result(self, future: "Future[Any]") -> Any:
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise RequestError(504, f"There was no answer within {self.limits.seconds:g} seconds. {LATE}") from None
