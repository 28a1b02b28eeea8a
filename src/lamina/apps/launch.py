"""How a command starts a Streamlit script: on this machine alone unless told otherwise, and until Ctrl-C or SIGTERM."""

import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit

from lamina.apps import theme
from lamina.config import LaminaError

FIRST_PORT, MOST_PORTS = 8501, 100  # where a free one is looked for
LOCAL_NAMES = ["localhost", "127.0.0.1", "::1"]
QUIET: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "type",
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "logger.hideWelcomeMessage": True,
    "runner.magicEnabled": False,
    "server.fileWatcherType": "none",
    "server.headless": True,  # no browser is opened, nobody is asked for an e-mail address
}


def run(title: str, script: Path, words: Sequence[str] = (), host: str = "127.0.0.1", port: int | None = None) -> None:
    """Show a script in browsers until SIGTERM or Ctrl-C; it finds `words` in `sys.argv[1:]`.

    Once browsers can come it prints one line, which names `title` and the address. Without `port` it is the first free
    one from 8501 on. Errors: LaminaError where the port is taken.
    """
    port = _free_port(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    local = _is_local(host)
    others = "" if local else " Whoever can reach this machine can use it."

    @asynccontextmanager
    async def announce(app: Any) -> AsyncIterator[None]:
        print(f"{title} on {url}.{others} Stop it with Ctrl-C.", flush=True)
        yield

    options = {**QUIET, **theme.options(), "server.address": host, "server.port": port}
    if local:
        options["server.allowedHosts"] = [*LOCAL_NAMES, host]
    argv, signals = sys.argv, (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, _ignore) for number in signals}  # raised again once the server has ended
    logging.disable(logging.INFO)
    try:
        sys.argv = [str(script), *words]
        streamlit.App(script, lifespan=announce).run(config=options)
    finally:
        sys.argv = argv
        logging.disable(logging.NOTSET)
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: object) -> None:
    """The server has its own handlers while it runs, and then raises what it got once more."""


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port(host: str, port: int | None) -> int:
    """This port if it is free, or without one the first that is. Errors: LaminaError."""
    reason = ""
    try:
        for candidate in range(FIRST_PORT, FIRST_PORT + MOST_PORTS) if port is None else (port,):
            family, kind, protocol, _, address = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0]
            try:
                with socket.socket(family, kind, protocol) as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(address)
                    return int(probe.getsockname()[1])
            except OSError as error:
                reason = error.strerror or ""
    except socket.gaierror as error:
        reason = error.strerror or "no such host"
    place = f"{host}:{port or FIRST_PORT}"
    raise LaminaError(f"{place} cannot be used ({reason}). Choose another with --port, or another --host.")
