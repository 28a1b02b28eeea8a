"""What cells of a column may be, for whoever asks a person for one."""

from calendar import monthrange
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
    """The same of times that are seconds since 1970 in UTC: days, or with `hours` moments, in ISO form. The ends are
    those of whole months: the first and the last day may be those of one row alone.
    """
    low, high, middle = (_day(value) for value in (seconds.low, seconds.high, seconds.middle))
    low = low.replace(day=1, hour=0)
    high = high.replace(day=monthrange(high.year, high.month)[1], hour=23)
    form = "%Y-%m-%dT%H:00:00" if hours else "%Y-%m-%d"
    low, high, middle = (moment.strftime(form) for moment in (low, high, middle))
    return Domain("datetime" if hours else "date", low, high, middle)


def _day(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(seconds, FIRST), LAST), UTC)
