"""What a server says about its model: the page of /schema and the typed row of /openapi.json."""

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from lamina import __version__
from lamina.config import Config
from lamina.deploy.bundle import FORMAT
from lamina.deploy.predictor import Predictor, from_json, json_rows
from lamina.deploy.server.limits import Limits
from lamina.preprocess import Preprocessor
from lamina.schema import Column
from lamina.tasks.forecasting import time_index as grid
from lamina.tasks.generation import operation as _wish

ANY = str | float | bool | None
SERIES = list[float | None] | list[list[float | None]] | None
TYPES: dict[str, Any] = {"text": str | None, "time": str | None, "series": SERIES}
TOLD = {"series": "a list of numbers, or of steps that are lists of channels, null for a gap"}
LONG = 200  # characters of an example cell
HISTORY = 36  # rows of an example of a history
MIDNIGHT = "T00:00:00"
TINY = (  # eight by eight pixels of sky and grass
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAHElEQVQI12OMWvWMARtgYsABSJdgefMojNZ2AABUvAQgMr+MLQAAAABJRU5ErkJggg=="
)
BASE64 = "a picture (PNG, JPEG, WebP, GIF, BMP or TIFF) in base64; null or left out means missing"
FILE = {"type": "string", "format": "binary", "contentMediaType": "image/*"}  # a file to choose, on the page of /docs


class Described(Config):
    """One column that the model reads. A missing value is always allowed: it means what it meant in training."""

    name: str
    kind: str
    examples: tuple[Any, ...] = Field(description="values seen in training")
    missing: bool = Field(description="whether null, or leaving the column out, is allowed")


class Forecast(Config):
    """What the rows of a history are. Each row is a step of a series."""

    context: int = Field(description="steps of history that are looked at: more do no harm, fewer are extended")
    horizon: int = Field(description="steps that are answered")
    step: str = Field(description="the time between two of them")
    time: tuple[str, ...] = Field(description="columns that say when; none: rows are in order")
    series: str | None = Field(description="the column that says which series a row belongs to")
    targets: tuple[str, ...] = Field(description="columns that are continued")
    known: tuple[str, ...] = Field(
        description="columns to give for the steps ahead too, in rows behind the last target"
    )


class About(Config):
    """What the model takes and what it answers."""

    model: str = Field(description="id of the bundle, also the header X-Model-Version of every answer")
    task: str
    target: str | None
    classes: tuple[str, ...] | None = Field(description="labels that are answered, or can be asked for")
    columns: tuple[Described, ...] = Field(description="those the model reads, or those of the rows that it makes")
    forecast: Forecast | None = Field(default=None, description="what a history must hold, for a forecast")
    example: dict[str, Any] | tuple[dict[str, Any], ...] = Field(
        description="a row to try, or a history; its values come from different rows of the data"
    )
    answer: dict[str, Any] | tuple[dict[str, Any], ...] = Field(
        description="the answer to that row, or the steps ahead"
    )
    limits: Limits
    format: str = Field(description="version of the bundle format that this server reads")
    versions: dict[str, Any] = Field(description="this server's, and those the model was trained with")


class Answers(Config):
    """One prediction per row, in order; of a forecast, one per series and step ahead."""

    predictions: tuple[dict[str, Any], ...]
    model: str
    notes: tuple[str, ...] = Field(
        default=(), description="unused columns, cells that were read as missing, and what was done to a history"
    )


class Fault(Config):
    """Why there is no answer."""

    error: str
    request_id: str


def about(predictor: Predictor, limits: Limits) -> About:
    """The page of /schema."""
    bundle = predictor.bundle
    row, answer = example(predictor)
    files, needed = set(predictor.pictures), _needed(predictor)
    columns = () if predictor.generative and files else bundle.prep.used
    return About(
        model=bundle.id,
        task=bundle.task.kind,
        target=predictor.target,
        classes=tuple(map(str, bundle.task.state["classes"])) if "classes" in bundle.task.state else None,
        columns=tuple(
            Described(
                name=c.name, kind=c.kind, examples=() if c.name in files else _examples(c), missing=c.name not in needed
            )
            for c in columns
        ),
        forecast=_forecast(predictor),
        example=row if isinstance(row, dict) else tuple(row),
        answer=answer if isinstance(answer, dict) else tuple(answer),
        limits=limits,
        format=".".join(map(str, FORMAT)),
        versions={"server": __version__, "training": bundle.training.get("versions", {})},
    )


def summary(predictor: Predictor) -> str:
    """What to send and what comes back, in a sentence or two."""
    if predictor.generative:
        what, more = ("rows", ", and what they have to meet") if predictor.state.columns else ("pictures", "")
        return f"Ask for new {what} by their number, a seed and a class{more}. What is made says that it was made."
    if not predictor.framed:
        return "Send raw rows, get one answer for each. Columns may be missing, extra or in any order."
    state, step = predictor.state, grid.said(predictor.state.step)
    return (
        f"Send the history of one or several series, in rows of one {step}, and get the next {state.horizon:,} steps. "
        f"The last {state.context:,} rows of a series are looked at. JSON or CSV; columns may be in any order."
    )


def _forecast(predictor: Predictor) -> Forecast | None:
    if not predictor.framed:
        return None
    state = predictor.state
    return Forecast(
        context=state.context,
        horizon=state.horizon,
        step=grid.said(state.step),
        time=state.time,
        series=state.series,
        targets=tuple(state.names),
        known=state.known,
    )


