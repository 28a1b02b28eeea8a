"""Logs of a server: a line for each request where that is asked for, as text or as JSON, and errors with their request.

Standard `logging`: an application of your own may set up the loggers `lamina.access` and `lamina.server` as it likes.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Literal

from lamina.deploy.server.metrics import GONE

Format = Literal["text", "json"]
FIELDS = ("request_id", "method", "path", "status", "duration_ms", "rows", "model", "version")
NOTHING = nullcontext()
access = logging.getLogger("lamina.access")


class JsonFormatter(logging.Formatter):
    """One object in each line."""

    def format(self, record: logging.LogRecord) -> str:
        own = {name: vars(record)[name] for name in FIELDS if name in vars(record)}
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {"time": when, "level": record.levelname.lower(), **own}
        if record.name != access.name:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """As people read it; requests as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name != access.name:
            return super().format(record)
        own = " ".join(f"{name}={vars(record)[name]}" for name in FIELDS if vars(record)[name] is not None)
        return f"{self.formatTime(record)} {record.levelname.lower()} {own}"


def configure(log_format: Format = "text", access_log: bool = False) -> None:
    """Have the lines of a server written to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger("lamina")
    logger.handlers = [handler]
    logger.propagate = False
    access.setLevel(logging.INFO if access_log else logging.WARNING)


def is_on() -> bool:
    """Whether requests are written."""
    return access.isEnabledFor(logging.INFO)


def request(scope: Mapping[str, Any], status: Callable[[], int]) -> AbstractContextManager[None]:
    """What writes the line of an ASGI request once it is over; nothing where that is off."""
    return _timed(scope, status) if is_on() else NOTHING


@contextmanager
def _timed(scope: Mapping[str, Any], status: Callable[[], int]) -> Iterator[None]:
    start, state = time.perf_counter(), scope["state"]
    try:
        yield
    finally:
        requests, seconds = state.get("requests"), time.perf_counter() - start
        labels = requests.labels if requests else {}
        write(state["request_id"], scope["method"], scope["path"], status(), seconds, labels, state.get("rows"))


def write(
    request_id: str,
    method: str,
    path: str,
    status: int,
    seconds: float,
    labels: Mapping[str, str],
    rows: int | None = None,
) -> None:
    """One line; `labels`: of the model that was asked, and `rows` that were answered, None where none was."""
    values = (request_id, method, path, status or GONE, round(seconds * 1e3, 3), rows)
    fields = (*values, labels.get("model"), labels.get("version"))
    access.info("request", extra=dict(zip(FIELDS, fields, strict=True)))
