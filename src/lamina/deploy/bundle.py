"""A bundle is data only: JSON, safetensors and ONNX, listed with their hashes, checked before anything is built.

A directory, or the same files stored in a zip named `.lamina`. No pickle, no import path, no URL, no callable: a
plug-in is named by its short name and must be one of those installed. Every rejection is a `BundleError` that
names the file, the place, the reason and the cure. Data only does not mean benign: weights can be trained to
mislead. It means that opening a bundle runs nothing of its author's.
"""

import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from lamina import __version__
from lamina.config import BundleError, Config, LaminaError, available, parse, plugin
from lamina.preprocess import Preprocessor, restore
from lamina.schema import Schema, Spec

FORMAT = (1, 0)
ROLES = {
    "model.json": "architecture and its settings",
    "weights.safetensors": "weights",
    "model.onnx": "portable graph",
    "preprocess.json": "fitted preprocessing",
    "schema.json": "columns",
    "task.json": "task, labels and calibration",
    "golden.json": "rows with their answers",
    "training.json": "how it was made",
    "CARD.md": "for people",
}
OPTIONAL = ("model.onnx",)
BOUND = ("model.json", "weights.safetensors", "model.onnx", "preprocess.json", "schema.json", "task.json")
MANIFEST_BYTES, JSON_BYTES, DEPTH = 1 << 20, 1 << 28, 64
COPY = "Get a fresh copy of the bundle."


class Entry(Config):
    path: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    bytes: int = Field(ge=0, le=1 << 40)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: str


class Manifest(Config):
    format: Literal["lamina-bundle"]
    format_version: str = Field(pattern=r"^\d{1,4}\.\d{1,4}$")
    created_by: str
    files: tuple[Entry, ...]


class Tensor(Config):
    """One entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...] = Field(max_length=16)
    data_offsets: tuple[int, int]


class ModelFile(Config):
    kind: str
    config: dict[str, Any]
    spec: Spec
    runtime: Literal["onnx", "torch"]
    reason: str = ""


class TaskFile(Config):
    kind: str
    config: dict[str, Any]
    state: dict[str, Any]


class Golden(Config):
    """Rows (values shuffled within their columns: no real row leaves) and what the network answered.

    `of` are the hashes of the files these answers were computed with.
    """

    of: dict[str, str]
    rows: tuple[dict[str, Any], ...] = Field(min_length=1)
    answers: tuple[dict[str, Any], ...] = Field(min_length=1)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file has been checked against the others; `Predictor` runs it."""

    path: Path
    model: ModelFile
    task: TaskFile
    task_state: Any
    prep: Preprocessor
    golden: Golden
    training: dict[str, Any]
    id: str
    files: Mapping[str, bytes]

    @property
    def schema(self) -> Schema:
        return self.prep.schema


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write a bundle directory: `files` by name, plus the manifest; made visible by one rename."""
    assert set(ROLES) - set(OPTIONAL) <= set(files) <= set(ROLES)
    aside = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for name, body in (*sorted(files.items()), ("manifest.json", manifest(files))):
        with open(aside / name, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return folder


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The manifest of some files as canonical JSON."""
    entries = [
        {"path": name, "bytes": len(body), "sha256": digest(body), "role": ROLES.get(name, "")}
        for name, body in sorted(files.items())
    ]
    return encode(
        {
            "format": "lamina-bundle",
            "format_version": ".".join(map(str, FORMAT)),
            "created_by": f"lamina {__version__}",
            "files": entries,
        }
    )


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def encode(value: Any) -> bytes:
    """Strict JSON as bytes."""
    return json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False).encode()


def pack(folder: Path, file: Path) -> Path:
    """The bundle directory as one stored (uncompressed) zip."""
    opened = open_bundle(folder)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, body in sorted((*opened.files.items(), ("manifest.json", manifest(opened.files)))):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), body)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(out.getvalue())
    return file


