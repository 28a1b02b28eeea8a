"""Who is let in: what the connections of one server share, and what is answered before there is a connection."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from lamina.deploy.server.fast_path import probe, route
from lamina.deploy.server.limits import Limits, RequestError
from lamina.deploy.server.middleware import State, fault, new_id
from lamina.deploy.server.reloading import Models
from lamina.deploy.server.worker import OVERDUE

HEAD = 1 << 16  # bytes of the headers of one request
SWEEP = 0.25  # seconds between two looks at the connections
TURN = 16  # requests that are let in between two looks at the sockets
MARK = "<id>"


class AdmissionControl:
    """What the connections of one server share."""

    def __init__(self, models: Models, limits: Limits):
        self._models, self.limits = models, limits
        self.connections: set[Any] = set()
        self._line: deque[Any] = deque()  # of requests that are here and not let in yet
        self._pace = self._last = 0.0  # seconds for one of them; when the last were let in
        self._sweeping = False
        self.accept: Callable[[], None] | None = None  # takes connections in that wait
        self._tended = 0.0  # when the last had their turn

    @property
    def state(self) -> State:
        return self._models.state

    def add(self, connection: Any) -> None:
        self.connections.add(connection)
        if not self._sweeping:
            self._sweeping = True
            connection.loop.call_later(SWEEP, self._sweep, connection.loop)

    def refusal(self) -> RequestError | None:
        """Why the request that has come is not let in, if so."""
        return self.state.queue.refusal(len(self._line), self._pace * len(self._line))

    def tend(self) -> None:
        """Give work and new connections their share of the event loop: as long as a thousand sockets are ready, it does
        nothing but read them.
        """
        self.state.queue.tend()
        now = time.perf_counter()
        if now - self._tended > OVERDUE and self.accept and self.state.queue.requests > TURN:
            self._tended = now
            self.accept()

    def turn_away(self, client: socket.socket) -> bool:
        """Answer at the door, while there is much to do, who has asked once whether the server is alive, or for what is
        refused; gives whether that is done. What is refused without being read whole would be reset.
        """
        if self.state.queue.requests <= TURN:
            return False
        try:
            request = client.recv(HEAD, socket.MSG_PEEK)
        except OSError:  # nothing is here yet
            return False
        end = request.find(b"\r\n\r\n") + 4
        if self.state.draining or end < 4:
            return False
        if request.startswith(b"GET /"):
            reply, stays = probe(self.state, request) or (b"", True)
            status = 200
        else:
            plain, refusal = route(self.state, request[:end]), self.refusal()
            if plain is None or refusal is None or len(request) != end + plain.length:
                return False
            stays, status = plain.stays, refusal.status
            reply = self.error(refusal, plain.request_id or new_id(), stays)
        if stays:
            return False
        self.state.metrics.count(status, 0.0)
        with suppress(OSError), client:
            client.recv(len(request))
            client.send(reply)
        return True

    def error(self, refusal: RequestError, request_id: str, stays: bool, version: str | None = None) -> bytes:
        """The bytes of an error; `version`: of the model that was asked, where one was."""
        headers = (*self.state.headers.items(), *refusal.headers.items())
        headers = headers if version is None else (*headers, ("x-model-version", version))
        return request_id.encode().join(_pieces(refusal.status, str(refusal), headers, stays, len(request_id)))

    def is_busy(self) -> bool:
        """Whether the request that has come stands in line."""
        return bool(self._line) or self.state.queue.coming >= TURN

    def stand(self, connection: Any) -> None:
        """Let it in once it is its turn."""
        self._line.append(connection)
        if len(self._line) == 1:
            self._last = connection.loop.time()
            connection.loop.call_soon(self._turn, connection.loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        count = min(max(TURN - self.state.queue.coming, 0), len(self._line))
        for _ in range(count):
            self._line.popleft().let_in()
        now = loop.time()
        if count:
            self._pace += 0.1 * ((now - self._last) / count - self._pace)
            self._last = now
        if self._line:
            loop.call_soon(self._turn, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close those that keep still for too long: one timer for all."""
        now = loop.time()
        for connection in list(self.connections):
            connection.check(now)
        self._sweeping = bool(self.connections)
        if self._sweeping:
            loop.call_later(min(SWEEP, self.limits.head / 2), self._sweep, loop)


@lru_cache(1024)
def _pieces(status: int, sentence: str, headers: tuple[tuple[str, str], ...], stays: bool, length: int) -> list[bytes]:
    """An error as bytes, in pieces between which its request id stands, which has a length."""
    body = fault(RequestError(status, sentence), MARK)
    size = len(body) - len(MARK) + length
    fields = {"content-type": "application/json", "content-length": str(size), "x-request-id": MARK, **dict(headers)}
    fields |= {} if stays else {"connection": "close"}
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n"
    return (head.encode("latin-1") + body).split(MARK.encode())
