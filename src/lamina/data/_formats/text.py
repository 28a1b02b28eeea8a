"""Any text file as one plain form: UTF-8 bytes without a BOM, lines ending in LF or CRLF."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa

from lamina.config import DataError
from lamina.resources import disk

COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BLOCK = 1 << 22
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class Text(NamedTuple):
    """A readable form of `file`. `clean`: all valid in `encoding`, no NUL byte, and one kind of line end."""

    file: Path
    path: Path
    encoding: str
    clean: bool
    notes: tuple[str, ...] = ()


class Survey(NamedTuple):
    """Counts over a whole file: CR, LF, the two together, letters beyond ASCII, bytes not valid in its encoding."""

    crs: int
    lfs: int
    both: int
    letters: int
    bad: int
    nul: bool


def readable(file: Path, encoding: str, stack: ExitStack) -> Text:
    """The file itself when it is plain already, else a temporary copy that lives as long as `stack`.

    Line numbers are those of the original. Bytes that are not valid in the encoding stay as they are, so
    that the rows holding them can be told. Errors: DataError for a damaged archive or an unknown encoding.
    """
    try:
        codec, bom, notes = _codec(file, encoding)
        counts = _survey(file, codec, bom)
        if encoding == "auto" and codec == "utf-8" and counts.bad > counts.letters:
            # Five bytes have no meaning in cp1252; Latin-1 knows all 256.
            codec = "cp1252" if not _survey(file, "cp1252", bom).bad else "latin-1"
            counts = counts._replace(bad=0)
            notes = (*notes, f"{file}: is not valid UTF-8; read as {codec}. Set encoding to choose another.")
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowInvalid) as error:
        raise DataError(f"{file}: cannot be read ({error}). Check its permissions or fetch it anew.") from None
    except UnicodeError as error:
        raise DataError(f"{file}: is not valid text ({error}). Set encoding to the right one.") from None
    old_mac = counts.crs > 0 and not counts.lfs
    clean = not counts.bad and not counts.nul and (old_mac or not counts.crs or counts.crs == counts.lfs == counts.both)
    if codec == "utf-8" and not bom and not old_mac and file.suffix.lower() not in COMPRESSED:
        return Text(file, file, codec, clean, notes)
    texts = (text.replace("\r", "\n") if old_mac else text for text in _texts(file, codec, bom))
    copy = plain_copy(file, (text.encode("utf-8", "surrogateescape") for text in texts), stack)
    return Text(file, copy, codec, clean, notes)


def plain_copy(file: Path, blocks: Iterable[bytes], stack: ExitStack) -> Path:
    """Blocks of bytes as a temporary file that lives as long as `stack`. Errors: StorageError naming `file`."""
    with disk.guard(f"a plain copy of {file} in {gettempdir()} ($TMPDIR)"):
        copy = Path(stack.enter_context(TemporaryDirectory(prefix="lamina-"))) / "plain"
        with copy.open("wb") as out:
            out.writelines(blocks)
    return copy


def open_bytes(file: Path) -> BinaryIO:
    """The bytes of a file, decompressed when its name says so."""
    match file.suffix.lower():
        case ".gz":
            return cast("BinaryIO", gzip.open(file))
        case ".bz2":
            return cast("BinaryIO", bz2.open(file))
        case ".xz":
            return cast("BinaryIO", lzma.open(file))
        case ".zst":
            return cast("BinaryIO", pa.input_stream(file, compression="zstd"))
    return file.open("rb")


def _codec(file: Path, encoding: str) -> tuple[str, int, tuple[str, ...]]:
    """Codec, bytes of BOM to skip, notes."""
    with open_bytes(file) as stream:
        head = stream.read(1024)
    for mark, codec in BOMS:
        if head.startswith(mark) and _canonical(encoding).startswith(("auto", codec[:6].rstrip("-"))):
            return codec, len(mark), () if codec == "utf-8" else (f"{file}: read as {codec.upper()}.",)
    if encoding != "auto":
        return _canonical(encoding), 0, ()
    # Text in UTF-16 without a BOM shows as a NUL in every second byte.
    for codec, nuls in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
        if len(nuls) >= 4 and nuls.count(0) > 0.8 * len(nuls):
            return codec, 0, (f"{file}: read as {codec.upper()}.",)
    return "utf-8", 0, ()


def _canonical(encoding: str) -> str:
    try:
        name = "auto" if encoding == "auto" else codecs.lookup(encoding).name
        "a".encode("utf-8" if name == "auto" else name)
    except LookupError:
        raise DataError(f"data.encoding: there is no text encoding '{encoding}'. Try auto, utf-8 or cp1252.") from None
    return name


def _survey(file: Path, codec: str, bom: int) -> Survey:
    """One look at the whole file. Some valid UTF-8 letters and a few bad bytes is damage; none, another encoding."""
    crs = lfs = both = letters = bad = 0
    nul = after_cr = False
    for text in _texts(file, codec, bom):
        crs, lfs, nul = crs + text.count("\r"), lfs + text.count("\n"), nul or "\0" in text
        both += text.count("\r\n") + (after_cr and text.startswith("\n"))
        after_cr = text.endswith("\r")
        if not text.isascii():
            valid = text.encode("utf-8", "ignore").decode()
            bad += len(text) - len(valid)
            letters += len(valid) - len(valid.encode("ascii", "ignore"))
    return Survey(crs, lfs, both, letters, bad, nul)


def _texts(file: Path, codec: str, bom: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)("surrogateescape")
    with open_bytes(file) as stream:
        stream.read(bom)
        while block := stream.read(BLOCK):
            yield decoder.decode(block)
        yield decoder.decode(b"", final=True)
