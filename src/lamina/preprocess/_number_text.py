"""Numbers as people write them: groups of thousands, decimal commas, money, percent, brackets for minus, units.

A cell means one number or none. Only one mark before exactly three digits (`1,234`) can be meant in two ways: there the
decimal mark of its column decides. All else has one reading, whatever the mark: `1,5`, `0,125`, `1.234,5`, `2 671,90`.
"""

import functools
import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from lamina.schema import NUMBER_TEXT

Decimal = Literal[".", ","]

CODES = "USD EUR GBP JPY CNY RMB INR CHF CAD AUD NZD SEK NOK DKK PLN CZK HUF BRL MXN ZAR KRW SGD HKD TRY RUB THB IDR"
MONEY = rf"(?:(?:US|A|AU|C|CA|NZ|HK|NT|R|S)?[$¢£¤¥֏؋৳฿៛₠-₿﷼]|{'|'.join(CODES.split())}|Rs\.?|kr\.?|zł|Kč)"
BLANKS = " \xa0\u202f\u2009\u2007\u2008"
GAP = f"[{BLANKS}'’]"  # between groups of thousands
MINUS = dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d"), "-")
NOT_PLAIN = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"  # a number by a decimal point, thousands by a decimal comma
NO_CENTS = re.compile(r"(\d)[.,]-{1,2}(\D*)$", re.ASCII)  # 5,-
SHAPE = re.compile(
    rf"(?P<open>(?:(?:{MONEY})?[{BLANKS}]*\()?)[{BLANKS}]*(?P<sign>[+-]?)[{BLANKS}]*(?P<money>(?:{MONEY})?)[{BLANKS}]*"
    rf"(?P<second>[+-]?)(?P<figures>\d(?:[\d.,'’{BLANKS}]*[\d.,])?|[.,]\d+)(?P<power>(?:[eE][+-]?\d+)?)(?P<gap>[{BLANKS}]*)"
    r"(?P<unit>(?:[^\s\d.,()+\-'’](?:[^\d()+]{0,18}[^\s\d()+\-])?[23]?)?)"
    rf"[{BLANKS}]*(?P<behind>[+-]?)(?P<close>\)?)",
    re.ASCII,
)
LONGEST = 100  # characters of a number and all that is beside it
SIGNS = ("open", "sign", "second", "behind")  # a number has one of these at most
GROUPS = tuple(  # of digits, what stands between them, and the decimal mark that they need or None
    (re.compile(shape, re.ASCII), re.compile(between), mark)
    for shape, between, mark in (
        (rf"[1-9]\d{{0,2}}(?:{GAP}\d{{3}})+(?:[.,]\d*)?", GAP, None),
        (r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}\.\d*", ",", None),
        (r"[1-9]\d{0,2}(?:\.\d{3})+,\d*", r"\.", None),
        (r"[1-9]\d{0,2}(?:,\d{2,3})+,\d{3}", ",", None),
        (r"[1-9]\d{0,2}(?:\.\d{3}){2,}", r"\.", None),
        (r"[1-9]\d{0,2},\d{3}", ",", "."),
        (r"[1-9]\d{0,2}\.\d{3}", r"\.", ","),
    )
)
COMMA = re.compile(r"\d*,\d*", re.ASCII)
PLAIN = re.compile(NUMBER_TEXT, re.ASCII)
USUAL: dict[Decimal, str] = {  # how nearly all numbers are written
    ".": r"^[+-]?(?:\d+\.?\d*|\.\d+|[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?)(?:[eE][+-]?\d+)?$",
    ",": r"^[+-]?(?:\d+,?\d*|,\d+|[1-9]\d{0,2}(?:\.\d{3})+(?:,\d*)?)(?:[eE][+-]?\d+)?$",
}
THOUSANDS: dict[Decimal, str] = {mark: rf"[1-9]\d{{0,2}}[^\d{mark}]\d{{3}}(?:\D|$)" for mark in (".", ",")}
SCALES = {
    word: worth
    for worth, words in {
        1e3: "k thousand",
        1e5: "lakh",
        1e6: "m mn mm mio mio. mil million",
        1e7: "crore cr",
        1e9: "b bn mrd mrd. billion",
        1e12: "t tn trillion",
    }.items()
    for word in words.split()
}
USUAL_SCALES = " K k M B bn mn mio Mio mrd Mrd thousand million billion lakh crore "  # that stand alone in a column
PREFIXES = {
    "": 1.0,
    "n": 1e-9,
    "µ": 1e-6,
    "u": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "k": 1e3,
    "K": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
}
BASES = ("g", "m", "W", "Wh", "B", "Hz", "s", "V", "A", "L", "l", "b", "Pa", "J", "bp", "bps")  # take the prefixes
LETTERS = "KMBWVFCJN"  # single capitals that are units where they touch a number; others are parts of codes, as in 12A
MOST = 0.5  # of the cells, at least, have a unit that nobody has heard of


