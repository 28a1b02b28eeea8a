"""What single rows hold is in no file of a run and on no page of a server: canaries are planted and searched for.

A canary is a word, a number of many digits, a time, an image or a series that one training row holds, and no other. It
is searched for in every byte of every file: as text, as JSON, HTML and base64 write it, among the numbers of a text to
six digits, and among the bytes of tensors as a float of four or eight bytes, as it is and as the bundle scales it. A
report shows the images and curves of its owner: in HTML only words and numbers count.
"""

import base64
import csv
import html
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lamina
from lamina.preprocess.image.codec import as_png
from lamina.privacy import HIDDEN, masked
from lamina.schema import clean
from service_tools import ask, command

ROWS = 120
QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 64}
SMALL = {"kind": "fnn", "width": 8, "depth": 1, "members": 1}
PAGES = ("/", "/docs", "/redoc", "/openapi.json", "/schema", "/try", "/metrics")
NUMBER = re.compile(rb"(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d+)?")
BINARY = (".safetensors", ".onnx", ".npy", ".lamina")
DIGITS = 1e-6  # six digits


class Planted(NamedTuple):
    """Data with canaries: rows for `lamina.fit` or a source of a recipe, what is asked of it, and what to look for."""

    rows: Any
    target: str | None
    recipe: Mapping[str, Any]
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    images: tuple[np.ndarray, ...] = ()
    test: Any = None


# the data


