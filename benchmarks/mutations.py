"""Ways to damage a file, each a function of a random generator: bytes at random, and the fields a format trusts."""

import gzip
import hashlib
import json
import random
import re
import struct
import zlib

from mutant_seeds import pack, seeds, unpack

EXTREMES = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
ZIPPED = ("excel", "npz", "zip", "bundle")
JSON_CELLS = (
    "[" * 100_000, '{"a":' * 50_000, "1e999", "-1e308", "9" * 5000, "NaN", "Infinity",
    '"\\ud800"', "null", "true", "{}",
    '{"age": {"age": 1}}', '[[[[[[1]]]]]]', '""', '"' + "x" * 100_000 + '"',
    "{" + ",".join(f'"k{i}":1' for i in range(3000)) + "}",
    '"9999-12-31T23:59:59Z"', '"0000-00-00"', '{"bytes": "a"}',
)  # fmt: skip
TEXT_CELLS = (
    '"', '""', "\0", "\r", "\n", ";", ",", "\t", "1e999", "-1e400", "9" * 400, "nan", "\ufeff", "\ud83d", "x" * 200_000,
    "9999-12-31", "0001-01-01", "24:00", "99999999-01-01", "1e308", "5e-324", "0x10", "'", "=1+1", ",".join("a" * 3000),
)  # fmt: skip
SHAPES = (
    "(9223372036854775807,)", "(0,)", "()", "(4294967296, 4294967296)", "(48, -1)", "(48, 0, 5)",
    "(1000000000, 8, 8, 3)",
    "(48, 1, 1, 1, 1, 192)", "(100000, 100000)", "(0, 8, 8, 3)", "(1,)", "(9216,)", "('a',)",
)  # fmt: skip
TYPES = (
    "|O",
    "<U999999999",
    "|V8",
    "<M8[ns]",
    "<c16",
    "|b1",
    ">f8",
    "<f2",
    "|S0",
    "|u1",
    "<f16",
    "[('a','<i8')]",
    "(2,3)f4",
)
XML_NUMBERS = (
    "0",
    "-1",
    "1048576",
    "4294967295",
    "99999999999999999999",
    "1e308",
    "NaN",
    "",
    "XFD1048576",
    "A1:XFD1048576",
)


def mutate(form: str, case: int, seed: int) -> tuple[str, bytes]:
    """The name and the bytes of one mutant; the first cases of a format are its seeds as they are."""
    sources = seeds(form)
    if case < len(sources):
        return sources[case]
    rng = random.Random(f"{seed}/{form}/{case}")
    name, body = rng.choice(sources)
    if rng.random() < 0.6:
        body = _aware(form, name, body, rng)
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            body = _damage(body, rng, form)
    return name, body


def _damage(body: bytes, rng: random.Random, form: str) -> bytes:
    """One thing wrong with the bytes, wherever it may be."""
    size = len(body)
    if not size:
        return body
    at, length = rng.randrange(size), rng.choice((1, 2, 4, 8, 16, 64, 300))
    match rng.randrange(9):
        case 0 | 1:
            changed = bytearray(body)
            for _ in range(rng.choice((1, 1, 2, 8, 40))):
                changed[rng.randrange(size)] ^= 1 << rng.randrange(8)
            return bytes(changed)
        case 2:
            return body[:at] + rng.randbytes(length) + body[at:]
        case 3:
            return body[:at] + body[at + length :]
        case 4:
            return body[:at]
        case 5:
            return body[:at] + body[at : at + length] * rng.choice((2, 3, 100)) + body[at + length :]
        case 6:
            other = rng.choice(seeds(form))[1]
            return body[:at] + other[rng.randrange(len(other)) :]
        case 7:
            return _with_integer(body, at, rng)
        case _:
            to = rng.randrange(size)
            return body[:to] + body[at : at + length] + body[to + length :]


def _with_integer(body: bytes, at: int, rng: random.Random) -> bytes:
    """An integer that is too large or too small for what it counts."""
    width = rng.choice((1, 2, 4, 8, 4, 8))
    at -= at % width * (rng.random() < 0.8)
    value = rng.choice(EXTREMES) if rng.random() < 0.8 else rng.getrandbits(8 * width)
    packed = (value % (1 << 8 * width)).to_bytes(width, rng.choice(("little", "little", "big")))
    return body[:at] + packed + body[at + width :]


def _aware(form: str, name: str, body: bytes, rng: random.Random) -> bytes:
    """One thing wrong at a place that the format trusts."""
    if name.endswith(".gz"):
        return gzip.compress(_aware(form, name.removesuffix(".gz"), gzip.decompress(body), rng), mtime=0)
    if form in ZIPPED:
        return _member(form, body, rng)
    if form == "parquet":
        size = struct.unpack("<I", body[-8:-4])[0]
        return _thrift(body, len(body) - 8 - size, size, rng)
    if form == "feather":
        return _words(body, rng)
    if name.endswith(".png"):
        return _png(body, rng)
    if form in ("json", "jsonl"):
        return _cell(body, rng, JSON_CELLS, rb"[^\[\]{},:\s]+")
    if form in ("csv", "recordings"):
        codec = "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin-1"
        text = body.decode(codec).encode("utf-8", "surrogatepass")
        changed = _cell(text, rng, TEXT_CELLS, rb"[^,;\t\n:]+").decode("utf-8", "surrogateescape")
        return changed.encode(codec, "replace")
    return _with_integer(body, rng.randrange(min(200, len(body))), rng)


