"""Protocols that clients of other servers speak, beside our own JSON: one file each, which is all a new one takes.

A protocol is a module here (or in `$LAMINA_PLUGINS/deploy.server.protocols/`), named by its file, with

- a docstring, whose first line says on the page of /docs what it is;
- `PATH`: one of its paths, to look at in a browser;
- `routes(service) -> Iterable[Route]`: its paths, and a function that answers each.

It only turns a body into `RequestRows` and answers into the body of a reply (a `Message`); `service.answer` does the
rest, as for our own `POST /predict`: limits, joint batches, deadlines, notes, token, errors and metrics are the same.
What several protocols share stands beside them, with `_` in front.
"""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request, Response

from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.middleware import State
from lamina.deploy.server.protocols._service import Answer, Model, Route, Service, main_endpoint, unsuitable
from lamina.plugins import available, plugin

FOLDER = "deploy.server.protocols"


def mount(api: FastAPI, models: Mapping[str, Endpoint], state: State) -> None:
    """Add the paths of every protocol to an application; `models`: by name, what each is asked, looked up every time.

    The first is the one that a protocol asks which has no names for models.
    """
    service = Service(models, state)
    for name in available(FOLDER):
        for route in plugin(FOLDER, name).routes(service):
            api.router.add_route(route.path, _of(name, route.answer), methods=[route.method], include_in_schema=False)
            state.open |= {route.path} if route.open else set()


def _of(protocol: str, answer: Answer) -> Answer:
    """An answer whose request is counted as one of a protocol."""

    async def named(request: Request) -> Response:
        request.state.protocol = protocol
        return await answer(request)

    return named


def summaries(endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """A path of each protocol that a bundle can be asked by, with what it is."""
    main = main_endpoint(endpoints)
    if main is None or unsuitable(main):
        return {}
    modules = [plugin(FOLDER, name) for name in available(FOLDER)]
    return {module.PATH: (module.__doc__ or "").partition("\n")[0] for module in modules}


__all__ = ["Model", "Route", "Service", "main_endpoint", "mount", "summaries"]