def values(seed: int = 0, rows: int = ROWS) -> dict[str, list[Any]]:
    """Columns of every kind whose values many rows share, or that are numbers; and who stayed."""
    rng = np.random.default_rng(seed)
    number = rng.normal(50, 10, rows)
    return {
        "amount": number.round(2).tolist(),
        "money": [f"${1000 + 30 * value:,.2f}" for value in number],
        "rooms": rng.integers(1, 6, rows).tolist(),
        "zeros": [0.0] * rows,
        "city": rng.choice(["Bonn", "Köln", "Trier"], rows).tolist(),
        "member": rng.choice(["yes", "no"], rows).tolist(),
        "since": [f"20{10 + i % 9}-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(rows)],
        "seen": [f"{1 + i % 28:02d}.{1 + i % 12:02d}.2021 {i % 24:02d}:{i % 60:02d}" for i in range(rows)],
        "tags": rng.choice(["red|blue", "red", "blue|green", "green"], rows).tolist(),
        "remark": [f"the line drops every evening {word}" for word in rng.choice(["again", "still", "now"], rows)],
        "stayed": np.where(number + rng.normal(0, 3, rows) > 50, "stayed", "left").tolist(),
    }


PLACES = (20, 50, 80, 100)  # rows that hold values of their own, so that training rows are among them
NAMES = ("xanadu", "qwertzui", "zzyzxroad", "mxyzptlk")


def odd(i: int) -> dict[str, Any]:
    """What one row alone holds."""
    return {
        "amount": 41.83729465 + 7.1234567 * i,
        "money": f"${2718.281828 + 101.010101 * i:,.6f}",
        "zeros": 987654.321 * (i + 1),
        "city": f"{NAMES[i]}ville",
        "since": f"1987-06-0{5 + i}",
        "seen": f"17.09.1993 13:3{7 - i}",
        "tags": f"red|{NAMES[i]}tag",
        "remark": f"{NAMES[i]}word {NAMES[i]}@{NAMES[i]}.example 078-05-112{i}",
    }


ODD = [odd(i) for i in range(len(PLACES))]
WORDS = (*NAMES, "17.09.1993", "1993-09-17", *(row["since"] for row in ODD), *(f"078-05-112{i}" for i in range(4)))
SECONDS = tuple(
    datetime.strptime(cell, form).replace(tzinfo=UTC).timestamp()
    for row in ODD
    for cell, form in ((row["since"], "%Y-%m-%d"), (row["seen"], "%d.%m.%Y %H:%M"))
)
AMOUNTS = tuple(row["amount"] for row in ODD)
NUMBERS = (
    *AMOUNTS,
    *(float(row["money"][1:].replace(",", "")) for row in ODD),
    *(row["zeros"] for row in ODD),
    *SECONDS,
)


def table(**changes: Any) -> dict[str, list[Any]]:
    """The columns with rows that alone have odd values, and two that have the extremes."""
    columns = values()
    for place, row in zip(PLACES, ODD, strict=True):
        for name, cell in (row | changes).items():
            columns[name][place] = cell
    columns["amount"][7], columns["amount"][8] = 91.91827364, -4.7182818
    return columns


EXTREMES = (91.91827364, -4.7182818)
TEXT = {"kind": "text", "buckets": 64, "length": 8}


def write_csv(path: Path, columns: Mapping[str, list[Any]]) -> str:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


def labels_of_a_csv_file(folder: Path) -> Planted:
    """Two classes from columns of every kind, and rows whose target is of no use."""
    path = write_csv(folder / "rows.csv", table())
    recipe = {"data": {"path": path}, "columns": {"remark": TEXT, "seen": {"kind": "time", "format": "%d.%m.%Y %H:%M"}}}
    return Planted(None, "stayed", recipe, WORDS, (*NUMBERS, *EXTREMES))


def numbers_of_a_parquet_file(folder: Path) -> Planted:
    """A number whose extremes one row has each, typed times, and targets that are no numbers."""
    columns = table()
    price = (np.array(columns["rooms"]) * 9000 + np.random.default_rng(1).normal(0, 500, ROWS)).round(2)
    price[3], price[4] = 271828.1828, -31415.9265
    columns["price"] = [str(p) for p in price.tolist()]
    columns["price"][9] = "secret-o-matic"
    columns["since"] = [date.fromisoformat(day) for day in columns["since"]]
    columns["seen"] = [datetime.strptime(cell, "%d.%m.%Y %H:%M").replace(tzinfo=UTC) for cell in columns["seen"]]
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    recipe = {"data": {"path": str(folder / "rows.parquet")}, "columns": {"remark": TEXT}, "task": "regression"}
    numbers = (*NUMBERS, *EXTREMES, 271828.1828, -31415.9265)
    return Planted(None, "price", recipe, (*WORDS, "secret-o-matic"), numbers)


def several_labels_of_json_lines(folder: Path) -> Planted:
    """Lists of labels to predict, and a list of labels to learn from of which one row has one alone."""
    columns = table()
    columns["tags"] = [cell if isinstance(cell, list) else cell.split("|") for cell in columns["tags"]]
    columns["topics"] = [[["a"], ["a", "b"], ["b"], []][i % 4] for i in range(ROWS)]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    recipe = {"data": {"path": str(folder / "rows.jsonl")}, "columns": {"remark": TEXT}}
    return Planted(None, "topics", recipe, WORDS, (*NUMBERS, *EXTREMES))


def a_few_rows_in_memory(folder: Path) -> Planted:
    """So few rows that nothing is shared but the classes."""
    rng = np.random.default_rng(0)
    numbers = (10 + rng.random(24) * 80).tolist()
    names = [f"name{i:02d}canary" for i in range(12)]
    rows = [
        {"n": number, "who": names[i % 12], "day": f"19{50 + i}-03-{i + 1:02d}", "y": "ab"[i % 2]}
        for i, number in enumerate(numbers)
    ]
    kinds = {"who": "category", "day": "time", "n": "number"}
    return Planted(rows, "y", {"columns": kinds}, tuple(names), tuple(numbers))


def labels_never_seen(folder: Path) -> Planted:
    """Test rows with a label that training rows do not have: its name is in no file."""
    train, test = values(), values(1, 30)
    test["stayed"][3] = "O'Canary said 'so'"
    train["who"], test["who"] = [f"id-{i}-canary" for i in range(ROWS)], [f"other-{i}" for i in range(30)]
    recipe = {"columns": {"remark": TEXT}}
    return Planted(pa.table(train), "stayed", recipe, ("Canary said", "-7-canary"), test=pa.table(test))


def one_series_with_covariates(folder: Path) -> Planted:
    """A year of days, of which one has a value, an event and a temperature of its own."""
    count = 300
    rng = np.random.default_rng(0)
    start = np.datetime64("2022-03-14")
    columns: dict[str, list[Any]] = {
        "day": (start + np.arange(count)).astype(str).tolist(),
        "sold": (100 + 20 * np.sin(np.arange(count) * 2 * np.pi / 7) + rng.normal(0, 2, count)).round(3).tolist(),
        "heat": rng.normal(15, 5, count).round(3).tolist(),
        "event": rng.choice(["none", "sale"], count).tolist(),
    }
    columns["sold"][50], columns["heat"][60], columns["event"][70] = 161.8033989, 27.1828183, "Xanaduville"
    columns["sold"][0], columns["sold"][-1], columns["sold"][200] = 113.5791357, 86.4208642, "secret-o-matic"
    path = write_csv(folder / "days.csv", columns)
    task = {"kind": "forecasting", "horizon": 3, "context": 14, "known": ["event"], "targets": ["sold"]}
    recipe = {"data": {"path": path}, "task": task, "model": "linear"}
    words = ("Xanaduville", "secret-o-matic")
    return Planted(None, None, recipe, words, (161.8033989, 27.1828183, 113.5791357, 86.4208642))


def several_series(folder: Path) -> Planted:
    """Shops by the hour, named; one of them has a value of its own."""
    count, rows = 120, list[dict[str, Any]]()
    for shop in ("north", "south", "west"):
        level = (
            50 + 10 * np.sin(np.arange(count) * 2 * np.pi / 24) + np.random.default_rng(len(shop)).normal(0, 1, count)
        )
        times = np.datetime64("2023-05-01T00") + np.arange(count)
        rows += [{"time": str(t), "shop": shop, "sold": round(float(v), 3)} for t, v in zip(times, level, strict=True)]
    rows[40]["sold"], rows[-1]["sold"] = 73.1928374, 59.1357924
    task = {"kind": "forecasting", "horizon": 2, "context": 24, "series": "shop", "targets": ["sold"]}
    return Planted(pa.Table.from_pylist(rows), None, {"task": task, "model": "linear"}, (), (73.1928374, 59.1357924))


def rows_to_make_more_of(folder: Path) -> Planted:
    """A table that a generator learns."""
    columns = table()
    del columns["remark"], columns["tags"], columns["zeros"]
    recipe = {"task": "generation", "model": {"kind": "vae", "hidden": 8}}
    return Planted(pa.table(columns), "stayed", recipe, WORDS, (*NUMBERS, *EXTREMES))


def rows_to_evaluate(folder: Path) -> Planted:
    """A table of which strange rows are flagged."""
    columns = table()
    del columns["remark"], columns["tags"], columns["zeros"]
    recipe = {"task": "anomaly_detection", "model": {"kind": "autoencoder", "hidden": [8]}}
    return Planted(pa.table(columns), "stayed", recipe, WORDS, (*NUMBERS, *EXTREMES))


def images(count: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, count)
    shots = [
        np.full((12, 12, 3), 60 + 120 * code, np.uint8) + rng.integers(0, 20, (12, 12, 3), np.uint8) for code in codes
    ]
    return shots, [("dark", "bright")[code] for code in codes]


def folder_of_images(folder: Path) -> tuple[str, np.ndarray]:
    shots, names = images(60, 0)
    shots[5] = np.random.default_rng(99).integers(0, 256, (12, 12, 3), np.uint8)
    for i, (shot, name) in enumerate(zip(shots, names, strict=True)):
        (folder / "pictures" / name).mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / name / f"{i}.png").write_bytes(as_png(shot))
    return str(folder / "pictures"), shots[5]