def _needed(predictor: Predictor) -> set[str]:
    """The columns without which a row says nothing."""
    return {*predictor.state.time, predictor.state.series or ""} if predictor.framed else set()


def example(predictor: Predictor) -> tuple[Any, Any]:
    """The golden row with the fewest gaps, long cells cut short and a tiny picture for each picture, and its answer; of
    a forecast, the last golden rows and the steps after them.
    """
    if predictor.generative:
        return _wish.example(predictor)
    golden = predictor.bundle.golden
    if predictor.framed:
        of = {column.name: column.kind for column in predictor.bundle.prep.used}
        history = [{k: _example(v, of.get(k)) for k, v in row.items()} for row in golden.rows[-HISTORY:]]
        days = all(str(row[name]).endswith(MIDNIGHT) for row in history for name in predictor.state.time)
        history = [
            {k: v.removesuffix(MIDNIGHT) if days and isinstance(v, str) else v for k, v in row.items()}
            for row in history
        ]
        return history, json_rows(predictor.answers(from_json(history, predictor.bundle.prep)))
    gaps = [sum(value is None for value in row.values()) for row in golden.rows]
    best = gaps.index(min(gaps))
    kinds = {column.name: column.kind for column in predictor.bundle.prep.used}
    row = {name: _example(value, kinds.get(name)) for name, value in golden.rows[best].items()}
    if not predictor.pictures:
        return row, golden.answers[best]
    row |= dict.fromkeys(predictor.pictures, TINY)
    return row, json_rows(predictor.answers(from_json([row], predictor.bundle.prep)))[0]


def _example(value: Any, kind: str | None) -> Any:
    """A cell as a client would write it: numbers as numbers, texts not too long."""
    if not isinstance(value, str):
        return value
    try:
        number = float(value) if kind == "number" else math.nan
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return int(number) if number.is_integer() else number
    return value[:LONG]


def row_schema(prep: Preprocessor, files: bool = True) -> dict[str, Any]:
    """The JSON schema of one row, from a pydantic model of its own for this bundle; without pictures if not `files`."""
    pictures = {column.name for column in prep.files}
    columns = [column for column in prep.used if files or column.name not in pictures]
    fields: Mapping[str, Any] = {f"column{i}": _field(c, c.name in pictures) for i, c in enumerate(columns)}
    model: type[BaseModel] = create_model("Row", __config__=ConfigDict(extra="allow"), **fields)
    return model.model_json_schema()


def _field(column: Column, file: bool) -> tuple[Any, Any]:
    """Any name may be a column's, so it is given as the alias and the field gets a number."""
    told = BASE64 if file else f"{TOLD.get(column.kind, column.kind)}; null or left out means missing"
    shown = [TINY] if file else list(_examples(column))
    more: dict[str, Any] = {"contentEncoding": "base64", "contentMediaType": "image/*"} if file else {}
    value = Field(
        default=None, alias=column.name, title=column.name, description=told, examples=shown, json_schema_extra=more
    )
    return str | None if file else TYPES.get(column.kind, ANY), value


def _examples(column: Column) -> tuple[Any, ...]:
    return tuple(_example(text, column.kind) for text in column.examples)


def request_body(predictor: Predictor) -> dict[str, Any]:
    """The OpenAPI description of the body of /predict, with an example that works as it stands."""
    prep = predictor.bundle.prep
    columns = prep.used
    row, _ = example(predictor)
    given = row if isinstance(row, list) else [row]
    rows = {
        "type": "object",
        "title": "Rows",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "minItems": 1, "items": row_schema(prep)}},
        "additionalProperties": False,
    }
    lists = {name: {"type": "array", "items": {}} for name in (c.name for c in columns)}
    by_column = {
        "type": "object",
        "title": "Columns",
        "required": ["columns"],
        "properties": {"columns": {"type": "object", "properties": lists, "minProperties": 1}},
        "additionalProperties": False,
    }
    examples = {
        "rows": {"summary": "a list of rows", "value": {"rows": given}},
        "columns": {
            "summary": "a list per column",
            "value": {"columns": {k: [one[k] for one in given] for k in given[0]}},
        },
    }
    content: dict[str, Any] = {"application/json": {"schema": {"oneOf": [rows, by_column]}, "examples": examples}}
    lines = {"text/csv": {"schema": {"type": "string"}, "example": history(predictor)}} if predictor.framed else {}
    return {"required": True, "content": content | lines | _files(prep)}


def history(predictor: Predictor) -> str:
    """The example of a forecast as CSV."""
    rows, _ = example(predictor)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    return text.getvalue()


def _files(prep: Preprocessor) -> dict[str, Any]:
    """Pictures as files: in a form, and alone where they are all there is."""
    if not prep.files:
        return {}
    many = {"type": "array", "items": FILE, "description": "one file for each row"}
    properties = {column.name: {**many, "title": column.name} for column in prep.files}
    properties |= row_schema(prep, files=False).get("properties", {})
    form = {"type": "object", "required": [column.name for column in prep.files], "properties": properties}
    alone = {"image/*": {"schema": FILE}} if len(prep.used) == 1 else {}
    return {"multipart/form-data": {"schema": form}, **alone}
