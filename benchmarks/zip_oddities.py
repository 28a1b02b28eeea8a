"""Zips that two readers may understand differently, of the files of a good bundle."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

Files = dict[str, bytes]
LOCAL, CENTRAL, END = "<4s5H3I2H", "<4s6H3I5H2I", "<4s4H2IH"


class Entry(NamedTuple):
    """One member as its two headers say it."""

    name: bytes
    body: bytes
    local: dict[str, int | bytes]
    central: dict[str, int | bytes]


def stored(files: Files) -> bytes:
    """An honest zip, stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, body in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), body)
    return out.getvalue()


def written(entries: list[Entry], front: bytes = b"", between: bytes = b"", tail: bytes = b"", **end: int) -> bytes:
    """A zip of entries, any field of whose headers may lie."""
    out, listed = front, b""
    for entry in entries:
        at = len(out)
        honest: dict[str, int | bytes] = {
            "needed": 20, "flags": 0, "method": 0, "time": 0, "date": 33, "crc": zlib.crc32(entry.body),
            "packed": len(entry.body), "size": len(entry.body), "name": entry.name, "extra": b"", "by": 0x314,
            "comment": b"", "disk": 0, "internal": 0, "external": 0, "at": at, "after": b"",
        }  # fmt: skip
        fields = honest | entry.local
        out += _local(fields) + entry.body + _bytes(fields["after"]) + between
        listed += _central(honest | entry.central)
    start = len(out)
    values = {"disk": 0, "first": 0, "here": len(entries), "count": len(entries), "length": len(listed), "start": start}
    values |= end
    record = struct.pack(END, b"PK\5\6", values["disk"], values["first"], values["here"], values["count"],
                         values["length"], values["start"], 0)  # fmt: skip
    return out + listed + record + tail


