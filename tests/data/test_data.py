"""Collecting: what comes out of a file is what is in it, and every row that cannot be used is named."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather
from pyarrow import parquet as pq

from lamina import data
from lamina.config import DataError, RecipeError
from lamina.data import arrays, files, toy

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

REAL = Path(__file__).parents[3] / "shared" / "data" / "tabular"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real tables are not in {REAL}")


def collected(tmp_path: Path, content: str | bytes, name: str = "t.csv", **settings):
    """Load the content from a file; the stream must agree, and each good row must have a line of its own."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    cfg = files.Config(path=str(path), **settings)
    whole = data.load(cfg)
    pieces = list(data.stream(cfg, 2))
    assert all(piece.table.schema.equals(whole.table.schema) for piece in pieces)
    assert pa.concat_tables([piece.table for piece in pieces]).equals(whole.table)
    assert tuple(row for piece in pieces for row in piece.skipped_rows) == whole.skipped_rows
    assert tuple(note for piece in pieces for note in piece.notes) == whole.notes
    places = [line for _, line in files.source_line(cfg, range(whole.table.num_rows))]
    bad = [row.line for row in whole.skipped_rows]
    assert len({*places, *bad}) == whole.table.num_rows + len(whole.skipped_rows)
    return whole


def cells(whole) -> list[list]:
    return [list(row.values()) for row in whole.table.to_pylist()]


def reasons(whole) -> list[tuple]:
    return [(row.line, row.column, row.reason) for row in whole.skipped_rows]