def open_bundle(path: str | Path) -> Bundle:
    """Open and check a bundle directory or `.lamina` file. Raises `BundleError` and nothing else."""
    path = Path(path)
    if not path.exists():
        raise BundleError(str(path), "", "there is no such bundle", "Make one with: lamina train DATA --target COLUMN")
    members = _directory(path) if path.is_dir() else _archive(path)
    files = _listed(members)
    model = _typed(files, "model.json", ModelFile)
    task = _typed(files, "task.json", TaskFile)
    schema = _typed(files, "schema.json", Schema)
    golden = _typed(files, "golden.json", Golden)
    if len(golden.rows) != len(golden.answers):
        raise BundleError("golden.json", "answers", "are not as many as the rows", COPY)
    for name in BOUND:
        if golden.of.get(name) != (digest(files[name]) if name in files else None):
            raise BundleError("golden.json", f"of.{name}", "the answers were computed with another file", COPY)
    _known(task.kind, "tasks", "task.json")
    _known(model.kind, "models", "model.json")
    _weights(files["weights.safetensors"])
    prep = _checked("preprocess.json", lambda: _restore(schema, files))
    if prep.inputs != model.spec.inputs:
        raise BundleError("model.json", "spec.inputs", "is not what the preprocessing gives", COPY)
    state = _checked("task.json", lambda: _task_state(task))
    training = _json(files, "training.json")
    if not isinstance(training, dict):
        raise BundleError("training.json", "", "must be an object", COPY)
    return Bundle(path, model, task, state, prep, golden, training, digest(manifest(files))[:16], files)


def _directory(path: Path) -> dict[str, bytes]:
    """Members by name; a link, a sub-folder or a special file is refused before it is read."""
    found = {}
    with os.scandir(path) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        try:
            handle = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise BundleError(_shown(name), "", f"is a link or cannot be opened ({error.strerror})", COPY) from None
        with os.fdopen(handle, "rb") as file:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                raise BundleError(_shown(name), "", "is not a plain file of its own", "Copy the bundle without links.")
            found[name] = file.read()
    return found


def _archive(path: Path) -> dict[str, bytes]:
    """Members of a stored zip, read one by one; nothing is extracted."""
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, bytes] = {}
            for info in archive.infolist():
                if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
                    raise BundleError(_shown(info.filename), "", "is compressed", "Pack it with: lamina export BUNDLE")
                if info.filename in found:
                    raise BundleError(_shown(info.filename), "", "is there twice", COPY)
                found[info.filename] = archive.read(info)
            return found
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        raise BundleError(path.name, "", f"is not a bundle ({error})", COPY) from None


def _listed(members: dict[str, bytes]) -> dict[str, bytes]:
    """The members that the manifest lists, which must be all, each with its size and hash."""
    if "manifest.json" not in members:
        raise BundleError("manifest.json", "", "is missing", COPY)
    if len(members["manifest.json"]) > MANIFEST_BYTES:
        raise BundleError("manifest.json", "", "is too large", COPY)
    _version(_json(members, "manifest.json"))
    listed = _typed(members, "manifest.json", Manifest)
    names = [entry.path for entry in listed.files]
    extra, missing = set(members) - {"manifest.json", *names}, set(names) - set(members)
    if extra:
        raise BundleError(_shown(min(extra)), "", "is not listed in the manifest", "Remove it, or get a fresh copy.")
    if missing or set(ROLES) - set(OPTIONAL) - set(names):
        raise BundleError(min(missing or set(ROLES) - set(names)), "", "is missing", COPY)
    if len(names) != len(set(names)) or set(names) - set(ROLES):
        raise BundleError("manifest.json", "files", "names a file twice or one that no bundle has", COPY)
    for entry in listed.files:
        body = members[entry.path]
        if len(body) != entry.bytes or digest(body) != entry.sha256:
            raise BundleError(entry.path, "", "differs from its hash in the manifest: damaged or altered", COPY)
    return {name: members[name] for name in names}


def _version(raw: Any) -> None:
    text = raw.get("format_version") if isinstance(raw, dict) else None
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text) if isinstance(text, str) else None
    if match and int(match[1]) > FORMAT[0]:
        cure = f"Upgrade lamina (this is {__version__}, which reads up to {FORMAT[0]}.x)."
        raise BundleError("manifest.json", "format_version", f"{text} is newer than this version reads", cure)


