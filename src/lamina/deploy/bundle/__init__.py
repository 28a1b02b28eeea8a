"""A bundle is data only: JSON, safetensors and ONNX, listed with their hashes, checked before anything is built.

A directory, or the same files stored in a zip named `.lamina`. No pickle, no import path, no URL, no callable: a
plug-in is named by its short name and must be one of those installed. Every rejection is a `BundleError` that
names the file, the place, the reason and the cure.

What that is worth. Damage anywhere is found by the hashes. Somebody who recomputes the hashes can still not make
opening run anything, read another file, or take much more memory or time than the files are large: sizes of all that a
graph makes of a row are followed before it is run (`onnx_cost`). And the files must fit one another: the graph holds
the numbers of the weights, the weights the network's, and the golden rows must give their answers within 1e-4. Somebody
who rewrites weights, graph and golden rows together has made another network, and what it answers is theirs: hashes say
nothing of an author.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lamina import __version__
from lamina.config import BundleError, Config
from lamina.deploy.bundle import archive, bounds, onnx_graph
from lamina.deploy.bundle.archive import MANIFEST_BYTES, Read, members
from lamina.deploy.bundle.onnx_cost import Cost, cost
from lamina.deploy.bundle.strict_json import (
    TEXT_BYTES,
    guarded,
    printable,
    read_as,
    rejection,
    strict_json,
    validate_as,
)
from lamina.deploy.bundle.tensors import Whole, weights
from lamina.plugins import available, plugin
from lamina.preprocess import UNUSED, Preprocessor, restore
from lamina.resources import disk
from lamina.schema import Output, Schema, Spec
from lamina.task import Task

FORMAT = (2, 0)  # 1.x named no head; it is still read
ROLES = {
    "model.json": "architecture and its settings",
    "weights.safetensors": "weights",
    "model.onnx": "portable graph",
    "preprocess.json": "fitted preprocessing",
    "schema.json": "columns",
    "task.json": "task, labels and calibration",
    "golden.json": "rows with their predictions",
    "training.json": "how it was made",
    "CARD.md": "for people",
}
OPTIONAL = ("model.onnx",)
BOUND = ("model.json", "weights.safetensors", "model.onnx", "preprocess.json", "schema.json", "task.json")
WEIGHT_BYTES = 1 << 40
NO_BUNDLE = (".pt", ".pth", ".pkl", ".joblib", ".h5", ".keras", ".zip", ".safetensors", ".json", ".md", ".html", ".csv")


class Entry(Config):
    path: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$")
    bytes: Whole
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    role: str


class Manifest(Config):
    format: Literal["lamina-bundle"]
    format_version: str = Field(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}$")
    created_by: str
    files: tuple[Entry, ...]


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
    task: Task
    prep: Preprocessor
    golden: Golden
    training: dict[str, Any]
    id: str
    files: Mapping[str, bytes]
    costs: Mapping[str, Cost]  # of the graphs, for one row

    @property
    def schema(self) -> Schema:
        return self.prep.schema

    @property
    def assets(self) -> dict[str, bytes]:
        """The task's own files that are there."""
        return {name: body for name, body in self.files.items() if name in self.task.assets}

    @property
    def roles(self) -> dict[str, str]:
        """What each file of a bundle of this task is."""
        return roles(type(self.task))


def roles(task: type[Task]) -> dict[str, str]:
    """What each file is that a bundle of a task may have."""
    return ROLES | {name: asset.role for name, asset in task.assets.items()}


def bound(task: type[Task]) -> tuple[str, ...]:
    """The files that golden answers were computed with: those of every bundle, and the task's own graphs."""
    return (*BOUND, *(name for name, asset in task.assets.items() if asset.graph))


def write(folder: Path, files: Mapping[str, bytes], task: type[Task]) -> Path:
    """Write a bundle directory in the place of what is there: `files` by name, plus the manifest.

    Errors: StorageError where it cannot be written.
    """
    assert set(ROLES) - set(OPTIONAL) <= set(files) <= set(roles(task))
    with disk.new_path(folder, folder=True) as aside:
        _write(aside, files, roles(task), packed=False)
    return folder


def _write(place: Path, files: Mapping[str, bytes], roles: Mapping[str, str], packed: bool) -> None:
    bodies = {**files, "manifest.json": manifest(files, roles)}
    if packed:
        archive.pack(place, bodies)
        return
    place.mkdir()
    for name, body in bodies.items():
        (place / name).write_bytes(body)


