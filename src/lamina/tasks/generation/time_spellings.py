"""How the times of a column are written, to the letter: learned from training cells, and written again.

A spelling is a `strptime` format with flags between sign and letter: `%-d` has no leading zero, `%^b` is in capitals,
`%~p` in small letters, `%B` and `%A` are whole names.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lamina.preprocess import _time_formats as formats

SAMPLE = 500  # cells that tell
FRACTION = re.compile(r"(?<=\d)[.,](\d{1,9})(?=\D*$|Z|[+-]\d\d:?\d\d$)")
NAMES = "|".join(formats.HOURS)
ZONE = re.compile(
    rf"(?:(?:\d|m[.]?) ?(?P<name>{NAMES})|"
    rf"(?::\d\d(?:[.,]\d+)?|[ap][.]?m[.]?|T\d{{2,6}}) ?(?P<offset>{formats.OFFSET}))$",
    re.IGNORECASE,
)
DIRECTIVE = re.compile(r"%([-^~]?)([A-Za-z%])")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August")
MONTHS = (*MONTHS, "September", "October", "November", "December")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WIDTHS = {"Y": 4, "G": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "j": 3, "V": 2, "u": 1, "q": 1}
VARIANTS = {"b": ("b", "B", "^b", "^B", "~b"), "a": ("a", "A", "^a", "^A"), "p": ("p", "~p")}
ISO_CLOCKS = ("T%H:%M", " %H:%M", "T%H:%M:%S", " %H:%M:%S", "T%H:%M:%S.%f", " %H:%M:%S.%f")
ISO_ENDS = ("", *(clock + zone for clock in ISO_CLOCKS for zone in ("", "%z", " %z")))
ISO = (*(f"%Y{mark}%m{mark}%d{end}" for mark in "-/." for end in ISO_ENDS), "%Y-%m", "%Y/%m")
MOST = 100  # characters


def learn(cells: pa.Array, seconds: np.ndarray, form: str | None) -> str:
    """The spelling by which most text cells read as they do; "" where none is near.

    `seconds`: (rows,) what their clocks show, since 1970; `form`: the format of the column, None for ISO 8601.
    """
    some = np.unique(np.linspace(0, len(cells) - 1, SAMPLE).astype(int))
    words, seconds = cells.take(pa.array(some)).to_pylist(), seconds[some]
    candidates = [_of_format(formats.plain(form))] if form else list(ISO)
    zones, fractions = [zone_of(word) for word in words], [fraction_of(word) for word in words]
    scores = dict[str, float]()
    for base in candidates:
        for spelling in _variants(base):
            own = write(seconds, spelling, zones, fractions).to_pylist()
            scores[spelling] = sum(a == b for a, b in zip(own, words, strict=True)) / len(words)
            if scores[spelling] == 1:
                return spelling
    best = max(scores, key=lambda spelling: scores[spelling])
    return best if scores[best] > 0 else ""


def _of_format(form: str) -> str:
    """A format in which no zone is named twice over: what a zone is called is kept apart."""
    return form.replace("%Z", "%z")


def _variants(form: str) -> list[str]:
    """The same format with other flags."""
    names = [name for _, name in DIRECTIVE.findall(form)]
    pads = ("", "-") if {"d", "m", "H", "I"} & set(names) else ("",)
    few = ["d", "m", "H", "I"]
    sets = [tuple(n for n in few if n in names), tuple(n for n in ("d", "m") if n in names), ("d",), ("H",), ("I",), ()]
    options = [VARIANTS[name] for name in names if name in VARIANTS]
    forms = list[str]()
    for choice, bare in itertools.product(itertools.product(*options), sets if len(pads) > 1 else [()]):
        queue = list(choice)
        forms.append(
            DIRECTIVE.sub(
                lambda match, queue=queue, bare=bare: (
                    f"%{queue.pop(0)}" if match[2] in VARIANTS else f"%-{match[2]}" if match[2] in bare else match[0]
                ),
                form,
            )
        )
    return list(dict.fromkeys(reversed(forms)))


def sound(spelling: str) -> bool:
    """Whether `write` has such a spelling."""
    return len(spelling) <= MOST and all(name in {*WIDTHS, *"bBaApzf%"} for _, name in DIRECTIVE.findall(spelling))


def write(seconds: np.ndarray, spelling: str, zones: Sequence[str], fractions: Sequence[str]) -> pa.Array:
    """What clocks show (rows,), since 1970, as text; `zones` and `fractions` of each row, "" for none."""
    stamps = pa.array(seconds.astype(np.int64)).cast(pa.timestamp("s"))
    pieces, end = list[pa.Array | str](), 0
    for match in DIRECTIVE.finditer(spelling):
        pieces.append(spelling[end : match.start()])
        end, (flag, name) = match.end(), match.groups()
        if name in "zf%":
            pieces.append({"z": pa.array(zones, pa.string()), "f": pa.array(fractions, pa.string()), "%": "%"}[name])
        else:
            pieces.append(_piece(stamps, flag, name))
    pieces.append(spelling[end:])
    columns = [pa.scalar(piece) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(pa.array([""] * len(seconds), pa.string()), *columns, "")


def _piece(stamps: pa.Array, flag: str, name: str) -> pa.Array:
    """One directive of times in text."""
    if name in "bBaAp":
        words, places = _words(stamps, name)
        words = [word.upper() if flag == "^" else word.lower() if flag == "~" else word for word in words]
        return pa.array(words).take(places)
    number = _number(stamps, name).cast(pa.string())
    return number if flag == "-" else pc.utf8_lpad(number, WIDTHS[name], "0")


def _words(stamps: pa.Array, name: str) -> tuple[list[str], pa.Array]:
    """The words that a directive may be, and which each is."""
    if name == "p":
        return ["AM", "PM"], pc.greater_equal(pc.hour(stamps), 12).cast(pa.int64())
    words: list[str] = [*(MONTHS if name in "bB" else DAYS)]
    places = pc.subtract(pc.month(stamps), 1) if name in "bB" else pc.day_of_week(stamps)
    return words if name in "AB" else [word[:3] for word in words], places


def _number(stamps: pa.Array, name: str) -> pa.Array:
    """What a directive of digits stands for."""
    if name == "y":
        year = pc.year(stamps)
        return pc.subtract(year, pc.multiply(pc.floor(pc.divide(year.cast(pa.float64()), 100)).cast(pa.int64()), 100))
    if name == "I":
        hour = pc.hour(stamps).to_numpy(zero_copy_only=False)
        return pa.array((hour + 11) % 12 + 1)
    fields = {"Y": pc.year, "m": pc.month, "d": pc.day, "H": pc.hour, "M": pc.minute, "S": pc.second}
    fields |= {"j": pc.day_of_year, "V": pc.iso_week, "G": pc.iso_year, "q": pc.quarter}
    return pc.add(pc.day_of_week(stamps), 1) if name == "u" else fields[name](stamps)


def zone_of(cell: str) -> str:
    """The zone that a text ends with, as it is written; "" for none."""
    match = ZONE.search(cell)
    return (match["name"] or match["offset"]) if match else ""


def fraction_of(cell: str) -> str:
    """The digits behind the seconds of a text; "" for none."""
    return match[1] if (match := FRACTION.search(cell)) else ""