# Name, content, settings, expected rows, expected (line, column, reason).
CSV = [
    ("plain", "a,b\n1,2\n3,4\n", {}, [["1", "2"], ["3", "4"]], []),
    ("no line end at the end", "a,b\n1,2", {}, [["1", "2"]], []),
    ("CRLF", "a,b\r\n1,2\r\n", {}, [["1", "2"]], []),
    ("CR alone, as old Macs wrote", "a,b\r1,2\r3,4\r", {}, [["1", "2"], ["3", "4"]], []),
    ("LF and CRLF mixed", "a,b\r\n1,2\n3,4\r\n", {}, [["1", "2"], ["3", "4"]], []),
    ("a CR inside a cell", "a,b\n1,x\ry\n3,4\n", {}, [["1", "x\ry"], ["3", "4"]], []),
    ("semicolons", "a;b\n1;x,y\n", {}, [["1", "x,y"]], []),
    ("tabs", "a\tb\n1\t2\n", {}, [["1", "2"]], []),
    ("bars", "a|b\n1|2\n", {}, [["1", "2"]], []),
    ("a delimiter of one's own", "a~b\n1~2\n", {"delimiter": "~"}, [["1", "2"]], []),
    ("blank lines", "\n\na,b\n\n1,2\n   \n3,4\n\n", {}, [["1", "2"], ["3", "4"]], []),
    ("a quoted delimiter", 'a,b\n"1,5",2\n', {}, [["1,5", "2"]], []),
    ("a quoted line end", 'a,b\n"x\ny",2\n3,4\n', {}, [["x\ny", "2"], ["3", "4"]], []),
    ("a doubled quote", 'a,b\n"say ""hi""",2\n', {}, [['say "hi"', "2"]], []),
    ("a quote inside a cell", 'a,b\n5" pipe,2\n', {}, [['5" pipe', "2"]], []),
    ("a blank before a quote", 'a,b\n1, "x,y"\n', {}, [["1", "x,y"]], []),
    ("blanks are kept", "a,b\n 1, x \n", {}, [[" 1", " x "]], []),
    ("empty cells are empty text", 'a,b\n,""\n', {}, [["", ""]], []),
    ("leading zeros and NA are text", "a,b\n007,NA\n1e5,null\n", {}, [["007", "NA"], ["1e5", "null"]], []),
    ("a line end in the header", 'a,"b\r\nc"\n1,2\n3,4\n', {}, [["1", "2"], ["3", "4"]], []),
    ("a BOM", b"\xef\xbb\xbfa,b\n1,2\n", {}, [["1", "2"]], []),
    ("a BOM before a quote", b'\xef\xbb\xbf"1",2\n3,4\n', {}, [["1", "2"], ["3", "4"]], []),
    ("UTF-16", "a,b\né,2\n".encode("utf-16"), {}, [["é", "2"]], []),
    ("UTF-16 big end first", b"\xfe\xff" + "a,b\né,2\n".encode("utf-16-be"), {}, [["é", "2"]], []),
    ("UTF-16 without a BOM", "a,b\nxy,2\n".encode("utf-16-le"), {}, [["xy", "2"]], []),
    ("cp1252", b"a,b\ncaf\xe9 \x80,2\n", {}, [["café €", "2"]], []),
    ("Latin-1", b"a,b\ncaf\xe9 \x81,2\n", {}, [["café \x81", "2"]], []),
    ("an encoding of one's own", "a,b\nж,2\n".encode("koi8-r"), {"encoding": "koi8-r"}, [["ж", "2"]], []),
    ("too few columns", "a,b,c\n1,2,3\n4,5\n", {}, [["1", "2", "3"]], [(3, "c", "2 columns where 3 are expected")]),
    ("too many columns", "a,b\n1,2\n4,5,6\n", {}, [["1", "2"]], [(3, "", "3 columns where 2 are expected")]),
    ("a lone word", "a,b\n1,2\ntotal\n", {}, [["1", "2"]], [(3, "b", "1 column where 2 are expected")]),
    ("a stray quote", 'a,b\n"1,2\n3,4\n', {}, [["3", "4"]], [(2, "a", "a quote opens and does not close")]),
    ("text after a quote", 'a,b\n1,"x"y\n3,4\n', {}, [["3", "4"]], [(2, "b", "text after a closing quote")]),
    (
        "two stray quotes cost two rows",
        'a,b\n1,"2\n3,4\n5,"6\n7,8\n',
        {},
        [["3", "4"], ["7", "8"]],
        [(2, "b", "text after a closing quote"), (4, "b", "a quote opens and does not close")],
    ),
    (
        "a ragged row after a quoted line end",
        'a,b\n"x\n\ny",2\n3\n',
        {},
        [["x\n\ny", "2"]],
        [(5, "b", "1 column where 2 are expected")],
    ),
    ("a NUL byte", b"a,b\n1,\0\n3,4\n", {}, [["3", "4"]], [(2, "b", "a NUL byte")]),
    (
        "damaged UTF-8",
        "a,b\né,è\n".encode() + b"1,\xff\n3,4\n",
        {},
        [["é", "è"], ["3", "4"]],
        [(3, "b", "bytes that are not valid in the encoding")],
    ),
    (
        "UTF-8 when it must be",
        b"a,b\n\xe9,1\n3,4\n",
        {"encoding": "utf-8"},
        [["3", "4"]],
        [(2, "a", "bytes that are not valid in the encoding")],
    ),
    ("one column", "a\nx, y\nz\n", {}, [["x, y"], ["z"]], []),
    ("no header", "1,x\n2,y\n", {}, [["1", "x"], ["2", "y"]], []),
    ("no header, all words", "yes,no\nno,yes\nyes,yes\n", {}, [["yes", "no"], ["no", "yes"], ["yes", "yes"]], []),
    ("a header all the same", "1,x\n2,y\n", {"header": True}, [["2", "y"]], []),
    ("no header after all", "a,b\nc,d\n", {"header": False}, [["a", "b"], ["c", "d"]], []),
    ("decimal commas are kept", "a;b\n1,5;x\n1.002,25;y\n3;z\n", {}, [["1,5", "x"], ["1.002,25", "y"], ["3", "z"]], []),
    ("decimal commas when told", "a;b\n1,500;x\n", {"decimal": ","}, [["1,500", "x"]], []),
    ("formulas are text", "a,b\n=1+1,@x\n", {}, [["=1+1", "@x"]], []),
]


