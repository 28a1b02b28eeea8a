"""How much one request may ask for, and how a request is refused."""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import Field

from lamina.config import LaminaError
from lamina.deploy.cell_notes import quoted
from lamina.preprocess import FileKind
from lamina.task import RequestLimits

WITH_FILES = 32_000_000  # bytes of a request that may hold files


class Limits(RequestLimits):
    """What a server takes at most. What it could not answer in time is sent away at once with a 503."""

    body: int = Field(default=10_000_000, ge=1, description="bytes of one request; 32 MB where columns are files")
    cells: int | None = Field(
        default=None,
        ge=1,
        description="cells of one request, rows times columns and numbers of a response; when unset, 200 x `rows`",
    )
    text: int = Field(default=100_000, ge=1, description="characters of one cell")
    numbers: int = Field(default=1_000_000, ge=1, description="numbers of one series")
    file: int = Field(default=10_000_000, ge=1, description="bytes of one file, such as an image")
    file_units: int | None = Field(
        default=None,
        ge=1,
        description="units of one file; when unset, 50,000,000 pixels of an image, or the column's max_pixels if less",
    )
    request_units: int | None = Field(
        default=None, ge=1, description="units of all files of one request; when unset, 200,000,000 pixels of images"
    )
    waiting: int = Field(default=4096, ge=1, description="requests being answered or waiting for it")
    wait: float = Field(
        default=0.5,
        gt=0,
        description="seconds that a request may be expected to wait for its turn; the first 16 may wait for `seconds`",
    )
    head: float = Field(default=10.0, gt=0, description="seconds for the headers of one request to arrive")
    connections: int = Field(default=4096, ge=1, description="open connections")
    drain: float = Field(default=0.5, ge=0, description="seconds between not ready and not listening, on SIGTERM")

    def for_files(self, kinds: Iterable[FileKind]) -> Self:
        """The same with room for files, and with the bounds of their kind where there is one kind and none is set."""
        kinds, unset = tuple(kinds), {"body", "file_units", "request_units"} - self.model_fields_set
        defaults = {"body": WITH_FILES}
        if len({(kind.largest, kind.total) for kind in kinds}) == 1:
            defaults |= {"file_units": kinds[0].largest, "request_units": kinds[0].total}
        return self.model_copy(update={name: defaults[name] for name in unset & defaults.keys()} if kinds else {})


class RequestError(LaminaError):
    """A request that gets an error: its HTTP status, a sentence for the client, and headers to go with it."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        self.status, self.headers = status, dict(headers or {})
        super().__init__(sentence)


def busy(sentence: str) -> RequestError:
    """Come back later."""
    return RequestError(503, sentence, {"Retry-After": "1"})


def bare(name: str) -> str:
    """The same without quotes: a name that stands in a path such as `rows[0].name`."""
    return quoted(name)[1:-1]
