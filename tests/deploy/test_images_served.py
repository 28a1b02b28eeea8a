"""Images give the same answers over HTTP, in Python and on the command line; what is no image is refused."""

import asyncio
import base64
import contextlib
import csv
import json
import sys
import time
import zipfile
from pathlib import Path

import cv2
import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import lamina
from lamina.cli import commands
from lamina.deploy.server import Limits, app

CLOSE = 1e-5
FORM = "multipart/form-data"
OPENED: list[str] | None = None


def _watch(event, arguments):
    if OPENED is not None and event == "open":
        OPENED.append(str(arguments[0]))


sys.addaudithook(_watch)


def images(count, seed=0):
    """12 x 12 images, a little more red or a little more blue, and which."""
    rng = np.random.default_rng(seed)
    warm = np.arange(count) % 2
    result = rng.integers(0, 200, (count, 12, 12, 3))
    result[..., 0] += 10 * warm[:, None, None]
    result[..., 2] += 10 * (1 - warm)[:, None, None]
    return result.astype(np.uint8), np.where(warm == 1, "warm", "cold")


def written(image, suffix=".png"):
    """The bytes of a file that holds an image (red first)."""
    return cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


def wide(height, width):
    """A PNG of one colour, of any size in pixels."""
    return cv2.imencode(".png", np.zeros((height, width), np.uint8))[1].tobytes()


def asked(api, *requests):
    async def all_of_them():
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await asyncio.gather(*(client.post("/predict", **request) for request in requests))

    return asyncio.run(all_of_them())


def ask(api, **request):
    return asked(api, request)[0]


def get(api, path):
    async def one():
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(path)).json()

    return asyncio.run(one())


def fault(response):
    """Status and sentence of a refusal."""
    body = response.json()
    assert set(body) == {"error", "request_id"}, body
    return response.status_code, body["error"]


def same(mine, theirs):
    pairs = [(a["probabilities"], b["probabilities"]) for a, b in zip(mine, theirs, strict=True)]
    return bool(pairs) and all(abs(a[name] - b[name]) <= CLOSE for a, b in pairs for name in b)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Trained for two epochs, so that its answers are neither 0 nor 1."""
    result, labels = images(200)
    recipe = {"model": "cnn", "train": {"epochs": 2, "augment": []}}
    out = tmp_path_factory.mktemp("runs") / "colours"
    return lamina.fit({"image": result, "label": labels}, "label", recipe=recipe, out=out)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """An image and a number beside it."""
    result, labels = images(120)
    rows = {"image": result, "age": np.random.default_rng(1).normal(40, 9, 120), "label": labels}
    recipe = {"model": {"kind": "fnn", "width": 16, "depth": 1, "members": 1}, "train": {"epochs": 1, "augment": []}}
    return lamina.fit(rows, "label", recipe=recipe, out=tmp_path_factory.mktemp("runs") / "mixed")


@pytest.fixture(scope="module")
def api(model):
    return app(model.predictor)


@pytest.fixture(scope="module")
def files():
    """Four images as files would hold them: PNG and JPEG, of the model's size and larger."""
    result, _ = images(4, seed=7)
    large = cv2.resize(result[2], (90, 61), interpolation=cv2.INTER_LINEAR)
    return [written(result[0]), written(result[1]), written(large, ".jpg"), written(large, ".webp")]


@pytest.fixture(scope="module")
def answers(model, files):
    result = model.predict(files)
    chances = [answer["probabilities"]["warm"] for answer in result]
    assert len({round(chance, 4) for chance in chances}) > 2, "answers that are all alike prove nothing"
    return result


def in_base64(body):
    return base64.b64encode(body).decode()


# The same answers


def test_base64_is_answered_as_the_bytes_are_in_python(api, files, answers):
    urls = (lambda b: base64.urlsafe_b64encode(b).decode(), lambda b: base64.urlsafe_b64encode(b).decode().rstrip("="))
    assert any("-" in urls[0](b) or "_" in urls[0](b) for b in files)
    ways = (
        in_base64,
        *urls,
        lambda b: f"data:image/png;base64,{in_base64(b)}",
        lambda b: base64.encodebytes(b).decode(),
    )
    for way in ways:
        assert same(ask(api, json={"rows": [{"image": way(b)} for b in files]}).json()["predictions"], answers)
    columns = {"columns": {"image": [in_base64(b) for b in files]}}
    assert same(ask(api, json=columns).json()["predictions"], answers)


