"""Clients of other servers get the predictor's answers in their own protocol; what they send wrong is a sentence."""

import base64
import csv
import io
import json
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lamina
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, app
from lamina.deploy.server.protocols import FOLDER, Route, Service
from lamina.deploy.server.reloading import bundle_name
from lamina.plugins import available, plugin
from service_tools import send

BUNDLES = Path(__file__).parents[1] / "bundles"
PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
CLOSE = {"rel": 1e-6, "abs": 1e-6}
HEADER = "inference-header-content-length"
BY_ROW = (
    *("anomaly_detection_autoencoder_rows", "classification_fnn", "classification_pretrained", "multilabel_fnn_text"),
    *("denoising_unet_series", "dimensionality_reduction_autoencoder_rows", "multilabel_combine"),
    *("regression_fnn", "regression_lstm"),
)
OTHERS = ("forecasting_linear_known", "generation_gan_rows", "anomaly_detection_autoencoder_recording")


def ask(api, method, path, **options):
    return send(api, ((method, path), options))[0]


def post(api, path, value=None, **options):
    return ask(api, "POST", path, **({"json": value} if value is not None else {}), **options)


def sentence(reply, status):
    """The only sentence of an error, of this status and in the one shape of errors."""
    body = reply.json()
    assert (reply.status_code, set(body)) == (status, {"error", "request_id"}), body
    assert body["error"].endswith(".") and "Traceback" not in body["error"]
    return body["error"]


def columns(rows):
    return {name: [row.get(name) for row in rows] for name in rows[0]}


def flat(answer):
    """An answer with the probabilities of classes side by side, as tensors have them."""
    return {n: list(cell.values()) if isinstance(cell, dict) else cell for n, cell in answer.items()}


def assert_close(mine, theirs):
    """Two answers, cell by cell: texts are the same, numbers nearly so."""
    assert mine.keys() == theirs.keys()
    for name, cell in theirs.items():
        if isinstance(cell, dict):
            assert_close(mine[name], cell)
        elif isinstance(cell, str | bool | None):
            assert mine[name] == cell, name
        else:
            assert mine[name] == pytest.approx(cell, **CLOSE), name


def assert_answers(mine, theirs):
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        assert_close(one, other)


# The Open Inference Protocol


def tensor(name, cells, datatype="BYTES"):
    return {"name": name, "shape": [len(cells)], "datatype": datatype, "data": cells}


def tensors(rows):
    """Rows as inputs in JSON: each column in the datatype that its cells have."""
    datatypes = {bool: "BOOL", float: "FP64", int: "INT64", str: "BYTES"}
    kinds = {name: next((type(c) for c in cells if c is not None), str) for name, cells in columns(rows).items()}
    return [tensor(name, cells, datatypes[kinds[name]]) for name, cells in columns(rows).items()]


def in_binary(inputs, **more):
    """Inputs as JSON with the values behind it, and the header that says where."""
    bodies, heads = [], []
    for one in inputs:
        data = one["data"]
        if one["datatype"] == "BYTES":
            cells = [b"" if c is None else c if isinstance(c, bytes) else c.encode() for c in data]
            bodies.append(b"".join(struct.pack("<I", len(cell)) + cell for cell in cells))
        else:
            kind = {"BOOL": "?", "FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "UINT8": "u1"}
            bodies.append(np.array(data, kind[one["datatype"]]).tobytes())
        head = {name: value for name, value in one.items() if name != "data"}
        heads.append({**head, "parameters": {"binary_data_size": len(bodies[-1])}})
    head = json.dumps({"inputs": heads, **more}).encode()
    return {"content": head + b"".join(bodies), "headers": {HEADER: str(len(head))}}


def outputs(reply):
    """The answers of a reply by output, out of JSON or out of the bytes behind it."""
    assert reply.status_code == 200, reply.text
    size = int(reply.headers.get(HEADER, len(reply.content)))
    value, rest, results = json.loads(reply.content[:size]), reply.content[size:], {}
    for one in value["outputs"]:
        length = one.get("parameters", {}).get("binary_data_size")
        if length is None:
            cells = one["data"]
        else:
            part, rest = rest[:length], rest[length:]
            cells = texts(part) if one["datatype"] == "BYTES" else values(one["datatype"], part)
        count = one["shape"][0]
        assert len(cells) == np.prod(one["shape"])
        wide = len(one["shape"]) > 1
        results[one["name"]] = np.reshape(np.array(cells, float), one["shape"]).tolist() if wide else list(cells)
        assert len(results[one["name"]]) == count
    assert rest == b""
    return results


def values(datatype, part):
    kind = {"BOOL": "?", "FP64": "<f8", "FP32": "<f4", "INT64": "<i8"}[datatype]
    return np.frombuffer(part, kind).tolist()


def texts(part):
    cells = []
    while part:
        (size,) = struct.unpack("<I", part[:4])
        cells.append(part[4 : 4 + size].decode())
        part = part[4 + size :]
    return cells


def by_row(results):
    return [dict(zip(results, cells, strict=True)) for cells in zip(*results.values(), strict=True)]


def test_tensors_in_json_and_in_binary_get_the_predictors_answers(api, predictor, rows):
    expected = [flat(answer) for answer in predictor.predict(rows)]
    for request in ({"json": {"inputs": tensors(rows)}}, in_binary(tensors(rows))):
        assert_answers(by_row(outputs(ask(api, "POST", "/v2/models/churn/infer", **request))), expected)


def test_only_the_outputs_that_are_asked_for_come_back_each_as_it_is_asked_for(api, rows):
    selection = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "prediction"}]
    body = {"id": "number 7", "inputs": tensors(rows[:3]), "outputs": selection}
    reply = post(api, "/v2/models/churn/infer", body)
    head = json.loads(reply.content[: int(reply.headers[HEADER])])
    assert head["id"] == "number 7" and [one["name"] for one in head["outputs"]] == ["probabilities", "prediction"]
    assert "data" in head["outputs"][1] and len(outputs(reply)["probabilities"]) == 3
    whole = {"inputs": tensors(rows[:3]), "parameters": {"binary_data_output": True}}
    assert len(outputs(post(api, "/v2/models/churn/infer", whole))) == 2