@pytest.mark.parametrize(("content", "setting", "rows", "bad"), [case[1:] for case in CSV], ids=[c[0] for c in CSV])
def test_a_nasty_csv_gives_its_rows_and_names_the_bad_ones(tmp_path, content, setting, rows, bad):
    whole = collected(tmp_path, content, **setting)
    assert cells(whole) == rows
    assert reasons(whole) == bad
    assert all(pa.types.is_string(field.type) for field in whole.table.schema)


JSON = [
    ("lines", "t.jsonl", '{"a":1,"b":"x"}\n{"a":2,"b":"y"}\n', [[1, "x"], [2, "y"]], []),
    ("ragged keys", "t.jsonl", '{"a":1}\n\n{"b":"y"}\n', [[1, None], [None, "y"]], []),
    ("nested objects", "t.jsonl", '{"a":{"b":{"c":1}}}\n{"a":{"b":{}}}\n', [[1], [None]], []),
    ("int, then float, then text", "t.jsonl", '{"a":1}\n{"a":2.5}\n{"a":null}\n{"a":"x"}\n', None, []),
    ("int and float", "t.jsonl", '{"a":1}\n{"a":2}\n{"a":2.5}\n', [[1.0], [2.0], [2.5]], []),
    ("lists", "t.jsonl", '{"a":[1,2]}\n{"a":[0.5]}\n', [[[1.0, 2.0]], [[0.5]]], []),
    ("NaN is missing", "t.jsonl", '{"a":1.5}\n{"a":NaN}\n', [[1.5], [None]], []),
    ("large integers", "t.jsonl", '{"a":1}\n{"a":1}\n{"a":99999999999999999999}\n', None, []),
    ("a lone surrogate", "t.jsonl", '{"a":"\\ud800"}\n', [["?"]], []),
    (
        "bad lines",
        "t.jsonl",
        '{"a":1}\n{"a":\n[1]\n7\n"x"\nnull\n{"a":2}\n',
        [[1], [2]],
        [
            (2, "not valid JSON at character 6 (Expecting value)"),
            (3, "an array where an object is expected"),
            (4, "a number where an object is expected"),
            (5, "a string where an object is expected"),
            (6, "null where an object is expected"),
        ],
    ),
    ("nothing but depth", "t.jsonl", '{"a":1}\n' + "[" * 100_000 + "\n", [[1]], None),
    (
        "damaged UTF-8 lines",
        "t.jsonl",
        '{"a":"é"}\n'.encode() + b'{"a":"\xff"}\n',
        [["é"]],
        [(2, "bytes that are not valid in the encoding")],
    ),
    ("an array", "t.json", '[\n {"a":1},\n {"a":2}\n]\n', [[1], [2]], []),
    (
        "an array, not all objects",
        "t.json",
        '[{"a":1},\n 5,\n{"a":2}]',
        [[1], [2]],
        [(2, "a number where an object is expected")],
    ),
    ("lines in a .json", "t.json", '{"a":1}\n{"a":2}\n', [[1], [2]], []),
    ("columns", "t.json", '{"a":[1,2],"b":["x","y"]}', [[1, "x"], [2, "y"]], []),
    ("rows inside an object", "t.json", '{"n":2,"rows":[{"a":1},{"a":2}]}', [[1], [2]], []),
    ("one object", "t.json", '{"a":1,"b":{"c":2}}', [[1, 2]], []),
    ("UTF-16", "t.json", '[{"a":"é"}]'.encode("utf-16"), [["é"]], []),
]


@pytest.mark.parametrize(("name", "content", "rows", "bad"), [case[1:] for case in JSON], ids=[c[0] for c in JSON])
def test_nasty_json_gives_its_rows_and_names_the_bad_ones(tmp_path, name, content, rows, bad):
    whole = collected(tmp_path, content, name)
    if rows is None:
        assert whole.table.schema.types == [pa.string()]
    else:
        assert cells(whole) == rows
    if bad is None:
        assert [row.line for row in whole.skipped_rows] == [2]
    else:
        assert [(row.line, row.reason) for row in whole.skipped_rows] == bad


