"""One connection as uvicorn speaks HTTP on it, with a door before: who is refused costs next to nothing.

While the server is full a request is refused as soon as its headers are here, before it is parsed or its body read.
What comes at once stands in a line and is let in a few at a time: the loop is never away from its sockets for long.
Headers have a time limit and a size, connections a number, and what is not HTTP is told so in the one shape of errors.
A connection is never closed over bytes that were not read yet: that would reset it, and take the answer away.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from lamina.deploy.server import logs
from lamina.deploy.server.admission import HEAD, SWEEP, AdmissionControl
from lamina.deploy.server.fast_path import Exchange, probe, route
from lamina.deploy.server.limits import RequestError, busy
from lamina.deploy.server.middleware import new_id, safe_id

LINGER = 2.0  # seconds in which a client that is still sending may read why it was refused
FIELDS = re.compile(rb"\r\n(content-length|transfer-encoding|connection|x-request-id):[ \t]*([^\r\n]*)", re.IGNORECASE)
Protocol: Any = AutoHTTPProtocol  # of httptools where it is installed, else of h11


class Transport:
    """What uvicorn uses of a transport, which is closed once the client has had time to read."""

    def __init__(self, transport: asyncio.Transport, connection: "Connection"):
        self.real, self._connection = transport, connection
        self.write, self.get_extra_info = transport.write, transport.get_extra_info
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading

    def is_closing(self) -> bool:
        return self._connection.lingering or self.real.is_closing()

    def close(self) -> None:
        self._connection.finish()


class Connection(Protocol):
    """A connection; `gone` once it is over."""

    def __init__(self, admission: AdmissionControl, options: dict[str, Any]):
        super().__init__(**{**options, "app_state": {"connection": self}})
        self.admission = admission
        self.gone = self.lingering = self.deaf = self.unread = self.over = False  # deaf: what comes is not listened to
        self.line = b""  # the beginning of a request that stands in line, or of one that came before an answer
        self.exchange: Exchange | None = None  # the request that is answered on the fast path
        self.closing = False  # whether it is the last one
        self.reserved = False  # whether a request of this connection is let in and has not begun
        self.head, self.since = 0, 0.0  # bytes of headers so far; when something happened last

    # the event loop calls

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(Transport(transport, self))
        self.since = self.loop.time()
        self.admission.add(self)
        count, most = len(self.admission.connections), self.admission.limits.connections
        self.over = count > most  # it may still ask for health, and be told why it is sent away
        if count > 2 * most:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.admission.connections.discard(self)
        self.enter()
        if self.exchange:
            self.exchange.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:
        if self.lingering:
            self.transport.real.close()
        return super().eof_received()

    def data_received(self, data: bytes) -> None:
        if self.lingering or self.deaf:
            return
        if self.line or self.exchange:
            self.line += data
            if len(self.line) > HEAD:
                self.flow.pause_reading()
        elif self.idle and not self.head:
            self._begin(data)
        else:
            self._feed(data)

    def _begin(self, data: bytes) -> None:
        """The first bytes of a request."""
        self.since = self.loop.time()
        self.admission.tend()
        if not data.startswith(b"POST "):
            self._probe(data)
        elif refusal := self._full() if self.over else self.admission.refusal():
            self._refuse(refusal, data)
        elif self.admission.is_busy():
            self.line = data
            self.admission.stand(self)
        else:
            self._enter(data)

    def _probe(self, data: bytes) -> None:
        """What is no work: whether the server is alive is answered whatever else there is to do."""
        state = self.admission.state
        reply = probe(state, data) if data.startswith(b"GET /") and not state.draining else None
        if reply is None or self.flow.write_paused:
            self._feed(data)
            return
        self.transport.write(reply[0])
        state.metrics.count(200, 0.0)
        if not reply[1]:
            self.transport.close()

    def let_in(self) -> None:
        """It is the turn of the request in line."""
        data, self.line = self.line, b""
        if not self.gone and not self.transport.is_closing():
            self._enter(data)

    def _enter(self, data: bytes) -> None:
        """A request that is let in, by the fast path where that is open to it."""
        end, state = data.find(b"\r\n\r\n") + 4, self.admission.state
        plain = None if end < 4 or state.draining or self.flow.write_paused else route(state, data[:end])
        if plain is None or len(data) != end + plain.length:
            self._feed(data)
        else:
            self.exchange = Exchange(self, state, plain, data[end:])

    def answer(self, answer: bytes, stays: bool) -> None:
        """Write the answer of the fast path, and go on with what has come meanwhile."""
        self.exchange, self.since = None, self.loop.time()
        if self.gone or self.transport.is_closing():
            return
        self.transport.write(answer)
        if not stays:
            self.transport.close()
        elif self.line:
            data, self.line = self.line, b""
            self.flow.resume_reading()
            self._begin(data)

    def _feed(self, data: bytes) -> None:
        before, idle = self.cycle, self.idle
        super().data_received(data)
        if self.cycle is not before:
            self.head = 0
            self._reserve()
        elif idle and not self.lingering:
            self.head += len(data)
            if self.head > HEAD:
                self.unread = True
                self.respond(RequestError(431, f"headers: are larger than {HEAD:,} bytes. Send fewer or shorter ones."))

    # uvicorn calls

    def send_400_response(self, msg: str) -> None:
        """What came is not HTTP. A whole request before it is answered first."""
        cycle = self.cycle
        if not self.idle:
            self.deaf = self.unread = True
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
                return
        self.unread = True
        self.respond(RequestError(400, "request: is not HTTP that this server understands. Send HTTP/1.1."))

    def shutdown(self) -> None:
        """The server stops: whoever has just connected, or was answered just now, may ask once more."""
        if self.exchange:
            self.closing = True
        elif not self.idle:
            self.cycle.keep_alive = False
        elif not self.line and self.loop.time() - self.since >= max(self.admission.limits.drain, SWEEP):
            self.transport.close()
        elif not self.gone:
            self.loop.call_later(SWEEP / 2, self.shutdown)

    def on_response_complete(self) -> None:
        self.since = self.loop.time()
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        if self.exchange or self.loop.time() - self.since < self.timeout_keep_alive:  # it was busy past uvicorn
            return
        super().timeout_keep_alive_handler()

    # the server's own

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return not self.exchange and (self.cycle is None or self.cycle.response_complete)

    def check(self, now: float) -> None:
        """Close what has kept still for too long: headers that do not end, connections that do not ask."""
        if self.lingering:
            if now - self.since > LINGER:
                self.transport.real.close()
        elif not self.idle or self.line:
            return
        elif self.head and now - self.since > self.admission.limits.head:
            self.unread = True
            sentence = f"headers: did not arrive within {self.admission.limits.head:g} seconds. Send them at once."
            self.respond(RequestError(408, sentence))
        elif not self.head and now - self.since > max(self.timeout_keep_alive, self.admission.limits.head):
            self.transport.close()

    @property
    def sending(self) -> bool:
        """Whether some of the body is still to come."""
        return self.cycle is not None and self.cycle.more_body

    @property
    def complete(self) -> bool:
        """Whether the whole body is here."""
        return not self.sending

    def enter(self) -> None:
        """The request that was let in begins."""
        if self.reserved:
            self.reserved = False
            self.admission.state.queue.coming -= 1

    def _reserve(self) -> None:
        if not self.reserved and self.scope["method"] == "POST":
            self.reserved = True
            self.admission.state.queue.coming += 1

    def _full(self) -> RequestError:
        most = self.admission.limits.connections
        self.admission.state.queue.rejected["connections"] += 1
        return busy(f"The server has {most:,} connections, which is all it takes. Try again in a second.")

    def _refuse(self, refusal: RequestError, data: bytes) -> None:
        """Refuse a request unparsed; the connection stays where its body is here whole."""
        end = data.find(b"\r\n\r\n")
        before = self.admission.state.routes.get(data[: end + 4])
        if before and len(data) == end + 4 + before.length and not (self.over or self.admission.state.draining):
            self.respond(refusal, stays=before.stays)
            return
        pairs = FIELDS.findall(data, 0, end + 2 if end >= 0 else HEAD)
        fields = {name.lower(): value for name, value in pairs}
        length = fields.get(b"content-length", b"")
        whole = end >= 0 and length.isdigit() and len(data) == end + 4 + int(length) and len(fields) == len(pairs)
        stays = whole and b"connection" not in fields and b"transfer-encoding" not in fields
        stays = stays and not (self.over or self.admission.state.draining) and data.find(b" HTTP/1.1\r\n", 0, end) > 0
        self.unread = not whole
        self.respond(refusal, fields.get(b"x-request-id", b""), stays)

    def respond(self, refusal: RequestError, request_id: bytes = b"", stays: bool = False) -> None:
        """Write an error past the framework."""
        name = safe_id(request_id) or new_id()
        self.transport.write(self.admission.error(refusal, name, stays))
        self.admission.state.metrics.count(refusal.status, 0.0)
        if logs.is_on():
            logs.write(name, "", "", refusal.status, 0.0, {})  # it was not parsed
        if not stays:
            self.transport.close()

    def finish(self) -> None:
        """Close, now or, where the client may still be sending, once it has had time to read the answer."""
        real = self.transport.real
        if self.gone or real.is_closing():
            return
        if self.unread or self.sending:
            self.lingering, self.since = True, self.loop.time()
            real.write_eof()
            real.resume_reading()
        else:
            real.close()
