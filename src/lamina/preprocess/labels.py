"""Several labels in one cell: a list, or a text with separators such as `cat|dog`. An empty list is no label.

A list as text (`["cat", "dog"]` of JSON, `['cat', 'dog']` of Python) is a list too. Labels compare as text, in any
order, each counted once; blanks around a label do not count. As an input, each label known from training is one number,
0 or 1.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from lamina import config, privacy
from lamina.preprocess import _spellings, category
from lamina.preprocess._column_config import ColumnConfig
from lamina.preprocess._domain import Domain
from lamina.schema import Input, is_list

SEPARATORS = ("|", ";", ",")
OFTEN = 0.1  # of the cells that hold a separator, at least
SAMPLED = 20_000  # cells from all over a column
FEWER = {"|": 0.95, ";": 0.95, ",": 0.5, " ": 0.5}  # labels per different cell, at most
SINGLE, SINGLE_OF_FEW = 0.9, 0.5  # of words between blanks are a cell of their own, too; fewer, where all come often
ROWS_EACH = 5  # of a word between blanks, on average
QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
NO_TAG = re.compile(r"[.,;:!?]$|^\d+$")
FEWEST = 3  # words between blanks that can be labels
LISTED = pa.list_(pa.string())


class Config(ColumnConfig):
    kind: Literal["labels"] = "labels"
    separator: str | None = Field(default=None, min_length=1, max_length=8)
    blank: bool = Field(default=False, description="an empty text is a row without labels, and not a missing cell")
    min_count: int = Field(
        default=privacy.MIN_ROWS, ge=1, description="rows that must have a label; what fewer have is rare"
    )
    max_size: int = Field(default=256, ge=1, le=10_000)
    spellings: dict[str, str] | None = Field(
        default=None, description="other spellings of labels, which count as these; found out when unset, none by {}"
    )


class State(config.Config):
    values: tuple[str, ...] = Field(max_length=10_000)


def detect(column: pa.Array) -> tuple[float, dict[str, Any]]:
    """Lists of texts; or texts of which a tenth holds a separator, where labels come again in other company."""
    if is_list(column.type):
        inner = column.type.value_type
        is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
        return (0.95, _spelled(column, Config())) if is_text else (0.0, {})
    if not pa.types.is_string(column.type) or not len(column):
        return 0.0, {}
    separator = separator_of(column, OFTEN)
    if not separator:
        return 0.0, {}
    return 0.7, {"separator": separator, **_spelled(column, Config(separator=separator))}


def _spelled(column: pa.Array, cfg: Config) -> dict[str, Any]:
    """The setting of labels that are spelled in several ways, where there are some."""
    spellings = _spellings.of(parse(column, cfg).drop_null().flatten())
    return {"spellings": spellings} if spellings else {}


def separator_of(column: pa.Array, often: float) -> str | None:
    """What stands between the labels of texts, in a share of at least `often`; None where they are names or sentences,
    which hold commas and blanks too.
    """
    sample = column.take(np.arange(0, len(column), -(-len(column) // SAMPLED))) if len(column) > SAMPLED else column
    shares = {by: pc.mean(pc.match_substring(sample, by).cast(pa.float64())).as_py() or 0.0 for by in FEWER}
    separator = next((by for by, share in shares.items() if share > 0 and share >= often), None)
    if separator is None:
        return None
    counts = {c["values"]: c["counts"] for c in sample.value_counts().to_pylist() if c["values"]}
    sets = {cell: _split(cell, separator) for cell in counts}
    if separator == " " and not _are_tags(counts, sets):
        return None
    sets = {cell: list(dict.fromkeys(map(_spellings.fold, own))) for cell, own in sets.items()}
    labels, single = {label for own in sets.values() for label in own}, _single(sets)
    few = len(labels) <= FEWER[separator] * len(sets) or (labels == single and len(labels) < len(sets))
    return separator if few else None


def _single(sets: Mapping[str, Sequence[str]]) -> set[str]:
    """The labels that are all of a cell."""
    return {labels[0] for labels in sets.values() if len(labels) == 1}


def _are_tags(counts: Mapping[str, int], sets: Mapping[str, Sequence[str]]) -> bool:
    """Whether words between blanks are labels, and no parts of names or sentences: each often, most of them also alone,
    none twice in a cell.
    """
    labels = {label for own in sets.values() for label in own}
    if not FEWEST <= len(labels) <= Config().max_size or any(NO_TAG.search(label) for label in labels):
        return False
    if any(len(cell.split()) > len(own) for cell, own in sets.items()):
        return False
    words = sum(counts[cell] * len(own) for cell, own in sets.items())
    least = SINGLE_OF_FEW if len(labels) <= FEWER[" "] / 2 * len(sets) else SINGLE
    return words >= ROWS_EACH * len(labels) and len(_single(sets)) >= least * len(labels)


def parse(column: pa.Array, cfg: Config) -> pa.Array:
    """Cells to sorted lists of labels, each once; missing ones stay missing, but for texts where `blank` is set."""
    lists = _parse(column, cfg)
    if not cfg.spellings or not len(lists.flatten()):
        return lists
    labels = _spellings.apply(lists.flatten(), cfg.spellings).to_pylist()
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)).tolist()
    sets = [sorted(set(labels[start:end])) for start, end in zip([0, *ends], ends, strict=False)]
    return pa.array(
        [own if there else None for own, there in zip(sets, lists.is_valid().to_pylist(), strict=True)], LISTED
    )


def _parse(column: pa.Array, cfg: Config) -> pa.Array:
    """The same, each label as it is spelled."""
    if is_list(column.type):
        return pa.array([None if cell is None else _clean(cell) for cell in column.to_pylist()], LISTED)
    if pa.types.is_struct(column.type) or pa.types.is_map(column.type):
        return pa.nulls(len(column), LISTED)
    coded = category.as_text(column).dictionary_encode()
    labels = [_split(cell, cfg.separator) for cell in coded.dictionary.to_pylist()]
    nothing = [] if cfg.blank else None
    return pa.array([*labels, nothing], LISTED).take(pc.fill_null(coded.indices, len(labels)))


def _split(cell: str, separator: str | None) -> list[str]:
    """The labels of one text; without a separator said, by the first of the usual ones that it holds."""
    if cell.startswith("[") and cell.endswith("]"):
        try:
            return _clean(json.loads(cell))
        except (ValueError, RecursionError):  # a text in brackets that is no list is a text like any other
            if quoted := QUOTED.findall(cell[1:-1]):
                return _clean([single or double for single, double in quoted])
    by = separator or next((usual for usual in SEPARATORS if usual in cell), "\0")
    return _clean(cell.split(by))


def _clean(labels: list[Any]) -> list[str]:
    texts = (label if isinstance(label, str) else _text(label) for label in labels if label is not None)
    return sorted({bare for label in texts if (bare := label.strip())})


def _text(label: Any) -> str:
    """As a category of its own would be written."""
    if isinstance(label, bool):
        return str(label).lower()
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def fit(values: pa.Array, cfg: Config) -> State:
    labels = values.drop_null().flatten()  # each stands once in a row
    return State(values=tuple(category.frequent(labels, cfg.min_count)[: cfg.max_size]))


def describe(column: pa.Array, cfg: Config) -> str:
    """How many labels are rare, which are spelled in several ways, and which settings say so."""
    spellings = _spellings.sentence("{name}", cfg.kind, cfg.spellings) if cfg.spellings else ""
    rarity = category.rarity(parse(column, cfg).drop_null().flatten(), cfg.min_count, "label")
    return "; ".join(filter(None, (rarity, spellings)))


def statistics(values: pa.Array) -> dict[str, Any]:
    """Missing cells, how many labels there are, and how many rows have the most frequent ones."""
    return {**category.statistics(values.flatten()), "missing": values.null_count}


def encode(values: pa.Array, state: State) -> np.ndarray:
    """(rows, labels + 1) float32 zeros and ones; the last is 1 where a label is rare or was never seen."""
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    places = pc.index_in(pc.list_flatten(values), value_set=pa.array(state.values, pa.string()))
    place = pc.fill_null(places, len(state.values)).to_numpy(zero_copy_only=False)
    out = np.zeros((len(values), len(state.values) + 1), np.float32)
    out[np.repeat(np.arange(len(values)), lengths), place] = 1
    return out


def rare(values: pa.Array, state: State) -> np.ndarray:
    """(rows,) whether there is a label that is none of the known ones."""
    return encode(values, state)[:, -1] > 0


def golden(state: State, cfg: Config, rng: np.random.Generator, count: int) -> list[Any]:
    """Made-up cells of known labels, so that nobody's set of labels leaves with a bundle; JSON lists as text."""
    names = np.array(state.values, dtype=object)
    sets = (names[rng.random(len(names)) < min(0.5, 2 / max(len(names), 1))] for _ in range(count))
    return [json.dumps(sorted(labels), ensure_ascii=False) for labels in sets]


def domain(state: State, cfg: Config) -> Domain:
    """Any of the labels that enough training rows had."""
    return Domain("choices", values=state.values)


def feed(state: State) -> Input:
    width = len(state.values) + 1
    return Input(kind="number", shape=(width,), dtype="float32", edges=((0.0, 1.0),) * width)
