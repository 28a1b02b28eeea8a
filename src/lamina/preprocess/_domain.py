"""What cells of a column may be, for whoever asks a person for one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lamina.schema import DAYS

FIRST, LAST = (86_400 * day for day in DAYS)

Sort = Literal["text", "number", "boolean", "choice", "choices", "date", "datetime", "series"]


@dataclass(frozen=True)
class Domain:
    """How a form asks for a cell. Plain values of the kind's state alone, so nothing but what may leave with a bundle.

    `low` and `high`: between which training cells were, coarsely, and `middle` a usual one; numbers, or times in ISO
    form. `values`: those that are known, of which a cell is one (`choice`) or several (`choices`). A series is a list
    of numbers, or with several `channels` a list of steps that are lists of these, or with `channels_first` a list of
    channels.
    """

    sort: Sort = "text"
    low: Any = None
    high: Any = None
    middle: Any = None
    values: tuple[str, ...] = ()
    channels: int = 1
    channels_first: bool = False


def of_times(seconds: Domain, hours: bool) -> Domain:
    """The same of times that are seconds since 1970 in UTC: days, or with `hours` moments, in ISO form."""
    low, high, middle = (_iso(value, hours) for value in (seconds.low, seconds.high, seconds.middle))
    return Domain("datetime" if hours else "date", low, high, middle)


def _iso(seconds: float, hours: bool) -> str:
    day = datetime.fromtimestamp(min(max(seconds, FIRST), LAST), UTC)
    return day.strftime("%Y-%m-%dT%H:00:00") if hours else day.strftime("%Y-%m-%d")
