"""A bundle from anywhere opens to its own answers or is refused with a `BundleError`; nothing else ever happens."""

import io
import json
import math
import os
import random
import struct
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle_tools import Files, changed, must_refuse, mutate_bytes, mutated, put, read, sealed, written
from conftest import customers, houses
from lamina.config import BundleError
from lamina.data import toy
from lamina.deploy import bundle
from lamina.deploy.bundle import manifest, open_bundle, pack
from lamina.deploy.predictor import Predictor

MUTATIONS = 200


# --- taking bundles apart and sealing them again


def probes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows to ask: real ones, one without values, unseen values, values as other types, extremes, and missing cells."""
    names = list(rows[0])[:-1]
    first = {name: rows[0][name] for name in names}
    return [
        *({name: row[name] for name in names} for row in rows[:40]),
        dict.fromkeys(names),
        dict.fromkeys(names, "never seen"),
        dict.fromkeys(names, "NA"),
        dict.fromkeys(names, ""),
        {name: None if value is None else str(value) for name, value in first.items()},
        *({**first, name: None} for name in names),
        *({**first, name: "1e30"} for name in names),
    ]


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in mine)
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-4, abs_tol=1e-4)
    return type(mine) is type(theirs) and mine == theirs


# --- the mutator


@pytest.fixture(scope="module", params=["churn", "numbers", "months"])
def whole(request) -> tuple[Files, list[dict[str, Any]], Any]:
    """A good bundle's files, rows to ask, and its answers."""
    path = request.getfixturevalue(f"{request.param}_bundle")
    if request.param == "months":
        rows = toy.load(toy.Config(name="airline")).table.to_pylist()
    else:
        rows = probes(customers(60, seed=5) if request.param == "churn" else houses(60, seed=5))
    return read(path), rows, Predictor(path).predict(rows)


def outcome(folder: Path, files: Files, rows: Any, wanted: Any) -> str:
    """`refused`, or `the same`; anything else is raised."""
    try:
        answers = Predictor(written(folder, files), threads=1).predict(rows)
    except BundleError as error:
        assert error.file
        assert error.reason
        assert error.cure
        assert len(str(error)) < 1000
        assert str(error).isprintable(), str(error)
        return "refused"
    differing = [i for i, (a, b) in enumerate(zip(answers, wanted, strict=True)) if not same(a, b)]
    return f"answers differ in rows {differing}: {answers[differing[0]]}" if differing else "the same"


def trials(count: int, seed: int, whole: Any, folder: Path, seal: Callable[[Files], Files]) -> Counter[str]:
    """Outcomes of many mutations; the seed of each is its number."""
    files, rows, expected = whole
    result: Counter[str] = Counter()
    for number in range(seed, seed + count):
        what, broken = mutated(files, random.Random(number))
        began = time.process_time()
        got = outcome(folder, seal(broken), rows, expected)
        assert time.process_time() - began < 5, f"mutation {number} took too long: {what}"
        result[got if got in ("refused", "the same") else f"mutation {number}, {what}: {got}"] += 1
    return result


def test_a_bundle_whose_hashes_are_not_made_right_is_always_refused(whole, tmp_path):
    stale = manifest(whole[0])

    def seal(files: Files) -> Files:
        return files | {"manifest.json": stale}

    result = trials(MUTATIONS, 0, whole, tmp_path / "b", seal)
    same_bytes = sum(mutated(whole[0], random.Random(n))[1] == whole[0] for n in range(MUTATIONS))
    assert result == Counter({"refused": MUTATIONS - same_bytes}) + Counter({"the same": same_bytes})


def test_a_mutated_bundle_whose_manifest_is_made_right_gives_its_answers_or_is_refused(whole, tmp_path):
    result = trials(MUTATIONS, 0, whole, tmp_path / "b", lambda files: sealed(files, sworn=False))
    assert set(result) == {"refused", "the same"}, result
    assert result["refused"] > MUTATIONS / 2


