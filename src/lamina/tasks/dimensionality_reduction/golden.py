"""What golden rows answer: their coordinates, and a few numbers of what stands there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina.deploy.bundle.strict_json import guarded
from lamina.schema import Row
from lamina.task import Session, alike
from lamina.tasks.dimensionality_reduction import coordinates, operation

NUMBERS = 16  # of what stands at a point
RELATIVE, ABSOLUTE = 1e-3, 1e-3  # of numbers, between machines


def answers(session: Session, requests: Sequence[Row]) -> list[Row]:
    """For each row its coordinates, and where the bundle turns them back an excerpt of that."""
    latent = coordinates.project(session, session.rows(requests)).latent
    rows = [{"latent": [round(float(v), 5) for v in row]} for row in latent]
    if not operation.has_decoder(session):
        return rows
    decoded = guarded(f"{coordinates.DECODER}.onnx", lambda: coordinates.decode(session, latent))
    flat = decoded.reshape(len(decoded), -1).astype(np.float64)
    some = flat[:, np.linspace(0, flat.shape[1] - 1, min(NUMBERS, flat.shape[1])).astype(int)]
    return [row | {"excerpt": [round(float(v), 4) for v in part]} for row, part in zip(rows, some, strict=True)]


def agree(mine: Any, theirs: Any) -> bool:
    """Whether two answers are the same up to what arithmetic of another machine does to numbers."""
    return alike(mine, theirs, RELATIVE, ABSOLUTE)
