"""What a server that makes pictures or rows is asked, and its reply: `{"count": 4, "seed": 1, "label": "7"}`."""

import base64
import json
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from lamina.config import Config, DataError, parse
from lamina.deploy.predictor import Predictor, json_rows
from lamina.deploy.server.content_types import Sent
from lamina.deploy.server.limits import Limits, RequestError
from lamina.deploy.server.request_queue import Reply
from lamina.schema import Row
from lamina.tasks.generation import conditions as _where
from lamina.tasks.generation import provenance as _mark
from lamina.tasks.generation import rejection_sampling as _sought
from lamina.tasks.generation import sampling as made

SHAPE = 'Send {"count": 4, "seed": 1, "label": "..."}; each may be left out.'
LONGEST = 1 << 16  # bytes of a request
Label = str | int | bool


class Wish(Config):
    """How many pictures or rows to make, of which class. The same seed makes the same, here and everywhere else."""

    count: int = Field(default=1, ge=1, description="how many")
    seed: int = Field(default=0, ge=0, lt=made.LARGEST, description="the same seed makes the same")
    label: Label | Annotated[tuple[Label, ...], Field(min_length=1)] | None = Field(
        default=None, description="the class to make, or several that are taken in turn; as in training when left out"
    )
    where: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="conditions that every row has to meet: column, one of = != < <= > >=, value; column= is missing",
    )


class Made(Config):
    """What was made, in order: of pictures `image` (PNG in base64), `seed` and `label`; of a table the rows."""

    made: tuple[dict[str, Any], ...]
    model: str
    source: str = Field(default=_mark.MADE, description="IPTC's word for what a trained network made")


def replies(predictor: Predictor, limits: Limits, bodies: Sequence[Sent]) -> Sequence[Reply | Exception]:
    """Answer several bodies, one after the other; each gets a reply or an exception of its own."""
    return [_reply(predictor, limits, body) for body in bodies]


def _reply(predictor: Predictor, limits: Limits, body: Sent) -> Reply | Exception:
    try:
        wish = read(body.body)
        most = limits.rows if predictor.state.columns else limits.made
        if wish.count > most:
            cure = "Send several requests with other seeds."
            raise RequestError(413, f"count: at most {most:,} are made for one request (got {wish.count:,}). {cure}")
        found = Made(made=tuple(granted(predictor, wish, limits.tried)), model=predictor.bundle.id)
        return Reply(json.dumps(found.model_dump(), allow_nan=False).encode(), wish.count)
    except DataError as error:
        return RequestError(413 if isinstance(error, _sought.Rare) else 400, str(error))
    except Exception as error:  # handed to the one request it belongs to
        return error


def read(body: bytes | bytearray) -> Wish:
    """One request in JSON. Raises `RequestError` with a sentence that names the place."""
    if len(body) > LONGEST:
        raise RequestError(413, f"body: is larger than {LONGEST:,} bytes. {SHAPE}")
    try:
        value = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise RequestError(400, f"body: is not JSON in UTF-8. {SHAPE}") from None
    if not isinstance(value, dict):
        raise RequestError(400, f"body: must be an object. {SHAPE}")
    faults: list[str] = []
    wish = parse(Wish, value, "", faults)
    if wish is None:
        raise RequestError(400, f"{faults[0]} {SHAPE}")
    return wish


def granted(predictor: Predictor, wish: Wish, tried: int | None = None) -> list[Row]:
    """What was wished for, as plain values; `tried`: rows that may be made to find those that meet conditions.

    Errors: DataError for a class that there is not, or conditions that are not met.
    """
    bundle = predictor.bundle
    if wish.where:
        asked = _sought.Asked(wish.count, wish.seed, wish.label, wish.where, tried)
        return json_rows(predictor.meeting(asked))
    seeds = made.seeds(wish.seed, wish.count)
    labels = made.classes(wish.label, wish.count, bundle)
    labels = made.drawn(seeds, bundle) if labels is None and bundle.task_state.classes else labels
    found = predictor.requested(seeds, labels)
    if bundle.task_state.columns:
        return json_rows(found)
    told = [{"label": label} for label in labels] if labels else [{} for _ in seeds]
    pictures = (_mark.png(picture, bundle.id, seed) for picture, seed in zip(found, seeds, strict=True))
    encoded = [base64.b64encode(body).decode() for body in pictures]
    return [{"image": body, "seed": s, **label} for body, s, label in zip(encoded, seeds, told, strict=True)]


def example(predictor: Predictor) -> tuple[Row, Row]:
    """A request that works, and what is made for it."""
    classes = predictor.state.classes
    wish = Wish(count=1, seed=0, label=classes[0] if classes else None)
    return wish.model_dump(exclude_none=True), granted(predictor, wish)[0]


def request_body(predictor: Predictor) -> dict[str, Any]:
    """The OpenAPI description of the body of /generate, with an example that works as it stands."""
    schema = Wish.model_json_schema()
    if predictor.state.classes:
        schema["properties"]["label"]["examples"] = list(predictor.state.classes[:10])
    if predictor.state.columns:
        schema["properties"]["where"]["examples"] = [_where.examples(predictor.bundle)]
    else:
        del schema["properties"]["where"]
    content = {"application/json": {"schema": schema, "example": example(predictor)[0] | {"count": 4}}}
    return {"required": True, "content": content}