def test_numbers_of_every_type_are_numbers_and_nan_is_missing(numbers_bundle):
    predictor = Predictor(numbers_bundle)
    api, towns = app(predictor), tensor("town", ["north", None])
    (plain, missing) = predictor.predict([{"area": 96.0, "rooms": 3, "town": "north"}, {"rooms": 3}])
    for datatype in ("FP16", "FP32", "FP64"):
        inputs = [tensor("area", [96.0, np.nan], datatype), tensor("rooms", [3, 3], "INT64"), towns]
        assert_answers(
            by_row(outputs(ask(api, "POST", "/v2/models/numbers/infer", **in_binary(inputs)))), [plain, missing]
        )
    for datatype in ("INT64", "UINT8"):
        inputs = [tensor("area", [96, 96], datatype), tensor("rooms", [3.0, 3.0], "FP32"), towns]
        got = by_row(outputs(ask(api, "POST", "/v2/models/numbers/infer", **in_binary(inputs))))
        assert_close(got[0], plain)


def test_a_column_of_rows_is_as_good_as_a_list_and_a_number_as_its_text(numbers_bundle):
    api = app(Predictor(numbers_bundle))
    inputs = [tensor("area", [96.0, 80.5], "FP64"), tensor("rooms", [3, 2], "INT64")]
    plain = outputs(post(api, "/v2/models/numbers/infer", {"inputs": inputs}))
    square = [{**inputs[0], "shape": [2, 1], "data": [[96.0], [80.5]]}, {**inputs[1], "shape": [2, 1]}]
    assert outputs(post(api, "/v2/models/numbers/infer", {"inputs": square})) == plain
    words = [tensor("area", ["96", "80.5"]), inputs[1]]
    assert outputs(post(api, "/v2/models/numbers/infer", {"inputs": words})) == plain


@pytest.mark.parametrize("name", BY_ROW)
def test_a_client_that_knows_the_metadata_alone_gets_the_answers_of_any_bundle(name):
    model = lamina.load(BUNDLES / f"{name}.lamina")
    api = app(model.predictor)
    metadata = ask(api, "GET", f"/v2/models/{name}").json()
    request = json.loads((BUNDLES / f"{name}.json").read_text("utf-8"))[0]
    rows = [row for row in request["rows"] if row]
    datatypes = {one["name"]: one["datatype"] for one in metadata["inputs"]}
    inputs = [padded(column, datatypes[column], [row.get(column) for row in rows]) for column in datatypes]
    reply = post(api, f"/v2/models/{name}/infer", {"inputs": inputs})
    results = outputs(reply)
    assert list(results) == [one["name"] for one in metadata["outputs"]]
    for one, other in zip(by_row(results), model.predict(rows), strict=True):
        for column, cell in flat(other).items():
            compare(one[column], cell)


def padded(name, datatype, cells):
    """A column as an input in JSON: texts, numbers, or lists of numbers of the longest with gaps behind."""
    if any(isinstance(cell, list) for cell in cells):
        steps = max(len(cell) for cell in cells if cell)
        wide = next(len(cell[0]) if isinstance(cell[0], list) else 0 for cell in cells if cell)
        gap = [None] * wide if wide else None
        data = [[*(cell or []), *[gap] * (steps - len(cell or []))] for cell in cells]
        return {
            "name": name,
            "shape": [len(cells), steps, *([wide] if wide else [])],
            "datatype": datatype,
            "data": data,
        }
    if any(isinstance(cell, str) for cell in cells):  # a word among numbers
        return tensor(name, [None if cell is None else str(cell) for cell in cells])
    return tensor(name, cells, datatype)


def compare(mine, theirs):
    """A cell of an output, and the answer of Python: what is no number is text, or JSON."""
    if isinstance(theirs, str):
        assert mine == theirs
    elif isinstance(mine, str):
        assert json.loads(mine) == theirs
    elif isinstance(theirs, list):
        count = len(theirs)
        assert np.ravel(mine[:count]).tolist() == pytest.approx(np.ravel(np.array(theirs, float)).tolist(), **CLOSE)
        assert all(np.isnan(cell).all() for cell in mine[count:])
    else:
        assert (mine is None and theirs is None) or mine == pytest.approx(theirs, **CLOSE)