def labels_of_images(folder: Path) -> Planted:
    path, canary = folder_of_images(folder)
    return Planted(None, None, {"data": {"path": path}}, images=(canary,))


def images_to_make_more_of(folder: Path) -> Planted:
    path, canary = folder_of_images(folder)
    recipe = {"data": {"path": path}, "task": "generation", "model": {"kind": "vae"}}
    return Planted(None, None, recipe, images=(canary,))


def recordings_in_arrays(folder: Path) -> Planted:
    """Series of one channel, of which one has numbers of its own."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 80)
    waves = np.sin(np.arange(24) * (0.4 + 0.4 * codes[:, None])) * 20 + rng.normal(0, 1, (80, 24))
    waves[7, 5:8] = (31.4159265, 27.1828183, -24.6801357)
    rows = [{"wave": wave.tolist(), "y": "ab"[code]} for wave, code in zip(waves, codes, strict=True)]
    return Planted(rows, "y", {}, (), (31.4159265, 27.1828183, -24.6801357))


def recordings_of_several_channels(folder: Path) -> Planted:
    """Series of two channels as JSON text beside a number and a category."""
    rng = np.random.default_rng(0)
    rows = list[dict[str, Any]]()
    for i in range(80):
        wave = (rng.normal(0, 1, (16, 2)) * [5, 50] + [10, 300] + (i % 2)).round(4)
        rows.append(
            {
                "wave": wave.tolist(),
                "age": int(rng.integers(20, 60)),
                "city": "BK"[i % 2],
                "y": float(i % 2 + wave[0, 0]),
            }
        )
    rows[9]["wave"][3] = [23.8172635, 412.918273]
    rows[9]["city"] = "Xanaduville"
    rows[10]["wave"][2] = ["hush", 1.0]
    return Planted(rows, "y", {}, ("Xanaduville", "hush"), (23.8172635, 412.918273))


KINDS: tuple[Any, ...] = (
    labels_of_a_csv_file,
    numbers_of_a_parquet_file,
    several_labels_of_json_lines,
    a_few_rows_in_memory,
    labels_never_seen,
    one_series_with_covariates,
    several_series,
    rows_to_make_more_of,
    rows_to_evaluate,
    labels_of_images,
    recordings_in_arrays,
    recordings_of_several_channels,
    pytest.param(images_to_make_more_of, marks=pytest.mark.slow),
)


# the search


def trained(planted: Planted, folder: Path) -> lamina.Estimator:
    """The smallest network that learns the data, in a run directory."""
    recipe = {"model": SMALL, **planted.recipe, "train": QUICK}
    if planted.rows is not None:
        return lamina.fit(planted.rows, planted.target, test=planted.test, recipe=recipe, out=folder)
    target = {} if planted.target is None else {"target": planted.target}
    file = folder.with_suffix(".yaml")
    file.write_text(json.dumps({**recipe, **target}), "utf-8")
    code, _, errors = command("train", file, "--out", folder)
    assert code == 0, errors
    return lamina.load(folder / "bundle")


def views(content: bytes) -> Iterator[bytes]:
    """A text as it stands, and as JSON, HTML and base64 would have it."""
    yield content
    text = content.decode("utf-8", "replace")
    yield html.unescape(text).encode()
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), text).encode("utf-8", "surrogatepass")
    for piece in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", content):
        yield base64.b64decode(piece[: len(piece) // 4 * 4])


def numbers_in(text: bytes) -> np.ndarray:
    """Every number that stands in a text, whatever is around it."""
    return np.array([float(n.replace(b",", b"")) for n in NUMBER.findall(text)] or [0.0])


def floats_in(content: bytes) -> np.ndarray:
    """The bytes of a file as numbers of four and of eight bytes, from every place on."""
    parts = [np.zeros(1)]
    for kind, size in (("<f4", 4), ("<f8", 8)):
        for start in range(size):
            piece = content[start : start + (len(content) - start) // size * size]
            some = np.frombuffer(piece, kind)
            parts.append(some[np.isfinite(some)].astype(np.float64))
    return np.concatenate(parts)


def among(canaries: np.ndarray, numbers: np.ndarray, digits: float = DIGITS) -> list[float]:
    """The canaries that some number is, to so many digits."""
    ordered = np.sort(np.abs(numbers))
    width = np.abs(canaries) * digits
    low, high = (np.searchsorted(ordered, np.abs(canaries) + sign * width) for sign in (-1, 1))
    return canaries[high > low].tolist()


def scaled(planted: Planted, estimator: lamina.Estimator) -> np.ndarray:
    """Canaries as the bundle's own preprocessing hands them to the network, in 32 bits: what edges would be."""
    prep, canaries = estimator.predictor.prep, []
    for name in (c.name for c in prep.columns if c.kind in ("number", "time")):
        cells = [str(number) for number in planted.numbers] + list(planted.words)
        parsed = prep.parse(clean(pa.table({name: cells}), prep.schema.missing), [name])[name]
        canaries.append(prep.encode_column(name, parsed.drop_null())[:, 0].astype(np.float64))
    flat = np.concatenate(canaries) if canaries else np.zeros(0)
    return flat[(np.abs(flat) > 1e-3) & (np.abs(flat) < 2.999)]


