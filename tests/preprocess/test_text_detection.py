"""Which columns are texts: of any script, with copies, new lines and very long cells; names and codes are none."""

import csv
import random
from pathlib import Path

import pyarrow as pa
import pytest

from lamina import data, preprocess
from lamina.recipe import build

DRAW = random.Random(1)
WORDS = ("the", "film", "was", "a", "slow", "and", "quiet", "story", "of", "two", "people", "who", "never", "meet")
HAN = "我喜欢这部电影因为演员很好剧情也不错但是结尾有点慢音乐很美画面也漂亮"
THAI = "ภาพยนตร์เรื่องนี้สนุกมากและนักแสดงก็เก่ง"
FAMILY, GIVEN = "王李张刘陈杨黄赵", "伟芳娜敏静丽强磊军洋勇艳"


def sentence(least: int, most: int) -> str:
    return " ".join(DRAW.choices(WORDS, k=DRAW.randint(least, most)))


def written(alphabet: str, least: int, most: int) -> str:
    return "".join(DRAW.choices(alphabet, k=DRAW.randint(least, most)))


TEXTS = {
    "messages": [f"{sentence(1, 12)} {i}" for i in range(200)],
    "tweets": [f"@user{i % 9} {sentence(2, 9)} #tag https://t.co/{i} 🙂" for i in range(200)],
    "reviews with copies": [sentence(9, 30) for _ in range(80)] * 6,
    "Chinese": [written(HAN, 8, 40) for _ in range(200)],
    "Thai": [written(THAI, 30, 90) for _ in range(200)],
    "Arabic": [f"{' '.join(DRAW.choices(['هذا', 'فيلم', 'جميل', 'جدا', 'ممل'], k=6))} {i}" for i in range(200)],
    "one long cell": [*[f"{sentence(3, 6)} {i}" for i in range(99)], "good film " * 100_000],
    "some of one word": [sentence(1, 1) if i % 3 == 0 else f"{sentence(6, 20)} {i}" for i in range(200)],
}
OTHERS = {
    "full names": [f"{a} {b}" for a in ("Ann", "Bob", "Cid", "Dan") for b in ("Ray", "Lee", "Fox")] * 20,
    "Chinese names": [f"{DRAW.choice(FAMILY)}{written(GIVEN, 1, 2)}" for _ in range(200)],
    "codes": [f"AB-{DRAW.randint(1000, 9999)}" for _ in range(200)],
    "long choices": [DRAW.choice(("not at all likely to come back to us again", "sure to")) for _ in range(200)],
}


def kind_of(cells: list[str]) -> str:
    table = pa.table({"x": cells, "y": [i % 2 for i in range(len(cells))]})
    return preprocess.infer(table, "y", {}, ()).columns[0].kind


@pytest.mark.parametrize("name", TEXTS)
def test_a_column_of_texts_is_one(name):
    assert kind_of(TEXTS[name]) == "text"


@pytest.mark.parametrize("name", OTHERS)
def test_a_column_of_names_codes_or_choices_is_none(name):
    assert kind_of(OTHERS[name]) != "text"


def test_texts_with_lines_quotes_and_long_cells_come_whole_out_of_a_csv_file(tmp_path):
    cells = [f'she said "{sentence(3, 9)}",\n\nthen left; {i}' for i in range(60)] + [
        "a line, and another\n" * 10_000 + "end"
    ]
    path = Path(tmp_path / "a.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("text", "label"), *((cell, i % 2) for i, cell in enumerate(cells))])
    rows = data.load(build({"data": str(path)}).data)
    assert rows.table["text"].to_pylist() == cells
    assert rows.skipped_rows == ()
    assert kind_of(rows.table["text"].to_pylist()) == "text"


def test_texts_are_read_out_of_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a \\"fine\\"\\nfilm \\ud83d\\ude42", "label": "pos"}\n{"text": null, "label": "neg"}\n')
    rows = data.load(build({"data": str(path)}).data)
    assert rows.table["text"].to_pylist() == ['a "fine"\nfilm 🙂', None]
