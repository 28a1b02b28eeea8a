"""Bodies in, replies out, within limits of number, size and time; off the event loop, several at once."""

import asyncio
import json
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from lamina.config import DataError
from lamina.deploy.predictor import Predictor, json_rows
from lamina.deploy.server.batching import Batcher, together
from lamina.deploy.server.content_types import Sent, question, refused
from lamina.deploy.server.limits import Limits, RequestError, busy
from lamina.deploy.server.request_rows import Question, notes, parse

HELD = 8  # largest bodies that may be in memory at a time
LATE = "Try again later, or send fewer rows at a time."


class Reply(NamedTuple):
    """The bytes of an answer and how many rows it is for."""

    body: bytes
    rows: int


class Desk:
    """Takes bodies in, within limits of number, size and time, and gives replies out."""

    def __init__(self, limits: Limits, solve: Callable[[list[Sent]], Sequence[Reply | Exception]]):
        self.limits = limits
        self.requests = self.bytes = 0
        self._batcher = Batcher[Sent, Reply](solve)

    async def reply(self, stream: AsyncIterator[bytes], kind: str) -> Reply:
        """Read one body, whose `Content-Type` is `kind`, and answer it, or raise a `RequestError`."""
        body = bytearray()
        try:
            await self._receive(stream, body)
            if self.requests >= self.limits.waiting:
                raise busy(f"The server is busy with {self.requests:,} requests. Try again in a second.")
            self.requests += 1
            try:
                return await self._answer(Sent(body, kind))
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
                    if self.bytes > HELD * self.limits.body:
                        raise busy("The server holds as many requests as it can. Try again in a second.")
        except TimeoutError:
            sentence = f"body: did not arrive within {self.limits.seconds:g} seconds. Send it faster, or in parts."
            raise RequestError(408, sentence) from None
        except ClientDisconnect:
            raise RequestError(400, "body: ended before it was complete. Send it again.") from None

    async def _answer(self, body: Sent) -> Reply:
        try:
            async with asyncio.timeout(self.limits.seconds):
                return await asyncio.wrap_future(self._batcher.submit(body))
        except TimeoutError:
            raise RequestError(504, f"There was no answer within {self.limits.seconds:g} seconds. {LATE}") from None


def replies(predictor: Predictor, limits: Limits, bodies: Sequence[Sent]) -> Sequence[Reply | Exception]:
    """Answer several bodies at once; each gets a reply or an exception of its own."""
    asked = [_read(predictor, limits, body) for body in bodies]
    good = [one for one in asked if isinstance(one, Question)]
    found = iter(together(lambda some: _answers(predictor, some), good))
    return [next(found) if isinstance(one, Question) else one for one in asked]


def _read(predictor: Predictor, limits: Limits, body: Sent) -> Question | Exception:
    try:
        return question(body, predictor.bundle.prep, limits)
    except Exception as error:  # handed to the one request it belongs to
        return error


def _answers(predictor: Predictor, asked: list[Question]) -> list[Reply | Exception]:
    """One pass through the model for all, then a reply for each; a picture of no use refuses its own request.

    The rows of a forecast are one history, so that its requests are answered one after the other.
    """
    if predictor.framed:
        return [_continued(predictor, one) for one in asked]
    rows, malformed = parse(asked, predictor.bundle.prep)
    answers, broken = predictor.checked(rows)
    assert answers.num_rows == rows.num_rows
    replies, stop = list[Reply | Exception](), 0
    for one in asked:
        start, stop = stop, stop + one.rows
        if lost := next((cell for cell in broken if start <= cell.row < stop), None):
            replies.append(refused(one, lost._replace(row=lost.row - start), predictor.bundle.prep))
            continue
        first, last = (bisect_left(malformed, row, key=lambda cell: cell.row) for row in (start, stop))
        told = notes(one, malformed[first:last], start)
        replies.append(_write(predictor.bundle.id, answers.slice(start, one.rows), told))
    return replies


def _continued(predictor: Predictor, asked: Question) -> Reply | Exception:
    """The steps after the history of one request. What the history lacks is its sender's fault."""
    try:
        rows, malformed = parse([asked], predictor.bundle.prep)
        found = predictor.forecast(rows.select([name for name in rows.column_names if name in asked.values]))
    except DataError as error:
        return RequestError(400, str(error))
    except Exception as error:  # handed to the one request it belongs to
        return error
    return _write(predictor.bundle.id, found.answers, [*notes(asked, malformed, 0), *found.notes])


def _write(model: str, answers: pa.Table, told: list[str]) -> Reply:
    """Strict JSON; NaN never leaves."""
    reply: dict[str, Any] = {"predictions": json_rows(answers), "model": model}
    if told:
        reply["notes"] = told
    return Reply(json.dumps(reply, allow_nan=False).encode(), answers.num_rows)
