"""What can be asked of a generator: how many, of which seed and class, and what rows have to meet."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from lamina.config import DataError, as_tuple
from lamina.task import Request, Session, TooMuch
from lamina.tasks.generation import rejection_sampling, sampling
from lamina.tasks.generation.conditions import Conditions, conditions
from lamina.tasks.generation.rejection_sampling import RareConditions, RejectionSampler
from lamina.tasks.generation.sampling import LARGEST, Samples

Label = str | int | bool


def plain(value: Any) -> Any:
    """Classes or seeds in any sequence, such as an array, as a tuple; one of NumPy as one of Python."""
    if isinstance(value, list | tuple):
        return tuple(one.item() if isinstance(one, np.generic) else one for one in value)
    if isinstance(value, np.generic):
        return value.item()
    return tuple(np.asarray(value).tolist()) if np.ndim(value) else value


class GenerateRequest(Request):
    """How many images or rows to make, of which class. The same seed makes the same, here and everywhere else."""

    count: Annotated[int, BeforeValidator(plain)] = Field(default=1, description="how many")
    seed: Annotated[int, BeforeValidator(plain)] = Field(
        default=0, lt=LARGEST, description="the same seed makes the same"
    )
    label: Annotated[Label | tuple[Label, ...] | None, BeforeValidator(plain)] = Field(
        default=None,
        description="the class to generate, or several that are taken in turn; as in training when left out",
    )
    where: Annotated[tuple[str, ...] | dict[str, Any] | None, BeforeValidator(as_tuple)] = Field(
        default=None,
        description="conditions that every row has to meet: column, one of = != < <= > >=, value; column= is missing",
    )
    seeds: Annotated[tuple[int, ...] | None, BeforeValidator(plain)] = Field(
        default=None, description="seeds of single ones, as answers name them, in place of count and seed"
    )

    @property
    def size(self) -> int:
        """How many are asked for in all."""
        return self.count if self.seeds is None else len(self.seeds)


class Sampler:
    """What a request asks of a bundle, some at a time. Errors: DataError for what it cannot make."""

    def __init__(self, session: Session, request: GenerateRequest):
        self.session, self.request = session, request
        self.rejection: RejectionSampler | None = None
        requirements = conditions(request.where, session)
        if requirements is not None and request.size:
            self.rejection = self._rejection(requirements)

    def _rejection(self, requirements: Conditions) -> RejectionSampler:
        request, limits = self.request, self.session.limits
        if request.seeds is not None:
            raise DataError("seeds: say which rows to make, and so does where. Leave one of them out.")
        most = limits.attempts if limits else None
        return RejectionSampler(self.session, requirements, request.seed, request.label, request.count, most)

    def batches(self, size: int) -> Iterator[Samples]:
        """Seeds, classes and what is made of them, at most about `size` at a time."""
        if self.rejection is not None:
            yield from rejection_sampling.gather(self.rejection.batches(), size)
            return
        request, state = self.request, self.session.task.state
        for start in range(0, request.size, size):
            count = min(size, request.size - start)
            labels = sampling.labels(request.label, count, state, start)
            yield sampling.samples(self.session, self._seeds(count, start), labels)

    def whole(self) -> Samples:
        """All at once."""
        batches = list(self.batches(max(1, self.request.size)))
        if batches:
            return batches[0]
        sampling.labels(self.request.label, 0, self.session.task.state)
        return sampling.samples(self.session, self._seeds(0, 0), None)

    def _seeds(self, count: int, start: int) -> list[int]:
        request = self.request
        if request.seeds is None:
            return sampling.seeds(request.seed, count, start)
        for seed in request.seeds:
            sampling.seeds(seed, 0)
        return list(request.seeds[start : start + count])


def within_limits(session: Session, request: GenerateRequest) -> Samples:
    """What is asked for where strangers ask. Errors: TooMuch, and DataError for a request of nothing."""
    limits = session.limits
    if request.size < 1:
        raise DataError(f"count: should be greater than or equal to 1 (got {request.size}).")
    if request.where is not None and not request.where:
        raise DataError("where: should have a condition at least. Leave it out.")
    if limits is None:
        return Sampler(session, request).whole()
    most = limits.rows if session.task.state.columns else limits.samples
    if request.size > most:
        cure = "Send several requests with other seeds."
        raise TooMuch(f"count: at most {most:,} are generated for one request (got {request.size:,}). {cure}")
    try:
        return Sampler(session, request).whole()
    except RareConditions as error:
        raise TooMuch(str(error)) from None


def json_schema(session: Session, examples: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a request to this bundle; `examples` by setting."""
    schema = GenerateRequest.model_json_schema()
    properties = schema["properties"]
    if not session.task.state.columns:
        del properties["where"]
    properties["count"]["minimum"] = 1
    properties["seed"]["minimum"] = 0
    for name, values in examples.items():
        properties[name]["examples"] = values
    return schema
