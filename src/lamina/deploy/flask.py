"""A bundle in a Flask application: `application.register_blueprint(blueprint("churn.lamina"), url_prefix="/churn")`.

What a request means and what it is answered is the server's own code. The threads of Flask hand bodies to one event
loop of their process, which joins and bounds them as `lamina serve` does. It begins with the first request, so that a
process may fork before.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import Any, TypeVar

from lamina.config import LaminaError

try:
    import flask
    import orjson  # noqa: F401  (what bodies are read with)
    from werkzeug.exceptions import HTTPException
except ImportError as error:
    raise LaminaError(f"flask: {error.name} is not installed. Install it: pip install 'lamina[flask]'") from None

from lamina.deploy.bundle import locate
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import about
from lamina.deploy.server.content_types import Reply, check_encoding
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits, RequestError, bare
from lamina.deploy.server.metrics import CONTENT_TYPE, OWN, Metrics
from lamina.deploy.server.middleware import check_token, fault, new_id, public, safe_id
from lamina.deploy.server.model import bundle_name, model_of
from lamina.deploy.server.request_queue import RequestQueue
from lamina.deploy.server.worker import Client
from lamina.task import EVENTS, JSON

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CHUNK = 1 << 16
Result = TypeVar("Result")


def blueprint(
    path: str | Path | Predictor, name: str = "lamina", limits: Limits | None = None, token: str | None = None
) -> flask.Blueprint:
    """A blueprint that answers with a bundle: `POST` of each operation, `GET` of `/schema`, `/health`, `/ready` and
    `/metrics`, which counts what one process has answered.

    `path`: a bundle, or the run that holds one; it is checked and self-tested here. `name`: what Flask calls the
    blueprint; another one for each bundle of an application. `limits`: those of `lamina serve` when left out. The
    network runs on one thread of each process: more processes use more cores. `token`: what every path but health and
    readiness then asks for; without one, who may ask is the application's to say.
    Errors: BundleError when the bundle is not sound, LaminaError when a package is missing.
    """
    predictor = path if isinstance(path, Predictor) else Predictor(locate(path), threads=1)
    label, metrics, lock = bundle_name(predictor.bundle.path), Metrics(), Lock()
    predictor, endpoints, limits, _ = model_of(predictor, limits or Limits(), metrics.model(label, predictor.id))
    metrics.serve({(label, predictor.id): {"bundle_id": predictor.id, "task": predictor.task.kind}})
    schema = about.describe(predictor, endpoints, limits).model_dump_json().encode()
    pages = {"schema": schema, "health": b'{"status":"alive"}', "ready": b'{"status":"ready"}'}
    processes, site = Processes(limits), flask.Blueprint(name, __name__)
    for place, body in pages.items():
        _add(site, place, "GET", lambda body=body: flask.Response(body, mimetype=JSON))
    _add(site, "metrics", "GET", lambda: _metrics(metrics, processes.own().queue))
    for endpoint in endpoints:
        _add(site, endpoint.operation.name, "POST", lambda own=endpoint: _answer(own, processes.own()))

    @site.before_request
    def enter() -> None:
        flask.g.lamina_start, flask.g.lamina_rows, flask.g.lamina_requests = time.perf_counter(), 0, None
        flask.g.lamina_request_id = safe_id(flask.request.headers.get("X-Request-ID", "").encode()) or new_id()
        if token is not None and flask.request.endpoint not in (f"{site.name}.health", f"{site.name}.ready"):
            check_token(token, flask.request.headers.get("Authorization", "").encode())

    @site.after_request
    def stamp(response: flask.Response) -> flask.Response:
        with lock:
            seconds = time.perf_counter() - flask.g.lamina_start
            metrics.count(response.status_code, seconds, flask.g.lamina_requests)
            metrics.rows += flask.g.lamina_rows
        response.headers.update(
            {
                "X-Request-ID": flask.g.lamina_request_id,
                "X-Model-Version": predictor.id,
                "X-Content-Type-Options": "nosniff",
            }
        )
        return response

    @site.errorhandler(Exception)
    def refuse(error: Exception) -> flask.Response:
        request_id = flask.g.lamina_request_id
        if isinstance(error, HTTPException):
            error = RequestError(error.code or 500, f"{_place()}: {error.description}")
        refusal = public(error, request_id)
        return flask.Response(fault(refusal, request_id), refusal.status, refusal.headers, mimetype=JSON)

    return site


class Process:
    """What one process has: a queue of requests, and the event loop that it lives in, on a thread of its own."""

    def __init__(self, limits: Limits):
        self.id, self.queue = os.getpid(), RequestQueue(limits)
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="lamina-flask", daemon=True).start()

    def result(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """What a coroutine gives, run in the event loop while this thread waits."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class Processes:
    """The `Process` of whichever process asks; a fork has none of its parent's threads."""

    def __init__(self, limits: Limits):
        self._limits, self._lock = limits, Lock()
        self._process: Process | None = None

    def own(self) -> Process:
        with self._lock:
            if self._process is None or self._process.id != os.getpid():
                self._process = Process(self._limits)
            return self._process


def _add(site: flask.Blueprint, name: str, method: str, answer: Callable[[], flask.Response]) -> None:
    """A path of one method; others are refused as all else is."""

    def view() -> flask.Response:
        if flask.request.method.replace("HEAD", "GET") != method:
            raise RequestError(405, f"{_place()}: this path takes {method}.", {"Allow": method})
        return answer()

    site.add_url_rule(f"/{name}", name, view, methods=METHODS)


def _metrics(metrics: Metrics, queue: RequestQueue) -> flask.Response:
    return flask.Response(metrics.text(queue.depth, queue.rejected, is_ready=True), content_type=CONTENT_TYPE)


def _place() -> str:
    return f"{bare(flask.request.method)} {bare(flask.request.path)}"


def _answer(endpoint: Endpoint, process: Process) -> flask.Response:
    """From the body of the request at hand to the reply."""
    request, media = flask.request, endpoint.operation.gives
    flask.g.lamina_requests = endpoint.metrics.of(OWN)
    check_encoding(request.headers.get("Content-Encoding", ""))
    kind, query = request.headers.get("Content-Type", ""), request.query_string.decode("latin-1")
    endpoint.content_types.check(kind)
    body, client = _once(_body(endpoint.limits.body)), Client()
    client.complete = True
    if media != EVENTS:
        reply = process.result(process.queue.reply(endpoint, body, kind, query, client))
        flask.g.lamina_rows = reply.rows
        return flask.Response(reply.body, headers=dict(reply.headers), content_type=media)
    replies = process.queue.replies(endpoint, body, kind, query, client)
    first = process.result(_next(replies))  # what is refused is refused before the answer begins
    response = flask.Response(_events(process, first, replies, flask.g.lamina_request_id), mimetype=media)
    response.call_on_close(lambda: process.result(replies.aclose()))  # type: ignore[attr-defined]
    return response


def _body(most: int) -> bytes:
    """The body, and of one that is too large as much as shows that."""
    body = bytearray()
    while len(body) <= most and (chunk := flask.request.stream.read(CHUNK)):
        body += chunk
    return bytes(body)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _next(replies: AsyncIterator[Reply]) -> Reply | None:
    return await anext(replies, None)


def _events(process: Process, reply: Reply | None, replies: AsyncIterator[Reply], request_id: str) -> Iterator[bytes]:
    """Pieces as they come; one that fails is the last, and says why."""
    try:
        while reply is not None:
            yield reply.body
            reply = process.result(_next(replies))
    except Exception as error:
        yield b"event: error\ndata: %b\n\n" % fault(public(error, request_id), request_id)
