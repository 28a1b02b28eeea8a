"""Rows as TensorFlow Serving and MLflow write them in JSON: a list of instances, or inputs by column."""

import base64
from typing import Any

from lamina.deploy.server.content_types import Body
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.json_reader import describe, load_json, some
from lamina.deploy.server.limits import RequestError, bare
from lamina.deploy.server.request_rows import RequestRows

B64 = {"b64"}  # the only key of an object that is bytes
INSTANCES, INPUTS = "instances", "inputs"
SHAPE = 'Send {"instances": [{"column": value, ...}, ...]} or {"inputs": {"column": [value, ...], ...}}.'


def load(body: Body, endpoint: Endpoint, shape: str) -> dict[str, Any]:
    """The object that a body is; of objects in it there are no more than rows, and files, may need."""
    most = endpoint.rows.most * (1 + len(endpoint.files.kinds)) + 2
    value = load_json(body.content, most, endpoint.rows.too_many(), shape)
    if not isinstance(value, dict):
        raise RequestError(400, f"body: must be an object (got {describe(value)}). {shape}")
    return value


def one_of(value: dict[str, Any], names: tuple[str, ...], others: tuple[str, ...], shape: str) -> str:
    """Which of the keys that hold rows there is; beside it there may be `others`. Errors: RequestError."""
    present = [name for name in names if name in value]
    if len(present) != 1:
        got = f"the keys {some(list(value))}" if value else "an object without any"
        raise RequestError(400, f"body: must have one of {', '.join(names)} (got {got}). {shape}")
    if unknown := value.keys() - {present[0], *others}:
        raise RequestError(400, f"body: {bare(min(unknown))} does not belong beside {present[0]}. {shape}")
    return present[0]


def from_instances(instances: Any, endpoint: Endpoint, shape: str = SHAPE) -> RequestRows:
    """Rows out of a list: an object each, or of a model with one column its cell."""
    name, rows = _only_column(endpoint), instances
    if isinstance(rows, list):
        rows = [row if name is None or _is_row(row) else {name: row} for row in rows]
        rows = [_plain_row(row, endpoint) if isinstance(row, dict) else row for row in rows]
    return endpoint.files.from_base64(endpoint.rows.by_row(rows, shape=shape))


def from_inputs(inputs: Any, endpoint: Endpoint, shape: str = SHAPE) -> RequestRows:
    """Rows out of an object of lists, or of a model with one column its list."""
    name = _only_column(endpoint)
    columns = {name: inputs} if name is not None and isinstance(inputs, list) else inputs
    if isinstance(columns, dict):
        columns = {name: _plain_cells(name, cells, endpoint) for name, cells in columns.items()}
    return endpoint.files.from_base64(endpoint.rows.by_column(columns, shape=shape))


def _only_column(endpoint: Endpoint) -> str | None:
    columns = list(endpoint.rows.columns)
    return columns[0] if len(columns) == 1 else None


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != B64


def _plain_row(row: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    if dict not in map(type, row.values()):
        return row
    return {name: _plain_cells(name, [cell], endpoint)[0] for name, cell in row.items()}


def _plain_cells(name: str, cells: Any, endpoint: Endpoint) -> Any:
    """The cells of a column without objects that are bytes: of a file their base64, of others their text."""
    if not isinstance(cells, list) or dict not in set(map(type, cells)):
        return cells
    is_file = name in endpoint.files.kinds
    return [
        _text(name, cell["b64"], is_file) if isinstance(cell, dict) and cell.keys() == B64 else cell for cell in cells
    ]


def _text(name: str, text: Any, is_file: bool) -> Any:
    if is_file:
        return text
    try:
        return base64.b64decode(text, validate=True).decode()
    except (TypeError, ValueError):
        cure = "Send the base64 of UTF-8, or the text itself."
        raise RequestError(400, f"{bare(name)}: is no text in base64 (got {describe(text)}). {cure}") from None
