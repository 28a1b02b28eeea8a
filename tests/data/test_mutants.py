"""Damaged files are a sentence: they do not end the process, fill memory or raise what Arrow, NumPy or zipfile do."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pytest
from pyarrow import ipc

from lamina import data, recipe
from lamina.config import DataError
from lamina.data import files, npz

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def feather(table: pa.Table | pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    return sink.getvalue()


def refusal(path: Path, body: bytes) -> str:
    path.write_bytes(body)
    source, cfg = (npz, npz.Config(path=str(path))) if path.suffix == ".npz" else (files, files.Config(path=str(path)))
    with pytest.raises(DataError) as caught:
        source.load(cfg)
    return str(caught.value)


def _with_body(archive: bytes, old: bytes, new: bytes) -> bytes:
    """A zip with some bytes of its members replaced, and sound checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(old, new))
    return out.getvalue()


def test_offsets_beyond_the_text_of_a_feather_file_are_refused(tmp_path):
    body = feather(pa.table({"a": ["text"] * 8, "y": range(8)}))
    offsets = np.arange(9, dtype=np.int32).__mul__(4).tobytes()
    assert offsets in body
    far = np.array([0, 2**30, *range(8, 36, 4)], np.int32).tobytes()
    assert "Arrow IPC" in refusal(tmp_path / "a.feather", body.replace(offsets, far))


def test_an_index_beyond_the_dictionary_of_a_feather_file_is_refused(tmp_path):
    codes = np.array([0, 1, 0, 1, 1, 0, 1, 0], np.int32)
    column = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(["red", "blue"]))
    body = feather(pa.table({"a": column, "y": range(8)}))
    assert codes.tobytes() in body
    far = body.replace(codes.tobytes(), (codes * 2**28).tobytes())
    assert "Arrow IPC" in refusal(tmp_path / "a.feather", far)


def test_text_that_is_not_utf8_in_a_feather_file_is_refused(tmp_path):
    body = feather(pa.table({"a": ["text"] * 8, "y": range(8)})).replace(b"texttext", b"te\xfft\xfeext")
    assert "UTF8" in refusal(tmp_path / "a.feather", body)


def test_text_that_is_not_unicode_in_an_npz_file_is_refused(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, x=np.eye(8), y=np.array(["red", "blue"] * 4))
    mark = "red".encode("utf-32-le")
    assert mark in stream.getvalue()
    assert "not Unicode" in refusal(tmp_path / "a.npz", _with_body(stream.getvalue(), mark, b"\xff" * len(mark)))


def test_two_thousand_million_rows_without_a_byte_are_refused(tmp_path):
    nothing = pa.Array.from_buffers(pa.null(), (1 << 31) - 1, [None])
    body = feather(pa.record_batch({"a": nothing}))
    assert "rows in 0 bytes" in refusal(tmp_path / "a.feather", body)


def test_columns_of_runs_are_read_as_what_they_stand_for(tmp_path):
    runs = pa.RunEndEncodedArray.from_arrays([3, 8], ["a", "b"])
    (tmp_path / "a.arrow").write_bytes(feather(pa.table({"a": runs})))
    table = files.load(files.Config(path=str(tmp_path / "a.arrow"))).table
    assert table["a"].to_pylist() == ["a"] * 3 + ["b"] * 5


@pytest.mark.parametrize("place", ["XFD1048576", "B4294967295"])
def test_a_workbook_with_one_cell_far_away_is_refused_before_it_fills_memory(tmp_path, place):
    book, sink, changed = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    for row in (["a", "b"], [1, 2], [3, 4]):
        sheet.append(row)
    book.save(sink)
    with zipfile.ZipFile(sink) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'r="B3"', f'r="{place}"'.encode()))
    assert "cells, nearly all of them empty" in refusal(tmp_path / "a.xlsx", changed.getvalue())


@pytest.mark.parametrize(
    "head",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (5,)}",
        "{'descr': '<U999999999', 'fortran_order': False, 'shape': (5,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (5",
        "{'descr': [('a', 'nothing')], 'fortran_order': False, 'shape': (5,)}",
    ],
)
def test_an_array_whose_header_cannot_be_is_refused(tmp_path, head):
    body = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + bytes(40)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("x.npy", body)
        archive.writestr("y.npy", body)
    assert "cannot be read as .npz" in refusal(tmp_path / "a.npz", sink.getvalue())


def test_a_zip_of_images_whose_list_of_members_is_damaged_is_refused(tmp_path):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("cat/1.png", b"no image")
    (tmp_path / "a.zip").write_bytes(sink.getvalue().replace(b"PK\x01\x02", b"PK\x01\x03"))
    with pytest.raises(DataError, match="cannot be read as a zip"):
        data.load(recipe.from_words([str(tmp_path / "a.zip")], trains=False).data)


def faults(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / "mutants.py"), "--seed", "7", *arguments]
    process = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return "" if process.returncode == 0 else process.stdout + process.stderr


def test_damaged_tables_arrays_and_zips_end_in_an_answer_or_a_sentence():
    assert not faults("--count", "20", "--only", "feather", "--only", "npz", "--only", "zip")


@pytest.mark.slow
def test_damaged_files_of_every_format_end_in_an_answer_or_a_sentence():
    assert not faults("--count", "40")