def test_an_image_comes_as_a_file_or_as_its_pixels():
    name = "classification_pretrained"
    predictor = Predictor(BUNDLES / f"{name}.lamina")
    api, path = app(predictor), f"/v2/models/{name}/infer"
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12), dtype=np.uint8)
    files = [b"P5\n12 12\n255\n" + image.tobytes() for image in pixels]
    expected = [flat(answer) for answer in predictor.predict([{"picture": file} for file in files])]
    as_pixels = {"name": "picture", "shape": [3, 12, 12], "datatype": "UINT8", "data": pixels.tolist()}
    coloured = np.repeat(pixels[..., None], 3, axis=3)
    as_colours = {"name": "picture", "shape": [3, 12, 12, 3], "datatype": "UINT8", "data": coloured.ravel().tolist()}
    as_base64 = tensor("picture", [base64.b64encode(file).decode() for file in files])
    requests = (
        *({"json": {"inputs": [one]}} for one in (as_pixels, as_colours, as_base64)),
        *(in_binary([one]) for one in (as_pixels, as_colours, tensor("picture", files))),
    )
    for request in requests:
        assert_answers(by_row(outputs(ask(api, "POST", path, **request))), expected)


def test_series_of_several_lengths_end_where_nothing_but_nan_is_behind():
    name = "regression_lstm"
    predictor = Predictor(BUNDLES / f"{name}.lamina")
    rng = np.random.default_rng(0)
    waves = [rng.normal(size=(steps, 2)).astype(np.float32) for steps in (12, 7, 9)]
    waves[2][4, 1] = np.nan
    cells = [[[None if np.isnan(v) else float(v) for v in step] for step in wave] for wave in waves]
    expected = predictor.predict([{"wave": cell, "gain": 0.5} for cell in cells] + [{"gain": 0.5}])
    whole = np.full((4, 12, 2), np.nan, np.float32)
    for i, wave in enumerate(waves):
        whole[i, : len(wave)] = wave
    inputs = [
        {"name": "wave", "shape": [4, 12, 2], "datatype": "FP32", "data": whole},
        tensor("gain", [0.5] * 4, "FP64"),
    ]
    assert_answers(
        by_row(outputs(ask(app(predictor), "POST", f"/v2/models/{name}/infer", **in_binary(inputs)))), expected
    )


def test_a_model_says_what_it_takes_and_answers(api, predictor, rows):
    metadata = ask(api, "GET", "/v2/models/churn").json()
    assert (metadata["name"], metadata["versions"]) == ("churn", [predictor.id])
    datatypes = {one["name"]: one["datatype"] for one in metadata["inputs"]}
    assert datatypes["months"] == "FP64" and datatypes["paperless"] == "BOOL" and datatypes["plan"] == "BYTES"
    (label, chances) = metadata["outputs"]
    assert label == {"name": "prediction", "datatype": "BYTES", "shape": [-1]}
    assert chances["shape"] == [-1, 2] and json.loads(chances["parameters"]["labels"]) == ["no", "yes"]
    assert ask(api, "GET", f"/v2/models/churn/versions/{predictor.id}").json() == metadata
    config = ask(api, "GET", "/v2/models/churn/config").json()
    assert {one["name"]: one["data_type"] for one in config["input"]}["plan"] == "TYPE_STRING"
    assert ask(api, "GET", "/v2").json()["extensions"]
    (entry,) = post(api, "/v2/repository/index").json()
    assert (entry["name"], entry["version"], entry["state"]) == ("churn", predictor.id, "READY")


def test_statistics_count_what_was_answered_and_what_was_refused(predictor, rows):
    api = app(predictor)
    post(api, "/v2/models/churn/infer", {"inputs": tensors(rows[:3])})
    post(api, "/v2/models/churn/infer", {"inputs": []})
    (stats,) = ask(api, "GET", "/v2/models/churn/stats").json()["model_stats"]
    assert stats["inference_count"] == 3 and stats["last_inference"] > 0
    assert [stats["inference_stats"][what]["count"] for what in ("success", "fail")] == [1, 1]
    assert ask(api, "GET", "/v2/models/stats").json()["model_stats"] == [stats]
    assert "lamina_rows_total 3" in ask(api, "GET", "/metrics").text


NUMBER = {"name": "months", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0]}
LONG = "9" * 30