@pytest.mark.parametrize("name", ["image", "file", "files[]"])
def test_uploaded_files_are_rows_in_their_order(api, files, answers, name):
    got = ask(api, files=[(name, ("a.png", body)) for body in files])
    assert same(got.json()["predictions"], answers)


def test_an_image_may_be_the_body(api, files, answers):
    for kind in ("image/png", "image/jpeg", "application/octet-stream"):
        got = [ask(api, content=body, headers={"content-type": kind}).json()["predictions"][0] for body in files]
        assert same(got, answers)


def test_requests_that_come_together_are_answered_apart(api, files, answers):
    bad = {"files": {"image": ("cut.png", files[0][:100])}}
    requests = [{"files": {"image": ("a.png", body)}} for body in files]
    *good, refused = asked(api, *requests, bad)
    assert same([response.json()["predictions"][0] for response in good], answers)
    assert fault(refused) == (400, "rows[0].image: is cut short. Send the whole file.")


def test_null_and_an_absent_cell_are_a_missing_image(api, model, files):
    got = ask(api, json={"rows": [{"image": None}, {"image": in_base64(files[0])}, {}]}).json()
    assert same(got["predictions"], model.predict([{"image": None}, {"image": files[0]}, {}]))
    assert "notes" not in got


def test_python_takes_paths_bytes_arrays_and_pil_images_also_mixed(model, files, answers, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(files[0])
    pixels = np.asarray(Image.open(path))
    see_through = np.dstack([pixels, np.full((12, 12), 255, np.uint8)])
    cells = [str(path), path, files[0], pixels, Image.open(path), see_through, {"path": None, "bytes": files[0]}]
    reference = [answers[0]] * len(cells)
    assert same(model.predict([{"image": cell} for cell in cells]), reference)
    assert same(model.predict(cells), reference)
    assert same(pd.DataFrame({"image": cells}).pipe(model.predict).pipe(_rows), reference)
    assert model.predict({"image": cells})["prediction"] == [reference[0]["prediction"]] * len(cells)
    for stack in (np.stack([pixels, pixels]), pixels):
        assert np.allclose(
            model.predict(stack)["probabilities.warm"], reference[0]["probabilities"]["warm"], atol=CLOSE
        )


def _rows(frame):
    names = {column: column.removeprefix("probabilities.") for column in frame if column.startswith("probabilities.")}
    return [{"probabilities": row} for row in frame[list(names)].rename(columns=names).to_dict("records")]


def test_python_refuses_images_it_cannot_use_and_names_their_rows(model, files):
    with pytest.raises(
        lamina.DataError, match=r"rows\[1\].image: nosuch.jpg cannot be read.*\nrows\[2\].image: is cut"
    ):
        model.predict([files[0], "nosuch.jpg", files[0][:100]])
    with pytest.raises(lamina.DataError, match=r"must be uint8.*got float64"):
        model.predict(np.zeros((2, 12, 12, 3)))
    with pytest.raises(lamina.DataError, match=r"image\[0\]: must be an image \(got 'int'\)"):
        model.predict([{"image": 5}])


# The other columns of a form


def test_fields_hold_for_all_rows_or_for_one_each(mixed, files):
    served = app(mixed.predictor)
    sent = [("image", ("a", body)) for body in files]
    single = mixed.predict([{"image": body, "age": 30} for body in files])
    each = mixed.predict([{"image": body, "age": age} for body, age in zip(files, (20, 30, 40, 90), strict=True)])
    assert not same(single, each)
    assert same(ask(served, files=sent, data={"age": "30"}).json()["predictions"], single)
    assert same(ask(served, files=sent, data={"age": ["20", "30", "40", "90"]}).json()["predictions"], each)
    rows = json.dumps([{"age": age} for age in (20, 30, 40, 90)])
    assert same(ask(served, files=sent, data={"rows": rows}).json()["predictions"], each)


def test_a_form_that_does_not_fit_is_told_where(mixed, files):
    served = app(mixed.predictor)
    two = [("image", ("a", body)) for body in files[:2]]
    faults = [
        ({"files": {"age": ("a", files[0])}}, "form.age: is a column of kind number, which takes a plain value"),
        ({"files": two, "data": {"age": ["1", "2", "3"]}}, "form.age: has 3 values for 2 files"),
        ({"files": two, "data": {"rows": "[{}]"}}, "rows: are 1 for 2 files"),
        ({"files": two, "data": {"rows": "[{"}}, "body: is not JSON"),
        ({"files": two, "data": {"rows": '[{"image": "x"}, {}]'}}, "rows: hold 'image', which is a file of this form"),
        ({"files": {"age": (None, "3")}}, "form: holds no file. With curl: -F image=@image.jpg"),
        ({"files": {"image": (None, "cat.jpg")}}, "form.image: came as text, and is a file. With curl: -F image=@"),
        ({"files": [*two, ("other", ("b", files[0]))]}, "form.other: no image goes by this name"),
        ({"files": two, "data": {"age": b"\xff"}}, "form.age: is not UTF-8"),
    ]
    for request, sentence in faults:
        status, said = fault(ask(served, **request))
        assert status == 400
        assert said.startswith(sentence)
    single = {"content": files[0], "headers": {"content-type": "image/png"}}
    assert fault(ask(served, **single))[0] == 415  # the age would be missing and nobody would know


def test_a_malformed_number_in_a_form_is_noted(mixed, files):
    got = ask(app(mixed.predictor), files={"image": ("a", files[0])}, data={"age": "old", "shoe": "43"}).json()
    assert got["notes"] == [
        "'shoe' is not a column of this model; not used.",
        "rows[0].age: 'old' is not a number; read as missing.",
    ]


# What is no image


@pytest.mark.parametrize(
    ("cell", "status", "sentence"),
    [
        ("/etc/passwd", 400, "is not base64 (got '/etc/passwd')"),
        ("etc/passwd12", 415, "is not an image of a known format"),
        ("", 400, "is not base64"),
        ("NA", 400, "is not base64"),
        (5, 400, "must be text in base64 (got 5)"),
        (["x"], 400, "must be text in base64 (got a list)"),
        ({"path": "/etc/passwd"}, 400, "must be text in base64 (got an object)"),
        (in_base64(b"hello world"), 415, "is not an image of a known format"),
        ("data:image/svg+xml,<svg/>", 400, "is not base64"),
        (in_base64(wide(8, 8)[:-30]), 400, "is cut short"),
        (in_base64(wide(8000, 8000)), 413, "pixels"),
    ],
)
def test_a_cell_that_is_no_image_is_refused_with_its_place(api, files, cell, status, sentence):
    got, said = fault(ask(api, json={"rows": [{"image": in_base64(files[0])}, {"image": cell}]}))
    assert got == status
    assert said.startswith("rows[1].image: ")
    assert sentence in said


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "rows[0].image: the file is empty"),
        (b"a letter\n", 415, "rows[0].image: is not an image of a known format"),
        (b"<svg/>", 415, "rows[0].image: is "),
        (wide(8, 8)[:-30], 400, "rows[0].image: is cut short"),
        (wide(8000, 8000), 413, "rows[0].image: "),
    ],
)
def test_an_upload_that_is_no_image_is_refused(api, body, status, sentence):
    for request in ({"files": {"image": ("a", body)}}, {"content": body, "headers": {"content-type": "image/png"}}):
        got, said = fault(ask(api, **request))
        assert got == status
        assert said.startswith(sentence)


