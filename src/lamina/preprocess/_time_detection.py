"""Which format times are written in: the shapes of a few cells propose some, all cells decide, then how even the times
are that each gives.
"""

import functools
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import _time_formats
from lamina.preprocess._time_formats import CLOCK, ISO, OFFSET, WEEKDAY

DATES = (  # of those that fit equally well and give times equally even, the first counts
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d", "%Y-%m", "%Y/%m", "%Y%m%d", "%Y-%j", "%YM%m"),
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%y/%m/%d", "%d.%m.%Y", "%m.%d.%Y", "%d.%m.%y", "%y.%m.%d"),
    *("%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%d %m %Y", "%m %d %Y", "%d. %m. %Y"),
    *("%m/%Y", "%m-%Y", "%m.%Y"),
    *("%b %d, %Y", "%b %d %Y", "%b-%d-%Y", "%d %b %Y", "%d %b, %Y", "%d-%b-%Y", "%d/%b/%Y", "%d. %b %Y", "%d.%b.%Y"),
    *("%d%b%Y", "%d-%b-%y", "%d %b %y", "%d%b%y", "%Y-%b-%d", "%Y %b %d", "%Y/%b/%d", "%Y%b%d"),
    *("%b %Y", "%b-%Y", "%b/%Y", "%b, %Y", "%b.%Y", "%b%Y", "%b-%y", "%b %y", "%b'%y", "%b/%y", "%Y %b", "%Y-%b"),
    *("%G-W%V-%u", "%GW%V%u", "%G-W%V", "%GW%V", "%G W%V", "%G/W%V", "W%V %G", "W%V-%G", "W%V/%G", "%G-%V-W"),
    *(
        "%YQ%q",
        "%Y-Q%q",
        "%Y Q%q",
        "%Y/Q%q",
        "%YQ%q",
        "%Y:Q%q",
        "Q%q %Y",
        "Q%q-%Y",
        "Q%q/%Y",
        "%qQ%Y",
        "%qQ %Y",
        "Q%q'%y",
    ),
    *("%qQ%y", "Q%q %y", "Q%q-%y"),
    *("%Y年%m月%d日", "%Y年%m月", "%Y년 %m월 %d일"),
)
CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"),
    *("%I:%M:%S.%f %p", "%I %p", "%I%p", "%H%M", "%H%M%S"),
)
WHOLE = (
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Z %Y", "%a %b %d %H:%M:%S %z %Y", "%H:%M %d/%m/%Y", "%H:%M %m/%d/%Y"),
    "%a %b %d %Y %H:%M:%S GMT%z",
    *CLOCKS[:-4],  # a time of day alone
)
TAILS = tuple(clock + zone for clock in CLOCKS for zone in ("", "%z", " %z", " %Z"))
ISO_STRICT = re.compile(rf"\d{{4}}-\d\d-\d\d([T ]{CLOCK}(?: ?(Z|{OFFSET}))?)?")
JOINT = re.compile(r"(?i)( at |[T:]|,?\s+)(?=\d\d?:\d\d|\d\d?\s?[ap][.]?m|\d{4}(?:\d\d)?(?:\D|$))")
DAY_NAME = re.compile(rf"(?i){WEEKDAY}(,?\s+)")
NUMBERS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # digits of numbers that are times
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
EARLIEST, LATEST = 315_532_800, 4_102_444_800  # 1980 to 2100, of numbers that are taken for seconds since 1970
YEARS = (1800, 2200)  # of numbers that are taken for days
LONGEST = 48  # characters of a time
FEW = 12  # cells that propose formats
SAMPLE = 1_000
ENOUGH = 0.95
CLEARLY = 0.1  # how much more even one reading must be to be taken


def guess(cells: pa.Array) -> tuple[float, str | None]:
    """The share of text cells that read by the best format, and it (None: ISO 8601); 0 where they are no times."""
    if not len(cells):
        return 0.0, None
    spread = cells.take(_spread(len(cells), SAMPLE))
    proposed = _proposals(spread)
    if not proposed:
        return 0.0, None
    shares = {form: share(spread, form) for form in proposed}
    likely = [form for form in proposed if shares[form] >= ENOUGH]
    if not likely:
        best = max(proposed, key=lambda form: shares[form])
        return shares[best], best
    if len(cells) > len(spread):
        cells = cells.unique() if len(likely) > 1 else cells
        shares = {form: share(cells, form) for form in likely}
    most = max(shares[form] for form in likely)
    likely = [form for form in likely if shares[form] == most]
    return most, likely[0] if len(likely) == 1 else _most_even(cells, likely)


def share(cells: pa.Array, form: str | None) -> float:
    """The share of cells that are written by a format, or begin with the year, as all are read."""
    fit = pc.match_substring_regex(cells, _time_formats.pattern(form))
    if form is not None and fit.true_count < len(cells):
        fit = pc.or_(fit, pc.match_substring_regex(cells, ISO))
    return fit.true_count / max(len(cells), 1)


def _format_share(cells: pa.Array, form: str) -> float:
    """The share of cells that are written by a format and no other."""
    return pc.match_substring_regex(cells, _time_formats.pattern(form)).true_count / len(cells)