REFUSED = [
    ("empty", "t.csv", b"", "is empty"),
    ("blank", "t.csv", b"\n \n", "is empty"),
    ("a header only", "t.csv", b"a,b\n", "has column names and no rows"),
    ("all rows bad", "t.csv", b"a,b\n1\n2\n", "no row can be used (line 3: 1 column where 2 are expected)"),
    ("broken JSON", "t.json", b'[{"a":1},\n{"a":}]', "line 2, column 6: Expecting value"),
    ("cut JSON", "t.json", b'[{"a":1},\n{"a":2}', "line 2, column 8: Expecting ',' or ']'"),
    ("trailing JSON", "t.json", b'[{"a":1}] x', "Extra data"),
    ("JSON that is no table", "t.json", b'"x"', "is no table"),
    ("an empty array", "t.json", b"[]", "is empty"),
    ("JSON lines without rows", "t.jsonl", b"\n", "is empty"),
    ("broken Parquet", "t.parquet", b"PAR1nonsense", "cannot be read as Parquet"),
    ("broken Arrow", "t.arrow", b"ARROW1nonsense", "cannot be read as Arrow IPC"),
    ("a broken workbook", "t.xlsx", b"PK\x03\x04nonsense", "cannot be read as a spreadsheet"),
    ("broken gzip", "t.csv.gz", b"\x1f\x8bnonsense", "cannot be read"),
    ("cut gzip", "t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "cannot be read"),
    ("gzip under another name", "t.csv", gzip.compress(b"a,b\n"), "is compressed"),
    ("a zip archive", "t.csv", b"PK\x03\x04", "is an archive"),
    ("who knows", "t.bin", b"\x7fELF\0\0\0\1", "is no format that can be read"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_file_without_rows_is_refused_with_a_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (data.load, lambda cfg: list(data.stream(cfg))):
        with pytest.raises(DataError) as fault:
            read(files.Config(path=str(path)))
        assert sentence in str(fault.value)
        assert str(path) in str(fault.value)
        assert str(fault.value).endswith(".")


def test_a_missing_file_a_directory_and_a_barren_pattern_say_what_to_do(tmp_path):
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")
    for path, sentence in {
        "trian.csv": "Did you mean 'train.csv'?",
        "": "is a directory. Name a file in it",
        "*.parquet": "no file matches this pattern",
    }.items():
        with pytest.raises(DataError, match=sentence.replace("?", r"\?")):
            data.load(files.Config(path=str(tmp_path / path)))


def test_a_ragged_row_is_quarantined_with_its_line_and_reason(tmp_path):
    row = collected(tmp_path, 'a,b\n"x\ny",1\n5,6,7\n').skipped_rows[0]
    assert row == (str(tmp_path / "t.csv"), 4, "", "3 columns where 2 are expected")


def test_guesses_are_told_in_notes(tmp_path):
    for content, sentence in {
        b"1,x\n2,y\n": "no header found",
        b"a,a,\n1,2,3\n": "column 2 'a' as 'a_2', column 3 '' as 'column3'",
        b"a,b\n\xe9,1\n": "not valid UTF-8; read as cp1252",
        "a,b\n1,2\n".encode("utf-16"): "read as UTF-16-LE",
        b"a\nx\n": "no delimiter found",
    }.items():
        notes = collected(tmp_path, content).notes
        assert len(notes) == 1
        assert sentence in notes[0]
    assert collected(tmp_path, "a,b\n1,2\n").notes == ()


def test_names_are_given_to_a_file_without_header(tmp_path):
    assert collected(tmp_path, "1,x\n2,y\n", names=("n", "w")).table.to_pylist()[0] == {"n": "1", "w": "x"}
    assert collected(tmp_path, "n,w\n2,y\n", names=("n", "w")).table.num_rows == 1
    assert collected(tmp_path, "q,r\n2,y\n", names=("n", "w"), header=True).table.to_pylist() == [{"n": "2", "w": "y"}]
    for names, sentence in ((("n", "w", "z"), "has 3 names, .* has 2 columns"), (("n", "n"), "a name of its own")):
        with pytest.raises(DataError, match=sentence):
            collected(tmp_path, "1,x\n2,y\n", names=names)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_compressed_files_read_like_plain_ones(tmp_path, suffix):
    zstd = pa.Codec("zstd")
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd.compress}[suffix]
    whole = collected(tmp_path, bytes(pack(b"a,b\n1,2\n3\n")), f"t.csv{suffix}")
    assert cells(whole) == [["1", "2"]]
    assert reasons(whole) == [(3, "b", "1 column where 2 are expected")]


def test_names_that_look_like_patterns_or_sql_are_plain_names(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n9,9\n")
    for name in ("t[1].csv", "*.csv", "t'; DROP TABLE x; --.csv", "?ther.csv", "http:x.csv", "{}$path.csv"):
        assert cells(collected(tmp_path, "a,b\n1,2\n", name)) == [["1", "2"]]
        (tmp_path / name).unlink()


def test_the_database_reads_no_other_file_and_no_extension(tmp_path):
    import duckdb

    from lamina.data._formats.delimited import _database

    (tmp_path / "mine.csv").write_text("a\n1\n")
    (tmp_path / "other.csv").write_text("a\n1\n")
    with _database(tmp_path / "mine.csv") as db:
        for query in (
            f"SELECT * FROM read_csv('{tmp_path}/other.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                db.execute(query)


def test_several_files_are_one_table_in_sorted_order(tmp_path):
    (tmp_path / "b.csv").write_text("y,x\n3,4\n5\n")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "c.csv").write_text("x\n6\n")
    (tmp_path / "d.csv").write_text("")
    cfg = files.Config(path=str(tmp_path / "*.csv"))
    whole = data.load(cfg)
    assert cells(whole) == [["1", "2"], ["4", "3"], ["6", None]]
    assert reasons(whole) == [(3, "x", "1 column where 2 are expected")]
    assert any("c.csv: has no column y" in note for note in whole.notes)
    assert [(Path(f).name, n) for f, n in files.source_line(cfg, [2, 0, 1, 0])] == [
        ("c.csv", 2),
        ("a.csv", 2),
        ("b.csv", 2),
        ("a.csv", 2),
    ]
    assert pa.concat_tables([piece.table for piece in data.stream(cfg, 1)]).equals(whole.table)
    same = files.Config(path=(str(tmp_path / "b.csv"), str(tmp_path / "[abcd].csv")))
    assert data.load(same).table.equals(whole.table)


def test_files_of_different_types_become_wider_numbers_or_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"n":1,"m":1,"t":true}\n')
    (tmp_path / "b.jsonl").write_text('{"n":0.5,"m":"x","t":"y"}\n')
    whole = data.load(files.Config(path=str(tmp_path / "*.jsonl")))
    assert whole.table.to_pylist() == [{"n": 1.0, "m": "1", "t": "true"}, {"n": 0.5, "m": "x", "t": "y"}]
    assert "column m: read as string, as the files differ (int64, string)." in whole.notes


def test_parquet_and_feather_keep_their_types_and_lose_index_structs_and_dictionaries(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3], "c": pd.Categorical(["x", "y", None])}, index=[5, 6, 9])
    frame.to_parquet(tmp_path / "t.parquet")
    feather.write_feather(pa.table({"s": [{"p": 1}, {"p": 2}], "v": [[1.0], None]}), str(tmp_path / "t.feather"))
    with (
        pa.OSFile(str(tmp_path / "t.arrows"), "wb") as out,
        pa.ipc.new_stream(out, pa.schema({"a": pa.int8()})) as stream,
    ):
        stream.write_batch(pa.record_batch({"a": pa.array([1, 2], pa.int8())}))
    for name, rows in {
        "t.parquet": [{"a": 1, "c": "x"}, {"a": 2, "c": "y"}, {"a": 3, "c": None}],
        "t.feather": [{"s.p": 1, "v": [1.0]}, {"s.p": 2, "v": None}],
        "t.arrows": [{"a": 1}, {"a": 2}],
    }.items():
        whole = collected(tmp_path, (tmp_path / name).read_bytes(), name)
        assert whole.table.to_pylist() == rows