WRONG = {
    "no inputs": ({"inputs": []}, "inputs"),
    "no object": ([1], "must be an object"),
    "an input without a name": ({"inputs": [{"shape": [1], "datatype": "FP64", "data": [1]}]}, "inputs.0.name"),
    "an unknown datatype": ({"inputs": [{**NUMBER, "datatype": "FP128"}]}, "no known datatype (got 'FP128')"),
    "a negative size": ({"inputs": [{**NUMBER, "shape": [-2]}]}, "inputs.0.shape.0"),
    "a size that is no number": ({"inputs": [{**NUMBER, "shape": [None]}]}, "inputs.0.shape.0"),
    "a size that is a truth": ({"inputs": [{**NUMBER, "shape": [True]}]}, "inputs.0.shape.0"),
    "no size": ({"inputs": [{**NUMBER, "shape": []}]}, "inputs.0.shape"),
    "too many sizes": ({"inputs": [{**NUMBER, "shape": [2] * 9}]}, "inputs.0.shape"),
    "a size of thirty digits": ({"inputs": [{**NUMBER, "shape": [2, int(LONG)]}]}, "inputs.0.shape.1"),
    "a huge shape": ({"inputs": [{**NUMBER, "shape": [2, 1 << 40, 1 << 20]}]}, "and its shape"),
    "no row": ({"inputs": [{**NUMBER, "shape": [0], "data": []}]}, "there is no row"),
    "another count than the shape": ({"inputs": [{**NUMBER, "data": [1.0]}]}, "data has 1 values"),
    "no data": ({"inputs": [{"name": "months", "shape": [2], "datatype": "FP64"}]}, "data must be a list"),
    "text among numbers": ({"inputs": [{**NUMBER, "data": [1.0, "x"]}]}, "inputs.months[1]: is no FP64 (got 'x')"),
    "a number among texts": ({"inputs": [tensor("plan", ["pro", 3])]}, "inputs.plan[1]: is no BYTES"),
    "a fraction among whole numbers": ({"inputs": [{**NUMBER, "datatype": "INT32", "data": [1, 2.5]}]}, "is no INT32"),
    "nested otherwise": ({"inputs": [{**NUMBER, "shape": [2, 1], "data": [[1.0], 2.0]}]}, "is not nested as its shape"),
    "a matrix for a number": ({"inputs": [{**NUMBER, "shape": [2, 2], "data": [1.0] * 4}]}, "Send FP64 of the shape"),
    "an input twice": ({"inputs": [NUMBER, NUMBER]}, "'months' is there twice"),
    "columns of other lengths": ({"inputs": [NUMBER, tensor("plan", ["pro"])]}, "as many rows each"),
    "no output of this name": ({"inputs": [NUMBER], "outputs": [{"name": "x"}]}, "This model has 'prediction'"),
    "an output twice": (
        {"inputs": [NUMBER], "outputs": [{"name": "prediction"}] * 2},
        "'prediction' is there twice",
    ),
    "classes of outputs": (
        {"inputs": [NUMBER], "outputs": [{"name": "prediction", "parameters": {"classification": 3}}]},
        "has no classification",
    ),
    "shared memory": (
        {"inputs": [{**NUMBER, "parameters": {"shared_memory_region": "a"}}]},
        "has no shared_memory_region",
    ),
    "no column of the model": ({"inputs": [{**NUMBER, "name": "shoe size"}]}, "not one column is known"),
    "binary that is not there": (
        {"inputs": [{**NUMBER, "data": None, "parameters": {"binary_data_size": 16}}]},
        "inputs say that",
    ),
    "a negative count of bytes": (
        {"inputs": [{**NUMBER, "parameters": {"binary_data_size": -16}}]},
        "binary_data_size must be a number of bytes (got -16)",
    ),
    "a count of bytes that is none": (
        {"inputs": [{**NUMBER, "parameters": {"binary_data_size": float("nan")}}]},
        "data",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_tensors_is_said_in_a_sentence(api, name):
    value, words = WRONG[name]
    reply = post(api, "/v2/models/churn/infer", content=json.dumps(value).encode())
    if name == "a count of bytes that is none":  # NaN is missing, so there is none
        assert reply.status_code == 200
    else:
        assert words in sentence(reply, 400)


def binary(length, body, header=None):
    head = json.dumps({"inputs": [{**{k: v for k, v in NUMBER.items() if k != "data"}, **body}]}).encode()
    rest = b"\0" * length
    return {"content": head + rest, "headers": {HEADER: str(len(head)) if header is None else header}}


WRONG_BINARY = {
    "fewer bytes than are said": binary(8, {"parameters": {"binary_data_size": 16}}),
    "more bytes than are said": binary(24, {"parameters": {"binary_data_size": 16}}),
    "bytes of another count": binary(8, {"parameters": {"binary_data_size": 8}}),
    "a shape far larger than its bytes": binary(16, {"shape": [2, 1 << 60], "parameters": {"binary_data_size": 16}}),
    "an unknown datatype": binary(16, {"datatype": "BF16", "parameters": {"binary_data_size": 16}}),
    "bytes that nobody says": binary(16, {"data": [1.0, 2.0]}),
    "a header that is no number": binary(16, {"parameters": {"binary_data_size": 16}}, "x"),
    "a negative header": binary(16, {"parameters": {"binary_data_size": 16}}, "-1"),
    "a header of nothing": binary(16, {"parameters": {"binary_data_size": 16}}, "0"),
    "a header beyond the body": binary(16, {"parameters": {"binary_data_size": 16}}, "100000"),
    "a header of thirty digits": binary(16, {"parameters": {"binary_data_size": 16}}, LONG),
    "a header within the JSON": binary(16, {"parameters": {"binary_data_size": 16}}, "20"),
    "texts cut short": binary(7, {"datatype": "BYTES", "parameters": {"binary_data_size": 7}}),
    "too few texts": binary(4, {"datatype": "BYTES", "parameters": {"binary_data_size": 4}}),
    "too many texts": binary(12, {"datatype": "BYTES", "parameters": {"binary_data_size": 12}}),
    "data twice": binary(16, {"data": [1.0, 2.0], "parameters": {"binary_data_size": 16}}),
}


@pytest.mark.parametrize("name", WRONG_BINARY)
def test_sizes_that_are_not_those_of_the_bytes_are_refused(api, name):
    sentence(ask(api, "POST", "/v2/models/churn/infer", **WRONG_BINARY[name]), 400)


def test_texts_longer_than_their_body_and_texts_that_are_no_utf8_are_refused(api):
    for part in (struct.pack("<I", 1 << 31) + b"pro", struct.pack("<I", 3) + b"\xff\xfe\xfd"):
        head = {"name": "plan", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(part)}}
        text = json.dumps({"inputs": [head]}).encode()
        options = {"content": text + part, "headers": {HEADER: str(len(text))}}
        assert "inputs.plan" in sentence(ask(api, "POST", "/v2/models/churn/infer", **options), 400)


# TensorFlow Serving


def test_instances_are_answered_row_by_row_and_inputs_by_output(api, predictor, rows):
    expected = [flat(answer) for answer in predictor.predict(rows)]
    path = "/v1/models/churn:predict"
    assert_answers(post(api, path, {"instances": rows}).json()["predictions"], expected)
    assert_answers(by_row(post(api, path, {"inputs": columns(rows)}).json()["outputs"]), expected)
    named = {"signature_name": "serving_default", "instances": rows[:1]}
    assert_answers(
        post(api, f"/v1/models/churn/versions/{predictor.id}:predict", named).json()["predictions"], expected[:1]
    )


def test_a_model_of_one_column_takes_and_gives_bare_values():
    predictor = Predictor(BUNDLES / "denoising_unet_series.lamina")
    path, waves = "/v1/models/denoising_unet_series:predict", [[0.1, 0.5, 0.3, -0.2, 0.4, 0.2, 0.1, 0.0]] * 2
    (expected, _) = predictor.predict([{"signal": wave} for wave in waves])
    api = app(predictor)
    for body, key in (({"instances": waves}, "predictions"), ({"inputs": waves}, "outputs")):
        (one, _) = post(api, path, body).json()[key]
        assert one == pytest.approx(expected["signal"], **CLOSE)


def test_bytes_are_base64_of_files_and_of_texts(api, predictor):
    words = base64.b64encode(b"kind and quick service").decode()
    expected = predictor.predict([{"months": 3, "remark": "kind and quick service"}])
    for body in (
        {"instances": [{"months": 3, "remark": {"b64": words}}]},
        {"inputs": {"months": [3], "remark": [{"b64": words}]}},
    ):
        reply = post(api, "/v1/models/churn:predict", body).json()
        mine = reply["predictions"] if "predictions" in reply else by_row(reply["outputs"])
        assert_answers(mine, [flat(answer) for answer in expected])
    name = "classification_pretrained"
    images = Predictor(BUNDLES / f"{name}.lamina")
    file = b"P5\n12 12\n255\n" + bytes(range(144))
    text = base64.b64encode(file).decode()
    answers = [flat(answer) for answer in images.predict([{"picture": file}])]
    for cell in ({"b64": text}, text, {"picture": {"b64": text}}):
        mine = post(app(images), f"/v1/models/{name}:predict", {"instances": [cell]}).json()["predictions"]
        assert_answers(mine, answers)


def test_status_and_metadata_are_those_of_tensorflow_serving(api, predictor):
    status = ask(api, "GET", "/v1/models/churn").json()
    (version,) = status["model_version_status"]
    assert (version["version"], version["state"], version["status"]["error_code"]) == (predictor.id, "AVAILABLE", "OK")
    assert status["ready"] is True and ask(api, "GET", "/v1/models").json() == {"models": ["churn"]}
    metadata = ask(api, "GET", "/v1/models/churn/metadata").json()
    (signature,) = metadata["metadata"]["signature_def"]["signature_def"].values()
    assert signature["inputs"]["months"]["dtype"] == "DT_DOUBLE"
    assert signature["outputs"]["probabilities"]["tensor_shape"]["dim"][1]["size"] == "2"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "must have one of instances, inputs"),
        ({"instances": [{}], "inputs": {}}, "must have one of instances, inputs"),
        ({"instances": [{"months": 1}], "rows": 1}, "rows does not belong beside instances"),
        ({"instances": 3}, "must be a list of objects"),
        ({"instances": []}, "there is none"),
        ({"instances": [[1, 2]]}, "must be an object of column and value"),
        ({"inputs": [1]}, "must be an object of column and list"),
        ({"inputs": {"months": 3}}, "must be a list of values"),
        ({"inputs": {"months": [1], "plan": ["a", "b"]}}, "equally long"),
        ({"instances": [{"months": {"a": 1}}]}, "must not be nested"),
        ({"instances": [{"remark": {"b64": "?"}}]}, "is no text in base64"),
        ({"instances": [{"remark": {"b64": 3}}]}, "is no text in base64"),
        ({"instances": [{"months": 1}], "signature_name": "other"}, "serving_default alone"),
    ],
)
def test_what_is_wrong_with_instances_is_said_in_a_sentence(api, body, words):
    assert words in sentence(post(api, "/v1/models/churn:predict", body), 400)


