"""When the answer to a request is due, where its body says so: known only once the body is read, by whoever works."""

import asyncio
from types import TracebackType
from typing import Self

from lamina.deploy.server.limits import RequestError


class Deadline:
    """An asynchronous context that ends with a RequestError, 504, once its time is over."""

    def __init__(self) -> None:
        self._loop, self._limit = asyncio.get_running_loop(), asyncio.timeout(None)
        self._start, self._microseconds, self._is_open = self._loop.time(), 0, True

    def set(self, microseconds: int) -> None:
        """How long it is from the start, 0 for ever; on any thread. Errors: RequestError once it is over."""
        self._microseconds = microseconds
        self._check()
        if microseconds:
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._is_open:
            self._limit.reschedule(self._start + self._microseconds / 1e6)

    def _check(self) -> None:
        if self._microseconds and self._loop.time() - self._start > self._microseconds / 1e6:
            raise RequestError(
                504, f"There was no response within the {self._microseconds:,} microseconds of the request."
            )

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            self._check()
            raise
        if error is None:
            self._check()
