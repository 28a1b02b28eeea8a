"""The pages of a server that need no model: what it is, what it takes, how it is."""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from lamina import __version__
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import about
from lamina.deploy.server.docs_page import docs_page
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.json_reader import dump_json
from lamina.deploy.server.limits import Limits, busy
from lamina.deploy.server.metrics import CONTENT_TYPE
from lamina.deploy.server.middleware import State
from lamina.deploy.server.try_page import try_page
from lamina.task import JSON

HTML = "text/html; charset=utf-8"
ALIVE, READY = {"status": "alive"}, {"status": "ready"}


def page_headers(page: str) -> dict[str, str]:
    """What a browser may do on a page: run the scripts and styles that stand in it, and ask this server."""
    allowed = {
        tag: " ".join(map(_hash, re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL))) or "'none'"
        for tag in ("style", "script")
    }
    policy = (
        f"default-src 'none'; style-src {allowed['style']}; script-src {allowed['script']}; img-src data:; "
        "media-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}


def _hash(text: str) -> str:
    """A piece of a page as its security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def add_pages(
    api: FastAPI, predictor: Predictor, endpoints: tuple[Endpoint, ...], limits: Limits, root: str, token: bool
) -> None:
    """What the server is, what it takes, and a page to try it on; `root` is the path in front of all others for those
    outside, `token` says whether they need one.
    """
    schema = about.describe(predictor, endpoints, limits)
    schema_body = schema.model_dump_json().encode()
    page = try_page(predictor, endpoints, token) if endpoints else ""
    policy = page_headers(page)
    links = {endpoint.operation.name: f"POST {root}/{endpoint.operation.name}" for endpoint in endpoints}
    places = {"columns": "schema", "docs": "docs", "health": "health", "ready": "ready"}
    places |= {"try": "try"} if page else {}
    links |= {name: f"{root}/{place}" for name, place in places.items()}
    index = {"model": schema.model, "task": schema.task, "target": schema.target, "lamina": __version__, "links": links}

    @api.get("/", summary="What this is and where to go; for a browser, a page to try it on")
    async def index_of(request: Request) -> Any:
        if page and "text/html" in request.headers.get("accept", ""):
            return Response(page, media_type=HTML, headers=policy)
        return index

    @api.get("/schema", summary="What the model takes and what it answers", response_model=about.About)
    async def columns() -> Response:
        return Response(schema_body, media_type=JSON)

    docs = docs_page(api.title, schema, endpoints)
    docs_policy = page_headers(docs)

    @api.get("/docs", summary="This interface as a page, with examples to send", include_in_schema=False)
    async def docs_of() -> Response:
        return Response(docs, media_type=HTML, headers=docs_policy)

    @api.get("/redoc", include_in_schema=False)
    async def redoc() -> Response:
        return RedirectResponse("docs")

    if page:

        @api.get("/try", summary="A page to try the model on", include_in_schema=False)
        async def page_of() -> Response:
            return Response(page, media_type=HTML, headers=policy)


def add_models(api: FastAPI, predictors: Mapping[str, Predictor], root: str = "") -> None:
    """The models of a server, and where each is."""
    models = {
        name: {"model": one.id, "task": one.task.kind, "target": one.target, "path": f"{root}/models/{name}"}
        for name, one in predictors.items()
    }

    @api.get("/models", summary="The models of this server, by name")
    async def index_of_models() -> dict[str, Any]:
        return {"models": models}


def add_health(api: FastAPI, state: State) -> None:
    """Whether it is alive and ready, and what it counted."""

    @api.get("/metrics", summary="Counts and durations, for Prometheus", include_in_schema=False)
    async def metrics() -> Response:
        queue = state.queue
        text = state.metrics.text(queue.depth, queue.rejected, not state.draining)
        return Response(text, media_type=CONTENT_TYPE)

    @api.get("/livez", include_in_schema=False)
    @api.get("/health", summary="The process is alive")
    async def health() -> dict[str, str]:
        return ALIVE

    @api.get("/readyz", include_in_schema=False)
    @api.get("/ready", summary="The model is loaded and tested, and the server is not stopping")
    async def ready() -> dict[str, str]:
        if state.draining:
            raise busy("The server is stopping. Use another one, or try again in a second.")
        return READY

    bodies = {dump_json(ALIVE): ("/livez", "/health"), dump_json(READY): ("/readyz", "/ready")}
    state.probes = {path: body for body, paths in bodies.items() for path in paths}
