"""How times are written: `strptime` formats as regular expressions, and what these find as seconds since 1970.

Arrow's own `strptime` leaves checking to the C library: 30 February is 1 March, trailing text is passed over, and
weeks, quarters, fractions and names of zones are not read. So a format is one pattern here, and a calendar checks what
it finds.
"""

import functools
import re
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SECONDS = pa.timestamp("s")
FEW, CACHE = 64, 1 << 14  # cells, and texts of a format in its cache
DAY = 86_400
FIRST, LAST = -62_135_596_800, 253_402_300_799  # of the years 1 to 9999, which Python has
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTH = "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
WEEKDAY = "(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?[.]?"
OFFSET = r"[+-]\d\d(?::?\d\d)?"
HOURS = {  # of the zones that mails may name (RFC 2822), and of Europe
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "WEST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "JST": 9,
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
PATTERNS = {
    "Y": r"\d{4}",
    "G": r"\d{4}",
    "y": r"\d\d",
    "m": r"0?[1-9]|1[0-2]",
    "d": r"0?[1-9]|[12]\d|3[01]",
    "b": rf"(?:{MONTH}|nov(?:ember)?|dec(?:ember)?)",
    "H": r"[01]?\d|2[0-4]",
    "I": r"0?[1-9]|1[0-2]",
    "M": r"[0-5]\d",
    "S": r"[0-5]\d|60",
    "f": r"\d{1,9}",
    "p": r"[ap][.]?m[.]?",
    "j": r"\d{3}",
    "V": r"\d\d?",
    "u": r"[1-7]",
    "q": r"[1-4]",
    "z": rf"Z|{OFFSET}",
    "Z": rf"{'|'.join(HOURS)}|{OFFSET}",
}
TWO_DIGITS = {"m": r"0[1-9]|1[0-2]", "d": r"0[1-9]|[12]\d|3[01]", "H": r"[01]\d|2[0-4]"}
ALIASES = {"B": "%b", "h": "%b", "e": "%d", "k": "%H", "l": "%I", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M"}
ALIASES |= {"T": "%H:%M:%S", "r": "%I:%M:%S %p", "A": "%a", "c": "%a %b %d %H:%M:%S %Y", "x": "%m/%d/%y"}
ALIASES |= {"X": "%H:%M:%S", "n": " ", "t": " ", "E": "", "O": "", "-": ""}
DIRECTIVE = re.compile(r"%(.)")
CLOCK = r"(?P<H>[01]?\d|2[0-4])(?::(?P<M>[0-5]\d)(?::(?P<S>[0-5]\d|60)(?:[.,]\d+)?)?)?"
ISO = rf"^(?P<Y>\d{{4}})[-/.](?P<m>\d\d?)(?:[-/.](?P<d>\d\d?)(?:[T ]+{CLOCK}(?: ?(?P<z>Z|UTC|GMT|{OFFSET}))?)?)?$"

PLAIN_ISO = r"^(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)(?:[T ](?P<H>[01]\d|2[0-3]):(?P<M>[0-5]\d)(?::(?P<S>[0-5]\d))?)?$"


def pattern(form: str | None) -> str:
    """A format as a regular expression of the whole cell, a group for each directive; of None that of ISO 8601 and
    all else that begins with the year. Errors: ValueError naming a directive that is none.
    """
    return ISO if form is None else _pattern(form)


@functools.lru_cache(256)
def _pattern(form: str) -> str:
    form = plain(form)
    parts, end = ["(?i)^"], 0
    for match in DIRECTIVE.finditer(form):
        parts.append(_literal(form[end : match.start()]))
        name, adjacent = match[1], match.end() < len(form) and form[match.end()] == "%"
        adjacent = adjacent or (match.start() == end and end > 0)
        end = match.end()
        if name == "%":
            parts.append("%")
        elif name == "a":
            parts.append(WEEKDAY)
        else:
            digits = TWO_DIGITS.get(name) if adjacent else None
            ordinal = "(?:st|nd|rd|th)?" if name == "d" and "%b" in form else r"[.]?" if name == "b" else ""
            parts.append(f"(?P<{name}>{digits or PATTERNS[name]}){ordinal}")
    return "".join([*parts, _literal(form[end:]), "$"])


def plain(form: str) -> str:
    """A format with single directives alone: `%T` is `%H:%M:%S`. Errors: ValueError naming what is no directive."""
    while match := re.search(rf"%([{''.join(map(re.escape, ALIASES))}])", form):
        tail = "%" if match[1] in "EO-" else ""
        form = form[: match.start()] + ALIASES[match[1]] + tail + form[match.end() :]
    names = re.findall(r"%(.?)", form)
    if wrong := next((name for name in names if name not in (*PATTERNS, "a", "%")), None):
        listed = " ".join(f"%{name}" for name in (*PATTERNS, "a"))
        raise ValueError(f"'%{wrong}' is no part of a time. There are {listed}.")
    if twice := next((name for name in names if name != "%" and names.count(name) > 1), None):
        raise ValueError(f"'%{twice}' is there twice. Say each part once.")
    return form


def is_clock(form: str | None) -> bool:
    """Whether a format is of clock times alone, without a day."""
    return form is not None and not set(DIRECTIVE.findall(plain(form))) & set("YGymdbjVuq")


def _literal(text: str) -> str:
    return re.sub(r"(?:\\?\s)+", r"\\s+", re.escape(text))


def seconds(column: pa.Array, form: str | None, on_clock: bool = False) -> pa.Array:
    """Text by a format as seconds since 1970 in UTC, null where it is of no such time; `on_clock`: as the clock showed
    them where they were written, whatever the zone.
    """
    expression = pattern(form)
    few = len(column) <= FEW
    valid, parts = _parts_of_few(column.to_pylist(), expression) if few else _parts(column, expression)
    if not valid.any():
        return pa.nulls(len(column), SECONDS)
    stamps, sound = _stamps(parts, len(column), on_clock)
    return pa.array(stamps, mask=~(valid & sound)).cast(SECONDS)


def iso(column: pa.Array, on_clock: bool) -> pa.Array:
    """ISO 8601 by Arrow's own parser, which cannot be asked beforehand whether it reads all cells; else nulls."""
    for kind in (SECONDS, *([] if on_clock else [pa.timestamp("s", "UTC")])):
        try:
            stamps = column.cast(kind).cast(SECONDS)
        except pa.ArrowInvalid:
            continue
        low, high = (end.as_py() or 0 for end in pc.min_max(stamps.cast(pa.int64())).values())
        if low >= FIRST and high <= LAST:
            return stamps
    return pa.nulls(len(column), SECONDS)


def plain_seconds(cells: list[str | None], form: str | None) -> np.ndarray | None:
    """(cells,) float64, NaN where a cell is None; None where one is not of the format (without one: of a day and a time
    of ISO 8601, without zone) or of no such time.
    """
    cache = _cache(form)
    values = list(map(cache.get, cells))
    if None in values:
        texts = list({cell for cell, value in zip(cells, values, strict=True) if value is None})
        valid, parts = _parts_of_few(texts, PLAIN_ISO if form is None else pattern(form))
        stamps, sound = _stamps(parts, len(texts), on_clock=False)
        if not (valid & sound).all():
            return None
        new = dict(zip(texts, stamps.tolist(), strict=True))
        if len(cache) + len(new) > CACHE:
            cache.clear()
        cache.update({None: np.nan, **new})
        values = [new[cell] if value is None else value for cell, value in zip(cells, values, strict=True)]
    return np.array(values, np.float64)


@functools.cache
def _cache(form: str | None) -> dict[str | None, float]:
    """Seconds by the text of a cell, of texts that came before: clients send the same days again and again."""
    return {None: np.nan}


def _stamps(parts: dict[str, np.ndarray], count: int, on_clock: bool) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970, and which of them are of a day and a time that there are."""
    days, sound = _days(parts, count)
    clock = _clock(parts)
    stamps = days * DAY + clock
    if not on_clock:
        stamps = stamps - parts.get("z", parts.get("Z", 0))
    return stamps, sound & (stamps >= FIRST) & (stamps <= LAST) & (clock <= DAY)  # 24:00 is the next midnight


def _parts(column: pa.Array, expression: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Which cells a regular expression fits, and the numbers that its groups stand for."""
    groups = pc.extract_regex(column, expression)
    parts = dict[str, np.ndarray]()
    for field in groups.type:
        texts = pc.fill_null(pc.struct_field(groups, field.name), "").dictionary_encode()
        numbers = np.array([_number(field.name, text) for text in texts.dictionary.to_pylist()], np.int64)
        parts[field.name] = numbers[texts.indices.to_numpy(zero_copy_only=False)]
    return pc.is_valid(groups).to_numpy(zero_copy_only=False), parts


def _parts_of_few(cells: list[str | None], expression: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The same of a few cells, as a server is sent them: to call Arrow costs more than it works on these."""
    compiled = re.compile(expression, re.ASCII)
    fits = [compiled.fullmatch(cell) if cell is not None else None for cell in cells]
    parts = {
        name: np.array([_number(name, fit[name]) if fit else -1 for fit in fits], np.int64)
        for name in compiled.groupindex
    }
    return np.array([fit is not None for fit in fits], bool), parts


def _number(name: str, text: str | None) -> int:
    """What the text of a directive stands for: of a zone its offset, of PM 1; -1 where nothing is said."""
    if name in ("z", "Z"):
        return offset(text or "")
    if name == "f" or not text:
        return -1
    if name == "b":
        return MONTHS.index(text[:3].lower()) + 1
    return int(text[0] in "pP") if name == "p" else int(text)


def offset(zone: str) -> int:
    """Seconds that clocks of a zone are ahead of UTC: of `+02:00`, `+0200`, `+02` or a name of `HOURS`; 0 of none."""
    if not zone or zone[0] not in "+-":
        return HOURS.get(zone.upper(), 0) * 3600
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (int(digits[:2]) * 3600 + int(digits[2:4]) * 60) * (-1 if zone[0] == "-" else 1)


def _days(parts: dict[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970 of years with months and days, quarters, weeks (ISO 8601) or days of the year; and which of them
    a calendar has. What is not said is the first.
    """
    first = np.ones(count, np.int64)
    year = parts.get("Y", parts.get("G"))
    if year is None:
        year = parts.get("y", first + 99 - 30)  # no year: 1970
        year = np.where(year < 69, 2000, 1900) + year  # as POSIX has it
    if "V" in parts:
        return _week_days(year, parts["V"], parts.get("u", first))
    month = parts["q"] * 3 - 2 if "q" in parts else parts.get("b", parts.get("m", first))
    day = parts.get("j", parts.get("d", first))
    day = np.where(day == -1, 1, day)
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("M8[M]")
    days = months.astype("M8[D]").astype(np.int64) + day - 1
    last = (year - 1969).astype("M8[Y]") if "j" in parts else months + 1
    sound = (month >= 1) & (month <= 12) & (day >= 1)
    return days, sound & (days < last.astype("M8[D]").astype(np.int64))


def _week_days(year: np.ndarray, week: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970 of ISO weeks: the first is that of 4 January, and begins on a Monday."""
    monday = _monday((year - 1970).astype("M8[Y]"))
    days = monday + (week - 1) * 7 + day - 1
    following = _monday((year - 1969).astype("M8[Y]"))
    return days, (week >= 1) & (monday + (week - 1) * 7 < following)


def _monday(years: np.ndarray) -> np.ndarray:
    fourth = years.astype("M8[D]").astype(np.int64) + 3
    return fourth - (fourth + 3) % 7


def _clock(parts: dict[str, np.ndarray]) -> np.ndarray | int:
    """Seconds since midnight; a fraction is cut."""
    total: np.ndarray | int = 0
    for name, size in (("H", 3600), ("I", 3600), ("M", 60), ("S", 1)):
        if name in parts:
            values = np.maximum(parts[name], 0)
            total = total + (values % 12 if name == "I" else values) * size
    return total + np.maximum(parts["p"], 0) * 12 * 3600 if "p" in parts and "I" in parts else total


def write(moment: datetime, form: str) -> str:
    """A moment in UTC by a format, as `seconds` reads it again."""
    form = _without_zone(form).replace("%q", str((moment.month + 2) // 3)).replace("%Y", f"{moment.year:04}")
    return moment.strftime(form)


def write_all(stamps: pa.Array, form: str) -> pa.Array:
    """Many moments in UTC by a format."""
    form = _without_zone(form)
    if "%q" not in form:
        return pc.strftime(stamps, format=form)
    quarters = [pc.strftime(stamps, format=form.replace("%q", str(quarter))) for quarter in (1, 2, 3, 4)]
    return pc.choose(pc.subtract(pc.quarter(stamps), 1), *quarters)


def _without_zone(form: str) -> str:
    """A format for moments in UTC and whole seconds."""
    return plain(form).replace("%z", "+0000").replace("%Z", "UTC").replace("%f", "000000")
