"""The Open Inference Protocol, version 2, as KServe and Triton have it, with its binary extension: columns as tensors.

Each column of rows is an input, each column of answers an output. What a client calls the version of a model is the id
of its bundle.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from fastapi import Request, Response
from fastapi.responses import JSONResponse

from lamina import __version__
from lamina.deploy.server.content_types import BYTES as OCTETS
from lamina.deploy.server.content_types import Body, Message, Reply
from lamina.deploy.server.json_reader import dump_json
from lamina.deploy.server.protocols._cells import cells_of
from lamina.deploy.server.protocols._deadline import Deadline
from lamina.deploy.server.protocols._service import Model, Route, Service, unsuitable
from lamina.deploy.server.protocols._tensor_request import HEADER, Selection, TensorRequest
from lamina.deploy.server.protocols._tensors import Tensor, json_values, output_values
from lamina.deploy.server.request_rows import RequestRows
from lamina.schema import Row
from lamina.task import JSON

EXTENSIONS = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"]
PLATFORM = "lamina"
PATH = "/v2"
CONFIG_TYPES = {"BYTES": "TYPE_STRING"}  # others are called TYPE_ and the datatype
MODELS = "/v2/models"
PATHS = (f"{MODELS}/{{model}}", f"{MODELS}/{{model}}/versions/{{version}}")


def routes(service: Service) -> Iterator[Route]:
    server = Server(service)
    yield Route("GET", PATH, server.metadata)
    yield Route("GET", "/v2/health/live", server.live, open=True)
    yield Route("GET", "/v2/health/ready", server.ready, open=True)
    yield Route("POST", "/v2/repository/index", server.index)
    yield Route("GET", f"{MODELS}/stats", server.all_statistics)
    for path in PATHS:
        yield Route("GET", path, server.model_metadata)
        yield Route("GET", f"{path}/ready", server.model_ready)
        yield Route("GET", f"{path}/config", server.model_config)
        yield Route("GET", f"{path}/stats", server.model_statistics)
        yield Route("POST", f"{path}/infer", server.infer)


class Server:
    """What answers each path."""

    def __init__(self, service: Service):
        self.service = service

    async def metadata(self, request: Request) -> Response:
        return JSONResponse({"name": "lamina", "version": __version__, "extensions": EXTENSIONS})

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        self.service.check_ready()
        return JSONResponse({"live": True, "ready": True})

    async def index(self, request: Request) -> Response:
        """Every model, those too that cannot be asked here, with the reason."""
        models = []
        for name, endpoint in self.service.models.items():
            reason = unsuitable(endpoint)
            state = "UNAVAILABLE" if reason else "READY"
            version = endpoint.predictor.id
            models.append({"name": name, "version": version, "state": state, "reason": reason or ""})
        return JSONResponse(models)

    async def model_metadata(self, request: Request) -> Response:
        model = self.service.model_of(request)
        tensors = {
            "inputs": [_metadata(tensor) for tensor in model.signature.inputs.values()],
            "outputs": [_metadata(tensor) for tensor in model.signature.outputs.values()],
        }
        return JSONResponse({"name": model.name, "versions": [model.version], "platform": PLATFORM, **tensors})

    async def model_ready(self, request: Request) -> Response:
        model = self.service.model_of(request)
        self.service.check_ready()
        return JSONResponse({"name": model.name, "ready": True})

    async def model_config(self, request: Request) -> Response:
        model = self.service.model_of(request)
        config = {
            "name": model.name,
            "platform": PLATFORM,
            "backend": PLATFORM,
            "max_batch_size": 0,  # shapes begin with the rows themselves
            "input": [_config(tensor) for tensor in model.signature.inputs.values()],
            "output": [_config(tensor) for tensor in model.signature.outputs.values()],
        }
        return JSONResponse(config)

    async def model_statistics(self, request: Request) -> Response:
        return JSONResponse({"model_stats": [self._statistics(self.service.model_of(request))]})

    async def all_statistics(self, request: Request) -> Response:
        names = [name for name, endpoint in self.service.models.items() if not unsuitable(endpoint)]
        return JSONResponse({"model_stats": [self._statistics(self.service.model(name)) for name in names]})

    def _statistics(self, model: Model) -> dict[str, Any]:
        usage = model.endpoint.metrics.usage
        return {
            "name": model.name,
            "version": model.version,
            "last_inference": round(usage.last * 1e3),
            "inference_count": usage.rows,
            "inference_stats": {
                "success": {"count": usage.successes, "ns": round(usage.seconds * 1e9)},
                "fail": {"count": usage.failures, "ns": round(usage.failure_seconds * 1e9)},
            },
        }

    async def infer(self, request: Request) -> Response:
        model = self.service.model_of(request)
        deadline = Deadline()
        async with deadline:
            return await self.service.answer(
                request, model, partial(_read, model, request.headers.get(HEADER), deadline)
            )


def _metadata(tensor: Tensor) -> dict[str, Any]:
    """A tensor in metadata; labels are JSON in a text, since parameters are plain values."""
    labels = {"parameters": {"labels": json.dumps(tensor.labels)}} if tensor.labels else {}
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape), **labels}


def _config(tensor: Tensor) -> dict[str, Any]:
    datatype = CONFIG_TYPES.get(tensor.datatype, f"TYPE_{tensor.datatype}")
    return {"name": tensor.name, "data_type": datatype, "dims": list(tensor.shape)}


# a request


def _read(model: Model, header_length: str | None, deadline: Deadline, body: Body) -> Message:
    """Tensors as rows. Errors: RequestError that names the input."""
    endpoint, signature = model.endpoint, model.signature
    query = TensorRequest(body.content, header_length, endpoint.rows)
    deadline.set(query.timeout)
    selection = query.selection(signature.outputs)
    inputs = query.values()
    columns = {name: cells_of(name, values, signature) for name, values in inputs.items() if name in signature.inputs}
    texts = {name for name in signature.files & columns.keys() if not _are_bytes(columns[name])}
    base64_rows = RequestRows({name: columns[name] for name in texts}, query.rows, by_row=False)
    columns |= endpoint.files.from_base64(base64_rows).values
    unknown = tuple(name for name in inputs if name not in columns)
    rows = RequestRows(columns, query.rows, by_row=False, unknown=unknown)
    return Message(rows, partial(_write, model, query.id, selection))


def _are_bytes(cells: list[Any]) -> bool:
    return any(isinstance(cell, bytes) for cell in cells)


# an answer


def _write(
    model: Model,
    request_id: str | None,
    selection: list[Selection],
    rows: Sequence[Row],
    notes: Sequence[str],
    warnings: Sequence[Row] = (),
) -> Reply:
    outputs, bodies = [], []
    for tensor, binary in selection:
        values = output_values(tensor, [row[tensor.name] for row in rows])
        shape = [len(values), *(values.shape[1:] if isinstance(values, np.ndarray) else ())]
        output: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": shape}
        if binary:
            bodies.append(_binary(values))
            output["parameters"] = {"binary_data_size": len(bodies[-1])}
        else:
            output["data"] = json_values(values.reshape(-1) if isinstance(values, np.ndarray) else values)
        outputs.append(output)
    value: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    value |= {"id": request_id} if request_id else {}
    parameters = {"notes": "\n".join(notes)} if notes else {}
    parameters |= {"warnings": json.dumps(warnings)} if warnings else {}  # parameters are plain values
    value |= {"parameters": parameters} if parameters else {}
    head = dump_json({**value, "outputs": outputs})
    if not bodies:
        return Reply(head, len(rows), {"content-type": JSON})
    return Reply(b"".join([head, *bodies]), len(rows), {"content-type": OCTETS, HEADER: str(len(head))})


def _binary(values: np.ndarray | list[str]) -> bytes:
    if isinstance(values, np.ndarray):
        return np.ascontiguousarray(values).tobytes()
    texts = [text.encode("utf-8", "replace") for text in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
