"""Taking bundles apart, changing a part, and sealing them again as an attacker would."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamina.config import BundleError
from lamina.deploy import bundle
from lamina.deploy.bundle import digest, encode, manifest
from lamina.deploy.predictor import Predictor

Files = dict[str, bytes]
JSONS = ("model.json", "preprocess.json", "schema.json", "task.json", "golden.json", "training.json")
ODD = [
    "../../etc/passwd",
    "os.system",
    "lamina.cli",
    "__import__('os')",
    "\0",
    "\x1b[2J",
    "",
    "x" * 5000,
    "\ud83d\ude00",
]


def read(folder: Path) -> Files:
    """All files of a bundle but the manifest."""
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != "manifest.json"}


def sealed(files: Files, sworn: bool = True) -> Files:
    """The files with every hash made right, as an attacker would; `sworn`: those of the golden rows as well."""
    files = dict(files)
    if sworn:
        try:
            golden = json.loads(files["golden.json"])
            graphs = sorted(name for name in files if name.endswith(".onnx") and name not in bundle.BOUND)
            golden["of"] = {name: digest(files[name]) for name in (*bundle.BOUND, *graphs) if name in files}
            files["golden.json"] = encode(golden)
        except (ValueError, KeyError, TypeError):
            pass  # there is nothing left to make right
    return files | {"manifest.json": manifest({k: v for k, v in files.items() if k != "manifest.json"})}


def written(folder: Path, files: Files) -> Path:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return folder


def must_refuse(folder: Path, files: Files, said: str) -> None:
    """Opening these files, every hash made right, has to end in a sentence that says so."""
    with pytest.raises(BundleError, match=said) as caught:
        Predictor(written(folder, sealed(files)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def changed(files: Files, name: str, change: Callable[[Any], Any]) -> Files:
    """The files with one JSON file changed in place, or replaced by what `change` returns."""
    value = json.loads(files[name])
    new = change(value)
    return files | {name: json.dumps(value if new is None else new).encode()}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def other(value: Any, draw: random.Random) -> Any:
    """Something else in the place of a value: usually of the same type, so that it gets further."""
    if isinstance(value, bool):
        return draw.choice([not value, 0, "true", None])
    if isinstance(value, int | float):
        near = [value + 1, value - 1, -value, value * 2, value + 1e-3, float(value), 0]
        return draw.choice([*near, 1e12, 10**12, -(10**12), 1e308, 5e-324, 2**63, str(value), None])
    if isinstance(value, str):
        at = draw.randrange(len(value)) if value else 0
        near = [value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] if value else "a", value + " ", value.upper()]
        return draw.choice([*near, *ODD, 7, None, [value]])
    if isinstance(value, list):
        short = [v for i, v in enumerate(value) if i]
        return draw.choice([short, value + value[:1], value[::-1], [], {}, None, [value], value * 50])
    return draw.choice([{}, [], None, "x", {**value, "extra": 1}, dict(list(value.items())[1:])] if value else [[], 1])


def mutate_json(body: bytes, draw: random.Random) -> bytes:
    value = json.loads(body)
    paths = list(leaves(value))
    for _ in range(draw.choice([1, 1, 1, 3])):
        path = draw.choice(paths)
        node = value
        try:
            for key in path[:-1]:
                node = node[key]
            if draw.random() < 0.1:
                del node[path[-1]]
            else:
                node[path[-1]] = other(node[path[-1]], draw)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return json.dumps(value).encode()


def mutate_bytes(body: bytes, draw: random.Random) -> bytes:
    result = bytearray(body)
    at, size = draw.randrange(len(result)), draw.choice([1, 4, 64])
    way = draw.choice(["flip", "flip", "flip", "zeros", "ones", "cut", "longer", "again", "noise"])
    if way == "flip":
        for _ in range(size):
            result[draw.randrange(len(result))] ^= 1 << draw.randrange(8)
    elif way in ("zeros", "ones"):
        result[at : at + size] = (b"\0" if way == "zeros" else b"\xff") * len(result[at : at + size])
    elif way == "cut":
        del result[at:]
    elif way == "longer":
        result += draw.randbytes(size)
    elif way == "again":
        result[at:at] = result[at : at + size]
    else:
        result[at : at + size] = draw.randbytes(len(result[at : at + size]))
    return bytes(result)


def mutate_header(body: bytes, draw: random.Random) -> bytes:
    """Another header of a safetensors file, its length made right."""
    size = int.from_bytes(body[:8], "little")
    header = mutate_json(body[8 : 8 + size], draw)
    return struct.pack("<Q", len(header)) + header + body[8 + size :]


def mutated(files: Files, draw: random.Random) -> tuple[str, Files]:
    """One file changed, and what was done in a few words."""
    binary = [name for name in sorted(files, reverse=True) if name.endswith((".safetensors", ".onnx"))]
    name = draw.choice([*JSONS, *JSONS, *binary, *binary, "CARD.md"])
    if name.endswith(".json") and draw.random() < 0.8:
        return f"values of {name}", files | {name: mutate_json(files[name], draw)}
    if name == "weights.safetensors" and draw.random() < 0.4:
        return f"header of {name}", files | {name: mutate_header(files[name], draw)}
    return f"bytes of {name}", files | {name: mutate_bytes(files[name], draw)}


def put(name: str, *path: Any, value: Any) -> Callable[[Files], Files]:
    """One value of a JSON file replaced."""

    def change(found: Any) -> None:
        for key in path[:-1]:
            found = found[key]
        found[path[-1]] = value

    return lambda files: changed(files, name, change)