def findings(planted: Planted, estimator: lamina.Estimator, contents: Mapping[str, bytes]) -> list[str]:
    """Where canaries are: file and what is in it."""
    result, numbers, inside = [], np.array(planted.numbers), scaled(planted, estimator)
    for name, content in contents.items():
        for view in views(content):
            lower = view.lower()
            result += [f"{name}: {word}" for word in planted.words if word.lower().encode() in lower]
        if not name.endswith(".png"):
            result += [f"{name}: {number}" for number in among(numbers, numbers_in(without_drawings(content)))]
        if name.endswith(BINARY):
            result += [f"{name}: {number} in bytes" for number in among(numbers, floats_in(content))]
            result += [f"{name}: {number} of an edge" for number in among(inside, floats_in(content), 1e-8)]
        if name.endswith(".json"):
            result += [f"{name}: {number} of an edge" for number in among(inside, numbers_in(content), 1e-7)]
        for image in planted.images:
            result += [f"{name}: an image"] if as_png(image)[40:80] in content else []
            if not name.endswith(".html"):
                result += [f"{name}: pixels"] if any(image.tobytes() in view for view in views(content)) else []
    return result


def without_drawings(content: bytes) -> bytes:
    """Without images, which show what they show; curves stay, since their points are numbers."""
    return re.sub(rb"base64,[A-Za-z0-9+/=]+", b"", content)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("plant", KINDS, ids=lambda plant: plant.__name__)