def test_an_empty_parquet_is_refused(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match="has column names and no rows"):
        data.load(files.Config(path=str(tmp_path / "t.parquet")))


def test_a_sheet_is_read_by_name_without_its_empty_rows(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["first"])
    sheet = book.create_sheet("Data")
    for row in (
        [None],
        ["id", "when", "mixed"],
        [1, pd.Timestamp("2020-05-01"), 7],
        [2, None, "x"],
        [None],
        [3],
        [None],
    ):
        sheet.append(row)
    sheet["F20"] = ""
    book.save(tmp_path / "t.xlsx")
    whole = collected(tmp_path, (tmp_path / "t.xlsx").read_bytes(), "t.xlsx", sheet="Data")
    assert whole.table.column_names == ["id", "when", "mixed"]
    assert whole.table["id"].to_pylist() == [1, 2, 3]
    assert whole.table["mixed"].to_pylist() == ["7", "x", None]
    cfg = files.Config(path=str(tmp_path / "t.xlsx"), sheet="Data")
    assert [line for _, line in files.source_line(cfg, [0, 1, 2])] == [3, 4, 6]
    with pytest.raises(DataError, match="Did you mean 'Data'"):
        data.load(files.Config(path=str(tmp_path / "t.xlsx"), sheet="Date"))
    with pytest.raises(DataError, match="no rows"):
        data.load(files.Config(path=str(tmp_path / "t.xlsx")))


