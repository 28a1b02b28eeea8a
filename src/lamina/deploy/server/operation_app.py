"""An operation as an ASGI application of its own: from the bytes of a request to those of its reply."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi.responses import StreamingResponse

from lamina.deploy.server.content_types import Reply, check_encoding
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.metrics import OWN
from lamina.deploy.server.middleware import Receive, Send, State, fault, public
from lamina.deploy.server.request_queue import chunks
from lamina.task import EVENTS


class OperationApp:
    """Answers `POST` of one operation. The gate stands before it, see `middleware`."""

    def __init__(self, endpoint: Endpoint, state: State, path: str):
        self.endpoint, self.state, self.path = endpoint, state, path
        self.requests = endpoint.metrics.of(OWN)
        self.version = endpoint.predictor.id
        self._type = (b"content-type", endpoint.operation.gives.encode())
        self._stamp = (b"x-model-version", self.version.encode())
        others = {**state.headers, "x-model-version": self.version, "content-type": endpoint.operation.gives}
        self._lines = "".join(f"{name}: {value}\r\n" for name, value in others.items()).encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        headers, client = scope["state"]["headers"], scope["state"]["connection"]
        scope["state"]["requests"] = self.requests
        scope["state"]["version"] = self._stamp
        check_encoding(headers.get(b"content-encoding", b"").decode("latin-1"))
        kind = headers.get(b"content-type", b"").decode("latin-1")
        self.endpoint.content_types.check(kind)
        query, queue = scope["query_string"].decode("latin-1"), self.state.queue
        if self.endpoint.operation.gives == EVENTS:
            replies = queue.replies(self.endpoint, chunks(receive), kind, query, client)
            first = await anext(replies, None)  # what is refused is refused before the answer begins
            events = _events(first, replies, self.state, scope["state"]["request_id"])
            await EventStream(events, media_type=EVENTS)(scope, receive, send)
            return
        reply = await queue.reply(self.endpoint, chunks(receive), kind, query, client)
        scope["state"]["rows"] = reply.rows
        self.state.metrics.rows += reply.rows
        own = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
        length = (b"content-length", str(len(reply.body)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length, self._type, *own]})
        await send({"type": "http.response.body", "body": reply.body})

    def lines(self, reply: Reply, request_id: str) -> bytes:
        """The headers of a reply as bytes, with those that the gate gives to others."""
        own = "".join(f"{name.lower()}: {value}\r\n" for name, value in reply.headers.items()) if reply.headers else ""
        head = f"content-length: {len(reply.body)}\r\nx-request-id: {request_id}\r\n{own}".encode("latin-1")
        return head + self._lines


class EventStream(StreamingResponse):
    """Server-sent events; a client that leaves ends the work."""

    async def stream_response(self, send: Any) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().stream_response(send)


async def _events(
    first: Reply | None, replies: AsyncIterator[Reply], state: State, request_id: str
) -> AsyncIterator[bytes]:
    """Pieces as they come; one that fails is the last, and says why."""
    async with aclosing(replies):  # type: ignore[type-var]
        try:
            if first is None:
                return
            state.metrics.rows += first.rows
            yield first.body
            async for reply in replies:
                state.metrics.rows += reply.rows
                yield reply.body
        except Exception as error:
            yield b"event: error\ndata: %b\n\n" % fault(public(error, request_id), request_id)
