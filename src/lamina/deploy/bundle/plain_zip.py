"""A stored zip, read record by record: every byte of it is accounted for, and no two readers can differ on it.

A member lies behind the one before, its two headers say the same, and nothing lies between, before or behind. So there
is no name twice, no hidden or overlapping member, no link, no size that follows, no zip64 and no extra field.
"""

import io
import stat
import struct
import zlib
from typing import BinaryIO, NamedTuple

MOST = 32  # members of a bundle, with some to spare
LIST_BYTES = 1 << 16  # of the list of members
LOCAL, LISTED, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"
VERSION, UTF8 = 20, 0x800  # of the format, and the flag of names in UTF-8
PLAIN = 0x21  # attributes of a plain file on DOS: read-only, archive
CURE = "pack it with: lamina export BUNDLE -o FILE.lamina"


class Member(NamedTuple):
    """Where the bytes of a member lie, and their checksum."""

    start: int
    size: int
    checksum: int


class _Record(NamedTuple):
    """An entry of the list of members, in the order of the format."""

    mark: bytes
    writer: int
    version: int
    flags: int
    method: int
    time: int
    date: int
    checksum: int
    packed: int
    size: int
    name: int
    extra: int
    comment: int
    disk: int
    internal: int
    external: int
    start: int


def members(file: BinaryIO) -> dict[str, Member]:
    """The members by name. Raises `ValueError` with a reason for anything but a plain zip."""
    entries, count, end = _list(file)
    result, at, place = dict[str, Member](), 0, 0
    for _ in range(count):
        record = _Record._make(struct.unpack_from(LISTED, entries, place))
        place += struct.calcsize(LISTED)
        raw = entries[place : place + record.name]
        place += record.name
        name = _name(raw, record)
        _check(record, name)
        if name in result:
            raise ValueError(f"the name '{name}' is there twice")
        start = at + struct.calcsize(LOCAL) + len(raw)
        if start + record.size > end:
            raise ValueError("its members are larger than the file")
        if record.start != at or _header(file, at, start - at) != _expected(record, raw):
            raise ValueError(f"the two headers of '{name}' differ, or something lies before it")
        result[name], at = Member(start, record.size, record.checksum), start + record.size
    if at != end or place != len(entries):
        raise ValueError("something lies between its members and their list")
    return result


def read(file: BinaryIO, member: Member) -> bytes:
    """The bytes of a member. Raises `ValueError` where they are damaged."""
    file.seek(member.start)
    body = file.read(member.size)
    if zlib.crc32(body) != member.checksum:
        raise ValueError("differs from its checksum")
    return body


def _list(file: BinaryIO) -> tuple[bytes, int, int]:
    """The list of members, how many there are, and where it begins; it is small and ends the file."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - struct.calcsize(END)))
    tail = file.read()
    if len(tail) < struct.calcsize(END):
        raise ValueError("not a zip")
    mark, disk, first, here, count, length, start, comment = struct.unpack(END, tail)
    if mark != b"PK\5\6" or disk or first or comment or here != count:
        raise ValueError("not a plain zip")
    if count > MOST or length > LIST_BYTES or start + length + len(tail) != size:
        raise ValueError("its list of members is too long, or something follows it")
    file.seek(start)
    return file.read(length), count, start


def _header(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _expected(record: _Record, name: bytes) -> bytes:
    """The header in front of a member that says what the list says."""
    fields = (record.version, record.flags, record.method, record.time, record.date)
    sizes = (record.checksum, record.packed, record.size, len(name), 0)
    return struct.pack(LOCAL, b"PK\3\4", *fields, *sizes) + name


def _name(raw: bytes, record: _Record) -> str:
    if len(raw) != record.name or not raw or not raw.isascii() or not raw.decode("ascii").isprintable():
        raise ValueError("a name of a member is empty, cut short or no plain text")
    return raw.decode("ascii")


def _check(record: _Record, name: str) -> None:
    if record.mark != b"PK\1\2":
        raise ValueError("its list of members is damaged")
    if record.method or record.flags not in (0, UTF8):
        raise ValueError(f"the member '{name}' is compressed or encrypted; {CURE}")
    if record.packed != record.size:
        raise ValueError(f"the member '{name}' has two sizes")
    if record.extra or record.comment or record.disk or record.version > VERSION or record.internal > 1:
        raise ValueError(f"the member '{name}' has fields of its own; {CURE}")
    mode = record.external >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or mode & 0o7000 or record.external & 0xFFFF & ~PLAIN:
        raise ValueError(f"the member '{name}' is a link, a folder or no plain file")