def all_plain(column: pa.Array, decimal: Decimal, pattern: str = NUMBER_TEXT) -> bool:
    """Whether all cells are numbers as any program writes them, and mean the same by this decimal mark."""
    if not pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py():
        return False
    return decimal == "." or not pc.any(pc.match_substring_regex(column, NOT_PLAIN)).as_py()


def to_floats(column: pa.Array, decimal: Decimal, units: Mapping[str, float]) -> pa.Array:
    """Texts as float64, null where there is no number; `units` are what may stand behind one, and what it is worth."""
    numbers = _usual(column, decimal)
    if numbers.null_count == column.null_count:
        return numbers
    nothing = pa.scalar(None, pa.string())
    for name, worth in units.items():  # faster than to take each text apart
        texts = pc.if_else(pc.and_(numbers.is_null(), pc.ends_with(column, name)), column, nothing)
        bare = pc.utf8_rtrim(pc.utf8_slice_codeunits(texts, 0, -len(name)), BLANKS)
        numbers = numbers.fill_null(pc.multiply(_usual(bare, decimal), worth))
    if numbers.null_count == column.null_count:
        return numbers
    coded = pc.if_else(numbers.is_valid(), nothing, column).dictionary_encode()
    worth = [_value(one, decimal, units) for one in coded.dictionary.to_pylist()]
    return numbers.fill_null(pa.array(worth, pa.float64()).take(coded.indices))


def share(texts: pa.Array) -> float:
    """The share of some texts (without nulls) that are numbers by any mark and with any unit."""
    if not len(texts) or pc.match_substring_regex(texts, r"\d").true_count < 0.5 * len(texts):
        return 0.0
    return 1 - to_floats(texts, ".", units_of(writing(texts), len(texts))).null_count / len(texts)


def _usual(column: pa.Array, decimal: Decimal) -> pa.Array:
    """Plain numbers, and those with thousands marks, a sign of money or a percent sign alone; null for all others."""
    shape = USUAL[decimal]
    fits = pc.match_substring_regex(column, shape)
    if not pc.all(fits, min_count=0).as_py():
        column = pc.utf8_trim(column, "$€£% \xa0")
        fits = pc.match_substring_regex(column, shape)
        column = pc.if_else(fits, column, pa.scalar(None, pa.string()))
    if decimal == ",":
        column = pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".")
    elif pc.any(pc.match_substring(column, ",")).as_py():
        column = pc.replace_substring(column, ",", "")
    return column.cast(pa.float64())


def _parts(text: str) -> re.Match[str] | None:
    """The parts of a text that has the shape of a number. A stroke for no cents is left out."""
    if len(text) > LONGEST:
        return None
    return SHAPE.fullmatch(NO_CENTS.sub(r"\1\2", text.translate(MINUS)))