def _bytes(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else b""


def _local(f: dict[str, int | bytes]) -> bytes:
    name, extra = _bytes(f["name"]), _bytes(f["extra"])
    numbers = (f["needed"], f["flags"], f["method"], f["time"], f["date"], f["crc"], f["packed"], f["size"])
    return struct.pack(LOCAL, b"PK\3\4", *numbers, len(name), len(extra)) + name + extra


def _central(f: dict[str, int | bytes]) -> bytes:
    name, extra, comment = _bytes(f["name"]), _bytes(f["extra"]), _bytes(f["comment"])
    numbers = (f["by"], f["needed"], f["flags"], f["method"], f["time"], f["date"], f["crc"], f["packed"], f["size"])
    sizes = (len(name), len(extra), len(comment), f["disk"], f["internal"], f["external"], f["at"])
    return struct.pack(CENTRAL, b"PK\1\2", *numbers, *sizes) + name + extra + comment


def entries(files: Files, **of_first: dict[str, int | bytes]) -> list[Entry]:
    """Honest entries; `local` and `central` are lies of the first one."""
    all_of_them = [Entry(name.encode(), body, {}, {}) for name, body in sorted(files.items())]
    first = all_of_them[0]
    all_of_them[0] = first._replace(local=of_first.get("local", {}), central=of_first.get("central", {}))
    return all_of_them


def lie(where: str, **fields: int | bytes) -> Callable[[Files], bytes]:
    """A zip one header of which lies: of both, or of the `local` or `central` one."""
    sides = ("local", "central") if where == "both" else (where,)
    return lambda files: written(entries(files, **dict.fromkeys(sides, fields)))


def extra_member(name: bytes, body: bytes = b"x", external: int = 0) -> Callable[[Files], bytes]:
    return lambda files: written([*entries(files), Entry(name, body, {}, {"external": external})])


def twice(files: Files) -> bytes:
    return written([*entries(files), entries(files)[0]])


def hidden_member(files: Files) -> bytes:
    """A member between two others that the list does not name."""
    whole = entries(files)
    between = _local({"needed": 20, "flags": 0, "method": 0, "time": 0, "date": 33, "crc": 0, "packed": 0, "size": 0,
                      "name": b"evil", "extra": b""})  # fmt: skip
    return written([whole[0]._replace(local={"after": between}), *whole[1:]])


def overlapping(files: Files) -> bytes:
    """Two entries of the list at one place."""
    whole = entries(files)
    return written([whole[0], whole[1]._replace(central={"at": 0}), *whole[2:]])


def deflated(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


def bomb(files: Files) -> bytes:
    return deflated(files | {"CARD.md": bytes(50_000_000)})


def reversed_order(files: Files) -> bytes:
    """The list names the members in another order than they lie in."""
    body = written(entries(files))
    start = struct.unpack(END, body[-22:])[6]
    records, at = [], start
    while body[at : at + 4] == b"PK\1\2":
        fields = struct.unpack(CENTRAL, body[at : at + 46])
        size = 46 + sum(fields[10:13])
        records.append(body[at : at + size])
        at += size
    return body[:start] + b"".join(reversed(records)) + body[-22:]


def zip64(files: Files) -> bytes:
    """The end of a zip64 before the end."""
    body = written(entries(files))
    count, length, start = struct.unpack(END, body[-22:])[4:7]
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, length, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, start + length, 1)
    return body[:-22] + record + locator + body[-22:]


def descriptor(files: Files) -> bytes:
    """A flag that says that sizes follow the member, and sizes that disagree."""
    follow = struct.pack("<4s3I", b"PK\7\x08", 1, 2, 3)
    zero: dict[str, int | bytes] = {"flags": 8, "crc": 0, "packed": 0, "size": 0, "after": follow}
    return written(entries(files, local=zero, central={"flags": 8}))


def silent_descriptor(files: Files) -> bytes:
    """The same, the flag in the member's own header only."""
    zero: dict[str, int | bytes] = {"flags": 8, "crc": 0, "packed": 0, "size": 0}
    return written(entries(files, local=zero))


def resized(files: Files) -> bytes:
    """A list that reads one byte less of a member than its own header says."""
    size = len(entries(files)[0].body)
    return written(entries(files, central={"size": size - 1, "packed": size - 1}))


EXTRA = struct.pack("<HHB", 0x5455, 5, 1) + b"\0\0\0\0"
UNICODE_NAME = struct.pack("<HHB", 0x7075, 9, 1) + b"\0\0\0\0evil"
ZIP64_EXTRA = struct.pack("<HHQQ", 1, 16, 1, 1)
LINK, FOLDER, PIPE, SET_ID = 0o120777 << 16, 0o040755 << 16, 0o010644 << 16, 0o104755 << 16

ODDITIES: dict[str, Callable[[Files], bytes]] = {
    "honest zip": lambda files: written(entries(files)),
    "a name twice": twice,
    "a name in another case": extra_member(b"card.md"),
    "a name in other letters": extra_member("CARD\u2024md".encode()),
    "a name in another normal form": extra_member("CA\u0301RD.md".encode()),
    "a name that is no UTF-8": extra_member(b"\xff\xfe"),
    "a name with NUL": extra_member(b"CARD.md\0.txt"),
    "an empty name": extra_member(b""),
    "an absolute path": extra_member(b"/etc/passwd"),
    "a path upwards": extra_member(b"../x"),
    "a path with backslashes": extra_member(b"..\\x"),
    "a drive": extra_member(b"C:\\x"),
    "a device's name": extra_member(b"NUL"),
    "a folder": extra_member(b"more/", b""),
    "a folder's attribute": lie("central", external=FOLDER),
    "a folder's attribute of DOS": lie("central", external=0x10),
    "a link": lie("central", external=LINK),
    "a pipe": lie("central", external=PIPE),
    "a program with set-user-id": lie("central", external=SET_ID),
    "encrypted": lie("both", flags=1),
    "encrypted, by the member": lie("local", flags=1),
    "encrypted strongly": lie("both", flags=0x41),
    "encrypted list": lie("both", flags=0x2000),
    "sizes behind the member": descriptor,
    "sizes behind the member, by the member": silent_descriptor,
    "UTF-8 flag": lie("both", flags=0x800),
    "UTF-8 flag of one header": lie("local", flags=0x800),
    "another name in the member's header": lie("local", name=b"EVIL.md"),
    "another size in the member's header": lie("local", size=1),
    "another packed size in the member's header": lie("local", packed=1),
    "another checksum in the member's header": lie("local", crc=1),
    "another checksum": lie("both", crc=1),
    "another method in the member's header": lie("local", method=8),
    "another time in the member's header": lie("local", time=77),
    "a method of the future": lie("both", method=99),
    "a method without packing": lie("both", method=8),
    "a version of the future": lie("both", needed=63),
    "a version of the future in one header": lie("local", needed=45),
    "an extra field": lie("both", extra=EXTRA),
    "an extra field in the member's header": lie("local", extra=EXTRA),
    "an extra field in the list": lie("central", extra=EXTRA),
    "an extra field that is cut short": lie("central", extra=b"\x01\x00\xff"),
    "an extra name in Unicode": lie("central", extra=UNICODE_NAME),
    "an extra field of zip64": lie("both", extra=ZIP64_EXTRA),
    "sizes of zip64": lie("central", size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=ZIP64_EXTRA),
    "end of a zip64": zip64,
    "a member's comment": lie("central", comment=b"hello"),
    "a member on another disk": lie("central", disk=1),
    "an unknown inner attribute": lie("central", internal=0x8000),
    "a member behind the end": lie("central", at=0x7FFFFFFF),
    "a member in the list": lie("central", at=1),
    "overlapping members": overlapping,
    "a hidden member": hidden_member,
    "gaps between members": lambda files: written(entries(files), between=b"\0" * 7),
    "a zip behind a program": lambda files: written(entries(files), front=b"#!/bin/sh\nexit\n"),
    "bytes in front, unaccounted": lambda files: b"#!/bin/sh\n" + written(entries(files)),
    "bytes behind": lambda files: written(entries(files), tail=b"tail"),
    "a comment": lambda files: written(entries(files))[:-2] + b"\4\0tail",
    "two zips": lambda files: written(entries(files)) * 2,
    "a list in another order": reversed_order,
    "a list that is too short": lambda files: written(entries(files), length=10),
    "a list of one less": lambda files: written(entries(files), here=len(files) - 1, count=len(files) - 1),
    "a list of one more": lambda files: written(entries(files), here=len(files) + 1, count=len(files) + 1),
    "another start of the list": lambda files: written(entries(files), start=0),
    "another disk": lambda files: written(entries(files), disk=1, first=1),
    "compressed": deflated,
    "compressed, 50 MB of zeros": bomb,
    "a byte less of a member": resized,
    "cut short": lambda files: written(entries(files))[:-50],
    "empty": lambda files: b"",
}
