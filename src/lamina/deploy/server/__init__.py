"""Serve a bundle over HTTP: `serve(path)`, or `app(predictor)` for a server of one's own. No torch."""

from lamina.deploy.server import framework  # noqa: F401  (first, so that one sentence says what is not installed)
from lamina.deploy.server.application import app
from lamina.deploy.server.limits import Limits
from lamina.deploy.server.process import serve

__all__ = ["Limits", "app", "serve"]