def manifest(files: Mapping[str, bytes], roles: Mapping[str, str] = ROLES) -> bytes:
    """The manifest of some files as canonical JSON."""
    entries = [
        {"path": name, "bytes": len(body), "sha256": digest(body), "role": roles.get(name, "")}
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


def pack(folder: Path, file: Path, overwrite: bool = False) -> Path:
    """The bundle directory as one stored (uncompressed) zip. Errors: as for `save`."""
    return save(open_bundle(folder), file, overwrite)


def save(opened: Bundle, output: Path, overwrite: bool = False) -> Path:
    """Write an opened bundle: one `.lamina` file, its graph alone where the name ends in `.onnx`, else a directory.

    Errors: BundleError where it has no graph; StorageError where it cannot be written, or what is there is no bundle
    and may not be replaced.
    """
    if output.suffix in NO_BUNDLE:
        raise disk.StorageError(
            f"{output}: a bundle is a folder, or one file named .lamina or .onnx. Choose one of them."
        )
    if output.suffix != ".onnx":
        return _save(opened, opened.files, output, overwrite)
    if "model.onnx" not in opened.files:
        reason = f"has no ONNX graph: {opened.model.reason.rstrip('.')}"
        raise BundleError(str(opened.path), "", reason, "Export to .lamina instead.")
    disk.check_folder(output)
    disk.write_bytes(output, opened.files["model.onnx"], overwrite)
    return output


def with_assets(opened: Bundle, assets: Mapping[str, bytes], output: Path) -> Path:
    """A new bundle like an opened one, with other files of the task's own: a directory, or a `.lamina` file.

    Errors: BundleError where the new bundle would not open; StorageError as for `save`.
    """
    return _save(opened, {**opened.files, **assets}, output)


def _save(opened: Bundle, files: Mapping[str, bytes], output: Path, overwrite: bool = False) -> Path:
    size, packed = sum(map(len, files.values())), output.suffix == ".lamina"
    with disk.new_path(output, overwrite or archive.is_bundle(output), size, folder=not packed) as aside:
        _write(aside, files, opened.roles, packed)
        if files is not opened.files:
            open_bundle(aside)
    return output


def locate(path: str | Path) -> Path:
    """The bundle itself, when a run directory was named."""
    inside = Path(path) / "bundle"
    return inside if inside.is_dir() else Path(path)


def open_bundle(path: str | Path) -> Bundle:
    """Open and check a bundle directory or `.lamina` file. Raises `BundleError` and nothing else."""
    with members(Path(path)) as (names, read):
        return _checked(Path(path), *_listed(names, read))


def from_files(files: Mapping[str, bytes], path: Path) -> Bundle:
    """The same out of the files of an opened bundle in memory; `path` is where they came from."""
    bodies = {**files, "manifest.json": manifest(files)}
    return _checked(path, *_listed(set(bodies), lambda name, most: bodies[name]))


def _checked(path: Path, files: dict[str, bytes], hashes: dict[str, str], task_file: TaskFile) -> Bundle:
    """Files that are what the manifest lists, checked against one another. Errors: BundleError."""
    model = read_as(files, "model.json", ModelFile)
    bounds.check_schema(strict_json(files["schema.json"], "schema.json"))
    schema = read_as(files, "schema.json", Schema)
    golden = read_as(files, "golden.json", Golden)
    bounds.check_settings(model.config)
    bounds.check_golden(golden.rows, golden.answers, len(schema.columns) + 1)
    module = plugin("tasks", task_file.kind)
    for name in bound(module.Task):
        if golden.of.get(name) != hashes.get(name):
            raise rejection("golden.json", f"of.{name}", "the answers were computed with another file")
    _check_installed(model.kind, "models", "model.json")
    tensors = weights(files["weights.safetensors"])
    graphs = {name: body for name, body in files.items() if name.endswith(".onnx")}
    costs = {n: guarded(n, lambda b=b: cost(onnx_graph.check(b, tensors), len(b))) for n, b in graphs.items()}
    if "model.onnx" not in files and model.runtime == "onnx":
        raise rejection("model.onnx", "", "is missing though model.json asks for it")
    prep = guarded("preprocess.json", lambda: _restore(schema, files))
    task, output = guarded("task.json", lambda: _task(task_file))
    if guarded("preprocess.json", lambda: task.inputs(prep)) != model.spec.inputs:
        raise rejection("model.json", "spec.inputs", "is not what the preprocessing gives")
    if not model.spec.output.head:  # of a bundle that is older than heads
        spec = model.spec.model_copy(update={"output": model.spec.output.model_copy(update={"head": output.head})})
        model = model.model_copy(update={"spec": spec})
    if output != model.spec.output:
        raise rejection("model.json", "spec.output", "is not what the task asks for")
    training = strict_json(files["training.json"], "training.json")
    if not isinstance(training, dict):
        raise rejection("training.json", "", "must be an object")
    return Bundle(path, model, task, prep, golden, training, digest(encode(hashes))[:16], files, costs)


def _listed(names: set[str], read: Read) -> tuple[dict[str, bytes], dict[str, str], TaskFile]:
    """The files that the manifest lists, which must be all there are, each with its size and hash; the hashes; and the
    task, which says what files of its own there may be.
    """
    if "manifest.json" not in names:
        raise rejection("manifest.json", "", "is missing")
    body = read("manifest.json", MANIFEST_BYTES)
    _version(strict_json(body, "manifest.json"))
    manifest_file = read_as({"manifest.json": body}, "manifest.json", Manifest)
    entries = {entry.path: entry for entry in manifest_file.files}
    extra, missing = names - {"manifest.json", *entries}, set(entries) - names
    if extra:
        raise rejection(min(extra), "", "is not listed in the manifest", "Remove it, or get a fresh copy.")
    if missing := missing | set(ROLES) - set(OPTIONAL) - set(entries):
        raise rejection(min(missing), "", "is missing")
    files = {"task.json": _read(read, entries["task.json"], TEXT_BYTES)}
    task_file = read_as(files, "task.json", TaskFile)
    _check_installed(task_file.kind, "tasks", "task.json")
    assets = guarded("task.json", lambda: plugin("tasks", task_file.kind).Task.assets)
    if len(entries) != len(manifest_file.files) or set(entries) - set(ROLES) - set(assets):
        raise rejection("manifest.json", "files", "names a file twice or one that no bundle has")
    for name, entry in sorted(entries.items()):
        limit = TEXT_BYTES if name.endswith((".json", ".md")) else WEIGHT_BYTES
        limit = assets[name].largest if name in assets else limit
        files[name] = files.get(name) or _read(read, entry, limit)
    return files, {name: entries[name].sha256 for name in sorted(files)}, task_file


def _read(read: Read, entry: Entry, limit: int) -> bytes:
    """A file as the manifest lists it: no larger than its limit, and with its hash."""
    if entry.bytes > limit:
        raise rejection("manifest.json", f"files.{entry.path}", f"is too large ({entry.bytes:,} bytes of {limit:,})")
    body = read(entry.path, entry.bytes)
    if len(body) != entry.bytes or digest(body) != entry.sha256:
        raise rejection(entry.path, "", "differs from its hash in the manifest: damaged or altered")
    return body


def _version(raw: Any) -> None:
    text = raw.get("format_version") if isinstance(raw, dict) else None
    match = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})", text) if isinstance(text, str) else None
    if match and int(match[1]) > FORMAT[0]:
        cure = f"Upgrade lamina (this is {__version__}, which reads up to {FORMAT[0]}.x)."
        raise rejection("manifest.json", "format_version", f"{text} is newer than this version reads", cure)
    if match and int(match[1]) < 1:
        raise rejection("manifest.json", "format_version", f"there never was a version {text}")


def _restore(schema: Schema, files: Mapping[str, bytes]) -> Preprocessor:
    dumped = strict_json(files["preprocess.json"], "preprocess.json")
    if not isinstance(dumped, list) or not all(isinstance(d, dict) for d in dumped):
        raise ValueError("must be a list of fitted columns")
    for column in schema.columns:
        if column.kind not in UNUSED:
            _check_installed(column.kind, "preprocess", "schema.json")
    return restore(schema, dumped)


def _task(file: TaskFile) -> tuple[Task, Output]:
    """The task with what it learned, and what it asks of the network."""
    module = plugin("tasks", file.kind)
    state, cfg = validate_as(module.State, file.state, "state"), validate_as(module.Config, file.config, "config")
    task = module.Task(cfg, state)
    return task, task.output()


def _check_installed(kind: str, folder: str, name: str) -> None:
    if kind not in available(folder):
        cure = f"Install the plug-in '{printable(kind, 40)}', or a version of lamina that has it."
        raise rejection(name, "kind", f"this installation has no '{kind[:40]}' in {folder}", cure)