# MLflow


def test_data_frames_in_every_form_get_the_predictors_answers(api, predictor, rows):
    expected, names = predictor.predict(rows), list(rows[0])
    split = {"columns": names, "index": list(range(len(rows))), "data": [list(row.values()) for row in rows]}
    for body in (
        {"dataframe_split": split},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": columns(rows), "params": {}},
    ):
        assert_answers(post(api, "/invocations", body).json()["predictions"], expected)


def test_csv_is_a_data_frame(api, predictor, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows({**row, "paperless": str(row["paperless"]).lower()} for row in rows)
    reply = post(api, "/invocations", content=text.getvalue(), headers={"content-type": "text/csv; charset=utf-8"})
    assert_answers(reply.json()["predictions"], predictor.predict(rows))


def test_the_server_is_there_by_the_paths_of_mlflow(api):
    assert ask(api, "GET", "/ping").status_code == ask(api, "GET", "/health").status_code == 200
    assert ask(api, "GET", "/version").text == lamina.__version__


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "must have one of dataframe_split"),
        ({"dataframe_records": [], "inputs": {}}, "must have one of dataframe_split"),
        ({"dataframe_split": {"columns": ["months"]}}, "lists of columns and data"),
        ({"dataframe_split": {"columns": ["months", "months"], "data": [[1, 2]]}}, "names a column twice"),
        ({"dataframe_split": {"columns": ["months"], "data": [[1, 2]]}}, "data[0]: must have 1 values (got 2 values)"),
        ({"dataframe_split": {"columns": ["months"], "data": [3]}}, "data[0]: must have 1 values (got 3)"),
        ({"dataframe_split": {"columns": ["months"], "data": []}}, "there is no row"),
        ({"dataframe_records": [{"months": 1}], "params": {"top": 1}}, "no setting 'top'"),
        ({"dataframe_records": [{"months": 1}], "params": 1}, "params: must be an object"),
    ],
)
def test_what_is_wrong_with_a_data_frame_is_said_in_a_sentence(api, body, words):
    assert words in sentence(post(api, "/invocations", body), 400)


