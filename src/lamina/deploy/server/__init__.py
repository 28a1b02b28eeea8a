"""Serve a bundle over HTTP: `serve(path)`, or `app(predictor)` for a server of one's own. No torch.

The event loop only moves bytes; one thread parses, predicts and writes the answers, and joins requests that arrive
while it is busy. What does not fit is refused at the door, with a sentence: too large, too many, too late.
"""

import ipaddress
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamina import __version__
from lamina.config import LaminaError
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import openapi as describe
from lamina.deploy.server.content_types import JSON, check_kind, media
from lamina.deploy.server.limits import Limits, RequestError, busy, shown
from lamina.deploy.server.middleware import Door, State
from lamina.deploy.server.multipart import library
from lamina.deploy.server.request_queue import Desk, replies
from lamina.tasks.forecasting import playground as _try
from lamina.tasks.generation import operation as _wish
from lamina.tasks.generation import playground as _page

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["Limits", "app", "serve"]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def app(
    predictor: Predictor, limits: Limits | None = None, token: str | None = None, hosts: Sequence[str] = ()
) -> "FastAPI":
    """An ASGI application that answers with a predictor.

    `token`: what every path but health and readiness then asks for. `hosts`: the names (without port) the server
    goes by; a request with another `Host` is refused, which keeps foreign web pages out of a server on loopback.
    """
    fastapi = _installed()
    limits = limits or Limits()
    if predictor.bundle.prep.files and not predictor.generative:
        library()
        limits, predictor = limits.for_pictures(), predictor.bounded(limits.pixels)
    state = State()
    secured = [fastapi.Depends(_bearer())] if token else []
    api = fastapi.FastAPI(
        title=f"{predictor.target or 'model'} ({predictor.bundle.task.kind})",
        version=predictor.bundle.id,
        description=describe.summary(predictor),
        redirect_slashes=False,
        dependencies=secured,
    )
    api.state.lamina = state
    _pages(api, predictor, limits, state)
    _health(api, state)
    if predictor.generative:
        _generate(api, predictor, Desk(limits, lambda bodies: _wish.replies(predictor, limits, bodies)), state)
    else:
        _predict(api, predictor, Desk(limits, lambda bodies: replies(predictor, limits, bodies)), state)
    _sentences(api, "generate" if predictor.generative else "predict", predictor.critic is not None)
    api.add_middleware(Door, token=token, hosts=hosts, version=predictor.bundle.id, state=state)
    return api


def _installed() -> Any:
    try:
        import fastapi
        import uvicorn  # noqa: F401  (asked for here, so that one sentence tells of both)
    except ImportError as error:
        raise LaminaError(f"serve: {error.name} is not installed. Install it: pip install 'lamina[serve]'") from None
    return fastapi


def _bearer() -> Any:
    """The padlock in the docs; `Door` is what checks."""
    from fastapi.security import HTTPBearer

    return HTTPBearer(auto_error=False)


