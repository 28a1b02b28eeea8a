"""JSON of strangers: strict about keys, forgiving about NaN, bounded while it is parsed.

Small bodies are read by orjson where that comes to the same: what it passes over (a key that is there twice, a number
of more than 64 bits) shows in the bytes, and is read the strict way.
"""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import orjson

from lamina.deploy.server.limits import RequestError, quoted

WIDEST = 18  # digits that fit 64 bits whatever they are
SMALL = 1 << 16  # bytes of a body whose objects need not be counted while it is parsed
DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))
MANY_DIGITS = b"0" * (WIDEST + 1)  # of what may be a whole number beyond 64 bits
NESTING = {dict, list}
CONSTANTS = {"Infinity": math.inf, "-Infinity": -math.inf}


def load_json(body: bytes | bytearray, most_objects: int, too_many: RequestError, shape: str) -> Any:
    """JSON in UTF-8; NaN is taken for missing. The count of objects is bounded while parsing, before memory is given.

    `shape`: a sentence on what to send. Errors: RequestError naming the place.
    """
    if len(body) <= SMALL and MANY_DIGITS not in body.translate(DIGITS):
        with suppress(orjson.JSONDecodeError, RecursionError):  # the strict way reads more, or says what is wrong
            value, pairs = orjson.loads(body), list[int]()
            _add_pairs((value,), pairs)
            if len(pairs) <= most_objects and sum(pairs) == body.count(b":"):  # no colon is one of a text
                return value
    count = 0

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal count
        count += 1
        if count > most_objects:
            raise too_many
        value = dict(pairs)
        if len(value) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in value if names.count(name) > 1)
            raise RequestError(400, f"body: {quoted(twice)} is there twice in one object. Send it once.")
        return value

    try:
        text = body.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=unique, parse_int=integer, parse_constant=CONSTANTS.get)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RequestError(400, f"body: is not JSON ({where}: {error.msg}). {shape}") from None
    except UnicodeDecodeError as error:
        raise RequestError(400, f"body: is not UTF-8 (byte {error.start}). Send JSON in UTF-8.") from None
    except RecursionError:
        raise RequestError(400, f"body: is nested too deeply. {shape}") from None


def _add_pairs(values: Iterable[Any], pairs: list[int]) -> None:
    """How many keys each object among values has, and among what is in them."""
    if NESTING.isdisjoint(map(type, values)):
        return
    for value in values:
        if type(value) is dict:
            pairs.append(len(value))
            _add_pairs(value.values(), pairs)
        elif type(value) is list:
            _add_pairs(value, pairs)


def dump_json(value: Any) -> bytes:
    """An answer as strict JSON; a number that is none must not be in it."""
    try:
        return orjson.dumps(value)
    except TypeError:  # half of a character, which a client may have sent, and is told of
        return json.dumps(value, allow_nan=False).encode()


def integer(digits: str) -> int | str:
    """A whole number, or its text when 64 bits do not hold it: codes of many digits stay exact."""
    if len(digits) <= WIDEST:
        return int(digits)
    number = int(digits) if len(digits) <= WIDEST + 2 else 1 << 63
    return number if -(1 << 63) <= number < 1 << 63 else digits


def describe(value: Any) -> str:
    """A value of JSON in a sentence: what was got in place of what was expected."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return "null" if value is None else quoted(value)


def some(names: list[str]) -> str:
    """The first few names of many."""
    return ", ".join(quoted(name) for name in names[:5]) + (" ..." if len(names) > 5 else "")