def test_a_data_frame_is_json_or_csv(api):
    words = sentence(post(api, "/invocations", content=b"<x/>", headers={"content-type": "text/xml"}), 415)
    assert "application/json or text/csv" in words


# What is the same in all


def requests_of(rows):
    """The same rows in every protocol: path and options."""
    return {
        "ours": ("/predict", {"json": {"rows": rows}}),
        "open_inference": ("/v2/models/churn/infer", {"json": {"inputs": tensors(rows)}}),
        "tensorflow_serving": ("/v1/models/churn:predict", {"json": {"instances": rows}}),
        "mlflow": ("/invocations", {"json": {"dataframe_records": rows}}),
    }


class Fragile(Predictor):
    """A model that cannot stand one of its columns to hold one word."""

    def pieces(self, operation, rows, request):
        if "poison" in rows["plan"].to_pylist():
            raise RuntimeError("/srv/secret could not be read")
        return super().pieces(operation, rows, request)


def test_requests_of_all_protocols_are_answered_together_and_a_row_that_spoils_it_is_refused_alone(churn_bundle, rows):
    api = app(Fragile(churn_bundle))
    sound, poison = requests_of([rows[0]]), requests_of([{**rows[0], "plan": "poison"}])
    plan = [(name, requests[name]) for name in sound for requests in (sound, poison, sound)]
    replies = send(api, *((("POST", path), options) for _, (path, options) in plan))
    assert [reply.status_code for reply in replies] == [200, 500, 200] * len(sound)
    for reply in replies[1::3]:
        assert "secret" not in sentence(reply, 500)
    (single,) = Predictor(churn_bundle).predict(rows[:1])
    for reply in (*replies[::3], *replies[2::3]):
        (mine,) = reply.json().get("predictions") or by_row(outputs(reply))
        assert_close(flat(mine), flat(single))


def test_every_answer_goes_to_the_one_who_asked_whatever_the_protocol(numbers_bundle):
    predictor = Predictor(numbers_bundle)
    rows = [{"area": 60.0 + i / 8, "rooms": 1 + i % 5, "town": "north"} for i in range(240)]
    protocols = {
        "/predict": lambda row: {"rows": [row]},
        "/v2/models/numbers/infer": lambda row: {"inputs": tensors([row])},
        "/v1/models/numbers:predict": lambda row: {"instances": [row]},
        "/invocations": lambda row: {"dataframe_records": [row]},
    }
    plan = [(path, body(row)) for row in rows for path, body in protocols.items()]
    replies = send(app(predictor, Limits(waiting=2000)), *((("POST", path), {"json": body}) for path, body in plan))
    expected = [answer for answer in predictor.predict(rows) for _ in protocols]
    for reply, answer in zip(replies, expected, strict=True):
        (mine,) = reply.json().get("predictions") or by_row(outputs(reply))
        assert_close(mine, answer)


