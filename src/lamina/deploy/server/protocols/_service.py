"""What every protocol stands on: the models of a server by name, and the one way from a body to an answer."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from fastapi import Request, Response

from lamina.deploy.server.content_types import Body, Message, check_encoding
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.json_reader import some
from lamina.deploy.server.limits import RequestError, bare, busy, quoted
from lamina.deploy.server.middleware import State
from lamina.deploy.server.protocols._tensors import Signature
from lamina.deploy.server.request_queue import chunks
from lamina.schema import Row
from lamina.task import JSON

Answer = Callable[[Request], Awaitable[Response]]
OPERATION = "predict"  # the one that other protocols have a word for


class Route(NamedTuple):
    """One path of a protocol and what answers it; `open`: it needs no token, such as whether the server is alive."""

    method: str
    path: str
    answer: Answer
    open: bool = False


class Model(NamedTuple):
    """A model by its name, with its rows and answers as tensors."""

    name: str
    endpoint: Endpoint
    signature: Signature

    @property
    def version(self) -> str:
        """The id of its bundle."""
        return self.endpoint.predictor.id


class Service:
    """The models of a server, and its queue."""

    def __init__(self, models: Mapping[str, Endpoint], state: State):
        self.models, self.state = models, state
        self._signatures = WeakKeyDictionary[Endpoint, Signature]()
        for endpoint in models.values():
            if unsuitable(endpoint) is None:
                self._signature(endpoint)

    def model(self, name: str, version: str | None = None) -> Model:
        """The model of a name. Errors: RequestError where there is none, or none of that version, 404, or it answers in
        a way that other protocols have no words for, 501.
        """
        endpoint = self.models.get(name)
        if endpoint is None:
            raise RequestError(
                404, f"{bare(name)}: there is no model of this name. There is {some(list(self.models))}."
            )
        model_id = endpoint.predictor.id
        if version not in (None, model_id):
            raise RequestError(
                404, f"{bare(name)}: there is no version {quoted(version)}. There is {quoted(model_id)}."
            )
        if reason := unsuitable(endpoint):
            raise RequestError(501, f"{bare(name)}: {reason}")
        return Model(name, endpoint, self._signature(endpoint))

    def model_of(self, request: Request) -> Model:
        """The model whose name, and perhaps version, are parts of a path."""
        return self.model(request.path_params["model"], request.path_params.get("version"))

    def first(self) -> Model:
        """The model of a server that has one, else the first. Errors: as `model`."""
        return self.model(next(iter(self.models), ""))

    def check_ready(self) -> None:
        """Errors: RequestError while the server is stopping."""
        if self.state.draining:
            raise busy("The server is stopping. Use another one, or try again in a second.")

    async def answer(self, request: Request, model: Model, read: Callable[[Body], Message]) -> Response:
        """The answer to one body that `read` understands. Errors: RequestError."""
        headers, usage, start = request.headers, model.endpoint.metrics.usage, time.perf_counter()
        request.state.requests = model.endpoint.metrics.of(request.state.protocol)
        request.scope["state"]["version"] = (b"x-model-version", model.version.encode())
        try:
            check_encoding(headers.get("content-encoding", ""))
            kind, query = headers.get("content-type", ""), request.scope["query_string"].decode("latin-1")
            client = request.state.connection
            reply = await self.state.queue.reply(model.endpoint, chunks(request.receive), kind, query, client, read)
        except Exception:
            usage.failures += 1
            usage.failure_seconds += time.perf_counter() - start
            raise
        usage.successes += 1
        usage.seconds += time.perf_counter() - start
        usage.rows += reply.rows
        usage.last = time.time()
        self.state.metrics.rows += reply.rows
        request.state.rows = reply.rows
        return Response(reply.body, headers=reply.headers)

    def _signature(self, endpoint: Endpoint) -> Signature:
        """Computed once for each model, also for one that takes the place of another while the server runs."""
        if endpoint not in self._signatures:
            self._signatures[endpoint] = Signature(endpoint)
        return self._signatures[endpoint]


def main_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint | None:
    """What the protocols of others ask of a bundle: its `predict`, else its first operation, which says why not."""
    return next((e for e in endpoints if e.operation.name == OPERATION), next(iter(endpoints), None))


def unsuitable(endpoint: Endpoint) -> str | None:
    """Why a model cannot be asked row by row, if so."""
    operation = endpoint.operation
    cure = f"Send POST /{operation.name}; GET /schema has an example."
    if operation.name != OPERATION:
        return f"it has no {OPERATION}, which is all that this protocol can ask for. {cure}"
    if operation.rows == "each" and operation.gives == JSON:
        return None
    return f"its {OPERATION} does not answer each row by itself, which this protocol asks for. {cure}"


def note_headers(notes: Sequence[str], warnings: Sequence[Row] = ()) -> dict[str, str]:
    """Notes and warnings as headers, where the body of a protocol has no place for them."""
    headers = {"x-notes": json.dumps(notes)} if notes else {}
    return headers | ({"x-warnings": json.dumps(warnings)} if warnings else {})
