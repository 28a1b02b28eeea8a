"""Serve a bundle over HTTP: `serve(path)`, or `app(predictor)` for a server of one's own. No torch.

What is built on FastAPI is imported when it is first used (PEP 562): what a request means is needed without it, too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lamina.deploy.server.limits import Limits

if TYPE_CHECKING:
    from lamina.deploy.server.application import app
    from lamina.deploy.server.process import serve
    from lamina.deploy.server.reloading import bundles_by_name

_HOMES = {"app": "application", "bundles_by_name": "reloading", "serve": "process"}

__all__ = ["Limits", "app", "bundles_by_name", "serve"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import_module(f"{__name__}.framework")  # first, so that one sentence says what is not installed
    return vars(import_module(f"{__name__}.{_HOMES[name]}"))[name]