def test_notes_are_those_of_our_own_json(api):
    rows = [{"months": "many", "plan": "pro", "shoe size": 43}]
    requests = requests_of(rows)
    (path, options) = requests.pop("ours")
    notes = post(api, path, **options).json()["notes"]
    assert len(notes) == 3
    for name, (path, options) in requests.items():
        reply = post(api, path, **options)
        mine = (
            reply.json()["parameters"]["notes"].split("\n")
            if name == "open_inference"
            else json.loads(reply.headers["x-notes"])
        )
        assert sorted(re.sub(r"^\w+\.months\[0\]|^rows\[0\]\.months", "months", note) for note in mine) == sorted(
            note.replace("rows[0].months", "months") for note in notes
        )


@pytest.mark.parametrize("name", ["open_inference", "tensorflow_serving", "mlflow"])
def test_limits_request_ids_and_versions_are_those_of_our_own_json(predictor, rows, name):
    api = app(predictor, Limits(rows=2, body=4000))
    (path, options) = requests_of(rows[:3])[name]
    assert "more than 2" in sentence(post(api, path, **options), 413)
    (path, options) = requests_of([{**rows[0], "remark": "x" * 5000}])[name]
    assert "4,000 bytes" in sentence(post(api, path, **options), 413)
    (path, options) = requests_of(rows[:1])[name]
    reply = post(api, path, **options, headers={"x-request-id": "mine"})
    assert (reply.headers["x-request-id"], reply.headers["x-model-version"]) == ("mine", predictor.id)
    packed = sentence(post(api, path, **options, headers={"content-encoding": "gzip"}), 415)
    assert "Send the body uncompressed." in packed


class Slow(Predictor):
    """A model that takes its time."""

    def pieces(self, operation, rows, request):
        time.sleep(0.4)
        return super().pieces(operation, rows, request)


def test_deadlines_are_those_of_our_own_json(churn_bundle, rows):
    words = {**rows[0], "months": "many"}  # which is said of in a note, and so takes the long way
    api = app(Slow(churn_bundle), Limits(seconds=0.1))
    for reply in send(api, *((("POST", path), options) for path, options in requests_of([words]).values())):
        assert "no response within 0.1 seconds" in sentence(reply, 504)


