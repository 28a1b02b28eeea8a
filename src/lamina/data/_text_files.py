"""What a plain text file is: text by its bytes, a table by its lines, lines that are texts, or running text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from lamina.data._formats.text import COMPRESSED, Text, open_bytes, readable
from lamina.schema import IMAGE_SUFFIXES

TEXTS = (".txt", ".text", ".md")
MARKUP = (".xml", ".html", ".htm", ".ts", ".arff", ".yaml", ".yml")  # text by its bytes, and nothing to learn from
HEAD, FIRST_FILES = 1 << 20, 5  # bytes looked at, and files of a folder
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
DELIMITERS = "\t;|,"
MOST = 0.9  # of the lines of a table have as many cells each
LEAST_ROWS = 3  # of a table whose cells blanks alone set off
LEAST_CELLS = 4  # of a line, where a comma has a blank behind it as in a sentence
PIECE = 1 << 16  # characters of running text in a row, about
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?")
LABEL = re.compile(r"(__label__\S+|-?\d{1,3})[ \t]+(?=\S)")
LABELS, ROWS_EACH = 32, 3  # labels at most, and rows of each on average, for words before a text to be labels
QUOTE = re.compile(r'\t"[^"\t]*$|\t"[^"]*"[^"\t]')  # which no delimited table has: it is a part of the text
PLAIN, LABELLED, PAIRS = "plain", "labelled", "pairs"


class Look(NamedTuple):
    """What the first lines of a file say: whether it is a table, whether each line is a text, how labels stand, and
    whether there are several lines.
    """

    table: bool
    lines: bool
    labels: str
    several: bool


def bare_suffix(path: Path) -> str:
    """The suffix without that of a compression."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSED else path).suffix.lower()


def has_text_name(path: Path) -> bool:
    return bare_suffix(path) in TEXTS


def is_binary(head: bytes) -> bool:
    """Whether bytes are no text: NULs, but for those of UTF-16, and beginnings of other formats."""
    if head.startswith((*UTF_16, b"\xef\xbb\xbf")):
        return False
    if head.startswith((b"PK\x03\x04", b"PAR1", b"ARROW1", b"%PDF", b"\x1f\x8b", b"\xd0\xcf\x11\xe0", b"{\\rtf")):
        return True
    nuls = [half.count(0) for half in (head[0::2], head[1::2])]
    return sum(nuls) > 0 and max(nuls) <= 0.8 * len(head) / 2 and sum(nuls) > len(head) / 100


def decode(body: bytes) -> tuple[str, str]:
    """The text of a small file and its encoding; every byte has a meaning in the last of those tried."""
    for mark, codec in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return _lines(body.decode(codec, "replace")), codec.removesuffix("-sig")
    halves = [half.count(0) > 0.8 * len(half) > 3 for half in (body[1:1024:2], body[0:1024:2])]
    guesses = ["utf-16-le"] * halves[0] + ["utf-16-be"] * halves[1] + ["utf-8", "cp1252"]
    for codec in guesses:
        try:
            return _lines(body.decode(codec)), codec
        except UnicodeDecodeError:
            continue
    return _lines(body.decode("latin-1")), "latin-1"


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def look(path: Path) -> Look:
    """What a file is, by its first megabyte."""
    with open_bytes(path) as file:
        head = file.read(HEAD)
    lines = decode(head)[0].split("\n")
    whole = lines[:-1] if len(head) == HEAD and len(lines) > 1 else lines
    solid = [line for line in whole if line.strip()]
    blanks = any(not line.strip() for line in (whole[:-1] if not whole[-1] else whole))
    labels = labels_in(solid)
    return Look(labels != PAIRS and _is_table(solid), len(solid) > 1 and not blanks, labels, len(solid) > 1)


