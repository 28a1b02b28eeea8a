"""The service of a run's bundle: started on a free port, found again by its file, and stopped."""

import json
import os
from pathlib import Path
from typing import NamedTuple

from lamina.apps.studio import processes
from lamina.apps.studio.ledger import Entry
from lamina.deploy.predictor import Predictor
from lamina.evaluate import usage

TOKEN = "LAMINA_TOKEN"  # the variable that holds what a service asks for
OUTPUT, LOCK = "server.log", ".server"


class Service(NamedTuple):
    """A process that serves; `url` is empty until it answers."""

    process: int
    url: str


def lock(one: Entry) -> Path:
    return one.run.folder / LOCK


def start(one: Entry) -> None:
    """Serve its bundle on a free port of this machine. Errors: LaminaError where it is served already."""
    words = ["serve", str(one.run.bundle), "--port", "0", "--json"]
    processes.start(words, lock(one), one.run.folder / OUTPUT)


def current(one: Entry) -> Service | None:
    """The process that serves it; None where none does."""
    number = processes.holder(lock(one))
    if not number:
        return None
    urls = [json.loads(line)["url"] for line in processes.lines(one.run.folder / OUTPUT) if line.startswith('{"url"')]
    return Service(number, urls[-1] if urls else "")


def faults(one: Entry) -> list[str]:
    """What the last process said that ended by itself."""
    return [line for line in processes.lines(one.run.folder / OUTPUT) if line.startswith("lamina: ")]


def requests(predictor: Predictor, one: Entry, url: str) -> dict[str, str]:
    """A line of curl for each operation, by its name; with the token that the service was started with, if any."""
    token = f'curl -H "Authorization: Bearer ${TOKEN}"' if os.environ.get(TOKEN) else "curl"
    usages = {o.name: usage.of(predictor, o, str(one.run.bundle)).http for o in predictor.operations}
    lines = {name: text.replace(usage.ADDRESS, url) for name, text in usages.items() if text}
    return {name: text.replace("curl", token, 1) for name, text in lines.items()}
