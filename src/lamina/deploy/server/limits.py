"""How much one request may ask for, and how a request is refused."""

from collections.abc import Mapping

from pydantic import Field

from lamina.config import Config, LaminaError

WITH_PICTURES = 32_000_000


class Limits(Config):
    """What a server takes at most. More than `waiting` requests at a time are sent away at once with a 503."""

    body: int = Field(default=10_000_000, ge=1, description="bytes of one request; 32 MB where columns are pictures")
    rows: int = Field(default=10_000, ge=1, description="rows of one request")
    text: int = Field(default=100_000, ge=1, description="characters of one cell")
    numbers: int = Field(default=1_000_000, ge=1, description="numbers of one series")
    picture: int = Field(default=10_000_000, ge=1, description="bytes of one picture")
    pixels: int = Field(default=50_000_000, ge=1, description="pixels of one picture; the column's max_pixels if less")
    area: int = Field(default=200_000_000, ge=1, description="pixels of all pictures of one request")
    made: int = Field(default=256, ge=1, description="pictures made for one request; of rows as many as `rows`")
    tried: int = Field(
        default=50_000, ge=1, description="rows made to find those that meet the conditions of a request"
    )
    waiting: int = Field(default=256, ge=1, description="requests being answered or waiting for it")
    seconds: float = Field(default=30.0, gt=0, description="for the upload of one request, and again for its answer")
    drain: float = Field(default=0.5, ge=0, description="seconds between not ready and not listening, on SIGTERM")

    def for_pictures(self) -> "Limits":
        """The same, with room for pictures where nothing was said about the size of a request."""
        return self if "body" in self.model_fields_set else self.model_copy(update={"body": WITH_PICTURES})


class RequestError(LaminaError):
    """A request that gets an error: its HTTP status, a sentence for the client, and headers to go with it."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None):
        self.status, self.headers = status, dict(headers or {})
        super().__init__(sentence)


def busy(sentence: str) -> RequestError:
    """Come back later."""
    return RequestError(503, sentence, {"Retry-After": "1"})


def shown(value: object) -> str:
    """What a client sent, short and safe to repeat to it."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = text if len(text) <= 40 else f"{text[:36]} ..."
    return text.encode("utf-8", "replace").decode()