def test_a_setting_of_no_use_is_an_error(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a":1}\n')
    with pytest.raises(RecipeError, match=r"data.delimiter: is of no use[\s\S]*data.sheet: is of no use"):
        data.load(files.Config(path=str(tmp_path / "t.jsonl"), delimiter=",", sheet="x"))
    with pytest.raises(DataError, match="no text encoding 'utf-9'"):
        (tmp_path / "t.csv").write_text("a\n1\n")
        data.load(files.Config(path=str(tmp_path / "t.csv"), encoding="utf-9"))


SOUND = ["a", "1", "", " x", '"q"', '"a,b"', '"n\nl"', '"d""q"', ' "s" ', 'x"y', '""', "é", " ", "'"]
UNSOUND = ['"', '"a"b', "\r", "\0"]
pieces = st.sampled_from(SOUND + UNSOUND)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(pieces, min_size=3, max_size=3), min_size=1, max_size=8),
    end=st.sampled_from(["\n", "\r\n"]),
    at=st.integers(0, 200),
    extra=st.sampled_from([b"", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\n\n", b"x"]),
)
def test_both_readers_give_the_same_rows_and_lose_none(tmp_path, rows, end, at, extra):
    from contextlib import ExitStack

    from lamina.data._formats import delimited as _delimited
    from lamina.data._formats import text as _text
    from lamina.data._formats.delimited_layout import layout
    from lamina.data._formats.options import Options

    raw = end.join(["h1,h2,h3", *(",".join(row) for row in rows)]).encode()
    path = tmp_path / "t.csv"
    path.write_bytes(raw[:at] + extra + raw[at:])
    with ExitStack() as stack:
        plan = layout(_text.readable(path, "utf-8", stack), Options(",", header=True), stack)
        if not plan.names:
            return
        either = next(_delimited.read(plan, None))
        careful = next(_delimited._careful(plan, None))
        lines = list(_delimited.lines(plan))
    assert either.table.equals(careful.table)
    assert either.skipped_rows == careful.skipped_rows
    assert len(lines) == either.table.num_rows
    bad = [row.line for row in either.skipped_rows]
    assert len({*lines, *bad}) == len(lines) + len(bad)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(3, 40),
    faults=st.dictionaries(
        st.integers(0, 39), st.sampled_from([b"1,2", b"1,2,3,4", b'1,"2,3', b"1,\0,3", b"1,\xff,3"])
    ),
)
def test_rows_in_are_rows_out_plus_quarantine(tmp_path, rows, faults):
    bodies = [faults.get(i, b"%d,\xc3\xa9,z" % i) for i in range(rows)]
    path = tmp_path / "t.csv"
    path.write_bytes(b"\n".join([b"a,b,c", *bodies, b"7,7,7"]))
    cfg = files.Config(path=str(path), encoding="utf-8")
    whole = data.load(cfg)
    wrong = [i for i in faults if i < rows]
    assert whole.table.num_rows + len(whole.skipped_rows) == rows + 1
    assert [row.line for row in whole.skipped_rows] == sorted(i + 2 for i in wrong)
    good = [i + 2 for i in range(rows + 1) if i not in wrong]
    assert [line for _, line in files.source_line(cfg, range(len(good)))] == good