def test_no_file_and_no_page_holds_what_one_row_alone_holds(plant, tmp_path):
    planted = plant(tmp_path)
    estimator = trained(planted, tmp_path / "run")
    contents = files(tmp_path / "run")
    assert {"report.html", "report.json", "bundle/golden.json", "bundle/CARD.md", "recipe.yaml"} <= contents.keys()
    contents |= {f"page {page}": ask(estimator, "GET", page).content for page in PAGES}
    assert findings(planted, estimator, contents) == []


def test_canaries_would_be_found(tmp_path):
    """The search itself: in plain text, in JSON, in HTML, in base64, in numbers of fewer digits, in bytes."""
    planted = a_few_rows_in_memory(tmp_path)
    estimator = trained(planted, tmp_path / "run")
    number, word = planted.numbers[3], planted.words[2]
    state = estimator.predictor.prep.encode_column("n", pa.array([number]))[0, 0]
    hidden = {
        "a.txt": word.encode(),
        "b.json": json.dumps({"x": word}).replace("n", "\\u006e").encode(),
        "c.html": "".join(f"&#{ord(c)};" for c in word).encode(),
        "d.txt": base64.b64encode(b"before it " + word.encode() + b" and behind"),
        "e.json": f'{{"x": {number:.7g}}}'.encode(),
        "f.safetensors": b"a" + np.float32(number).tobytes(),
        "g.onnx": b"abc" + np.float64(number).tobytes(),
        "h.onnx": b"ab" + state.tobytes(),
        "i.json": json.dumps([float(state)]).encode(),
    }
    assert {place.partition(":")[0] for place in findings(planted, estimator, hidden)} == hidden.keys()


def test_a_sentence_that_is_stored_keeps_the_name_of_its_column_and_no_cell():
    assert masked("column 'x' holds 'abc', which is no number", "x") == f"column 'x' holds {HIDDEN}, which is no number"
    assert masked("the label 'O'Neill' was never seen", "y") == f"the label {HIDDEN} was never seen"
    assert masked("the target is missing", "y") == "the target is missing"