def _predict(api: "FastAPI", predictor: Predictor, desk: Desk, state: State) -> None:
    from fastapi import Request, Response

    row, answer = describe.example(predictor)
    answers = tuple(answer) if predictor.framed else (answer,)
    told = describe.Answers(predictions=answers, model=predictor.bundle.id).model_dump(exclude_defaults=True)
    faults = {code: {"model": describe.Fault, "description": why} for code, why in FAULTS.items()}

    @api.post(
        "/predict",
        summary=f"Answers for rows such as {json.dumps(row, ensure_ascii=False).lstrip('[')[:60]} ...",
        response_model=describe.Answers,
        responses={200: {"content": {"application/json": {"example": told}}}, **faults},
        openapi_extra={"requestBody": describe.request_body(predictor)},
    )
    async def predict(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        _plain_only(request.headers.get("content-encoding", "identity"))
        check_kind(kind, predictor.bundle.prep, predictor.framed)
        reply = await desk.reply(request.stream(), kind)
        state.metrics.rows += reply.rows
        return Response(reply.body, media_type="application/json")


def _generate(api: "FastAPI", predictor: Predictor, desk: Desk, state: State) -> None:
    from fastapi import Request, Response

    faults = {code: {"model": describe.Fault, "description": why} for code, why in FAULTS.items()}

    @api.post(
        "/generate",
        summary=f"New {'rows' if predictor.state.columns else 'pictures'}, of a class where one is asked for",
        response_model=_wish.Made,
        responses=faults,
        openapi_extra={"requestBody": _wish.request_body(predictor)},
    )
    async def generate(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        _plain_only(request.headers.get("content-encoding", "identity"))
        if media(kind) != JSON:
            cure = "Send JSON with the header Content-Type: application/json."
            raise RequestError(415, f"Content-Type: must be application/json (got {shown(kind)}). {cure}")
        reply = await desk.reply(request.stream(), kind)
        state.metrics.rows += reply.rows
        return Response(reply.body, media_type=JSON)


FAULTS: dict[int | str, str] = {
    400: "the request is not understood; `error` says where and why",
    408: "the body came too slowly",
    413: "the body, its rows, a cell or a picture are too large",
    415: "the body is of no type that this model takes, or a picture of no known format",
    503: "the server is busy or stopping; Retry-After says when to come back",
    504: "there was no answer in time",
}


def _plain_only(encoding: str) -> None:
    if encoding.strip().lower() not in ("", "identity"):
        raise RequestError(415, f"Content-Encoding: must be none (got {shown(encoding)}). Send the body uncompressed.")


def _pages(api: "FastAPI", predictor: Predictor, limits: Limits, state: State) -> None:
    from fastapi import Request, Response

    about = describe.about(predictor, limits)
    asked = {"generate": "POST /generate"} if predictor.generative else {"predict": "POST /predict"}
    links = {**asked, "columns": "/schema", "docs": "/docs", "health": "/health", "ready": "/ready"}
    links |= {"try": "/try"} if predictor.framed else {}
    home = {"model": about.model, "task": about.task, "target": about.target, "lamina": __version__, "links": links}

    tried = _page.html(predictor, limits) if predictor.generative else ""

    @api.get("/", summary="What this is and where to go; for a browser, a page to try a generator on")
    async def index(request: Request) -> Any:
        if tried and "text/html" in request.headers.get("accept", ""):
            return Response(tried, media_type="text/html", headers=_page.HEADERS)
        return home

    @api.get("/schema", summary="What the model takes and what it answers", response_model=describe.About)
    async def schema() -> Response:
        return Response(about.model_dump_json(), media_type="application/json")

    if predictor.framed:
        page = _try.page(predictor)

        @api.get("/try", summary="A page to send a history with and see it go on", include_in_schema=False)
        async def form() -> Response:
            return Response(page, media_type="text/html; charset=utf-8")

    @api.get("/metrics", summary="Counts and durations, for Prometheus", include_in_schema=False)
    async def metrics() -> Response:
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4")


def _health(api: "FastAPI", state: State) -> None:
    @api.get("/livez", include_in_schema=False)
    @api.get("/health", summary="The process is alive")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @api.get("/readyz", include_in_schema=False)
    @api.get("/ready", summary="The model is loaded and tested, and the server is not stopping")
    async def ready() -> dict[str, str]:
        if state.draining:
            raise busy("The server is stopping. Use another one, or try again in a second.")
        return {"status": "ready"}


def _sentences(api: "FastAPI", verb: str, scores: bool) -> None:
    """Errors of the framework become refusals, which `Door` writes."""
    from starlette.exceptions import HTTPException

    async def refuse(request: Any, error: Any) -> Any:
        asked = f"{shown(request.method)[1:-1]} {shown(request.url.path)[1:-1]}"
        if error.status_code == 404 and verb == "generate" and request.url.path == "/predict":
            cure = 'Send {"count": 4} to POST /generate.'
            cure += " Its critic scores with lamina predict, and in Python." if scores else ""
            raise RequestError(404, f"{asked}: this model answers no rows, it makes new ones. {cure}")
        if error.status_code == 404:
            raise RequestError(
                404, f"{asked}: there is no such path. There is POST /{verb}, GET /schema and GET /docs."
            )
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            raise RequestError(405, f"{asked}: this path takes {allowed}.", error.headers)
        raise RequestError(error.status_code, f"{asked}: {error.detail}.", error.headers)

    api.add_exception_handler(HTTPException, refuse)


def serve(
    path: str | Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    as_json: bool = False,
) -> None:
    """Answer HTTP requests with a bundle until SIGTERM or Ctrl-C, then finish what was accepted and return.

    Once it is ready it prints one line: a sentence, or with `as_json` an object with `url`, `docs` and `bundle`.
    `token` may also come from the environment, LAMINA_TOKEN; without one only this machine may ask. Port 0 is any
    free one. Errors: LaminaError when the port is taken, BundleError when the bundle is not sound.
    """
    token = (token or os.environ.get("LAMINA_TOKEN") or "").strip() or None
    local = _is_local(host)
    if not local and token is None:
        cure = "Set a token (--token, or LAMINA_TOKEN), or serve on 127.0.0.1 only."
        raise LaminaError(f"host: anyone who can reach {host} could use the model. {cure}")
    _installed()
    limits = limits or Limits()
    with _bound(host, port) as listener:
        predictor = Predictor(path)
        api = app(predictor, limits, token, (*LOOPBACK, _in_url(host)) if local else ())
        url = f"http://{_in_url(host)}:{listener.getsockname()[1]}"
        tried = url if predictor.generative else f"{url}/{'try' if predictor.framed else 'docs'}"
        line = f"Serving {api.title} on {url} (try it: {tried}). Stop it with Ctrl-C."
        told = {"url": url, "docs": f"{url}/docs", "bundle": predictor.bundle.id}
        _run(api, listener, limits, json.dumps(told) if as_json else line)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the port but does not listen yet: no request comes before the model is ready."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except (OSError, OverflowError) as error:
        if listener:
            listener.close()
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise LaminaError(f"{host}:{port} cannot be served on ({reason}). Choose another with --port.") from None
    return listener


def _run(api: "FastAPI", listener: socket.socket, limits: Limits, line: str) -> None:
    """uvicorn in a thread; this one waits for a signal, says not ready, and lets the requests end."""
    import uvicorn

    config = uvicorn.Config(
        api, log_level="warning", access_log=False, server_header=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    asked: list[int] = []
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="lamina-http", daemon=True)
    main = threading.current_thread() is threading.main_thread()
    before = {s: signal.signal(s, lambda s, _: asked.append(s)) for s in (signal.SIGTERM, signal.SIGINT) if main}
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    if not server.started:
        raise LaminaError("serve: the HTTP server did not start; the lines above say why.")
    print(line, flush=True)
    while not asked and thread.is_alive():
        thread.join(0.05)
    for number, handler in before.items():
        signal.signal(number, handler)  # a second signal ends the process at once
    api.state.lamina.draining = True
    thread.join(limits.drain)
    server.should_exit = True
    thread.join()