def test_fields_of_a_form_that_are_no_columns_cost_nothing_for_each_file(model, files):
    many, fields = [("image", ("a", files[0]))] * 50, {f"n{i}": "1" for i in range(900)}
    reply = ask(app(model.predictor), files=many, data=fields).json()
    assert len(reply["predictions"]) == 50
    assert reply["notes"][-1] == "and 881 more columns that this model does not have."


def test_limits_of_bytes_pixels_files_and_body_are_kept(model, files):
    tight = app(model.predictor, Limits(file=len(files[0]) - 1))
    cell = {"rows": [{"image": in_base64(files[0])}]}
    for request in ({"files": {"image": ("a", files[0])}}, {"json": cell}):
        assert fault(ask(tight, **request)) == (
            413,
            f"rows[0].image: is larger than {len(files[0]) - 1:,} bytes. Send a smaller image.",
        )
    assert fault(ask(app(model.predictor, Limits(file_units=143)), json=cell))[0] == 413
    assert ask(app(model.predictor, Limits(file_units=144)), json=cell).status_code == 200
    many = ask(app(model.predictor, Limits(request_units=1440)), files=[("image", ("a", files[0]))] * 11)
    assert fault(many) == (
        413,
        "the images of a request have 1,584 pixels; at most 1,440 are taken. Send several requests.",
    )
    three = [("image", ("a", files[0]))] * 3
    assert fault(ask(app(model.predictor, Limits(rows=2)), files=three)) == (
        413,
        "form: has 3 files; at most 2 are taken. Send several requests.",
    )
    assert "larger than 1,000 bytes" in fault(ask(app(model.predictor, Limits(body=1000)), files=three))[1]


