"""Small valid files of every format that Lamina reads, which `mutants.py` damages."""

import gzip
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import ipc

ROWS = 48
BUNDLES = Path(__file__).parents[1] / "tests" / "bundles"
BUNDLE_SEEDS = ("regression_fnn", "forecasting_gru_quantiles", "generation_vae_rows")
Seeds = list[tuple[str, bytes]]  # a name, which tells the format, and the bytes


def rows() -> list[dict]:
    rng = np.random.default_rng(3)
    ages, words = rng.integers(18, 90, ROWS).tolist(), ("red", "green", "blue", "")
    return [
        {
            "age": age,
            "colour": words[i % 4],
            "when": f"2024-0{i % 9 + 1}-1{i % 9}",
            "note": f'said "{i}", left',
            "y": i % 2,
        }
        for i, age in enumerate(ages)
    ]


def table() -> pa.Table:
    """A column of every sort."""
    images = [cell for cell in (_image(".png"),) for _ in range(ROWS)]
    plain = pa.Table.from_pylist(rows())
    more = {
        "weight": pa.array(np.linspace(0, 1, ROWS)),
        "day": pa.array(np.arange(ROWS) * 100, pa.int32()).cast(pa.date32()),
        "stamp": pa.array(np.arange(ROWS) * 10**12, pa.timestamp("ns", "Europe/Berlin")),
        "second": pa.array(np.arange(ROWS) * 10**6, pa.timestamp("s")),
        "took": pa.array(np.arange(ROWS), pa.duration("us")),
        "at": pa.array((np.arange(ROWS) * 1000).astype(np.int32), pa.time32("ms")),
        "price": pa.array([f"{i}.50" for i in range(ROWS)]).cast(pa.decimal128(9, 2)),
        "flag": pa.array([i % 3 == 0 for i in range(ROWS)]),
        "code": pa.array(["a", None, "b"] * (ROWS // 3)).dictionary_encode(),
        "steps": pa.array([[1.0, 2.0, float(i)] for i in range(ROWS)]),
        "place": pa.array([{"lat": 1.0 * i, "lon": {"x": "e"}} for i in range(ROWS)]),
        "tags": pa.array([["a", "b"]] * ROWS, pa.list_(pa.string())),
        "pair": pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float32(), 2)),
        "photo": pa.array([{"bytes": body, "path": None} for body in images]),
        "none": pa.nulls(ROWS),
    }
    for name, column in more.items():
        plain = plain.append_column(name, column)
    return plain


def _arrow(compression: str | None, whole: pa.Table, stream: bool = False) -> bytes:
    sink, options = io.BytesIO(), ipc.IpcWriteOptions(compression=compression)
    with (ipc.new_stream if stream else ipc.new_file)(sink, whole.schema, options=options) as writer:
        writer.write_table(whole, max_chunksize=20)
    return sink.getvalue()