def _cell(body: bytes, rng: random.Random, cells: tuple[str, ...], pattern: bytes) -> bytes:
    spots = [match.span() for match in re.finditer(pattern, body)] or [(0, 0)]
    start, end = rng.choice(spots)
    return body[:start] + rng.choice(cells).encode("utf-8", "surrogatepass") + body[end:]


def _words(body: bytes, rng: random.Random) -> bytes:
    """A word of the metadata or of a buffer; there is something at most of the words that are not zero."""
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(body) // 4) * 4
        near = [spot for spot in range(at, min(at + 256, len(body) - 8), 4) if body[spot : spot + 4] != b"\0\0\0\0"]
        body = _with_integer(body, rng.choice(near) if near else at, rng)
    return body


def _thrift(body: bytes, start: int, size: int, rng: random.Random) -> bytes:
    """A number of the footer as another varint, of as many bytes, so that what is behind stays where it is."""
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 3))):
        at = start + rng.randrange(max(1, size)) if rng.random() < 0.7 else rng.randrange(len(body))
        width = rng.choice((1, 1, 2, 5, 9))
        filler = bytes(rng.choice((0x80, 0xFF)) for _ in range(width - 1)) + bytes([rng.choice((0, 1, 2, 3, 0x7F))])
        changed[at : at + width] = filler[: max(0, len(changed) - at)]
    return bytes(changed)


def _png(body: bytes, rng: random.Random) -> bytes:
    """One chunk changed, and its check sum right again."""
    chunks, at = [], 8
    while at + 12 <= len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        chunks.append((body[at + 4 : at + 8], body[at + 8 : at + 8 + length]))
        at += 12 + length
    place = rng.randrange(len(chunks))
    kind, inside = chunks[place]
    sort = rng.randrange(4)
    if sort == 0 and inside:
        inside = _with_integer(inside, rng.randrange(len(inside)), rng)
    elif sort == 1 and kind == b"IHDR":
        inside = struct.pack(">II", *(rng.choice((0, 1, 20, 65535, 40_000, 2**31 - 1)) for _ in range(2))) + inside[8:]
    elif sort == 2:
        kind = rng.choice((b"PLTE", b"IDAT", b"tRNS", b"acTL", b"iCCP", b"IEND", b"eXIf"))
    else:
        chunks.insert(rng.randrange(len(chunks)), chunks[rng.randrange(len(chunks))])
    chunks[place] = kind, inside
    parts = [struct.pack(">I", len(i)) + k + i + struct.pack(">I", zlib.crc32(k + i)) for k, i in chunks]
    return body[:8] + b"".join(parts)


def _member(form: str, body: bytes, rng: random.Random) -> bytes:
    """One member changed and packed anew, so that every check sum is right, or a number in the zip's own records."""
    if rng.random() < 0.2:
        spots = [match.start() for match in re.finditer(rb"PK(\x01\x02|\x03\x04|\x05\x06)", body)]
        return _with_integer(body, rng.choice(spots) + 4 + rng.randrange(40), rng)
    members = unpack(body)
    name = rng.choice(list(members))
    if form == "excel":
        name = rng.choice([name for name in members if name.endswith(".xml")])
    inside = members[name]
    if form == "npz" and rng.random() < 0.7:
        inside = _npy(inside, rng)
    elif form == "excel" and rng.random() < 0.7:
        inside = _xml(inside, rng)
    elif name.endswith(".json") and rng.random() < 0.7:
        inside = _cell(inside, rng, JSON_CELLS, rb"[^\[\]{},:\s]+")
    elif rng.random() < 0.1:
        inside = b"\0" * rng.choice((0, 1 << 20, 1 << 25))
    else:
        inside = _damage(inside, rng, form)
    members[name] = inside
    if form == "bundle" and name != "manifest.json":
        _hash_again(members, name)
    return pack(members, set(members) if form == "bundle" or rng.random() < 0.3 else set())


def _hash_again(members: dict[str, bytes], name: str) -> None:
    """As somebody would who means it."""
    manifest = json.loads(members["manifest.json"])
    for entry in manifest["files"]:
        if entry["path"] == name:
            entry |= {"bytes": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
    members["manifest.json"] = json.dumps(manifest).encode()


def _npy(body: bytes, rng: random.Random) -> bytes:
    """Another header of an array, as long as it says."""
    size = int.from_bytes(body[8:10], "little")
    head, rest = body[10 : 10 + size].decode("latin-1"), body[10 + size :]
    sort = rng.randrange(3)
    if sort == 0:
        head = re.sub(r"'shape': \([^)]*\)", f"'shape': {rng.choice(SHAPES)}", head)
    elif sort == 1:
        head = re.sub(r"'descr': '[^']*'", f"'descr': {rng.choice(TYPES)!r}", head)
    else:
        head = _cell(head.encode("latin-1"), rng, TEXT_CELLS[:12], rb"[^',: ]+").decode("latin-1")[:60_000]
    return body[:8] + len(head).to_bytes(2, "little") + head.encode("latin-1", "replace") + rest


def _xml(body: bytes, rng: random.Random) -> bytes:
    """Another number or reference in an attribute or between tags."""
    spots = [match.span(1) for match in re.finditer(rb'"([A-Z]{0,3}\d+(?::[A-Z]+\d+)?)"|>(?=[\d.]+<)', body)]
    spots = [(start, end) for start, end in spots if start >= 0]
    values = [match.span(1) for match in re.finditer(rb">([\d.]+)<", body)]
    if not (spots := spots + values):
        return _damage(body, rng, "excel")
    start, end = rng.choice(spots)
    return body[:start] + rng.choice(XML_NUMBERS).encode() + body[end:]