@pytest.mark.parametrize("count", [MUTATIONS, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_mutated_bundle_whose_every_hash_is_made_right_seldom_gives_other_answers(count, whole, tmp_path):
    """What no golden row shows can be changed by whoever recomputes every hash: at most one change in a hundred."""
    result = trials(count, 0, whole, tmp_path / "b", sealed)
    differing = {k: v for k, v in result.items() if k not in ("refused", "the same")}
    print(result)
    assert sum(differing.values()) <= count / 100, differing
    assert result["refused"] > count / 2


def test_a_flipped_bit_of_any_file_is_refused(whole, tmp_path):
    files = whole[0] | {"manifest.json": manifest(whole[0])}
    draw = random.Random(1)
    for name, body in files.items():
        for _ in range(5):
            flipped = bytearray(body)
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            with pytest.raises(BundleError):
                open_bundle(written(tmp_path / "b", files | {name: bytes(flipped)}))


# --- named attacks: on values, all hashes made right


def text(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    """Some bytes of a file replaced, once."""

    def replace(files: Files) -> Files:
        assert old in files[name], old
        return files | {name: files[name].replace(old, new, 1)}

    return replace


def whole_file(name: str, body: bytes) -> Callable[[Files], Files]:
    return lambda files: files | {name: body}


def torch_runtime(files: Files, **model: Any) -> Files:
    """As if no exporter had taken the network: the weights are run by torch."""
    files = {k: v for k, v in files.items() if k != "model.onnx"}
    return changed(files, "model.json", lambda m: {**m, "runtime": "torch", **model})


def widths(width: int) -> Callable[[Files], Files]:
    return lambda files: torch_runtime(files, config={"kind": "fnn", "width": width})


def tensors(change: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]) -> Callable[[Files], Files]:
    """Header and data of the weights changed, for the network run by torch, so that no graph gives it away."""

    def apply(files: Files) -> Files:
        body = files["weights.safetensors"]
        size = int.from_bytes(body[:8], "little")
        header, data = change(json.loads(body[8 : 8 + size]), body[8 + size :])
        packed = json.dumps(header).encode()
        return torch_runtime(files | {"weights.safetensors": struct.pack("<Q", len(packed)) + packed + data})

    return apply


def first(header: dict[str, Any]) -> str:
    return next(k for k in header if k != "__metadata__")


def overlapping(header, data):
    names = [k for k in header if k != "__metadata__"]
    header[names[1]] = header[names[0]]
    return header, data


def holed(header, data):
    for entry in header.values():
        entry["data_offsets"] = [n + 8 for n in entry["data_offsets"]]
    return header, b"\0" * 8 + data


def not_finite(header, data):
    start, _ = header[first(header)]["data_offsets"]
    return header, data[:start] + np.array([np.nan], "<f4").tobytes() + data[start + 4 :]


def negative(header, data):
    header[first(header)]["shape"] = [-n for n in header[first(header)]["shape"]]
    return header, data


def huge(header, data):
    header[first(header)] |= {"shape": [2**31, 2**31], "data_offsets": [0, 2**64]}
    return header, data


def many(header, data):
    return header | {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(100_001)}, data


def traversal(header, data):
    return {("../../x" if k == first(header) else k): v for k, v in header.items()}, data


def strangers(files: Files) -> Files:
    return changed(files, "golden.json", lambda g: g.update(rows=[{"x": 1}] * len(g["rows"])))


ATTACKS: dict[str, tuple[Callable[[Files], Files], str]] = {
    "duplicate key": (text("task.json", b'"kind"', b'"kind": "regression", "kind"'), "a key is there twice"),
    "NaN token": (text("golden.json", b'"rows": [', b'"rows": [NaN, '), "NaN is not JSON"),
    "Infinity token": (whole_file("training.json", b'{"scores": -Infinity}'), "not JSON"),
    "number beyond double": (whole_file("training.json", b'{"scores": 1e999}'), "1e999 is not JSON"),
    "number of a million digits": (whole_file("training.json", b'{"scores": ' + b"1" * 1_000_000 + b"}"), "not JSON"),
    "10,000 deep": (whole_file("training.json", b"[" * 10_000 + b"]" * 10_000), "not strict JSON|too deep"),
    "100 deep": (whole_file("training.json", b'{"a":' * 100 + b"1" + b"}" * 100), "too deep"),
    "not UTF-8": (whole_file("training.json", b'{"a": "\xff"}'), "not strict JSON"),
    "half a character": (whole_file("training.json", b'{"a": "\\ud800"}'), "not strict JSON"),
    "something behind": (lambda f: f | {"task.json": f["task.json"] + b"{}"}, "not strict JSON"),
    "a list for an object": (whole_file("training.json", b"[]"), "must be an object"),
    "unknown setting": (put("task.json", "surprise", value=1), "unknown setting"),
    "os.system as a kind": (put("model.json", "kind", value="os.system"), "no 'os.system' in models"),
    "dotted path as a kind": (put("task.json", "kind", value="lamina.cli"), "no 'lamina.cli' in tasks"),
    "path as a kind": (put("model.json", "kind", value="../../tmp/x"), "no '../../tmp/x' in models"),
    "private module as a kind": (put("schema.json", "columns", 0, "kind", value="_infer"), "no '_infer' in preprocess"),
    "unknown plug-in": (put("model.json", "kind", value="mamba"), "no 'mamba' in models"),
    "escape codes in a name": (put("task.json", "kind", value="\x1b[2J" * 99), "this installation has no"),
    "unknown runtime": (put("model.json", "runtime", value="pickle"), "runtime"),
    "shape bomb in the spec": (put("model.json", "spec", "inputs", "number", "shape", value=[10**12]), "preprocessing"),
    "output bomb in the spec": (put("model.json", "spec", "output", "size", value=10**12), "what the task asks for"),
    "width bomb": (widths(10**12), "config.width"),
    "width beyond the weights": (widths(16384), "weights|fit"),
    "buckets bomb": (put("preprocess.json", 0, "state", value={"buckets": 10**12, "length": 4}), "preprocess.json"),
    "classes that are not there": (put("task.json", "state", "classes", value=["a", "b", "c"]), "task asks for"),
    "no golden rows": (put("golden.json", "rows", value=[]), "rows"),
    "one golden answer less": (
        lambda f: changed(f, "golden.json", lambda g: g["answers"].pop() and None),
        "the network gives",
    ),
    "another golden answer": (put("golden.json", "answers", 0, value={"prediction": "no"}), "differ"),
    "golden rows of strangers": (strangers, "not one of the columns|differ"),
    "no graph": (lambda f: {k: v for k, v in f.items() if k != "model.onnx"}, "is missing though model.json asks"),
    "graph of garbage": (whole_file("model.onnx", b"garbage" * 100), "model.onnx"),
    "empty graph": (whole_file("model.onnx", b""), "not one ONNX graph"),
    "graph in another format": (whole_file("model.onnx", b"\x18\0\0\0ORTM" + bytes(64)), "model.onnx"),
    "overlapping tensors": (tensors(overlapping), "does not fill its place"),
    "holed tensors": (tensors(holed), "does not fill its place"),
    "NaN tensor": (tensors(not_finite), "not finite"),
    "negative sizes": (tensors(negative), "weights.safetensors"),
    "overflowing sizes": (tensors(huge), "weights.safetensors"),
    "100,001 tensors": (tensors(many), "no sane header"),
    "traversal in a tensor's name": (tensors(traversal), "weights.safetensors"),
    "header longer than the file": (whole_file("weights.safetensors", struct.pack("<Q", 2**62) + b"{}"), "cut short"),
    "empty weights": (whole_file("weights.safetensors", b""), "cut short"),
    "nothing in any file": (lambda f: dict.fromkeys(f, b""), "not strict JSON"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_on_values_is_refused(attack, churn_bundle, tmp_path):
    change, sentence = ATTACKS[attack]
    must_refuse(tmp_path / "b", change(read(churn_bundle)), sentence)


def test_a_text_full_of_brackets_is_not_deep(churn_bundle, tmp_path):
    files = changed(read(churn_bundle), "training.json", lambda t: t | {"labels": ["[0, 10)"] * 1000})
    assert open_bundle(written(tmp_path / "b", sealed(files))).training["labels"]


# --- named attacks: on the graph


def models(change: Callable[[Any], Any]) -> Callable[[Files], Files]:
    def apply(files: Files) -> Files:
        import onnx

        model = onnx.load_from_string(files["model.onnx"])
        model = change(model) or model
        return files | {"model.onnx": model.SerializeToString()}

    return apply


def external(model) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    for key, value in (("location", "../../../etc/passwd"), ("length", "16")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def external_in_a_constant(model) -> None:
    node = next(n for n in model.graph.node if n.op_type == "Constant")
    node.attribute[0].t.data_location = 1


def custom_domain(model) -> None:
    model.graph.node[0].domain = "com.attacker"
    model.opset_import.add(domain="com.attacker", version=1)


def own_domain_of_the_runtime(model) -> None:
    model.graph.node[-1].domain = "com.microsoft"


def local_function(model) -> None:
    model.functions.add(name="f", domain="")


def sparse(model) -> None:
    model.graph.sparse_initializer.add()


def loop(model) -> None:
    attribute = model.graph.node[-1].attribute.add(name="body", type=5)
    attribute.g.name = "inner"


def negated(model) -> None:
    for tensor in model.graph.initializer:
        tensor.raw_data = (-np.frombuffer(tensor.raw_data, np.float32)).tobytes()


def one_bit(model) -> None:
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.raw_data = tensor.raw_data[:-4] + bytes([tensor.raw_data[-4] ^ 1]) + tensor.raw_data[-3:]


def two_swapped(model) -> None:
    """Numbers of the right weights in another order, which only the golden rows can tell."""
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.raw_data = np.frombuffer(tensor.raw_data, np.float32)[::-1].tobytes()


def stored_otherwise(model) -> None:
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.float_data.extend(np.frombuffer(tensor.raw_data, np.float32).tolist())
    tensor.ClearField("raw_data")


def another_network(model):
    """Inputs and outputs of the right names and sizes, and nothing behind them."""
    from onnx import helper

    shape = helper.make_node("ReduceMean", [model.graph.input[0].name], ["m"], keepdims=1)
    inputs = [i for i in model.graph.input if i.type.tensor_type.elem_type == 1] or list(model.graph.input)
    shape.input[0] = inputs[0].name
    nodes = [shape, helper.make_node("Identity", ["m"], [model.graph.output[0].name])]
    graph = helper.make_graph(nodes, "g", list(model.graph.input), list(model.graph.output))
    return helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)


GRAPHS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "external data": (external, "refers to numbers in another file"),
    "external data in a constant": (external_in_a_constant, "refers to numbers in another file"),
    "operator of somebody's own": (custom_domain, "asks for operators of 'com.attacker'"),
    "operator of the runtime's own": (own_domain_of_the_runtime, "asks for operators of 'com.microsoft'"),
    "local function": (local_function, "functions"),
    "sparse tensor": (sparse, "sparse"),
    "loop": (loop, "a graph inside an operator"),
    "another network": (another_network, "model.onnx|golden.json"),
    "negated weights": (negated, "not in weights.safetensors"),
    "one bit of one weight": (one_bit, "not in weights.safetensors"),
    "weights in another order": (two_swapped, "golden.json"),
    "weights stored otherwise": (stored_otherwise, "cannot be compared"),
}


@pytest.mark.parametrize("attack", GRAPHS)
def test_attack_on_the_graph_is_refused(attack, churn_bundle, tmp_path):
    change, sentence = GRAPHS[attack]
    with pytest.raises(BundleError, match=sentence):
        Predictor(written(tmp_path / "b", sealed(models(change)(read(churn_bundle)))))


def test_one_bit_of_one_weight_differs_from_the_graph(churn_bundle, tmp_path):
    files = read(churn_bundle)
    body = bytearray(files["weights.safetensors"])
    size = int.from_bytes(body[:8], "little")
    entry = json.loads(body[8 : 8 + size])["body.0.weight"]
    body[8 + size + entry["data_offsets"][0]] ^= 1
    with pytest.raises(BundleError, match=r"not in weights\.safetensors"):
        open_bundle(written(tmp_path / "b", sealed(files | {"weights.safetensors": bytes(body)})))


# --- named attacks: on the manifest and the members


def entry_of(listed: dict[str, Any], name: str) -> dict[str, Any]:
    return next(e for e in listed["files"] if e["path"] == name)


def path_to(path: str) -> Callable[[dict[str, Any]], None]:
    return lambda listed: entry_of(listed, "CARD.md").update(path=path)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "newer major version": (lambda m: m.update(format_version="3.0"), "Upgrade lamina .* reads up to 2.x"),
    "version zero": (lambda m: m.update(format_version="0.9"), "never was"),
    "no version": (lambda m: m.pop("format_version") and None, "format_version"),
    "version in other digits": (lambda m: m.update(format_version="\u0661.0"), "format_version"),
    "another format": (lambda m: m.update(format="pickle"), "format"),
    "unknown field": (lambda m: m.update(execute="rm"), "unknown setting"),
    "negative size": (lambda m: entry_of(m, "CARD.md").update(bytes=-1), "greater than or equal to 0"),
    "overflowing size": (lambda m: entry_of(m, "CARD.md").update(bytes=2**63), "is not JSON|less than"),
    "size of a terabyte": (lambda m: entry_of(m, "CARD.md").update(bytes=2**40), "is too large"),
    "weights of a terabyte": (
        lambda m: entry_of(m, "weights.safetensors").update(bytes=2**40),
        "differs from its hash",
    ),
    "smaller size": (lambda m: entry_of(m, "CARD.md").update(bytes=1), "larger than it may be"),
    "larger size": (lambda m: entry_of(m, "CARD.md").update(bytes=100_000), "differs from its hash"),
    "another hash": (lambda m: entry_of(m, "CARD.md").update(sha256="0" * 64), "differs from its hash"),
    "not a hash": (lambda m: entry_of(m, "CARD.md").update(sha256="x"), "sha256"),
    "traversal": (path_to("../CARD.md"), "path"),
    "absolute path": (path_to("/etc/passwd"), "path"),
    "backslash": (path_to("..\\CARD.md"), "path"),
    "a file twice": (lambda m: m["files"].append(m["files"][0]), "names a file twice"),
    "a file not listed": (lambda m: m["files"].pop(0) and None, "is not listed in the manifest"),
    "a file that is not there": (lambda m: m["files"].append(m["files"][0] | {"path": "x.py"}), "is missing"),
    "a million files": (lambda m: m.update(files=m["files"] * 100_000), "may be|too large"),
    "no list": (lambda m: [m], "manifest.json"),
}


@pytest.mark.parametrize("attack", MANIFESTS)
def test_attack_on_the_manifest_is_refused(attack, churn_bundle, tmp_path):
    change, sentence = MANIFESTS[attack]
    files = sealed(read(churn_bundle))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(written(tmp_path / "b", changed(files, "manifest.json", change)))


def linked(folder: Path) -> None:
    (folder / "CARD.md").rename(folder.parent / "card")
    (folder / "CARD.md").symlink_to(folder.parent / "card")


def hard_linked(folder: Path) -> None:
    os.link(folder / "CARD.md", folder.parent / "card")


def pipe(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    os.mkfifo(folder / "CARD.md")


def pipe_for_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    os.mkfifo(folder / "manifest.json")


def device(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").symlink_to("/dev/zero")


def sub_directory(folder: Path) -> None:
    (folder / "more").mkdir()


def directory_for_a_file(folder: Path) -> None:
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").mkdir()


def extra_file(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text("raise SystemExit")


def extra_pipe(folder: Path) -> None:
    os.mkfifo(folder / "aaa")


def other_case(folder: Path) -> None:
    (folder / "card.md").write_text("")


def ten_thousand_files(folder: Path) -> None:
    for i in range(10_000):
        (folder / f"f{i}").touch()


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def missing(folder: Path) -> None:
    (folder / "golden.json").unlink()


def sparse_terabyte(folder: Path) -> None:
    with open(folder / "CARD.md", "r+b") as file:
        file.truncate(1 << 40)


def nothing(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


MEMBERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "symbolic link": (linked, "is a link"),
    "hard link": (hard_linked, "not a plain file"),
    "named pipe": (pipe, "not a plain file"),
    "named pipe as manifest": (pipe_for_the_manifest, "not a plain file"),
    "link to a device": (device, "is a link"),
    "sub-directory": (sub_directory, "more: is not listed"),
    "directory for a file": (directory_for_a_file, "not a plain file|cannot be opened"),
    "extra file": (extra_file, "sitecustomize.py: is not listed"),
    "extra pipe": (extra_pipe, "aaa: is not listed"),
    "name in another case": (other_case, "card.md: is not listed"),
    "ten thousand files": (ten_thousand_files, "holds too many files"),
    "no manifest": (no_manifest, "manifest.json: is missing"),
    "missing file": (missing, "golden.json: is missing"),
    "sparse terabyte": (sparse_terabyte, "larger than it may be"),
    "empty directory": (nothing, "manifest.json: is missing"),
}


@pytest.mark.parametrize("attack", MEMBERS)
@pytest.mark.timeout(20)
def test_attack_on_the_directory_is_refused(attack, churn_bundle, tmp_path):
    change, sentence = MEMBERS[attack]
    folder = written(tmp_path / "b", sealed(read(churn_bundle)))
    change(folder)
    with pytest.raises(BundleError, match=sentence):
        open_bundle(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("path", ["absent", "pipe", "/dev/zero", "a\0b", "x" * 5000])
def test_what_is_no_bundle_at_all_is_refused(path, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BundleError, match=r"no such bundle|neither a directory nor a file"):
        open_bundle(tmp_path / path)


# --- named attacks: on the zip


def zipped(files: Files, **how: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **{"compression": zipfile.ZIP_STORED, **how}) as archive:
        for name, body in files.items():
            archive.writestr(zipfile.ZipInfo(name), body, how.get("compression"))
    return out.getvalue()


def with_member(name: str, body: bytes = b"x") -> Callable[[Files], bytes]:
    return lambda files: zipped(files | {name: body})


def twice(files: Files) -> bytes:
    return zipped(files | {"CARD.mD": files["CARD.md"]}).replace(b"CARD.mD", b"CARD.md")


def encrypted(files: Files) -> bytes:
    body = bytearray(zipped(files))
    for sign, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        body[body.index(sign) + offset] |= 1
    return bytes(body)


def bomb(files: Files) -> bytes:
    return zipped(files | {"CARD.md": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED)


def declared_larger(files: Files) -> bytes:
    """A list of members that says 2 GB where there are a few bytes."""
    body = bytearray(zipped(files))
    at = body.index(b"PK\1\2")
    body[at + 20 : at + 28] = struct.pack("<II", 1 << 31, 1 << 31)
    return bytes(body)


def many_members(files: Files) -> bytes:
    return zipped(files | {f"f{i}": b"" for i in range(5000)})


def huge_list(files: Files) -> bytes:
    """An end record that claims a list as long as the file."""
    body = zipped(files)
    return body[:-10] + struct.pack("<II", len(body) - 22, 0) + body[-2:]


ARCHIVES: dict[str, tuple[Callable[[Files], bytes], str]] = {
    "compressed member": (lambda f: zipped(f, compression=zipfile.ZIP_DEFLATED), "compressed"),
    "zip bomb": (bomb, "compressed"),
    "duplicate member": (twice, "twice"),
    "absolute path": (with_member("/etc/passwd"), "is not listed"),
    "traversal": (with_member("../x"), "is not listed"),
    "directory": (with_member("more/", b""), "is not listed"),
    "encrypted flag": (encrypted, "compressed or encrypted"),
    "size beyond the file": (declared_larger, "larger than the file"),
    "five thousand members": (many_members, "list of members"),
    "list as long as the file": (huge_list, "not a bundle"),
    "truncated": (lambda f: zipped(f)[:-100], "not a"),
    "cut in the middle": (lambda f: zipped(f)[: len(zipped(f)) // 2], "not a"),
    "something in front": (lambda f: b"#!/bin/sh\n" + zipped(f), "list of members"),
    "something behind": (lambda f: zipped(f) + b"tail", "not a"),
    "another comment": (lambda f: zipped(f)[:-2] + b"\4\0tail", "not a"),
    "flipped byte": (lambda f: zipped(f).replace(b"manifest.json", b"manifest_json", 1), "cannot be read|not a"),
    "empty": (lambda f: b"", "not a"),
    "a pickle": (lambda f: b"\x80\x04cos\nsystem\n", "not a"),
    "a tar": (lambda f: b"CARD.md".ljust(512, b"\0") * 4, "not a"),
}


@pytest.mark.parametrize("attack", ARCHIVES)
def test_attack_on_the_zip_is_refused(attack, churn_bundle, tmp_path):
    make, sentence = ARCHIVES[attack]
    path = tmp_path / "b.lamina"
    path.write_bytes(make(sealed(read(churn_bundle))))
    with pytest.raises(BundleError, match=sentence):
        open_bundle(path)
    assert [p.name for p in tmp_path.iterdir()] == ["b.lamina"]


def test_random_damage_to_a_zip_is_refused_or_harmless(whole, tmp_path):
    files, rows, expected = whole
    body, path = zipped(sealed(files)), tmp_path / "b.lamina"
    for number in range(100):
        path.write_bytes(mutate_bytes(body, random.Random(number)))
        try:
            answers = Predictor(path, threads=1).predict(rows)
        except BundleError:
            continue
        assert all(same(a, b) for a, b in zip(answers, expected, strict=True)), number


def test_a_packed_bundle_answers_as_its_directory_does(whole, tmp_path):
    files, rows, expected = whole
    folder = written(tmp_path / "b", sealed(files, sworn=False))
    packed = pack(folder, tmp_path / "deep" / "b.lamina")
    again = pack(folder, tmp_path / "c.lamina")
    assert packed.read_bytes() == again.read_bytes()
    assert Predictor(packed).predict(rows) == expected
    assert Predictor(packed).bundle.id == Predictor(folder).bundle.id


# --- what opening does to the process


HOOK = """
import json, os, sys, sysconfig, warnings
from pathlib import Path

folder, rows, good, planted = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]
from lamina.config import BundleError
from lamina.deploy.predictor import Predictor

for path in (good, good + ".lamina"):  # imports what opening any bundle imports
    Predictor(path, threads=1).predict(rows)
before = set(sys.modules)
allowed = [os.path.realpath(p) for p in (sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), sys.argv[5])]
seen = []

def inside(path, roots):
    path = os.path.realpath(path)
    return any(path == root or path.startswith(root + os.sep) for root in roots)

def hook(event, args):
    if not watching:
        return
    if event.split(".")[0] in ("exec", "compile", "socket", "subprocess", "ctypes", "pickle", "marshal", "mmap"):
        seen.append(f"{event} {str(args)[:200]}")
    if event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.chmod",
                 "os.link", "os.symlink", "os.truncate", "os.putenv", "shutil.rmtree", "code.__new__"):
        seen.append(f"{event} {str(args)[:200]}")
    if event == "import" and not args[0].startswith(("lamina.", "onnxruntime.", "numpy.", "pyarrow.")):
        seen.append(f"import {args[0]}")
    if event == "open" and isinstance(args[0], (str, bytes)):
        writes = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        name = os.fsdecode(args[0])
        if writes or not (inside(name, [*allowed, str(current)]) or name in expected):
            seen.append(f"open {name}")

watching, current, expected = False, folder, set()
sys.addaudithook(hook)

if planted:
    watching = True
    try:
        exec(planted)
    except Exception:
        pass
    watching = False
else:
    for current in sorted(folder.iterdir()):
        expected = {p.name for p in current.iterdir()} if current.is_dir() else set()  # opened below the folder
        watching = True
        try:
            Predictor(current, threads=1).predict(rows)
        except BundleError:
            pass
        finally:
            watching = False
print(json.dumps(seen))
"""
PLANTED = (
    "eval(compile('1+1', 'data', 'eval'))",
    "import this",
    "import os; os.system('true')",
    "import subprocess; subprocess.run(['true'])",
    "import socket; socket.socket()",
    "import pickle; pickle.loads(pickle.dumps(len))",
    "import ctypes; ctypes.CDLL(None)",
    "open('/etc/passwd')",
    "import os; os.open('/etc/hostname', os.O_RDONLY)",
    "open(os.path.join(current, 'x'), 'w')",
    "import os; os.mkdir('/tmp/never/made')",
    "import marshal; marshal.loads(marshal.dumps(1))",
)


def watched(folder: Path, rows: Any, good: Path, planted: str = "") -> list[str]:
    """What the audit hook of a child process saw while it opened every bundle of a folder."""
    source = Path(bundle.__file__).parents[2]
    fine = written(folder.parent / "fine", sealed(read(good), sworn=False))
    pack(fine, Path(f"{fine}.lamina"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HOOK, folder, json.dumps(rows), fine, planted, source],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_opening_hostile_bundles_runs_imports_writes_and_contacts_nothing(churn_bundle, tmp_path):
    files, rows, folder = read(churn_bundle), probes(customers(60, seed=5)), tmp_path / "hostile"
    folder.mkdir()
    for number in range(60):
        written(folder / f"m{number}", sealed(mutated(files, random.Random(number))[1]))
    for number, (change, _) in enumerate([*ATTACKS.values(), *((models(c), s) for c, s in GRAPHS.values())]):
        if number != list(ATTACKS).index("100,001 tensors"):  # slow to write, and no danger
            attacked = change(files)
            if "model.onnx" in attacked or b"onnx" in attacked["model.json"]:  # torch is not what serves
                written(folder / f"a{number}", sealed(attacked))
    for number, (make, _) in enumerate(ARCHIVES.values()):
        (folder / f"z{number}.lamina").write_bytes(make(sealed(files)))
    written(folder / "good", sealed(files, sworn=False))
    assert watched(folder, rows, churn_bundle) == []


def test_the_hook_sees_what_it_must(churn_bundle, tmp_path):
    """All planted positives are caught, or the test above would prove nothing."""
    rows, folder = probes(customers(60, seed=5))[:2], tmp_path / "here"
    folder.mkdir()
    joined = "\n".join(f"try:\n    exec({plant!r})\nexcept Exception:\n    pass" for plant in PLANTED)
    seen = "\n".join(watched(folder, rows, churn_bundle, joined))
    for sign in ("compile", "exec", "import this", "os.system", "subprocess.Popen", "socket", "pickle", "ctypes"):
        assert sign in seen, sign
    for sign in ("open /etc/passwd", "open /etc/hostname", f"open {folder}/x", "os.mkdir", "marshal"):
        assert sign in seen, sign


MEMORY = """
import re, sys
from pathlib import Path
from lamina.config import BundleError
from lamina.deploy.predictor import Predictor

def status(field):
    return int(re.search(field + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

Predictor(sys.argv[1], threads=1)
for path in sorted(Path(sys.argv[2]).iterdir()):
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew; getrusage would report the parent's
    before = status("VmRSS")
    try:
        Predictor(path, threads=1)
        print("opened", path)
    except BundleError:
        print(status("VmHWM") - before, path.name)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are reset by Linux only")
def test_refusing_a_bomb_takes_little_memory(churn_bundle, tmp_path):
    files, folder = read(churn_bundle), tmp_path / "bombs"
    folder.mkdir()
    for name in (
        "shape bomb in the spec",
        "output bomb in the spec",
        "buckets bomb",
        "10,000 deep",
        "overflowing sizes",
    ):
        written(folder / name.replace(" ", "-"), sealed(ATTACKS[name][0](files)))
    for name in ("zip bomb", "size beyond the file", "five thousand members", "list as long as the file"):
        (folder / f"{name.replace(' ', '-')}.lamina").write_bytes(ARCHIVES[name][0](sealed(files)))
    sparse_terabyte(written(folder / "sparse", sealed(files)))
    written(folder / "lists", sealed(files | {"training.json": b"[" + b"[]," * 10_000_000 + b"[]]"}))
    written(folder / "quotes", sealed(files | {"training.json": b'["' + b"\\u0041" * 5_000_000 + b'"]'}))
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, churn_bundle, folder]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    grown = {line.split()[1]: float(line.split()[0]) for line in done.stdout.splitlines()}
    assert len(grown) == len(list(folder.iterdir())), done.stdout
    print(grown)
    largest = max(p.stat().st_size for p in folder.rglob("training.json")) / 2**20
    assert max(grown.values()) < 64 + 4 * largest, grown
    assert all(mib < 64 for name, mib in grown.items() if name not in ("lists", "quotes")), grown


def test_opening_a_small_bundle_is_quick(churn_bundle):
    Predictor(churn_bundle)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        Predictor(churn_bundle)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.15, times


def test_a_network_run_by_torch_gives_the_same_answers(whole, tmp_path):
    files, rows, expected = whole
    answers = Predictor(written(tmp_path / "b", sealed(torch_runtime(files)))).predict(rows)
    assert all(same(a, b) for a, b in zip(answers, expected, strict=True))


def test_mutated_networks_run_by_torch_are_refused_or_the_same(whole, tmp_path):
    files, rows, expected = whole
    by_torch = sealed(torch_runtime(files))
    result = trials(60, 500, (by_torch, rows, expected), tmp_path / "b", lambda f: sealed(f, sworn=False))
    assert set(result) == {"refused", "the same"}, result


def test_the_identity_of_a_bundle_is_that_of_its_files(churn_bundle, tmp_path):
    files = read(churn_bundle)
    expected = open_bundle(churn_bundle).id
    assert open_bundle(written(tmp_path / "b", sealed(files, sworn=False))).id == expected
    other_author = changed(sealed(files), "manifest.json", lambda m: m.update(created_by="lamina 9.9"))
    assert open_bundle(written(tmp_path / "b", other_author)).id == expected
    assert open_bundle(written(tmp_path / "b", sealed(files | {"CARD.md": b"x"}))).id != expected
