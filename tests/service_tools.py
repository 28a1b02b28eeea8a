"""Asking a bundle on the command line and over HTTP, in this process."""

import asyncio
import csv
import io
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

import lamina
from lamina.cli import commands
from lamina.config import LaminaError
from lamina.deploy.server import Limits, app


def path(estimator: lamina.Estimator) -> str:
    return estimator.result["bundle"]


def command(*words: Any) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command line, in this process."""
    from typer.testing import CliRunner

    before = sys.argv
    sys.argv = ["lamina", *map(str, words)]
    try:
        done = CliRunner().invoke(commands.app, sys.argv[1:])
    finally:
        sys.argv = before
    if isinstance(done.exception, LaminaError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def ask(estimator: lamina.Estimator, method: str, place: str, limits: Limits | None = None, **options: Any) -> Any:
    return send(app(estimator.predictor, limits), ((method, place), options))[0]


def send(api: Any, *requests: tuple[Sequence[str], Mapping[str, Any]]) -> list[httpx.Response]:
    """The replies of an ASGI application to requests (method and path, and options), all sent at the same time."""

    async def together() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await asyncio.gather(*(client.request(*words, **options) for words, options in requests))

    return asyncio.run(together())


RUN = "import sys; from lamina.deploy.server import serve; serve(sys.argv[1], port=0, workers=int(sys.argv[2]))"


class ServerProcess:
    """A server in a process of its own, which ends with the block."""

    def __init__(self, path: Path, workers: int = 1):
        self.path, self.workers = path, workers

    def __enter__(self) -> Self:
        words = [sys.executable, "-c", RUN, str(self.path), str(self.workers)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stderr
        line = self.process.stdout.readline()
        assert "Serving" in line, self.process.stderr.read()
        self.port = int(line.partition("http://127.0.0.1:")[2].partition(" ")[0])
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, names first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
