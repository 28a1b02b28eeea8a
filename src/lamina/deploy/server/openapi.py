"""What /docs shows of operations: typed bodies, examples that work as they stand, and answers."""

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from lamina.config import Config
from lamina.deploy.server.content_types import FORM, a, file_kinds, is_single_file, own_types
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.session import example_cell
from lamina.preprocess import FileKind, Preprocessor
from lamina.schema import Column, Row
from lamina.task import CSV, EVENTS, JSON

ANY = str | float | bool | None
SERIES = list[float | None] | list[list[float | None]] | None
TYPES: dict[str, Any] = {"text": str | None, "time": str | None, "series": SERIES}
NOUNS = {"series": "a list of numbers, or of steps that are lists of channels, null for a gap"}
FAULTS: dict[int | str, str] = {
    400: "the request is not understood; `error` says where and why",
    408: "the headers or the body came too slowly",
    413: "the body, its rows, a cell or a file are too large, or more is asked for than the limits allow",
    415: "the body is of no type that this model takes, or a file of no known format",
    431: "the headers are larger than 64 kB",
    503: "the server is busy or stopping; Retry-After says when to come back",
    504: "there was no response in time",
}


class Fault(Config):
    """Why there is no answer."""

    error: str
    request_id: str


def responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    """Answers by status code, the first with an example."""
    operation = endpoint.operation
    faults: dict[int | str, dict[str, Any]] = {
        code: {"model": Fault, "description": reason} for code, reason in FAULTS.items()
    }
    if operation.gives not in (JSON, EVENTS):
        return {200: {"content": {operation.gives: {"schema": _binary(operation.gives)}}}, **faults}
    example = {operation.items: endpoint.example.answers, "model": endpoint.predictor.id, **operation.facts}
    if operation.gives == EVENTS:
        lines = f"data: {json.dumps(example, ensure_ascii=False)}\n\n"
        return {200: {"content": {EVENTS: {"schema": {"type": "string"}, "example": lines}}}, **faults}
    reply = {
        "type": "object",
        "title": "Answers",
        "required": [operation.items, "model"],
        "properties": {
            operation.items: {"type": "array", "items": {"type": "object"}, "description": "in order"},
            "model": {"type": "string"},
            "notes": {
                "type": "array",
                "items": {"type": "string"},
                "description": "unused columns, cells that were read as missing, and what else was done to the rows",
            },
        },
    }
    return {200: {"content": {JSON: {"schema": reply, "example": example}}}, **faults}


def request_body(endpoint: Endpoint) -> Row:
    """The description of the body of an operation, with examples that work as they stand."""
    operation, predictor = endpoint.operation, endpoint.predictor
    schema = operation.schema(predictor) if operation.schema else operation.request.model_json_schema()
    if operation.rows == "none":
        content: Row = {JSON: {"schema": schema, "example": _repeated(endpoint.example.payload)}}
        return {"required": True, "content": content}
    rows = endpoint.example.payload
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    examples = {
        "rows": {"summary": "a list of rows", "value": {"rows": rows}},
        "columns": {"summary": "a list per column", "value": {"columns": columns}},
    }
    settings = schema.get("properties", {})
    content = {JSON: {"schema": {"oneOf": _shapes(endpoint.prep, settings)}, "examples": examples}}
    if CSV in own_types(operation, endpoint.prep):
        content[CSV] = {"schema": {"type": "string"}, "example": as_csv(rows)}
    return {"required": True, "content": content | _files(endpoint.prep)}


def _repeated(payload: Row) -> Row:
    """An example that asks for a few at a time where one says how many."""
    return payload | ({"count": 4} if "count" in payload else {})


def _shapes(prep: Preprocessor, settings: Row) -> list[Row]:
    """The two ways to write a table in JSON; `settings` may stand beside it."""
    by_row = {"type": "array", "minItems": 1, "items": row_schema(prep, file_kinds(prep))}
    lists = {column.name: {"type": "array", "items": {}} for column in prep.columns}
    by_column = {"type": "object", "properties": lists, "minProperties": 1}
    return [
        {
            "type": "object",
            "title": name.capitalize(),
            "required": [name],
            "properties": {name: schema, **settings},
            "additionalProperties": False,
        }
        for name, schema in (("rows", by_row), ("columns", by_column))
    ]


def row_schema(prep: Preprocessor, files: Mapping[str, FileKind]) -> Row:
    """The JSON schema of one row, from a pydantic model of its own for this bundle; of files only those of `files`."""
    apart = {column.name for column in prep.files} - files.keys()
    columns = [column for column in prep.columns if column.name not in apart]
    fields: Mapping[str, Any] = {f"column{i}": _field(c, files.get(c.name)) for i, c in enumerate(columns)}
    model: type[BaseModel] = create_model("Row", __config__=ConfigDict(extra="allow"), **fields)
    return model.model_json_schema()


def _field(column: Column, file: FileKind | None) -> tuple[Any, Any]:
    """Any name may be a column's, so it is given as the alias and the field gets a number."""
    more: Row = {}
    if file is None:
        noun, examples = NOUNS.get(column.kind, column.kind), [example_cell(t, column.kind) for t in column.examples]
    else:
        noun, examples = f"{a(file.noun)} ({file.formats}) in base64", [base64.b64encode(file.sample()).decode()]
        more = {"contentEncoding": "base64", "contentMediaType": file.media[0]}
    field = Field(
        default=None,
        alias=column.name,
        title=column.name,
        description=f"{noun}; null or left out means missing",
        examples=examples,
        json_schema_extra=more,
    )
    return str | None if file else TYPES.get(column.kind, ANY), field


def as_csv(rows: Sequence[Row]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _binary(media: str) -> Row:
    """A file to choose, on the page of /docs."""
    return {"type": "string", "format": "binary", "contentMediaType": media}


def _files(prep: Preprocessor) -> Row:
    """Files in a form, and as a whole body where a file is all there is."""
    kinds = file_kinds(prep)
    if not kinds:
        return {}
    fields = {
        name: {"type": "array", "items": _binary(kind.media[0]), "description": "one file for each row", "title": name}
        for name, kind in kinds.items()
    }
    fields |= row_schema(prep, {}).get("properties", {})
    form = {"type": "object", "required": list(kinds), "properties": fields}
    whole = [media for kind in kinds.values() for media in kind.media] if is_single_file(prep) else []
    return {FORM: {"schema": form}, **{media: {"schema": _binary(media)} for media in whole}}
