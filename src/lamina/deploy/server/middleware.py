"""The outermost layer: who may come in, one request id, one shape of error, and nothing said of the inside."""

import asyncio
import base64
import hmac
import json
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from itertools import count
from secrets import token_hex
from typing import Any

from lamina.deploy.server import logs
from lamina.deploy.server.limits import RequestError, quoted
from lamina.deploy.server.metrics import Metrics
from lamina.deploy.server.request_queue import RequestQueue
from lamina.deploy.server.worker import Client

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]
UNSAFE, PORT = re.compile(r"[^A-Za-z0-9._-]"), re.compile(r":\d*$")
PAGES = ("/", "/docs", "/drift", "/try", "/openapi.json", "/schema")
PATIENCE = b"x-request-timeout-ms"
OPEN = ("/health", "/livez", "/ready", "/readyz")
RUN, NUMBERS = [f"{token_hex(8)}{os.getpid():08x}"], count(1)
log = logging.getLogger("lamina.server")


def new_id() -> str:
    """An id for a request: no other of any process has it."""
    return f"{RUN[0]}{next(NUMBERS):08x}"


def _begin_run() -> None:
    """Ids of another process are others."""
    RUN[0] = f"{token_hex(8)}{os.getpid():08x}"


os.register_at_fork(after_in_child=_begin_run)


class State:
    """What changes while the server runs, and the headers of every answer."""

    def __init__(self, queue: RequestQueue, version: str, metrics: Metrics | None = None) -> None:
        self.queue, self.metrics, self.draining = queue, metrics or Metrics(), False
        self.open = set(OPEN)  # paths that need no token
        self.operations: dict[str, Any] = {}  # by path, past the framework's routes, which cost more than they do
        self.gate: GateMiddleware | None = None
        self.probes: dict[str, bytes] = {}  # answers, by path, as long as the server is not stopping
        self.routes: dict[bytes, Any] = {}  # of heads that came before, see `fast_path`
        self.headers = {"x-model-version": version, "x-content-type-options": "nosniff"}


class GateMiddleware:
    """ASGI middleware: who may come in. `hosts` are the names the server goes by, without port; empty for any.

    HEAD is answered as GET, without the body. A path may begin with `root_path`, where a proxy leaves it there.
    """

    def __init__(self, app: Any, token: str | None, hosts: Collection[str], state: State, root_path: str = ""):
        self.app, self.token, self.hosts, self.state, self.root_path = app, token, hosts, state, root_path
        own = [(name.encode(), value.encode()) for name, value in state.headers.items()]
        self._version, *self._constant = own

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in reversed(scope["headers"])}
        request_id = safe_id(headers.get(b"x-request-id", b"")) or new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        scope["state"]["headers"] = headers
        client = scope["state"].setdefault("connection", Client())
        client.enter()
        status, start, is_head = 0, time.perf_counter(), scope["method"] == "HEAD"
        if is_head or self.root_path:
            scope = {**scope, "method": "GET" if is_head else scope["method"], **self._path(scope["path"])}

        async def send_stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if limit:
                    limit.reschedule(None)  # an answer that has begun goes on
                message["headers"] = [*message.get("headers", ()), *self._stamps(request_id, scope["state"])]
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        limit: asyncio.Timeout | None = None
        watched = self.state.metrics.observe(lambda: status, start, scope["state"])
        with logs.request(scope, lambda: status), watched:
            try:
                self.admit(scope["method"], scope["path"], headers)
                operation = self.state.operations.get(scope["path"]) if scope["method"] == "POST" else None
                answer = operation or self.app
                if PATIENCE not in headers:
                    await answer(scope, receive, send_stamped)
                else:
                    async with asyncio.timeout(_patience(headers[PATIENCE])) as limit:
                        await answer(scope, receive, send_stamped)
            except Exception as error:
                if status:  # an answer is on its way; the connection can only be cut
                    raise
                is_late, limit = limit is not None and limit.expired(), None
                patience = headers.get(PATIENCE, b"").decode("latin-1")
                late = RequestError(504, f"There was no response within the {patience} ms of the request.")
                refusal = late if is_late else public(error, request_id)
                await _refuse(refusal, request_id, client.sending, send_stamped)

    def inside(self, path: str) -> str:
        """A path within the server."""
        return path.removeprefix(self.root_path) if path.startswith(f"{self.root_path}/") else path

    def _path(self, path: str) -> dict[str, str | bytes]:
        inside = self.inside(path)
        return {"path": inside, "raw_path": inside.encode(), "root_path": ""}

    def _stamps(self, request_id: str, scope: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
        closing = [(b"connection", b"close")] if self.state.draining else []
        version = scope.get("version", self._version)  # of the model that answered, where there are several
        return [(b"x-request-id", request_id.encode()), version, *self._constant, *closing]

    def admit(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Errors: RequestError for whoever may not come in."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts and PORT.sub("", host).lower() not in self.hosts:
            names = " or ".join(sorted(set(self.hosts)))
            raise RequestError(400, f"Host: this server goes by {names}. Use one of them in the URL.")
        if self.token is None or path in self.state.open:
            return
        check_token(self.token, headers.get(b"authorization", b""), method == "GET" and path in PAGES)


def check_token(token: str, header: bytes, is_page: bool = False) -> None:
    """Errors: RequestError where the header `Authorization` has another token, or none."""
    secret = _secret(header, is_page)
    if not secret:
        cure = "Send the header Authorization: Bearer <token>."
        # one scheme alone: Chromium reads the first of a line, and asks for no password where that is another
        schemes = 'Basic realm="lamina", charset="UTF-8"' if is_page else "Bearer"
        raise RequestError(401, f"Authorization: a token is needed. {cure}", {"WWW-Authenticate": schemes})
    if not hmac.compare_digest(secret, token.encode()):
        raise RequestError(403, "Authorization: this token is not the server's. Ask whoever started the server.")


def _patience(text: bytes) -> float:
    """Seconds that the sender of a request waits for its answer. Errors: RequestError."""
    if not text.isdigit() or int(text[:9]) == 0:
        got = quoted(text.decode("latin-1"))
        raise RequestError(400, f"X-Request-Timeout-Ms: must be a whole number of milliseconds above 0 (got {got}).")
    return int(text[:9]) / 1e3


def _secret(header: bytes, is_page: bool) -> bytes:
    """The token of a request: a bearer's, or on a page the password for which a browser asks; empty where none is sent.

    Requests that work take bearers only: a browser would send a password along with whatever a foreign page asks.
    """
    scheme, _, secret = header.partition(b" ")
    if is_page and scheme.lower() == b"basic":
        try:
            return base64.b64decode(secret.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return secret.strip() if scheme.lower() == b"bearer" else b""


def safe_id(name: bytes) -> str:
    """What may be repeated of a request id that a client chose."""
    return UNSAFE.sub("", name.decode("latin-1"))[:64]


def public(error: Exception, request_id: str) -> RequestError:
    """What a client may know of an error; anything not meant for clients goes to the log only."""
    if isinstance(error, RequestError):
        return error
    log.error("request %s failed", request_id, exc_info=error, extra={"request_id": request_id})
    return RequestError(500, f"The server failed on this request. Its log says more under the request id {request_id}.")


def fault(refusal: RequestError, request_id: str) -> bytes:
    """The one shape of an error, in JSON."""
    return json.dumps({"error": str(refusal), "request_id": request_id}).encode()


async def _refuse(refusal: RequestError, request_id: str, sending: bool, send: Send) -> None:
    body = fault(refusal, request_id)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
    if sending:  # wait no longer for the rest of the body
        headers["connection"] = "close"
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