@given(
    shape=st.lists(st.one_of(st.integers(-2, 4), st.integers(0, 1 << 62)), max_size=3),
    datatype=st.sampled_from(["BOOL", "INT8", "FP16", "FP64", "BYTES", "UINT64", "TEXT", ""]),
    size=st.one_of(st.none(), st.integers(-1, 40), st.integers(0, 1 << 62)),
    part=st.binary(max_size=40),
    length=st.one_of(st.none(), st.integers(-5, 200)),
    name=st.sampled_from(["months", "plan", "paperless", "x"]),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_tensor_whatever_it_says_of_itself_does_harm(api, shape, datatype, size, part, length, name):
    one = {"name": name, "shape": shape, "datatype": datatype}
    head = json.dumps({"inputs": [one | ({} if size is None else {"parameters": {"binary_data_size": size}})]}).encode()
    header = str(len(head) if length is None else length)
    reply = post(api, "/v2/models/churn/infer", content=head + part, headers={HEADER: header})
    assert reply.status_code == 200 or sentence(reply, 413 if "more than 10,000" in reply.text else 400)


def test_health_is_open_and_all_else_needs_the_token(predictor, rows):
    api = app(predictor, token="word")
    for path in ("/v2/health/live", "/v2/health/ready", "/ping"):
        assert ask(api, "GET", path).status_code == 200
    sentence(ask(api, "GET", "/v2/models/churn"), 401)
    for path, options in requests_of(rows[:1]).values():
        sentence(post(api, path, **options), 401)
        assert post(api, path, **options, headers={"authorization": "Bearer word"}).status_code == 200


def test_a_server_that_stops_is_alive_and_not_ready(predictor):
    api = app(predictor)
    api.state.lamina.draining = True
    assert ask(api, "GET", "/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", "/v2/models/churn/ready", "/ping"):
        assert ask(api, "GET", path).status_code == 503
    assert ask(api, "GET", "/v1/models/churn").json()["ready"] is False


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/other/infer", "/v1/models/other:predict"])
def test_a_model_or_a_version_that_is_not_there_is_a_404_that_says_what_is(api, predictor, path):
    method = "GET" if path.endswith("other") else "POST"
    assert "There is 'churn'" in sentence(ask(api, method, path, content=b"{}" if method == "POST" else None), 404)
    version = path.replace("other", "churn/versions/1")
    assert predictor.id in sentence(ask(api, method, version, content=b"{}" if method == "POST" else None), 404)


@pytest.mark.parametrize("name", OTHERS)
def test_a_model_that_does_not_answer_each_row_by_itself_says_so(name):
    api = app(Predictor(BUNDLES / f"{name}.lamina"))
    (entry,) = post(api, "/v2/repository/index").json()
    assert entry["state"] == "UNAVAILABLE" and "POST /" in entry["reason"]
    assert ask(api, "GET", "/v1/models").json() == {"models": []}
    for path in (f"/v2/models/{name}/infer", f"/v1/models/{name}:predict"):
        assert re.search(r"Send POST /\w+;", sentence(post(api, path, {}), 501))
    assert "POST /" in sentence(post(api, "/invocations", {"inputs": {}}), 501)


def test_the_name_of_a_model_is_that_of_its_run_its_folder_or_its_file(churn_bundle, tmp_path):
    assert bundle_name(churn_bundle) == "churn"
    for file in ("my model: (new).lamina", "....lamina"):
        path = tmp_path / file
        path.write_bytes((BUNDLES / "regression_fnn.lamina").read_bytes())
        assert bundle_name(path) == {"my": "my-model-new", "..": "model"}[file[:2]]


# The contract


ASK_LINES = """
import asyncio, sys, httpx
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app

async def main():
    transport = httpx.ASGITransport(app=app(Predictor(sys.argv[1])))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        print((await client.post("/lines/churn", content=sys.argv[2])).text, end="")

asyncio.run(main())
"""


def paths_of(name, predictor):
    service = Service({}, app(predictor).state.lamina)
    return list(plugin(FOLDER, name).routes(service))


@pytest.mark.parametrize("name", available(FOLDER))
def test_every_protocol_is_a_file_that_says_what_it_is_and_which_paths_it_has(name, predictor):
    assert plugin(FOLDER, name).__doc__
    routes = paths_of(name, predictor)
    assert routes and all(isinstance(route, Route) for route in routes)
    page = PAGE.read_text("utf-8")
    for route in routes:
        assert f"/{route.path.split('/')[1]}" in page, route.path
    assert plugin(FOLDER, name).PATH in [route.path for route in routes if route.method == "GET"]


@pytest.mark.parametrize("name", available(FOLDER))
def test_every_path_of_a_protocol_answers_and_takes_no_rubbish(name, api, predictor):
    for route in paths_of(name, predictor):
        path = route.path.format(model="churn", version=predictor.id)
        if route.method == "GET":
            assert ask(api, "GET", path).status_code == 200, path
        for rubbish in (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"1e999", b"[" * 100_000, b'{"a": NaN}'):
            reply = ask(api, route.method, path, content=rubbish, headers={"content-type": "application/json"})
            assert reply.status_code in (200, 400), (path, rubbish[:10])
            assert reply.status_code == 200 or sentence(reply, 400)


def test_the_page_of_the_docs_leads_to_every_protocol_that_a_bundle_can_be_asked_by(api):
    page, other = ask(api, "GET", "/docs").text, app(Predictor(BUNDLES / "forecasting_linear_known.lamina"))
    for path in (plugin(FOLDER, name).PATH for name in available(FOLDER)):
        assert f'href="{path[1:]}"' in page
        assert f'href="{path[1:]}"' not in ask(other, "GET", "/docs").text


def test_a_protocol_of_ones_own_is_one_file(churn_bundle, predictor, rows, tmp_path):
    file, _, text = re.search(r"^```python\n# file: (.*?)(\n)(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S).groups()
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    environment = os.environ | {"LAMINA_PLUGINS": str(tmp_path / "plugins")}
    command = [sys.executable, "-c", ASK_LINES, str(churn_bundle), "\n".join(map(json.dumps, rows))]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert_answers([json.loads(line) for line in ended.stdout.splitlines()], predictor.predict(rows))


def test_no_two_protocols_have_a_path_in_common(predictor):
    paths = [(route.method, route.path) for name in available(FOLDER) for route in paths_of(name, predictor)]
    assert len(set(paths)) == len(paths)


def test_a_request_ends_with_504_once_its_timeout_in_microseconds_is_over(api):
    tensor = {"name": "months", "shape": [1], "datatype": "FP64", "data": [3.0]}
    path = "/v2/models/churn/infer"
    late = post(api, path, {"inputs": [tensor], "parameters": {"timeout": 1}})
    assert "1 microseconds" in sentence(late, 504)
    for timeout in (0, 30_000_000):
        assert post(api, path, {"inputs": [tensor], "parameters": {"timeout": timeout}}).status_code == 200
    for timeout in (-1, "soon", 1.5, True):
        assert "microseconds" in sentence(
            post(api, path, {"inputs": [tensor], "parameters": {"timeout": timeout}}), 400
        )


def test_counts_of_a_model_go_on_where_another_one_is_replaced():
    models = {name: Predictor(BUNDLES / f"{name}.lamina") for name in ("classification_fnn", "regression_fnn")}
    api = app(models)
    assert post(api, "/v1/models/classification_fnn:predict", {"instances": [{"months": 3}]}).status_code == 200
    after = app(models | {"regression_fnn": Predictor(BUNDLES / "regression_lstm.lamina")}, before=api)
    (stats,) = ask(after, "GET", "/v2/models/classification_fnn/stats").json()["model_stats"]
    assert stats["inference_stats"]["success"]["count"] == 1
