"""What a server says of its model at /schema: columns, classes, an example that works, limits, and the task's facts."""

from typing import Any

from pydantic import ConfigDict, Field

from lamina import __version__
from lamina.config import Config
from lamina.deploy.bundle import FORMAT
from lamina.deploy.predictor import Predictor, summary
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits
from lamina.deploy.session import example_cell


class ColumnInfo(Config):
    """One column that the model reads. A missing value is always allowed: it means what it meant in training."""

    name: str
    kind: str
    examples: tuple[Any, ...] = Field(description="values that many training rows share, or made-up ones")
    missing: bool = Field(description="whether null, or leaving the column out, is allowed")


class OperationInfo(Config):
    """One thing that can be asked."""

    path: str
    summary: str
    gives: str = Field(description="media type of the response")


class About(Config):
    """What the model takes and what it answers, and facts that its task adds."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(description="id of the bundle, also the header X-Model-Version of every response")
    task: str
    target: str | None
    operations: tuple[OperationInfo, ...]
    classes: tuple[str, ...] | None = Field(description="labels that are answered, or can be asked for")
    columns: tuple[ColumnInfo, ...] = Field(description="those the model reads, or those of the rows that it makes")
    example: dict[str, Any] | tuple[dict[str, Any], ...] = Field(
        description="a row to try, or rows that belong together; its values are made up"
    )
    answer: dict[str, Any] | tuple[dict[str, Any], ...] = Field(description="the prediction for that example")
    limits: Limits
    format: str = Field(description="version of the bundle format that this server reads")
    versions: dict[str, Any] = Field(description="this server's, and those the model was trained with")


def describe(predictor: Predictor, endpoints: tuple[Endpoint, ...], limits: Limits) -> About:
    """The page of /schema."""
    bundle, task = predictor.bundle, predictor.task
    payload, answers = endpoints[0].example if endpoints else ({}, [])
    together = bool(endpoints) and endpoints[0].operation.rows == "together"
    example = payload if isinstance(payload, dict) or together else payload[0]
    return About(
        model=predictor.id,
        task=task.kind,
        target=predictor.target,
        operations=tuple(
            OperationInfo(
                path=f"POST /{e.operation.name}", summary=summary(e.operation, predictor), gives=e.operation.gives
            )
            for e in endpoints
        ),
        classes=tuple(task.classes) or None,
        columns=_columns(predictor, any(e.operation.rows != "none" for e in endpoints)),
        example=example if isinstance(example, dict) else tuple(example),
        answer=tuple(answers) if together or len(answers) != 1 else answers[0],
        limits=limits,
        format=".".join(map(str, FORMAT)),
        versions={"server": __version__, "training": bundle.training.get("versions", {})},
        **task.about(predictor),
    )


def _columns(predictor: Predictor, takes_rows: bool) -> tuple[ColumnInfo, ...]:
    """The columns of rows; a file that is made, and not taken, is none."""
    files, required = set(predictor.files), predictor.task.required
    return tuple(
        ColumnInfo(
            name=column.name,
            kind=column.kind,
            examples=() if column.name in files else tuple(example_cell(t, column.kind) for t in column.examples),
            missing=column.name not in required,
        )
        for column in predictor.prep.columns
        if takes_rows or column.name not in files
    )
