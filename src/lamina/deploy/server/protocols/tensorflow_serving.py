"""The REST interface of TensorFlow Serving, and with it version 1 of KServe: instances in, predictions out.

Outputs are tensors in nested lists, in the row form by row, in the column form by output.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from lamina.deploy.server.content_types import Body, Message, Reply
from lamina.deploy.server.json_reader import describe, dump_json
from lamina.deploy.server.limits import RequestError
from lamina.deploy.server.protocols import _json_rows
from lamina.deploy.server.protocols._json_rows import INPUTS, INSTANCES, SHAPE
from lamina.deploy.server.protocols._service import Model, Route, Service, note_headers, unsuitable
from lamina.deploy.server.protocols._tensors import Tensor, json_values, output_values
from lamina.schema import Row
from lamina.task import JSON

SIGNATURE, NAME = "serving_default", "signature_name"
PATH = MODELS = "/v1/models"
PATHS = (f"{MODELS}/{{model}}", f"{MODELS}/{{model}}/versions/{{version}}")
TYPES = {"BOOL": "DT_BOOL", "BYTES": "DT_STRING", "FP16": "DT_HALF", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE"}


def routes(service: Service) -> Iterator[Route]:
    server = Server(service)
    yield Route("GET", MODELS, server.models)
    for path in PATHS:
        yield Route("POST", f"{path}:predict", server.predict)
        yield Route("GET", f"{path}/metadata", server.metadata)
        yield Route("GET", path, server.status)


class Server:
    """What answers each path."""

    def __init__(self, service: Service):
        self.service = service

    async def models(self, request: Request) -> Response:
        """The names of all models that can be asked here."""
        return JSONResponse({"models": [n for n, e in self.service.models.items() if not unsuitable(e)]})

    async def status(self, request: Request) -> Response:
        """What both servers say of a model."""
        model = self.service.model_of(request)
        ok = {"error_code": "OK", "error_message": ""}
        state = "UNLOADING" if self.service.state.draining else "AVAILABLE"
        version = {"version": model.version, "state": state, "status": ok}
        ready = not self.service.state.draining
        return JSONResponse({"model_version_status": [version], "name": model.name, "ready": ready})

    async def metadata(self, request: Request) -> Response:
        """Inputs and outputs in the words of a signature."""
        model = self.service.model_of(request)
        signature = {
            "inputs": {name: _tensor_info(tensor) for name, tensor in model.signature.inputs.items()},
            "outputs": {name: _tensor_info(tensor) for name, tensor in model.signature.outputs.items()},
            "method_name": "tensorflow/serving/predict",
        }
        spec = {"name": model.name, "signature_name": "", "version": model.version}
        return JSONResponse(
            {"model_spec": spec, "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}}}
        )

    async def predict(self, request: Request) -> Response:
        model = self.service.model_of(request)
        return await self.service.answer(request, model, partial(_read, model))


def _tensor_info(tensor: Tensor) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in tensor.shape]
    shape = {"dim": sizes, "unknown_rank": False}
    return {"dtype": TYPES.get(tensor.datatype, f"DT_{tensor.datatype}"), "tensor_shape": shape, "name": tensor.name}


def _read(model: Model, body: Body) -> Message:
    """Instances or inputs as rows. Errors: RequestError that names the place."""
    value = _json_rows.load(body, model.endpoint, SHAPE)
    form = _json_rows.one_of(value, (INSTANCES, INPUTS), (NAME,), SHAPE)
    if value.get(NAME) not in (None, "", SIGNATURE):
        raise RequestError(400, f"{NAME}: there is {SIGNATURE} alone (got {describe(value[NAME])}). Leave it out.")
    if form == INSTANCES:
        return Message(_json_rows.from_instances(value[INSTANCES], model.endpoint), partial(_write_rows, model))
    return Message(_json_rows.from_inputs(value[INPUTS], model.endpoint), partial(_write_columns, model))


def _outputs(model: Model, rows: Sequence[Row]) -> dict[str, list[Any]]:
    tensors = model.signature.outputs.values()
    return {tensor.name: json_values(output_values(tensor, [row[tensor.name] for row in rows])) for tensor in tensors}


def _write_rows(model: Model, answers: Sequence[Row], notes: Sequence[str], warnings: Sequence[Row] = ()) -> Reply:
    """A prediction for each row: an object of its outputs, or the only one there is."""
    outputs = _outputs(model, answers)
    rows = [dict(zip(outputs, cells, strict=True)) for cells in zip(*outputs.values(), strict=True)]
    value = rows if len(outputs) > 1 else next(iter(outputs.values()))
    return _reply("predictions", value, len(answers), note_headers(notes, warnings))


def _write_columns(model: Model, answers: Sequence[Row], notes: Sequence[str], warnings: Sequence[Row] = ()) -> Reply:
    """The values of each output, or of the only one there is."""
    outputs = _outputs(model, answers)
    value = outputs if len(outputs) > 1 else next(iter(outputs.values()))
    return _reply("outputs", value, len(answers), note_headers(notes, warnings))


def _reply(name: str, value: Any, count: int, headers: Mapping[str, str]) -> Reply:
    return Reply(dump_json({name: value}), count, {"content-type": JSON, **headers})
