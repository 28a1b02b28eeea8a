"""POST /invocations, as MLflow and SageMaker have it: a data frame in JSON or CSV in, a record for each row out.

It has no names for models: the first of a server is asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import Request, Response

from lamina import __version__
from lamina.deploy.server.content_types import Body, Message, Reply, media_type, own_types
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.json_reader import describe, dump_json
from lamina.deploy.server.limits import RequestError, quoted
from lamina.deploy.server.protocols import _json_rows
from lamina.deploy.server.protocols._json_rows import INPUTS, INSTANCES
from lamina.deploy.server.protocols._service import Model, Route, Service, note_headers
from lamina.deploy.server.request_rows import RequestRows
from lamina.schema import Row
from lamina.task import CSV, JSON

PATH = "/ping"
SPLIT, RECORDS, PARAMS = "dataframe_split", "dataframe_records", "params"
SHAPE = 'Send {"dataframe_split": {"columns": ["column", ...], "data": [[value, ...], ...]}}.'


def routes(service: Service) -> Iterator[Route]:
    server = Server(service)
    yield Route("POST", "/invocations", server.invocations)
    yield Route("GET", PATH, server.ping, open=True)
    yield Route("GET", "/version", server.version)


class Server:
    """What answers each path."""

    def __init__(self, service: Service):
        self.service = service

    async def invocations(self, request: Request) -> Response:
        model = self.service.first()
        _check_type(request.headers.get("content-type", ""), model.endpoint)
        return await self.service.answer(request, model, partial(_read, model))

    async def ping(self, request: Request) -> Response:
        self.service.check_ready()
        return Response("\n", media_type=JSON)

    async def version(self, request: Request) -> Response:
        return Response(__version__, media_type="text/plain")


def _check_type(content_type: str, endpoint: Endpoint) -> None:
    """Errors: RequestError for what is neither JSON nor, where a model takes it, CSV."""
    takes = [JSON, *(media for media in own_types(endpoint.operation, endpoint.prep) if media == CSV)]
    if media_type(content_type) not in takes:
        fault = f"Content-Type: must be {' or '.join(takes)} (got {quoted(content_type)})"
        raise RequestError(415, f"{fault}. Send the header with what the body is.")


def _read(model: Model, body: Body) -> Message:
    """A data frame as rows. Errors: RequestError that names the place."""
    if media_type(body.content_type) == CSV:
        return Message(model.endpoint.rows.from_csv(body.content), _write)
    value = _json_rows.load(body, model.endpoint, SHAPE)
    form = _json_rows.one_of(value, (SPLIT, RECORDS, INSTANCES, INPUTS), (PARAMS,), SHAPE)
    read = {SPLIT: _from_split, INPUTS: _json_rows.from_inputs}.get(form, _json_rows.from_instances)
    rows = read(value[form], model.endpoint, SHAPE)
    return Message(replace(rows, settings=_settings(value.get(PARAMS), model.endpoint)), _write)


def _settings(params: Any, endpoint: Endpoint) -> dict[str, Any]:
    """Settings of the request."""
    if not isinstance(params, dict | None):
        raise RequestError(400, f"{PARAMS}: must be an object (got {describe(params)}). Leave it out.")
    fields = endpoint.operation.request.model_fields
    if unknown := (params or {}).keys() - fields.keys():
        raise RequestError(400, f"{PARAMS}: this model has no setting {quoted(min(unknown))}. Leave it out.")
    return params or {}


def _from_split(frame: Any, endpoint: Endpoint, shape: str) -> RequestRows:
    """Rows out of names of columns and lists of cells; an index has no meaning."""
    names, data = (frame.get("columns"), frame.get("data")) if isinstance(frame, dict) else (None, None)
    if not isinstance(names, list) or not isinstance(data, list):
        raise RequestError(400, f"{SPLIT}: must be an object with lists of columns and data. {shape}")
    names = [str(name) for name in names]
    if len(set(names)) < len(names):
        raise RequestError(400, f"{SPLIT}.columns: names a column twice. {shape}")
    if len(data) > endpoint.rows.most:
        raise endpoint.rows.too_many()
    for row, cells in enumerate(data):
        if not isinstance(cells, list) or len(cells) != len(names):
            got = f"{len(cells):,} values" if isinstance(cells, list) else describe(cells)
            raise RequestError(400, f"{SPLIT}.data[{row}]: must have {len(names):,} values (got {got}). {shape}")
    columns = dict(zip(names, map(list, zip(*data, strict=True)), strict=True)) if data else {}
    return _json_rows.from_inputs(columns, endpoint, shape)


def _write(answers: Sequence[Row], notes: Sequence[str], warnings: Sequence[Row] = ()) -> Reply:
    headers = {"content-type": JSON, **note_headers(notes, warnings)}
    return Reply(dump_json({"predictions": answers}), len(answers), headers)