def labels_in(lines: Sequence[str]) -> str:
    """How labels stand before texts: a number or `__label__` and a blank, a word and a tab with odd quotes, or not."""
    starts = [LABEL.match(line) for line in lines]
    if len(lines) > 1 and all(starts) and _are_few([start[1] for start in starts if start]):
        rest = [line[start.end() :] for line, start in zip(lines, starts, strict=True) if start]
        return LABELLED if not _are_numbers(rest) and len({len(one.split()) for one in rest}) > 1 else PLAIN
    tabs = all(line.count("\t") == 1 for line in lines)
    if tabs and any(map(QUOTE.search, lines)) and _are_few([line.partition("\t")[0] for line in lines]):
        return PAIRS
    return PLAIN


def _are_few(labels: Sequence[str]) -> bool:
    counts = Counter(labels)
    return 1 < len(counts) <= min(LABELS, len(labels) / ROWS_EACH)


def _is_table(lines: Sequence[str]) -> bool:
    """Whether lines are those of a table: so many cells in nearly each, or nothing but numbers."""
    if not lines or (len(lines) == 1 and len(lines[0].split()) < 5):
        return True
    body = lines[len(lines) // 5 :]  # a table may have a title
    return _are_numbers(body) or any(_are_cells(body, by) for by in DELIMITERS) or _are_aligned(body)


def _are_numbers(lines: Sequence[str]) -> bool:
    plain = sum(all(map(NUMBER.fullmatch, re.split(r"[\s,;|]+", line.strip(" \t,;|")))) for line in lines)
    return plain >= MOST * len(lines)


def _are_cells(lines: Sequence[str], by: str) -> bool:
    if sum(by in line for line in lines) < len(lines) / 4:
        return False
    try:
        counts = Counter(map(len, csv.reader(io.StringIO("\n".join(lines)), delimiter=by, strict=False)))
    except csv.Error:
        return False
    cells, times = counts.most_common(1)[0]
    if cells < 2 or times < MOST * counts.total() or counts.total() < 2:
        return False
    sentence = sum(line.count(f"{by} ") for line in lines) > sum(line.count(by) for line in lines) / 2
    return by in "\t|" or not sentence or cells >= LEAST_CELLS


def _are_aligned(lines: Sequence[str]) -> bool:
    """Whether blanks alone stand between as many cells each, of which a column is numbers."""
    cells = [line.split() for line in lines]
    width, times = Counter(map(len, cells)).most_common(1)[0]
    if len(lines) < LEAST_ROWS or width < 2 or times < MOST * len(lines):
        return False
    columns = zip(*(line for line in cells if len(line) == width), strict=True)
    return any(sum(bool(NUMBER.fullmatch(cell)) for cell in column) >= MOST * times for column in columns)


def plain(path: Path, encoding: str, stack: ExitStack) -> Text:
    """A file of any size as UTF-8, by the reader of tables. Errors: DataError."""
    return readable(path, encoding, stack)


def lines_of(text: Text) -> Iterator[str]:
    """The lines of a file without their ends; a byte that means nothing is U+FFFD."""
    with text.path.open(encoding="utf-8-sig", errors="replace") as file:
        yield from (line.rstrip("\n") for line in file)


def pieces_of(text: Text) -> Iterator[str]:
    """Running text in pieces of whole lines, which together are all of it."""
    with text.path.open(encoding="utf-8-sig", errors="replace") as file:
        rest = ""
        while block := file.read(PIECE):
            head, end, rest = (rest + block).rpartition("\n")
            if head or end:
                yield head + end
        if rest:
            yield rest


def are_tables(paths: Sequence[Path]) -> bool:
    """Whether files with names of texts are tables of several rows, by the first few of them."""
    try:
        return all(view.table and view.several for view in map(look, paths[:FIRST_FILES]))
    except (OSError, EOFError, ValueError):  # told of by the source that reads it
        return False


def claims_file(path: Path, tables: Sequence[str]) -> bool:
    """Whether a file holds texts. `tables`: suffixes of files that are tables whatever they hold."""
    suffix = bare_suffix(path)
    if (suffix in tables and suffix not in TEXTS) or suffix in (*IMAGE_SUFFIXES, *MARKUP):
        return False
    try:
        with open_bytes(path) as file:
            head = file.read(4096)
        return bool(head) and not is_binary(head) and not look(path).table
    except (OSError, EOFError, ValueError):  # told of by the source that reads it
        return False