def test_a_stray_quote_in_a_long_file_costs_one_row(tmp_path):
    lines = ["a,b", *(f"{i},x" for i in range(3_000))]
    lines[100] = '99,"x'
    whole = collected(tmp_path, "\n".join(lines))
    assert whole.table.num_rows == 2_999
    assert reasons(whole) == [(101, "b", "a quote opens and does not close")]


@needs_real_data
def test_real_tables_are_read_whole_and_fast():
    import time

    for name, shape in {
        "adult/adult-train.csv": (32_561, 15),
        "telco_churn/Telco-Customer-Churn.csv": (7_043, 21),
        "titanic/titanic.csv": (891, 12),
        "california_housing/housing.csv": (20_640, 10),
        "wine_quality/*.csv": (6_497, 12),
    }.items():
        start = time.perf_counter()
        whole = data.load(files.Config(path=str(REAL / name)))
        assert time.perf_counter() - start < 2
        assert whole.table.shape == shape
        assert whole.skipped_rows == ()
    adult = data.load(files.Config(path=str(REAL / "adult" / "adult-train.csv")))
    assert adult.table.column_names[:2] == ["column1", "column2"]
    assert "no header found" in adult.notes[0]


@needs_real_data
def test_the_line_of_a_real_row_holds_its_cells():
    for path in (REAL / "titanic" / "titanic.csv", REAL / "adult" / "adult-train.csv"):
        cfg = files.Config(path=str(path))
        table, text = data.load(cfg).table, path.read_text().splitlines()
        for row, (_, line) in zip((0, 5, 890), files.source_line(cfg, [0, 5, 890]), strict=True):
            assert text[line - 1].startswith(table[0][row].as_py() + ",")


def test_importing_the_stage_imports_no_heavy_package():
    code = "import sys, lamina.data, lamina.data.files, lamina.data.arrays; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert not {"torch", "pandas", "polars", "duckdb", "python_calamine"} & set(done.stdout.split())


def test_a_source_is_found_by_the_module_of_its_config():
    assert data.load(toy.Config(name="wine")).table.num_rows == 6_497
    assert sum(piece.table.num_rows for piece in data.stream(toy.Config(name="wine"), 1_000)) == 6_497
    with pytest.raises(DataError, match="passed in Python"):
        data.load(arrays.Config())


def test_toy_tables_are_there_under_their_names():
    churn, wine = data.load(toy.Config(name="churn")), data.load(toy.Config(name="wine"))
    assert data.load(toy.Config(name="airline")).table.shape == (144, 2)
    assert churn.table.shape == (7_043, 21)
    assert churn.table["Churn"].value_counts().to_pylist() == [
        {"values": "No", "counts": 5_174},
        {"values": "Yes", "counts": 1_869},
    ]
    assert wine.table.column_names[-3:] == ["alcohol", "colour", "quality"]
    assert wine.table["colour"].to_pylist().count("red") == 1_599
    assert not churn.skipped_rows + wine.skipped_rows
    with pytest.raises(DataError, match="Did you mean 'churn'"):
        data.load(toy.Config(name="chrun"))


