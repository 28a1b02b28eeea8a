"""An ASGI application that answers with a predictor: one route for each of its operations.

The event loop moves bytes, and answers what is over in a few milliseconds; one thread parses, predicts and writes all
other answers, and joins requests that arrive while it is busy. What does not fit is refused at the door, with a
sentence: too large, too many, too late.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware

from lamina.deploy.bundle import FORMAT
from lamina.deploy.input_policy import applied, check_names
from lamina.deploy.predictor import Predictor, summary
from lamina.deploy.server import drift_page, openapi, pages, protocols
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits, RequestError, bare
from lamina.deploy.server.metrics import Metrics
from lamina.deploy.server.middleware import App, GateMiddleware, State
from lamina.deploy.server.model import Model, model_of
from lamina.deploy.server.operation_app import OperationApp
from lamina.deploy.server.reloading import bundle_name
from lamina.deploy.server.request_queue import RequestQueue
from lamina.preprocess import Policy

CROSS_ORIGIN: dict[str, Any] = {  # what a page of another origin may send and read
    "allow_methods": ["GET", "POST"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Inference-Header-Content-Length",
        "X-Request-ID",
        "X-Request-Timeout-Ms",
    ],
    "expose_headers": ["X-Request-ID", "X-Model-Version", "X-Notes", "Retry-After", "Inference-Header-Content-Length"],
}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def app(  # noqa: PLR0913 - one argument for each thing that a server is told of its surroundings
    predictor: Predictor | Mapping[str, Predictor],
    limits: Limits | None = None,
    token: str | None = None,
    hosts: Sequence[str] = (),
    origins: Sequence[str] = (),
    root_path: str = "",
    before: FastAPI | None = None,
    policies: Mapping[str, Policy] | None = None,
) -> FastAPI:
    """An ASGI application that answers with a predictor, or with several by name.

    Of several, each is asked below `/models/<name>`, and the first at the root, too. `token`: what every path but
    health and readiness then asks for. `hosts`: the names (without port) the server goes by; a request with another
    `Host` is refused, which keeps foreign web pages out of a server on loopback. `origins`: web pages that may ask it
    (CORS), such as `https://app.example.com`, or `*`. `root_path`: where a proxy shows it, such as `/models/churn`; a
    proxy may leave it in front of the paths or take it away. `before`: the application that this one takes the place
    of, whose queue and counts go on. `policies`: by column, or `*` for all, what becomes of cells that training had
    none of, in place of what the bundle says; see `input_policy`.
    """
    predictors = (
        {bundle_name(predictor.bundle.path): predictor} if isinstance(predictor, Predictor) else dict(predictor)
    )
    if policies:
        check_names([one.prep for one in predictors.values()], policies)
        predictors = {name: one.with_policies(applied(one.prep, policies).policies) for name, one in predictors.items()}
    metrics = before.state.lamina.metrics if before else Metrics()
    models = {name: model_of(one, limits or Limits(), metrics.model(name, one.id)) for name, one in predictors.items()}
    metrics.serve({(name, one.id): _facts(one) for name, one in predictors.items()})
    state = _state(models, metrics, before)
    first = next(iter(models.values()))
    api = _application(first, state, token, root_path)
    main = {name: protocols.main_endpoint(model.endpoints) for name, model in models.items()}
    protocols.mount(api, {name: endpoint for name, endpoint in main.items() if endpoint}, state)
    if len(models) > 1:
        pages.add_models(api, {name: model.predictor for name, model in models.items()}, root_path)
        for name, model in models.items():
            path = f"/models/{name}"
            api.router.mount(path, _application(model, state, token, f"{root_path}{path}", path).framework)
    api.gate = state.gate = GateMiddleware(api.framework, token=token, hosts=hosts, state=state, root_path=root_path)
    if origins:
        api.gate = CORSMiddleware(api.gate, allow_origins=origins, **CROSS_ORIGIN)
    return api


def _state(models: Mapping[str, Model], metrics: Metrics, before: FastAPI | None) -> State:
    first = next(iter(models.values()))
    if before is not None:
        return State(before.state.lamina.queue, first.predictor.id, metrics)
    largest = max((model.limits for model in models.values()), key=lambda limits: limits.body)
    return State(RequestQueue(largest), first.predictor.id, metrics)


def _facts(predictor: Predictor) -> dict[str, str]:
    """What metrics say of a model."""
    return {"bundle_id": predictor.id, "format": ".".join(map(str, FORMAT)), "task": predictor.task.kind}


def _application(model: Model, state: State, token: str | None, root_path: str, path: str = "") -> "Application":
    """All that is to be had of one model, below a path of the server."""
    predictor, endpoints, limits, drift = model
    operations = [endpoint.operation for endpoint in endpoints]
    api = Application(
        title=f"{predictor.target or 'model'} ({predictor.task.kind})",
        version=predictor.id,
        description=summary(operations[0], predictor) if operations else "",
        redirect_slashes=False,
        docs_url=None,  # FastAPI's pages take scripts from elsewhere and write the title unescaped: see docs_page
        redoc_url=None,
        servers=[{"url": root_path}] if root_path else None,
        root_path_in_servers=False,
        dependencies=[Depends(HTTPBearer(auto_error=False))] if token else [],  # the padlock in the docs
    )
    api.state.lamina = state
    pages.add_pages(api, predictor, endpoints, limits, root_path, token is not None)
    pages.add_health(api, state)
    drift_page.add(api, drift)
    for endpoint in endpoints:
        _add_operation(api, endpoint, state, path)
    _refusals(api, endpoints, [o.name for o in predictor.operations if "http" not in o.faces])
    return api


class Application(FastAPI):
    """FastAPI behind a gate that stands before all its layers, each of which costs as much as a small network."""

    gate: App

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.gate(scope, receive, send)

    def build_middleware_stack(self) -> Any:
        """Without what answers errors and bounds bodies elsewhere: the gate and the endpoints do."""
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)

    async def framework(self, scope: Any, receive: Any, send: Any) -> None:
        """What the gate lets in and does not answer itself."""
        await super().__call__(scope, receive, send)


class OperationRoute(APIRoute):
    """Documented as any other; the request goes on as it is, since bodies are read within limits there."""

    def get_route_handler(self) -> Handler:
        return self.endpoint


def _add_operation(api: FastAPI, endpoint: Endpoint, state: State, path: str) -> None:
    """The route of an operation."""
    operation = endpoint.operation
    place = f"{path}/{operation.name}"
    asgi = state.operations[place] = OperationApp(endpoint, state, place)

    async def answer(request: Request) -> Any:
        return asgi

    api.router.add_api_route(
        f"/{operation.name}",
        answer,
        methods=["POST"],
        summary=operation.summary,
        description=summary(operation, endpoint.predictor),
        operation_id=operation.name,
        response_class=Response,
        responses=openapi.responses(endpoint),
        openapi_extra={"requestBody": openapi.request_body(endpoint)},
        route_class_override=OperationRoute,
    )


def _refusals(api: FastAPI, endpoints: tuple[Endpoint, ...], others: Sequence[str]) -> None:
    """Errors of the framework become refusals, which the gate writes; `others`: operations that no server has."""
    posts = [f"POST /{endpoint.operation.name}" for endpoint in endpoints]
    paths = f"There is {', '.join([*posts, 'GET /schema'])} and GET /docs."

    async def refuse(request: Any, error: Any) -> Any:
        place = f"{bare(request.method)} {bare(request.url.path)}"
        name = request.url.path.strip("/")
        if error.status_code == 404 and name in others:
            cure = f"It is had with lamina {name}, and in Python."
            raise RequestError(404, f"{place}: no server does that. {cure} {paths}")
        if error.status_code == 404:
            raise RequestError(404, f"{place}: there is no such path. {paths}")
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            raise RequestError(405, f"{place}: this path takes {allowed}.", error.headers)
        raise RequestError(error.status_code, f"{place}: {error.detail}.", error.headers)

    api.add_exception_handler(HTTPException, refuse)
