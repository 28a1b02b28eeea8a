"""Requests whose bytes are plain, answered past the layers of HTTP and ASGI, which cost more than a small network.

Plain is a POST to an operation in one piece, with all of its body and nothing in its head that asks for more, or a GET
of whether the server is alive. Whatever is anything else, or would be refused for its head, goes the way of all others;
so a request has one meaning.
"""

import re
import time
from functools import lru_cache
from typing import Any, NamedTuple

from lamina.deploy.server import logs
from lamina.deploy.server.content_types import PLAIN, Body, Reply
from lamina.deploy.server.limits import RequestError
from lamina.deploy.server.middleware import PATIENCE, State, new_id, public, safe_id
from lamina.deploy.server.operation_app import OperationApp
from lamina.deploy.server.worker import Job
from lamina.task import EVENTS, JSON

HEAD = re.compile(rb"(GET|POST) (/[\w./-]*)(?:\?([\x21-\x7e]*))? HTTP/1\.1((?:\r\n[\w-]+:[\t\x20-\x7e]*)+)\r\n\r\n")
FIELD = re.compile(rb"\r\n([\w-]+):([\t\x20-\x7e]*)")
OTHERWISE = {
    PATIENCE,
    b"expect",
    b"origin",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}  # fields that change the way
ROUTES, LONGEST = 1 << 10, 1 << 12  # heads that are remembered, and bytes of one


class Head(NamedTuple):
    """The head of a request."""

    method: str
    path: str
    query: str
    fields: dict[bytes, bytes]


class Route(NamedTuple):
    """What the head of a request says."""

    operation: OperationApp
    kind: str
    query: str
    request_id: str
    length: int  # bytes of the body
    stays: bool  # whether the connection is for more requests


def route(state: State, head: bytes) -> Route | None:
    """Where a head, with the empty line at its end, leads; None where the way of all others is to say."""
    if (before := state.routes.get(head)) is not None:
        return before
    new = _route(state, head)
    if new is not None and not new.request_id and len(head) <= LONGEST:  # clients say the same again and again
        if len(state.routes) >= ROUTES:
            state.routes.clear()
        state.routes[head] = new
    return new


def _route(state: State, head: bytes) -> Route | None:
    head_of = _read(state, head)
    if head_of is None or head_of.method != "POST":
        return None
    _, path, query, fields = head_of
    operation, length = state.operations.get(path), fields.get(b"content-length", b"")
    if operation is None or operation.endpoint.operation.gives == EVENTS or not length.isdigit():
        return None
    kind, encoding = (fields.get(name, b"").decode() for name in (b"content-type", b"content-encoding"))
    try:
        operation.endpoint.content_types.check(kind)
    except RequestError:
        return None
    if encoding not in PLAIN or int(length) > operation.endpoint.limits.body:
        return None
    request_id, stays = safe_id(fields.get(b"x-request-id", b"")), fields.get(b"connection", b"").lower() != b"close"
    return Route(operation, kind, query, request_id, int(length), stays)


def _read(state: State, head: bytes) -> Head | None:
    """A plain head of someone who may come in; None for any other."""
    match = HEAD.fullmatch(head)
    if match is None or state.gate is None:
        return None
    pairs = [(name.lower(), value.strip(b" \t")) for name, value in FIELD.findall(match[4])]
    fields, path, method = dict(pairs), state.gate.inside(match[2].decode()), match[1].decode()
    if len(fields) != len(pairs) or OTHERWISE & fields.keys() or b"host" not in fields:
        return None
    if fields.get(b"connection", b"keep-alive").lower() not in (b"keep-alive", b"close"):
        return None
    try:
        state.gate.admit(method, path, fields)
    except RequestError:
        return None
    return Head(method, path, (match[3] or b"").decode(), fields)


def probe(state: State, request: bytes) -> tuple[bytes, bool] | None:
    """The answer to who asks whether the server is alive or ready, and whether the connection stays; else None."""
    head = _read(state, request)
    if head is None or head.path not in state.probes or b"content-length" in head.fields:
        return None
    body, stays = state.probes[head.path], head.fields.get(b"connection", b"").lower() != b"close"
    own = safe_id(head.fields.get(b"x-request-id", b"")) or new_id()
    names = {"content-length": len(body), "content-type": JSON, "x-request-id": own, **state.headers}
    names |= {} if stays else {"connection": "close"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in names.items()).encode()
    return b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (lines, body), stays


@lru_cache(1)
def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """Headers that hardly change as bytes, such as the date."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


class Exchange:
    """A request of a connection, one of `http_protocol`, until it is answered; to whoever works on it, the future of a
    reply.
    """

    def __init__(self, connection: Any, state: State, route: Route, content: bytes):
        self._connection, self._state, self._route = connection, state, route
        self._start, self._done = time.perf_counter(), False
        self.request_id = route.request_id or new_id()
        state.metrics.inside += 1
        endpoint, queue = route.operation.endpoint, state.queue
        queue.enter(endpoint, route.length)
        body = Body(content, route.kind, route.query)
        self._timer = queue.submit(Job(endpoint, connection, self, body, since=self._start))

    def done(self) -> bool:
        return self._done

    def get_loop(self) -> Any:
        return self._connection.loop

    def set_result(self, reply: Reply) -> None:
        """Write the answer."""
        self._finish(200, reply.rows)
        self._state.metrics.rows += reply.rows
        date = _lines(tuple(self._connection.server_state.default_headers))
        own = self._route.operation.lines(reply, self.request_id)
        end = b"\r\n" if self._stays else b"connection: close\r\n\r\n"
        self._connection.answer(b"".join((b"HTTP/1.1 200 OK\r\n", date, own, end, reply.body)), self._stays)

    def set_exception(self, error: Exception) -> None:
        """Write why there is no answer."""
        refusal = public(error, self.request_id)
        self._finish(refusal.status)
        version = self._route.operation.version
        answer = self._connection.admission.error(refusal, self.request_id, self._stays, version)
        self._connection.answer(answer, self._stays)

    @property
    def _stays(self) -> bool:
        return self._route.stays and not self._connection.closing

    def cancel(self) -> None:
        """The client has gone."""
        if not self._done:
            self._finish(0)

    def _finish(self, status: int, rows: int | None = None) -> None:
        self._done = True
        self._timer.cancel()
        self._state.queue.leave(self._route.operation.endpoint, self._route.length)
        self._state.metrics.inside -= 1
        seconds, operation = time.perf_counter() - self._start, self._route.operation
        self._state.metrics.count(status, seconds, operation.requests)
        if logs.is_on():
            logs.write(self.request_id, "POST", operation.path, status, seconds, operation.requests.labels, rows)
