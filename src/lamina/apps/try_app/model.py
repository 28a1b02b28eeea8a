"""The bundle that is tried, opened once for all who look at the page, and what it is asked."""

from functools import lru_cache

import pyarrow as pa

from lamina.deploy.predictor import Predictor
from lamina.deploy.session import from_json
from lamina.schema import Row
from lamina.task import Operation, RequestLimits


@lru_cache(maxsize=1)
def opened(path: str) -> Predictor:
    """The bundle, checked and self-tested, within the limits of requests."""
    return Predictor(path).bounded(RequestLimits())


def offered(predictor: Predictor) -> tuple[Operation, ...]:
    """What a person can ask: what the command line has a verb for."""
    return tuple(operation for operation in predictor.operations if "cli" in operation.faces)


def raw(rows: list[Row], operation: Operation, predictor: Predictor) -> pa.Table:
    """Rows of plain JSON values as the table of raw cells that an operation takes."""
    return from_json(rows, operation.prep(predictor), operation.names(predictor))