def _json(files: Mapping[str, bytes], name: str) -> Any:
    """Strict JSON: UTF-8, no key twice, no NaN, bounded size and depth."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key is there twice")
        return dict(pairs)

    def never(token: str) -> None:
        raise ValueError(f"{token} is not JSON")

    body = files[name]
    if len(body) > JSON_BYTES or _depth(body) > DEPTH:
        raise BundleError(name, "", "is too large or too deep", COPY)
    try:
        return json.loads(body.decode(), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError) as error:
        raise BundleError(name, "", f"is not strict JSON ({error})", COPY) from None


def _depth(body: bytes) -> int:
    """An upper bound on nesting, without parsing."""
    deepest = depth = 0
    for byte in re.findall(rb"[\[\]{}]", body):
        depth += 1 if byte in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _typed(files: Mapping[str, bytes], name: str, cls: type[Any]) -> Any:
    raw = _json(files, name)
    faults: list[str] = []
    try:
        value = parse(cls, raw, "", faults)
    except (ValidationError, RecursionError, OverflowError) as error:
        raise BundleError(name, "", f"does not fit ({type(error).__name__})", COPY) from None
    if value is None:
        at, _, reason = faults[0].partition(": ")
        raise BundleError(name, at, reason.rstrip("."), COPY)
    return value


def _checked(name: str, build: Any) -> Any:
    try:
        return build()
    except LaminaError as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(name, "", str(error).splitlines()[0].rstrip("."), COPY) from None


def _restore(schema: Schema, files: Mapping[str, bytes]) -> Preprocessor:
    dumped = _json(files, "preprocess.json")
    if not isinstance(dumped, list) or not all(isinstance(d, dict) for d in dumped):
        raise BundleError("preprocess.json", "", "must be a list of fitted columns", COPY)
    for column in schema.columns:
        if column.kind not in ("constant", "identifier", "ignore"):
            _known(column.kind, "preprocess", "schema.json")
    return restore(schema, dumped)


def _task_state(task: TaskFile) -> Any:
    faults: list[str] = []
    state = parse(plugin("tasks", task.kind).State, task.state, "state", faults)
    parse(plugin("tasks", task.kind).Config, task.config, "config", faults)
    if faults:
        at, _, reason = faults[0].partition(": ")
        raise BundleError("task.json", at, reason.rstrip("."), COPY)
    return state


def _known(kind: str, folder: str, name: str) -> None:
    if kind not in available(folder):
        cure = f"Install the plug-in '{kind[:40]}', or a version of lamina that has it."
        raise BundleError(name, "kind", f"this installation has no '{kind[:40]}' in {folder}", cure)


SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def _weights(body: bytes) -> None:
    """The header of the weights: known types, sizes that fill the file without holes or overlap."""
    name = "weights.safetensors"
    size = int.from_bytes(body[:8], "little")
    if len(body) < 8 or size > len(body) - 8:
        raise BundleError(name, "", "is cut short", COPY)
    header = _json({name: body[8 : 8 + size]}, name)
    if not isinstance(header, dict) or len(header) > 100_000:
        raise BundleError(name, "", "has no sane header", COPY)
    end = 0
    header.pop("__metadata__", None)
    for tensor, entry in sorted(header.items(), key=lambda item: str(item[1])):
        if parse(Tensor, entry, tensor, []) is None or entry["dtype"] not in SIZES:
            raise BundleError(name, _shown(tensor), "is not described as a tensor", COPY)
    for tensor, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        if start != end or stop - start != math.prod(entry["shape"]) * SIZES[entry["dtype"]]:
            raise BundleError(name, _shown(tensor), "does not fill its place in the file", COPY)
        end = stop
    if end != len(body) - 8 - size:
        raise BundleError(name, "", "is longer or shorter than its header says", COPY)


def _shown(name: str) -> str:
    return repr(name[:80])[1:-1]
