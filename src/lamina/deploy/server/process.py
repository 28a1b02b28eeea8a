"""Serve a bundle in a process: its socket, its signals, and an end that lets requests finish."""

import asyncio
import contextlib
import ctypes
import gc
import ipaddress
import json
import logging
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

import uvicorn
from fastapi import FastAPI

from lamina.config import LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import logs
from lamina.deploy.server.admission import HEAD, AdmissionControl
from lamina.deploy.server.application import app
from lamina.deploy.server.http_protocol import Connection
from lamina.deploy.server.limits import Limits
from lamina.deploy.server.reloading import Models
from lamina.deploy.server.workers import RELOAD, Say, supervise
from lamina.preprocess import Policy

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SIGNALS = (signal.SIGTERM, signal.SIGINT, *([RELOAD] if RELOAD else []))
WATCH = 1.0  # seconds between two looks at the bundles
ACCEPT = 0.02  # seconds at most of taking connections in, between two looks at those that are there
FILES = 256  # that are open beside connections
PAUSE = 0.1  # seconds before a connection is accepted again, where none could be
GARBAGE = (
    50_000,
    20,
    100,
)  # objects between two looks for garbage, of which requests leave none; looks between longer ones
TURN_AWAY = 1.0  # seconds at most for connections that have begun to be accepted
SO_ATTACH_FILTER = 26
log = logging.getLogger("lamina.server")
DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFF))  # byte 13 of TCP has the flags


def serve(  # noqa: PLR0913 - one argument for each thing that a server is told of its surroundings
    path: str | Path | Mapping[str, str | Path],
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    as_json: bool = False,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    root_path: str = "",
    watch: bool = False,
    workers: int = 1,
    policies: Mapping[str, Policy] | None = None,
    log_format: logs.Format = "text",
    access_log: bool = False,
) -> None:
    """Answer HTTP requests with a bundle, or with several by name, until SIGTERM or Ctrl-C; finish what was accepted.

    Once it is ready it prints one line: a sentence, or with `as_json` an object with `url`, `docs` and `bundle`.
    `token` may also come from the environment, LAMINA_TOKEN; without one only this machine may ask. Port 0 is any
    free one. Behind a proxy: `hosts` are the public names it is reached by, `root_path` the path it is shown under;
    `origins` are those of web pages that may ask. A bundle that has changed on disk takes the place of the one before
    on SIGHUP, or with `watch` by itself; one that fails its checks does not. `workers` are processes that each have
    the bundles, connections, limits and counts of their own. `policies`: what becomes of cells that training had none
    of, by column. With `access_log` each request is a line on standard error, as `log_format` says. Errors:
    LaminaError when the port is taken, BundleError when the bundle is not sound.
    """
    logs.configure(log_format, access_log)
    token = (token or os.environ.get("LAMINA_TOKEN") or "").strip() or None
    local = _is_local(host)
    if token is None and (not local or hosts):
        cure = "Set a token (--token, or LAMINA_TOKEN), or serve on 127.0.0.1 only."
        raise LaminaError(f"host: anyone who can reach {hosts[0] if local else host} could use the model. {cure}")
    if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
        raise LaminaError(f"--root-path: must begin with / and not end with it (got '{root_path}').")
    names = tuple(name.lower() for name in (*LOOPBACK, _in_url(host), *hosts)) if local else ()

    def build(predictors: Mapping[str, Predictor], before: FastAPI | None) -> FastAPI:
        one = predictors if isinstance(path, Mapping) else next(iter(predictors.values()))
        return app(one, limits, token, names, origins, root_path, before, policies)

    def work(say: Say, port: int) -> None:
        with _bind(host, port, shared=workers > 1) as listener:
            paths = path if isinstance(path, Mapping) else {"model": path}
            models = Models({name: Path(own) for name, own in paths.items()}, build)
            url = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
            _run(models, listener, limits or Limits(), lambda: say(_line(models, url, as_json)), watch)

    if workers == 1:
        work(lambda line: print(line, flush=True), port)
        return
    with _bind(host, port, shared=True) as place:  # which never listens, and keeps the port for the workers
        supervise(workers, lambda say: work(say, place.getsockname()[1]))


