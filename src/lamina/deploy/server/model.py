"""A bundle as a server has it: within limits, with an endpoint for each operation. It knows no framework."""

import re
from pathlib import Path
from typing import NamedTuple

from lamina.deploy.drift import DriftMonitor
from lamina.deploy.predictor import Predictor
from lamina.deploy.server.content_types import file_kinds
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.limits import Limits
from lamina.deploy.server.metrics import ModelMetrics
from lamina.deploy.server.multipart import library

UNSAFE = re.compile(r"[^\w.-]+")  # in a name that is part of a path


class Model(NamedTuple):
    """A predictor within limits, and its operations that are served."""

    predictor: Predictor
    endpoints: tuple[Endpoint, ...]
    limits: Limits
    drift: DriftMonitor


def model_of(predictor: Predictor, limits: Limits, metrics: ModelMetrics | None = None) -> Model:
    """All that is served of a bundle. Errors: LaminaError where what its files are read with is not installed."""
    operations = [operation for operation in predictor.operations if "http" in operation.faces]
    if predictor.files and any(operation.rows != "none" for operation in operations):
        library()
        limits = limits.for_files(file_kinds(predictor.prep).values())
    predictor = predictor.bounded(limits, limits.file_units)
    metrics = metrics or ModelMetrics()
    endpoints = tuple(Endpoint(predictor, operation, limits, metrics) for operation in operations)
    metrics.drift = metrics.drift or DriftMonitor(predictor.prep, predictor.spec)
    predictor.watch = metrics.drift.add if metrics.drift else None  # from now on: examples are no requests
    return Model(predictor, endpoints, limits, metrics.drift)


def bundle_name(path: Path) -> str:
    """What a bundle is called in paths of a server: after its file or folder, or the run that it lies in."""
    path = path.absolute()
    name = path.parent.name if path.name == "bundle" else path.name.removesuffix(".lamina")
    return UNSAFE.sub("-", name).strip(".-") or "model"
