"""The OpenAPI document of a bundle's server as JSON, for programs that write clients; no server is started."""

import json
from pathlib import Path

from lamina.deploy.bundle import Bundle
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app
from lamina.resources import disk


def write(bundle: Bundle, path: Path) -> None:
    """Write what the server gives at /openapi.json."""
    document = app(Predictor(bundle)).openapi()
    disk.write_text(path, json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