def _line(models: Models, url: str, as_json: bool) -> str:
    """What is said once a server is ready."""
    api = models.application
    if as_json:
        return json.dumps({"url": url, "docs": f"{url}/docs", "bundle": api.version})
    others = f" and {len(models.paths) - 1} more" if len(models.paths) > 1 else ""
    return f"Serving {api.title}{others} on {url} (try it: {url}/try). Stop it with Ctrl-C."


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bind(host: str, port: int, shared: bool = False) -> socket.socket:
    """A socket that has the port but does not listen yet: no request comes before the model is ready. Where it is
    shared, others of this user may have it, too, and connections are spread over those that listen.
    """
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared and "SO_REUSEPORT" in vars(socket):
            listener.setsockopt(socket.SOL_SOCKET, vars(socket)["SO_REUSEPORT"], 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        if listener:
            listener.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise LaminaError(f"{host}:{port} cannot be served on ({reason}). Choose another with --port.") from None
    return listener


class Server(uvicorn.Server):
    """uvicorn on one socket that listens, with all connections that wait taken in at once: uvloop takes one per turn of
    its loop, which is slow where many come.
    """

    def __init__(self, config: uvicorn.Config, admission: AdmissionControl):
        super().__init__(config)
        self.admission = admission

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        assert sockets
        loop, listener, config = asyncio.get_running_loop(), sockets[0], self.config
        protocol = partial(
            cast("Any", config.http_protocol_class),
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        coming = set[asyncio.Task[Any]]()  # the loop itself holds tasks weakly

        def accept() -> None:
            end = time.perf_counter() + ACCEPT
            while time.perf_counter() < end:
                try:
                    client, _address = listener.accept()
                except BlockingIOError:  # no other waits
                    return
                except OSError:  # none can be taken in now, as where too many files are open
                    loop.remove_reader(listener)
                    loop.call_later(PAUSE, resume)
                    return
                client.setblocking(False)
                if self.admission.turn_away(client):
                    continue
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = loop.create_task(loop.connect_accepted_socket(protocol, client))
                coming.add(task)
                task.add_done_callback(coming.discard)

        def resume() -> None:
            if not self.should_exit:
                loop.add_reader(listener, accept)

        listener.setblocking(False)
        listener.listen(config.backlog)
        resume()
        self.admission.accept = accept
        await super().startup([])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.admission.accept = None
        for listener in sockets or ():
            asyncio.get_running_loop().remove_reader(listener)
        await super().shutdown(sockets)


def _run(models: Models, listener: socket.socket, limits: Limits, say: Callable[[], None], watch: bool) -> None:
    """uvicorn in a thread; this one waits for a signal, says not ready, and lets the requests end."""
    _allow_files(limits.connections + FILES)
    admission = AdmissionControl(models, limits)
    config = uvicorn.Config(
        models, http=lambda **options: Connection(admission, options),  # type: ignore[arg-type]  (any callable will do)
        loop="auto",  # uvloop where it is installed
        log_level="error", access_log=False, server_header=False, lifespan="off", ws="none",
        proxy_headers=False,  # nothing here hangs on who asks
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1, h11_max_incomplete_event_size=2 * HEAD,
    )  # fmt: skip
    gc.collect()
    gc.freeze()  # what is there stays: looking through all of it again holds requests up for tens of milliseconds
    gc.set_threshold(*GARBAGE)
    server = Server(config, admission)
    signals: list[int] = []
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="lamina-http", daemon=True)
    main = threading.current_thread() is threading.main_thread()
    before = {s: signal.signal(s, lambda s, _: signals.append(s)) for s in SIGNALS if main}
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    if not server.started:
        raise LaminaError("serve: the HTTP server did not start; the lines above say why.")
    say()
    _wait(models, signals, thread, watch)
    for number, handler in before.items():
        signal.signal(number, handler)  # a second signal ends the process at once
    models.state.draining = True
    thread.join(limits.drain)
    if thread.is_alive():
        _turn_away(listener)
    server.should_exit = True
    thread.join()


def _allow_files(count: int) -> None:
    """Let this process have so many files and connections open, or as many as it may."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < count:
            most = count if hard == resource.RLIM_INFINITY else min(count, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _wait(models: Models, signals: list[int], thread: threading.Thread, watch: bool) -> None:
    """Until it is to stop; bundles are opened again on SIGHUP, and when they change, where that is looked for."""
    last = time.monotonic()
    while thread.is_alive() and not set(signals) - {RELOAD}:
        thread.join(0.05)
        if RELOAD in signals or (watch and time.monotonic() - last > WATCH):
            sentences = models.reload(changed=RELOAD not in signals)
            signals[:] = [number for number in signals if number != RELOAD]
            last = time.monotonic()
            for sentence in sentences:
                log.warning(sentence)


def _turn_away(listener: socket.socket) -> None:
    """Let no new connection begin, and wait until those that have are accepted: closing would reset them.

    Linux: a filter drops the packets that ask for a connection, so clients try again, and find the next server or none.
    """
    if sys.platform == "linux":
        program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in DROP_SYN))
        filter_of = struct.pack("@HP", len(DROP_SYN), ctypes.addressof(program))
        with contextlib.suppress(OSError):  # a sandbox may not know filters
            listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_of)
    end = time.monotonic() + TURN_AWAY
    while time.monotonic() < end and select.select([listener], [], [], 0)[0]:
        time.sleep(0.01)
    time.sleep(0.02)