MEMORY = [
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=[7, 9]),
    pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
    pa.table({"a": [1, 2], "b": ["x", None]}),
    pa.record_batch({"a": [1, 2], "b": pa.array(["x", None]).dictionary_encode()}),
    {"a": np.array([1, 2]), "b": ["x", None]},
    [{"a": 1, "b": "x"}, {"a": 2}],
]


@pytest.mark.parametrize("source", MEMORY, ids=lambda source: f"{type(source).__module__}.{type(source).__name__}")
def test_the_same_rows_in_any_container_are_the_same_table(source):
    assert arrays.table(source).equals(pa.table({"a": [1, 2], "b": ["x", None]}))


def test_numpy_columns_are_named_and_2d_columns_spread():
    assert arrays.table(np.array([[1.0, np.nan]])).to_pylist() == [{"column1": 1.0, "column2": None}]
    assert arrays.table({"v": np.ones((2, 3)), "w": [1, 2]}).column_names == ["v_0", "v_1", "v_2", "w"]


def test_mixed_columns_become_text_and_never_an_arrow_error():
    frame = pd.DataFrame(
        {
            "mixed": [1, "x", None],
            "category": pd.Categorical([3, 4, None]),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "nan": [float("nan"), "x", pd.NA],
            "period": pd.period_range("2020", periods=3, freq="Y"),
            "complex": [1j, 2, 3],
            "huge": [2**80, 1, None],
            "list": [[1, 2], None, [0.5]],
        }
    )
    got = arrays.table(frame).to_pydict()
    assert got["mixed"] == ["1", "x", None]
    assert got["category"] == ["3", "4", None]
    assert got["nullable"] == [1, None, 3]
    assert got["nan"] == [None, "x", None]
    assert got["period"] == ["2020", "2021", "2022"]
    assert got["huge"] == [str(2**80), "1", None]
    assert got["list"] == [[1.0, 2.0], None, [0.5]]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"),
            st.recursive(
                st.one_of(
                    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
                    *(st.dates(), st.datetimes(), st.decimals(), st.times(), st.uuids(), st.complex_numbers()),
                ),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
                max_leaves=4,
            ),
        ),
        max_size=5,
    )
)
def test_any_rows_of_python_values_are_a_table(rows):
    assert arrays.table(rows).num_rows in (len(rows), 0)


def test_what_is_no_table_is_refused_with_a_sentence():
    for source, sentence in (
        (3, "cannot read 'int' as a table"),
        ([1], "row 0 must be a dict"),
        (np.ones(3), "must have 2 dimensions"),
        ({"a": 1}, "data.a: must be a list"),
        ({"a": [1], "b": [1, 2]}, r"equally long \(got a: 1, b: 2\)"),
        ({"a": np.ones((1, 2, 3, 4))}, "data.a: must have 1 or 2 dimensions"),
    ):
        with pytest.raises(DataError, match=sentence):
            arrays.table(source)


def test_answers_come_back_in_the_type_of_the_rows():
    answers = pa.table({"label": ["u", "v"], "probabilities": [{"u": 0.75, "v": 0.25}] * 2})
    frame = arrays.like(answers, MEMORY[0])
    assert list(frame.index) == [7, 9]
    assert list(frame.columns) == ["label", "probabilities.u", "probabilities.v"]
    assert arrays.like(answers, MEMORY[1])["probabilities"][0] == {"u": 0.75, "v": 0.25}
    assert arrays.like(answers, MEMORY[2]) is answers
    assert arrays.like(answers, {"a": [1, 2]})["label"] == ["u", "v"]
    assert arrays.like(answers, [{}, {}])[1] == {"label": "v", "probabilities": {"u": 0.75, "v": 0.25}}
    assert arrays.like(answers, np.ones((2, 2)))["probabilities.u"].tolist() == [0.75, 0.75]


def test_the_settings_of_files_can_be_written_in_a_recipe():
    cfg = files.Config.model_validate_json(json.dumps({"kind": "files", "path": ["a.csv"], "delimiter": ";"}))
    assert cfg.path == ("a.csv",)
    with pytest.raises(ValueError, match="delimiter"):
        files.Config(path="a.csv", delimiter=",,")