def _value(text: str, decimal: Decimal, units: Mapping[str, float]) -> float | None:
    """What a text is worth, if it is a number."""
    parts = _parts(text)
    if parts is None or sum(parts[name] != "" for name in SIGNS) > 1 or bool(parts["open"]) != bool(parts["close"]):
        return None
    figures = _figures(parts["figures"], decimal) + parts["power"]
    worth = 1.0 if _is_money(parts["unit"]) else units.get(parts["unit"])
    if worth is None or not PLAIN.fullmatch(figures):
        return None
    return float(figures) * (
        -worth if parts["open"] or "-" in (parts["sign"], parts["second"], parts["behind"]) else worth
    )


def _figures(text: str, decimal: Decimal) -> str:
    """Digits without what sets groups of thousands apart, and with a decimal point."""
    bare = next(
        (gap.sub("", text) for shape, gap, mark in GROUPS if mark in (None, decimal) and shape.fullmatch(text)), text
    )
    return bare.replace(",", ".") if COMMA.fullmatch(bare) else bare


@functools.lru_cache(maxsize=1024)
def _is_money(name: str) -> bool:
    """Nothing, percent or money: what may stand behind any number."""
    return name in ("", "%") or re.fullmatch(MONEY, name) is not None


class Writing(NamedTuple):
    """How many cells that are no plain numbers are written how: by the unit and the money beside their numbers, with
    brackets or a minus behind, in groups of thousands.
    """

    units: Counter[str]
    attached: bool  # whether some unit touches its number
    money: Counter[str]
    minus: int
    groups: int


def writing(column: pa.Array, decimal: Decimal = ".") -> Writing:
    """Of all cells that have the shape of a number and are none as any program writes them."""
    odd = pc.if_else(pc.match_substring_regex(column, NUMBER_TEXT), pa.scalar(None, pa.string()), column)
    counts = odd.drop_null().value_counts()
    units, money, thousands = Counter[str](), Counter[str](), re.compile(THOUSANDS[decimal], re.ASCII)
    attached, minus, groups = False, 0, 0
    for text, count in zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True):
        if (parts := _parts(text)) is None:
            continue
        unit, before = parts["unit"], parts["open"].strip(f"({BLANKS}") + parts["money"]
        if unit and (unit == "%" or not _is_money(unit)):
            units[unit] += count
            attached |= not parts["gap"]
        elif unit or before:
            money[before or unit] += count
        if before and unit and not _is_money(unit):
            money[before] += count
        minus += count * bool(parts["open"] or parts["behind"] == "-")
        groups += count * bool(thousands.search(parts["figures"]))
    return Writing(units, attached, money, minus, groups)


def units_of(style: Writing, cells: int) -> dict[str, float]:
    """What stands behind the numbers of a column of so many cells, and what it is worth: one unit, or one with several
    prefixes, or words for thousands and millions; nothing where there is no such order in it.
    """
    names = [name for name in style.units if name != "%"]
    if not names:
        return {}
    if all(name.lower() in SCALES for name in names) and (len(names) > 1 or f" {names[0]} " in USUAL_SCALES):
        return {name: SCALES[name.lower()] for name in names}
    if sum(style.units[name] for name in names) < MOST * cells:
        return {}
    if len({name.lower().rstrip(".").removesuffix("s") for name in names}) == 1:
        letter = len(names[0]) == 1 and names[0].isupper() and names[0] not in LETTERS
        return {} if letter and style.attached else dict.fromkeys(names, 1.0)
    base = next((base for base in BASES if all(_prefix(name, base) in PREFIXES for name in names)), None)
    return {name: PREFIXES[_prefix(name, base)] for name in names} if base else {}


def _prefix(name: str, base: str) -> str:
    return name.removesuffix(base) if name.endswith(base) else "no"


def sample(column: pa.Array, count: int) -> pa.Array:
    """So many cells from all over a column, at most twice as many."""
    step = len(column) // count
    return column.take(pa.array(range(0, len(column), step))) if step > 1 else column