def _proposals(cells: pa.Array) -> list[str | None]:
    """Formats that some of a few cells may be written in."""
    few = cells.take(_spread(len(cells), FEW)).unique().to_pylist()
    forms = [form for cell in few if len(cell) <= LONGEST for form in _forms(re.sub(r"\d", "1", cell))]
    return [form for _, form in sorted(dict.fromkeys(forms), key=lambda ranked: ranked[0])]


def _spread(rows: int, count: int) -> pa.Array:
    """The numbers of so many rows, from all over a column."""
    return pa.array(np.unique(np.linspace(0, rows - 1, count).astype(np.int64)))


@functools.lru_cache(4096)
def _forms(shape: str) -> tuple[tuple[int, str | None], ...]:
    """Formats that a cell can be written in, by its shape, in which all digits are ones, each with its rank."""
    if "1" not in shape:
        return ()
    if ISO_STRICT.fullmatch(shape):
        return ((-1, None),)
    whole = [(len(DATES), form) for form in WHOLE if _fits(shape, form)]
    prefix = ""
    if match := DAY_NAME.match(shape):
        prefix, shape = f"%a{match[1]}", shape[match.end() :]
    tails = [("", shape)]
    for match in JOINT.finditer(shape):
        tail = shape[match.end() :]
        tails += [(match[1] + form, shape[: match.start()]) for form in TAILS if _fits(tail, form)]
    dates = [(r, prefix + date + end) for end, head in tails for r, date in enumerate(DATES) if _fits(head, date)]
    return (*whole, *dates)


def _fits(cell: str, form: str) -> bool:
    return _shape(form).search(cell) is not None


@functools.lru_cache(1024)
def _shape(form: str) -> re.Pattern[str]:
    """A format as the shape of what is written by it."""
    return re.compile(_time_formats.pattern(form))


# which of several


def _most_even(cells: pa.Array, forms: list[str | None]) -> str | None:
    """Of formats that all cells are written in, the one by which their times are even and complete, else in order as
    they stand; where that does not tell, the first.
    """
    stamps = {form: _time_formats.seconds(cells, form).drop_null() for form in forms}
    for measure in (regularity, sortedness):
        marks = {form: measure(stamps[form].cast(pa.int64()).to_numpy(zero_copy_only=False)) for form in forms}
        best = max(forms, key=lambda form: marks[form])
        if marks[best] > marks[forms[0]] + CLEARLY:
            return best
        forms = [form for form in forms if marks[form] >= marks[best] - CLEARLY]
    return forms[0]


def regularity(seconds: np.ndarray) -> float:
    """How even and complete times are, 0 to 1: the share of the steps from the first to the last, of one length or of
    months, that there is a time for.
    """
    times = np.unique(seconds)
    if len(times) < 3:
        return 0.0
    step = _mode(np.diff(times))
    shares = [((times - times[0]) % step == 0).sum() / ((times[-1] - times[0]) // step + 1)]
    stamps = times.astype("M8[s]")
    months, days = stamps.astype("M8[M]"), stamps.astype("M8[D]")
    last = ((months + 1).astype("M8[D]") - days).astype(np.int64) == 1
    if len(np.unique(months)) == len(times) and (last.all() or len(np.unique(days - months.astype("M8[D]"))) == 1):
        numbers = months.astype(np.int64)
        step = _mode(np.diff(numbers))
        shares.append(((numbers - numbers[0]) % step == 0).sum() / ((numbers[-1] - numbers[0]) // step + 1))
    return float(max(shares))


def sortedness(seconds: np.ndarray) -> float:
    """How nearly times stand in order, oldest or newest first: 0.5 to 1."""
    steps = np.sign(np.diff(seconds))
    moves = max((steps != 0).sum(), 1)
    return float(max((steps > 0).sum(), (steps < 0).sum()) / moves)


def _mode(values: np.ndarray) -> int:
    distinct, counts = np.unique(values, return_counts=True)
    return int(distinct[counts.argmax()])


def swapped(form: str | None) -> str | None:
    """The format with day and month in each other's place, where both are digits."""
    if form is None or "%d" not in form or "%m" not in form or form.index("%Y" if "%Y" in form else "%y") == 0:
        return None
    return form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


# numbers


def guess_number(cells: pa.Array) -> tuple[float, dict[str, str]]:
    """How surely whole numbers are times, and how: days as 20230719, or time since 1970 in seconds, milliseconds ...;
    0.85 where only the column's name can tell.
    """
    numbers = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not len(numbers) or not np.isfinite(numbers).all():
        return 0.0, {}
    low, high = numbers.min(), numbers.max()
    for digits, form in NUMBERS.items():
        if (
            low >= YEARS[0] * 10.0 ** (digits - 4)
            and high < YEARS[1] * 10.0 ** (digits - 4)
            and (numbers % 1 == 0).all()
        ):
            texts = pa.array(numbers.astype(np.int64)).cast(pa.string())
            return (0.95, {"format": form}) if not _time_formats.seconds(texts.unique(), form).null_count else (0.0, {})
    for unit, scale in PER_SECOND.items():
        if EARLIEST * scale <= low and high < LATEST * scale and len(np.unique(numbers[:SAMPLE])) > 2:
            return (0.95 if (numbers % (60 * scale) == 0).all() else 0.85), {"unit": unit}
    return 0.0, {}


def fitting(cells: pa.Array, forms: Iterable[str]) -> str | None:
    """The first of some formats that all cells are written in."""
    return next((form for form in forms if len(cells) and _format_share(cells, form) == 1), None)