def test_there_is_room_for_images_unless_the_operator_says_otherwise(api, model, files):
    assert get(api, "/schema")["limits"]["body"] == 32_000_000
    assert get(app(model.predictor, Limits(body=5_000)), "/schema")["limits"]["body"] == 5_000
    large = [("image", ("a", files[0] + bytes(6_000_000)))] * 2  # 12 MB: more than tables may have
    assert "is larger than" not in ask(api, files=large).text
    assert fault(ask(api, files=large * 3))[0] == 413


@pytest.mark.parametrize(
    ("kind", "body", "status", "sentence"),
    [
        (FORM, b"--x\r\n", 400, "Content-Type: names no boundary."),
        (f"{FORM}; boundary=x", b"", 400, "form: ends before its last boundary."),
        (f"{FORM}; boundary=x", b"what is this", 400, "form: is not multipart/form-data"),
        (f"{FORM}; boundary=x", b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nab', 400, "form: ends"),
        (f"{FORM}; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--", 400, "form: has a field"),
        (f"{FORM}; boundary={'x' * 300}", b"--x", 400, "form: is not multipart/form-data"),
        ("text/plain", b"hello", 415, "Content-Type: must be application/json, multipart/form-data"),
        ("application/x-www-form-urlencoded", b"image=a", 415, "Content-Type: must be"),
        ("", b"{}", 415, "Content-Type: must be"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_its_header_says_is_refused(api, kind, body, status, sentence):
    got, said = fault(ask(api, content=body, headers={"content-type": kind}))
    assert got == status
    assert said.startswith(sentence)


def test_a_model_without_images_takes_json_only(churn_run, files):
    got = fault(ask(app(churn_run.predictor), files={"image": ("a", files[0])}))
    assert got[0] == 415
    assert "must be application/json" in got[1]


def test_a_slow_upload_is_ended(model, files):
    api = app(model.predictor, Limits(seconds=0.3))

    async def drops():
        for start in range(0, 100, 10):
            yield files[0][start : start + 10]
            await asyncio.sleep(0.1)

    start = time.monotonic()
    got = fault(ask(api, content=drops(), headers={"content-type": "image/png"}))
    assert got[0] == 408
    assert time.monotonic() - start < 5


@contextlib.contextmanager
def opened():
    """The files that Python opens meanwhile."""
    global OPENED  # noqa: PLW0603 - an audit hook stays for good
    OPENED = []
    try:
        yield OPENED
    finally:
        OPENED = None


def test_no_path_is_ever_opened(api, model, files, tmp_path):
    canary = tmp_path / "cccc" / "picture"
    canary.parent.mkdir()
    canary.write_bytes(files[0])
    ask(api, json={"rows": [{"image": in_base64(files[0])}]})  # what is imported late is imported now
    name = str(canary)
    tries = [name, f"file://{name}", f"data:{name}", f"data:,{name}", name.strip("/").ljust(4 * len(name) // 4, "a")]
    requests = [{"json": {"rows": [{"image": cell}]}} for cell in tries]
    requests += [{"json": {"rows": [{"image": {"path": name}}]}}, {"json": {"columns": {"image": [name]}}}]
    requests += [{"files": {"image": (name, b"nothing")}}, {"files": {"image": (None, name)}}]
    requests += [{"content": name.encode(), "headers": {"content-type": "image/png"}}]
    with opened() as seen:
        responses = asked(api, *requests)
        Path(__file__).read_bytes()
    assert [response.status_code for response in responses if not 400 <= response.status_code < 500] == []
    assert seen == [__file__], "the hook sees what is opened, and the server opened nothing"
    assert same(model.predict([name]), model.predict([files[0]]))  # the canary is an image that could be read


# What the pages say


def test_the_pages_show_an_image_that_works_and_an_upload(api, mixed):
    about = get(api, "/schema")
    assert same(ask(api, json={"rows": [about["example"]]}).json()["predictions"], [about["answer"]])
    assert len(about["example"]["image"]) < 200
    content = get(api, "/openapi.json")["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", FORM, "image/*"}
    assert content[FORM]["schema"]["properties"]["image"]["items"]["format"] == "binary"
    row = content["application/json"]["schema"]["oneOf"][0]["properties"]["rows"]["items"]["properties"]["image"]
    assert row["contentEncoding"] == "base64"
    for example in content["application/json"]["examples"].values():
        assert ask(api, json=example["value"]).status_code == 200
    form = get(app(mixed.predictor), "/openapi.json")["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert set(form) == {"application/json", FORM}
    assert set(form[FORM]["schema"]["properties"]) == {"image", "age"}


# The command line


def run(*arguments):
    result = CliRunner().invoke(commands.app, [*map(str, arguments), "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


@pytest.fixture
def album(files, tmp_path):
    """Images by class and beside them, one that is cut short, and a note."""
    root = tmp_path / "album"
    for name, body in zip(("warm/a.png", "cold/b.png", "cold/deep/c.jpg", "d.webp"), files, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(body)
    (root / "cut.png").write_bytes(files[0][:100])
    (root / "notes.txt").write_text("a note")
    return root


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return {row["image"]: float(row["probabilities.warm"]) for row in csv.DictReader(file)}


def expected(answers, root):
    names = ("warm/a.png", "cold/b.png", "cold/deep/c.jpg", "d.webp")
    pairs = zip(names, answers, strict=True)
    return {f"{root}/{name}": pytest.approx(answer["probabilities"]["warm"], abs=CLOSE) for name, answer in pairs}


def test_a_folder_is_answered_with_the_names_of_its_files(model, album, answers, tmp_path):
    result = run("predict", model.result["bundle"], album, "-o", tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == expected(answers, album)
    assert (result["rows"], result["skipped"]) == (4, 2)
    aside = [json.loads(line) for line in Path(result["skipped_file"]).read_text().splitlines()]
    assert {(Path(one["file"]).name, one["reason"]) for one in aside} == {
        ("cut.png", "is cut short"),
        ("notes.txt", "is not an image by its name"),
    }


def test_a_zip_is_answered_as_the_folder_it_holds(model, album, answers, tmp_path):
    with zipfile.ZipFile(tmp_path / "album.zip", "w") as archive:
        for file in sorted(album.rglob("*")):
            archive.write(file, file.relative_to(album))
    result = run("predict", model.result["bundle"], tmp_path / "album.zip", "-o", tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == expected(answers, tmp_path / "album.zip")
    assert (result["rows"], result["skipped"]) == (4, 2)


def test_patterns_and_single_images_are_answered(model, album, answers, tmp_path):
    reference = expected(answers, album)
    run("predict", model.result["bundle"], f"{album}/cold/**/*", "-o", tmp_path / "a.csv")
    assert read(tmp_path / "a.csv") == {name: chance for name, chance in reference.items() if "/cold/" in name}
    run("predict", model.result["bundle"], album / "d.webp", "-o", tmp_path / "b.csv")
    assert read(tmp_path / "b.csv") == {f"{album}/d.webp": reference[f"{album}/d.webp"]}
    with pytest.raises(lamina.DataError, match="no file matches this pattern"):
        run("predict", model.result["bundle"], f"{album}/*.bmp", "-o", tmp_path / "c.csv")


def test_a_table_of_paths_loses_no_row_in_silence(model, album, answers, tmp_path):
    table = tmp_path / "table.csv"
    lines = ["image,id", f"{album}/warm/a.png,1", f"{album}/cut.png,2", "nosuch.png,3", f"{album}/d.webp,4"]
    table.write_text("\n".join(lines) + "\n")
    result = run("predict", model.result["bundle"], table, "-o", tmp_path / "a.csv")
    reference = expected(answers, album)
    assert read(tmp_path / "a.csv") == {name: reference[name] for name in (f"{album}/warm/a.png", f"{album}/d.webp")}
    assert [(one["line"], one["column"]) for one in result["skipped_rows"]] == [(3, "image"), (4, "image")]
    run("predict", model.result["bundle"], table, "-o", tmp_path / "b.csv", "--keep", "id")
    assert (tmp_path / "b.csv").read_text().splitlines()[1].startswith('"1"')


def test_class_folders_are_evaluated_and_what_is_broken_is_counted(model, tmp_path):
    matches, labels = images(40, seed=3)
    for i, (image, label) in enumerate(zip(matches, labels, strict=True)):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{i}.png").write_bytes(written(image))
    (tmp_path / "warm" / "cut.png").write_bytes(written(matches[0])[:100])
    result = run("evaluate", model.result["bundle"], tmp_path)
    assert (result["rows"], result["skipped"]) == (40, 1)
    assert result["scores"]["accuracy"] == model.evaluate({"image": matches, "label": labels})["accuracy"]
