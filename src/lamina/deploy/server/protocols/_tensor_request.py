"""The body of a request to infer: JSON that names tensors, with their values in it or, in binary, behind it.

Nothing is made of a size that a client names before it is compared with the bytes that came.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from lamina.config import Config, sentences
from lamina.deploy.server.json_reader import describe, load_json, some
from lamina.deploy.server.limits import RequestError, bare, quoted
from lamina.deploy.server.protocols._cells import Values
from lamina.deploy.server.protocols._tensors import BYTES, DTYPES, Tensor
from lamina.deploy.server.request_rows import RowReader

HEADER = "inference-header-content-length"
SHAPE = 'Send {"inputs": [{"name": "column", "shape": [rows], "datatype": "FP64", "data": [value, ...]}, ...]}.'
OBJECTS = 65_536  # in the JSON of one request
DIMENSIONS = 4  # of the largest tensor that means anything: images of several channels
PREFIX = 4  # bytes that say how long a text in binary is
SHARED = "shared_memory_region"  # a parameter of tensors that are not in the body
OUTPUT_PARAMETERS = {"binary_data", "content_type"}  # others ask for another output than there is
JSON_TYPES: dict[str, set[type]] = {"BOOL": {bool}, BYTES: {str}}


class Part(Config):
    """What inputs, outputs and whole requests have; anything else in them is of no meaning here."""

    model_config = ConfigDict(extra="ignore")

    parameters: dict[str, Any] | None = None


class InputHead(Part):
    name: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, max_length=DIMENSIONS)
    datatype: str
    data: Any = None


class OutputHead(Part):
    name: str


class RequestHead(Part):
    id: str | None = None
    inputs: list[InputHead] = Field(min_length=1)
    outputs: list[OutputHead] | None = None


class Selection(NamedTuple):
    """An output that is to be answered, and whether in binary."""

    tensor: Tensor
    binary: bool


class TensorRequest:
    """One request; `rows` is how many rows each of its inputs has. Errors: RequestError that names the place."""

    def __init__(self, content: bytes | bytearray, header_length: str | None, reader: RowReader):
        size = len(content) if header_length is None else _head_length(header_length, len(content))
        self._head, self._rest = _head(content[:size]), memoryview(content)[size:]
        self.id, inputs = self._head.id, self._head.inputs
        self.rows = inputs[0].shape[0]
        _check_names([one.name for one in inputs], "inputs")
        for one in inputs:
            _check_input(one)
            if one.shape[0] != self.rows:
                got = f"{quoted(inputs[0].name)}: {self.rows:,}, {quoted(one.name)}: {one.shape[0]:,}"
                raise RequestError(
                    400, f"inputs: must have as many rows each (got {got}). Send one value for each row."
                )
        if not self.rows:
            raise RequestError(400, f"inputs: there is no row. {SHAPE}")
        if self.rows > reader.most:
            raise reader.too_many()

    @property
    def timeout(self) -> int:
        """Microseconds that the sender waits for the answer, 0 for as long as the server allows."""
        value = (self._head.parameters or {}).get("timeout", 0)
        if type(value) is not int or value < 0:
            raise RequestError(
                400, f"parameters.timeout: must be a whole number of microseconds (got {describe(value)})."
            )
        return value

    def selection(self, outputs: Mapping[str, Tensor]) -> list[Selection]:
        """The outputs that are asked for, all when none is named."""
        binary = (self._head.parameters or {}).get("binary_data_output") is True
        if not self._head.outputs:
            return [Selection(tensor, binary) for tensor in outputs.values()]
        _check_names([one.name for one in self._head.outputs], "outputs")
        selection = []
        for one in self._head.outputs:
            if one.name not in outputs:
                cure = f"This model has {some(list(outputs))}."
                raise RequestError(400, f"outputs: there is no {quoted(one.name)}. {cure}")
            parameters = one.parameters or {}
            if others := parameters.keys() - OUTPUT_PARAMETERS:
                raise _refused_parameter(one, "outputs", min(others))
            selection.append(Selection(outputs[one.name], parameters.get("binary_data", binary) is True))
        return selection

    def values(self) -> dict[str, Values]:
        """The values of each input, by its name."""
        sizes = [_binary_size(one) for one in self._head.inputs]
        total = sum(size or 0 for size in sizes)
        if total != len(self._rest):
            fault = f"body: has {len(self._rest):,} bytes behind its JSON, and inputs say that there are {total:,}"
            raise RequestError(400, f"{fault}. Send binary_data_size and {HEADER} as they are.")
        values, at = dict[str, Values](), 0
        for one, size in zip(self._head.inputs, sizes, strict=True):
            flat = _json_cells(one) if size is None else _binary_cells(one, self._rest[at : at + size])
            values[one.name] = Values(one.datatype, tuple(one.shape), flat)
            at += size or 0
        return values


def _head_length(text: str, length: int) -> int:
    size = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(length)) else 0
    if not 0 < size <= length:
        fault = f"{HEADER}: must be from 1 to {length:,}, the bytes of the body (got {quoted(text)})"
        raise RequestError(400, f"{fault}. Send how many of them are JSON.")
    return size


def _head(content: bytes | bytearray) -> RequestHead:
    too_many = RequestError(413, f"body: its JSON has more than {OBJECTS:,} objects. Name each tensor once.")
    value = load_json(content, OBJECTS, too_many, SHAPE)
    if not isinstance(value, dict):
        raise RequestError(400, f"body: must be an object (got {describe(value)}). {SHAPE}")
    try:
        return RequestHead.model_validate(value)
    except ValidationError as error:
        raise RequestError(400, f"{sentences(RequestHead, '', error)[0]} {SHAPE}") from None


def _check_names(names: list[str], place: str) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise RequestError(400, f"{place}: {quoted(twice)} is there twice. Send it once.")


def _refused_parameter(part: InputHead | OutputHead, place: str, name: str) -> RequestError:
    cure = "Send the values themselves, and take outputs as they are."
    return RequestError(400, f"{place}.{bare(part.name)}: this server has no {bare(name)}. {cure}")


def _check_input(one: InputHead) -> None:
    if SHARED in (one.parameters or {}):
        raise _refused_parameter(one, "inputs", SHARED)
    if one.datatype not in DTYPES and one.datatype != BYTES:
        cure = f"There is {', '.join(DTYPES)} and {BYTES}."
        raise RequestError(400, f"inputs.{bare(one.name)}: has no known datatype (got {quoted(one.datatype)}). {cure}")


def _binary_size(one: InputHead) -> int | None:
    """The bytes of an input behind the JSON; None where its values are in there."""
    size = (one.parameters or {}).get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        fault = f"binary_data_size must be a number of bytes (got {describe(size)})"
        raise RequestError(400, f"inputs.{bare(one.name)}: {fault}. Send how many there are.")
    if one.data is not None:
        raise RequestError(400, f"inputs.{bare(one.name)}: has data and binary_data_size. Send one of them.")
    return size


# values in JSON


def _json_cells(one: InputHead) -> list[Any]:
    """The values of an input that stand in the JSON, flat or nested as its shape is."""
    place, cells = f"inputs.{bare(one.name)}", one.data
    if not isinstance(cells, list):
        got = "none" if cells is None else describe(cells)
        raise RequestError(400, f"{place}: data must be a list of values (got {got}). {SHAPE}")
    nested = len(one.shape) > 1 and any(isinstance(cell, list) for cell in cells)
    for size in one.shape[1:] if nested else ():
        if not all(isinstance(inner, list) and len(inner) == size for inner in cells):
            raise RequestError(400, f"{place}: data is not nested as its shape {one.shape} says. Send it flat, or so.")
        cells = [cell for inner in cells for cell in inner]
    if len(cells) != math.prod(one.shape):
        fault = f"data has {len(cells):,} values, and its shape {one.shape} says {math.prod(one.shape):,}"
        raise RequestError(400, f"{place}: {fault}. Send as many as the shape says.")
    _check_types(one, cells, place)
    return cells


def _check_types(one: InputHead, cells: list[Any], place: str) -> None:
    """Values in JSON are of the datatype that is named, or null, which is missing."""
    number = {float, int} if one.datatype.startswith("FP") else {int}
    types = {*JSON_TYPES.get(one.datatype, number), type(None)}
    if set(map(type, cells)) <= types:
        return
    at = next(i for i, cell in enumerate(cells) if type(cell) not in types)
    cure = "Send the datatype that the values have, BYTES for text."
    raise RequestError(400, f"{place}[{at}]: is no {one.datatype} (got {describe(cells[at])}). {cure}")


# values in binary


def _binary_cells(one: InputHead, part: memoryview) -> np.ndarray | list[bytes]:
    """The values of an input that stand behind the JSON, in the order of its rows."""
    count = math.prod(one.shape)
    if one.datatype == BYTES:
        return _texts(one, part, count)
    dtype = DTYPES[one.datatype]
    if len(part) != count * dtype.itemsize:
        size = f"{count * dtype.itemsize:,} bytes ({one.datatype} of the shape {one.shape})"
        raise RequestError(400, f"inputs.{bare(one.name)}: must be {size} (got {len(part):,}). Send all of its values.")
    if one.datatype == "BOOL":
        return np.frombuffer(part, np.uint8) != 0
    return np.frombuffer(part, dtype)


def _texts(one: InputHead, part: memoryview, count: int) -> list[bytes]:
    """Texts and files, each behind its length, as many as the shape says."""
    texts, at = list[bytes](), 0
    while len(part) - at >= PREFIX and len(texts) < count:
        size = int.from_bytes(part[at : at + PREFIX], "little")
        if size > len(part) - at - PREFIX:
            break
        texts.append(bytes(part[at + PREFIX : at + PREFIX + size]))
        at += PREFIX + size
    if len(texts) != count or at != len(part):
        fault = f"does not hold {count:,} values, each behind its length in {PREFIX} bytes, little-endian"
        raise RequestError(400, f"inputs.{bare(one.name)}: {fault}. Send all of them, and nothing else.")
    return texts