def _feather() -> Seeds:
    whole = table()
    odd = pa.table({
        "view": pa.array(["a long text behind the view"] * ROWS).cast(pa.string_view()),
        "runs": pa.RunEndEncodedArray.from_arrays([20, ROWS], ["a", "b"]),
        "map": pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
        "large": pa.array([[1, 2]] * ROWS, pa.large_list(pa.int16())),
        "half": pa.array(np.ones(ROWS, np.float16)),
        "y": pa.array([1, 2] * (ROWS // 2)),
    })  # fmt: skip
    few = whole.select(["age", "colour", "code", "steps", "y"])
    return [
        ("plain.feather", _arrow(None, whole)), ("few.feather", _arrow(None, few)), ("lz4.feather", _arrow("lz4", few)),
        ("zstd.arrow", _arrow("zstd", whole)), ("stream.arrows", _arrow(None, few, True)),
        ("odd.arrow", _arrow(None, odd)),
    ]  # fmt: skip


def _parquet() -> Seeds:
    from pyarrow import parquet as pq

    def write(whole: pa.Table, **options) -> bytes:
        sink = io.BytesIO()
        pq.write_table(whole, sink, **options)
        return sink.getvalue()

    whole = table()
    few = whole.select(["age", "colour", "day", "stamp", "second", "y"])
    return [
        ("plain.parquet", write(whole, compression="none")),
        ("few.parquet", write(few, row_group_size=20)),
        ("few_none.parquet", write(few, compression="none", use_dictionary=False, data_page_version="2.0")),
        ("zstd.parquet", write(whole, compression="zstd")),
        ("old.parquet", write(few, compression="gzip", use_deprecated_int96_timestamps=True, store_schema=False)),
    ]


def _text() -> str:
    names = list(rows()[0])
    quoted = [[f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in row.values()] for row in rows()]
    return "\n".join([",".join(names), *(",".join(cells) for cells in quoted)]) + "\n"


def _csv() -> Seeds:
    plain = "id;price;y\n" + "".join(f"{i};{i},5;Müller {i}\n" for i in range(ROWS))
    return [
        ("quoted.csv", _text().encode()),
        ("semicolons.csv", plain.encode()),
        ("wide.tsv", plain.replace(";", "\t").encode("utf-16")),
        ("latin.txt", plain.encode("latin-1")),
        ("packed.csv.gz", gzip.compress(_text().encode(), mtime=0)),
    ]


def _json() -> Seeds:
    nested = [row | {"deep": {"a": {"b": [1, 2]}}} for row in rows()]
    columns = {name: [row[name] for row in rows()] for name in rows()[0]}
    return [
        ("rows.json", json.dumps(nested, indent=1).encode()),
        ("columns.json", json.dumps(columns).encode()),
        ("inside.json", json.dumps({"meta": 1, "rows": nested}).encode()),
    ]


def _jsonl() -> Seeds:
    lines = "".join(json.dumps(row | {"deep": {"a": [i]}}) + "\n" for i, row in enumerate(rows())).encode()
    return [("rows.jsonl", lines), ("rows.ndjson.gz", gzip.compress(lines, mtime=0))]


def _excel() -> Seeds:
    import datetime

    import openpyxl

    book, sink = openpyxl.Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(["day", *rows()[0]])
    for i, row in enumerate(rows()):
        sheet.append([datetime.datetime(2024, 1, 1, 3) + datetime.timedelta(i), *row.values()])
    book.create_sheet("second").append([1, 2])
    book.save(sink)
    cells = "".join(f"<table:table-row>{_ods(i)}{_ods(2 * i)}</table:table-row>" for i in range(ROWS))
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="a">{cells}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    listed = b'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"></m:manifest>'
    ods = pack({"mimetype": kind, "META-INF/manifest.xml": listed, "content.xml": content.encode()}, {"mimetype"})
    return [("book.xlsx", sink.getvalue()), ("book.ods", ods)]


def _ods(value: int) -> str:
    return (
        f'<table:table-cell office:value-type="float" office:value="{value}" table:number-columns-repeated="1">'
        f"<text:p>{value}</text:p></table:table-cell>"
    )


def _npz() -> Seeds:
    rng = np.random.default_rng(0)
    labels = np.arange(ROWS) % 3
    images, numbers = rng.integers(0, 255, (ROWS, 8, 8, 3), np.uint8), rng.random((ROWS, 5)).astype(np.float32)
    seeds: Seeds = []
    for name, save, arrays in (
        ("images", np.savez, {"x_train": images, "y_train": labels, "x_test": images[:9], "y_test": labels[:9]}),
        ("numbers", np.savez_compressed, {"x": numbers, "y": np.array(["a", "b", "c"])[labels]}),
        (
            "first",
            np.savez,
            {"images": np.moveaxis(numbers.repeat(12, 1).reshape(ROWS, 4, 5, 3), -1, 1), "labels": labels},
        ),
    ):
        sink = io.BytesIO()
        save(sink, **arrays)
        seeds.append((f"{name}.npz", sink.getvalue()))
    return seeds


def _image(suffix: str) -> bytes:
    import cv2

    shape = (64, 64, 3) if suffix == ".jp2" else (24, 20, 4 if suffix in (".png", ".webp") else 3)
    pixels = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    done, body = cv2.imencode(suffix, pixels)
    assert done
    return body.tobytes()


def _images() -> Seeds:
    suffixes = (".png", ".png", ".png", ".jpg", ".webp", ".tiff", ".bmp", ".gif", ".jp2", ".ppm", ".hdr", ".avif")
    return [(f"photo{suffix}", _image(suffix)) for suffix in suffixes]


def _zip() -> Seeds:
    photos = {f"photos/{label}/{i}.png": _image(".png") for label in ("cat", "dog") for i in range(4)}
    return [("packed.zip", pack(photos)), ("stored.zip", pack(photos, set(photos)))]


def _recordings() -> Seeds:
    head = "@problemName toy\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
    ts = head + "".join(f"{i},2.5,{i + 1},-1e3:{'ab'[i % 2]}\n" for i in range(ROWS))
    arff = "@relation toy\n@attribute t1 numeric\n@attribute t2 numeric\n@attribute y {a,b}\n@data\n"
    text = "".join(f"{i % 2}\t{i}\t2.5\tNaN\n" for i in range(ROWS))
    return [
        ("toy.ts", ts.encode()),
        ("toy.arff", (arff + "".join(f"{i},{2 * i},{'ab'[i % 2]}\n" for i in range(ROWS))).encode()),
        ("toy_TRAIN.tsv", text.encode()),
    ]


def _video() -> Seeds:
    import cv2

    seeds: Seeds = []
    for suffix, codec in ((".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "MJPG")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"film{suffix}"
            film = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 5, (32, 32))
            for i in range(10):
                film.write(np.full((32, 32, 3), 20 * i, np.uint8))
            film.release()
            seeds.append((path.name, path.read_bytes()))
    return seeds


def _bundles() -> Seeds:
    return [(f"{name}.lamina", (BUNDLES / f"{name}.lamina").read_bytes()) for name in BUNDLE_SEEDS]


FORMATS: Mapping[str, Callable[[], Seeds]] = {
    "csv": _csv, "json": _json, "jsonl": _jsonl, "parquet": _parquet, "feather": _feather, "excel": _excel,
    "npz": _npz, "image": _images, "zip": _zip, "bundle": _bundles, "recordings": _recordings, "video": _video,
}  # fmt: skip


@cache
def seeds(form: str) -> Seeds:
    return FORMATS[form]()


def pack(members: Mapping[str, bytes], stored: set[str] | frozenset[str] = frozenset()) -> bytes:
    """A zip whose members have one date, so that the same members are the same bytes."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, body in members.items():
            method = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), body, method)
    return sink.getvalue()


def unpack(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
