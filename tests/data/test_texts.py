"""Plain text files: by folder, by line, running; which are tables; encodings; what is skipped and said."""

import gzip
from pathlib import Path

import pytest

from lamina import data
from lamina.config import DataError
from lamina.data import _locator, texts
from lamina.recipe import build
from lamina.schema import Collected
from service_tools import command

PROSE = [
    "the plot is thin, and yet it holds; I liked it",
    "nothing here works",
    'a "small" film with a large heart',
    "it drags on, and on, and on",
    "she is simply wonderful in this",
]
BOOK = "".join(
    f"Chapter {i}.\n\nIt was the best of times, it was the worst of times.\nAnd so on.\n\n" for i in range(3000)
)


def write(path: Path, body: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def lines(rows: list[str]) -> str:
    return "\n".join(rows) + "\n"


def read(path: Path | str, **settings) -> Collected:
    recipe = build({"data": {"path": str(path), **settings}} if settings else {"data": str(path)})
    return data.load(recipe.data)


def kind(path: Path | str) -> str:
    return _locator.settings(str(path))["kind"]


def test_each_line_of_a_file_is_a_text_as_it_stands(tmp_path):
    rows = read(write(tmp_path / "reviews.txt", lines(PROSE * 4)))
    assert rows.table.to_pydict() == {"text": PROSE * 4}
    assert any("each line is a text" in note and "data.documents=piece" in note for note in rows.notes)


def test_running_text_is_in_pieces_that_are_all_of_it(tmp_path):
    path = write(tmp_path / "book.txt", BOOK)
    rows = read(path)
    pieces = rows.table["text"].to_pylist()
    assert "".join(pieces) == BOOK
    assert len(pieces) > 2
    assert all(piece.endswith("\n") for piece in pieces)
    assert any("running text" in note and "data.documents=line" in note for note in rows.notes)
    streamed = [
        text for part in texts.stream(texts.Config(path=str(path)), 2) for text in part.table["text"].to_pylist()
    ]
    assert streamed == pieces


def test_documents_says_otherwise(tmp_path):
    path = write(tmp_path / "book.txt", BOOK)
    assert read(path, kind="texts", documents="file").table["text"].to_pylist() == [BOOK]
    by_line = read(path, kind="texts", documents="line").table["text"].to_pylist()
    assert by_line == [line for line in BOOK.split("\n") if line]


def test_a_row_knows_its_file_and_line(tmp_path):
    path = write(tmp_path / "a.txt", "one line of text here\n\ntwo lines of text here\n")
    cfg = texts.Config(path=str(path), documents="line")
    assert texts.source_line(cfg, [1, 0]) == [(str(path), 3), (str(path), 1)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("commas.txt", "age,town\n" + "31,Rome\n" * 30),
        ("header_alone.txt", "age,town\n"),
        ("semicolons.txt", "a;b;c\n1;2;3\n4;5;6\n"),
        ("tabs.txt", "label\ttext\n" + "ham\tsee you, later\nspam\twin, now\n" * 10),
        ("quotes.txt", 'id,text\n1,"a, b"\n2,"c, ""d"""\n3,"e"\n4,"f\ng"\n'),
        ("blanks.txt", "1.5 2.5 red\n2.5 3.5 blue\n1.0 2.0 red\n3.0 1.0 red\n2.0 2.0 blue\n"),
        ("numbers.txt", "\n".join(map(str, range(50)))),
        ("adult.data", "39, State-gov, 77516, Bachelors, <=50K\n" * 20),
        ("title.txt", "Sales of all towns in the year\n\ntown,sales\n" + "Rome,5\n" * 30),
    ],
)
def test_a_table_is_a_table_whatever_its_name(tmp_path, name, body):
    assert kind(write(tmp_path / name, body)) == "files"


def test_a_folder_and_a_pattern_of_tables_are_no_texts_and_short_texts_are(tmp_path):
    for i in range(3):
        write(tmp_path / "tables" / f"{i}.txt", "age,town\n31,Rome\n44,Oslo\n")
        write(tmp_path / "texts" / ("good", "bad")[i % 2] / f"{i}.txt", "good")
    assert kind(tmp_path / "tables" / "*.txt") == kind(tmp_path / "tables") == "files"
    assert kind(tmp_path / "texts") == kind(tmp_path / "texts" / "**" / "*.txt") == "texts"


@pytest.mark.parametrize("name", ["reviews.txt", "rt-polarity.pos", "corpus", "notes.md", "reviews.TXT"])
def test_sentences_are_texts_whatever_the_name(tmp_path, name):
    assert kind(write(tmp_path / name, lines(PROSE * 3))) == "texts"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.xml", "a.html"])
def test_other_formats_are_never_texts(tmp_path, name):
    assert kind(write(tmp_path / name, lines(PROSE * 3))) == "files"


def test_a_kind_that_is_said_wins(tmp_path):
    table = write(tmp_path / "a.txt", "a,b\n1,2\n3,4\n")
    assert read(table, kind="texts").table["text"].to_pylist() == ["a,b", "1,2", "3,4"]
    prose = write(tmp_path / "b.txt", lines(["first column"] + ["words only"] * 9))
    assert read(prose, kind="files", header=True).table.column_names == ["first column"]


def test_numbers_that_begin_all_lines_are_labels(tmp_path):
    path = write(tmp_path / "stsa.train", lines([f"{i % 2} {PROSE[i % 5]}" for i in range(30)]))
    rows = read(path)
    assert rows.table.to_pylist()[1] == {"text": PROSE[1], "label": "1"}
    assert (rows.target, rows.task) == ("label", "classification")
    assert any("data.label=none" in note for note in rows.notes)
    whole = read(path, kind="texts", label="none")
    assert whole.target is None
    assert whole.table["text"][1].as_py() == f"1 {PROSE[1]}"


def test_words_of_fasttext_are_labels(tmp_path):
    path = write(
        tmp_path / "a.txt", lines([f"__label__{'good' if i % 2 else 'bad'} {PROSE[i % 5]}" for i in range(30)])
    )
    assert read(path).table["label"].to_pylist()[:2] == ["bad", "good"]


def test_numbered_lines_have_no_labels(tmp_path):
    path = write(tmp_path / "list.txt", lines([f"{i} {PROSE[i % 5]}" for i in range(30)]))
    assert read(path).table.column_names == ["text"]


def test_a_word_and_a_tab_are_a_label_where_quotes_are_part_of_the_text(tmp_path):
    rows = [f'{"spam" if i % 3 == 0 else "ham"}\t{"" if i % 4 else chr(34)}say {i} "hello, you' for i in range(40)]
    table = read(write(tmp_path / "SMSSpamCollection", lines(rows))).table
    assert table.num_rows == 40
    assert table.to_pylist()[0] == {"text": '"say 0 "hello, you', "label": "spam"}


def test_a_folder_by_class_has_a_text_in_each_file(tmp_path):
    for part in ("train", "test"):
        for label in ("pos", "neg"):
            for i in range(3):
                write(tmp_path / part / label / f"{i}.txt", f"{part} {label} {i}\nsecond line")
    rows = read(tmp_path)
    assert rows.table.num_rows == 12
    assert (rows.target, rows.part, rows.task) == ("label", "part", "classification")
    tests = [row for row in rows.table.to_pylist() if row["part"] == "test"]
    assert tests[0] == {"text": "test neg 0\nsecond line", "part": "test", "label": "neg"}


def test_what_is_no_text_of_a_class_is_skipped_and_said(tmp_path):
    for label in ("pos", "neg"):
        for i in range(3):
            write(tmp_path / label / f"{i}.txt", f"{label} {i}")
    write(tmp_path / "README.txt", "about all this")
    write(tmp_path / "unsup" / "1.txt", "no class")
    write(tmp_path / "pos" / "scores.xlsx", "numbers")
    write(tmp_path / "neg" / "odd.txt", b"PK\x03\x04\x00\x00\x00")
    rows = read(tmp_path)
    assert sorted(rows.table["label"].to_pylist()) == ["neg"] * 3 + ["pos"] * 3
    reasons = {Path(bad.file).name: bad.reason for bad in rows.skipped_rows}
    assert reasons == {
        "README.txt": "stands in no folder of a class",
        "1.txt": "stands in no folder of a class",
        "scores.xlsx": "is not a text by its name",
        "odd.txt": "is no text",
    }
    assert any("2 files stand in no folder of a class" in note for note in rows.notes)


def test_a_folder_without_classes_is_a_text_for_each_file(tmp_path):
    write(tmp_path / "a.txt", "the first book of all")
    write(tmp_path / "more" / "b.txt.gz", gzip.compress(b"the second one"))
    rows = read(tmp_path)
    assert rows.table["text"].to_pylist() == ["the first book of all", "the second one"]
    assert (rows.target, rows.metadata) == (None, ("document",))
    assert read(f"{tmp_path}/*.txt").table["text"].to_pylist() == ["the first book of all"]


def test_classes_by_name_take_a_file_of_lines_each(tmp_path):
    good = write(tmp_path / "rt.pos", lines(["a caf\u00e9 of a film"] * 6).encode("latin-1"))
    bad = write(tmp_path / "rt.neg", "dull\n\nflat and dull\n")
    rows = data.load(build({"data": {"classes": {"pos": str(good), "neg": str(bad)}}}).data)
    assert rows.table["label"].to_pylist() == ["pos"] * 6 + ["neg"] * 2
    assert rows.table["text"].to_pylist()[::7] == ["a café of a film", "flat and dull"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("folder", [False, True])
def test_encodings_are_found_out(tmp_path, encoding, folder):
    rows = [f"{line} – café" if encoding not in ("latin-1",) else f"{line} \x81 café" for line in PROSE]
    body = lines(rows).encode(encoding)
    if folder:
        write(tmp_path / "texts" / "a.txt", body)
        assert read(tmp_path / "texts").table["text"].to_pylist() == [lines(rows)]
        return
    collected = read(write(tmp_path / "a.txt", body))
    assert collected.table["text"].to_pylist() == rows
    assert encoding in ("utf-8", "utf-8-sig") or any("read as" in note for note in collected.notes)


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_ends_of_lines_are_those_of_any_system(tmp_path, ends):
    assert read(write(tmp_path / "a.txt", ends.join(PROSE))).table["text"].to_pylist() == PROSE


def test_bytes_that_mean_nothing_are_marked_and_never_a_traceback(tmp_path):
    body = lines(PROSE * 3).encode() + "größe ".encode() * 20 + b"\xff\xfe broken \x00 here\n"
    rows = read(write(tmp_path / "a.txt", body))
    assert "\ufffd" in rows.table["text"].to_pylist()[-1]
    for encoding in ("utf-8", "ascii"):
        assert read(tmp_path / "a.txt", kind="texts", encoding=encoding, documents="line").table.num_rows > 0
    with pytest.raises(DataError, match="Set encoding to the right one"):
        read(tmp_path / "a.txt", kind="texts", encoding="utf-16")


def test_what_cannot_be_read_is_a_sentence(tmp_path):
    write(tmp_path / "empty" / "a.csv", "x")
    for path, settings, sentence in (
        (write(tmp_path / "blank.txt", "\n \n"), {"kind": "texts", "documents": "line"}, "holds no text"),
        (tmp_path / "nowhere", {"kind": "texts"}, "there is no such folder or file"),
        (tmp_path / "empty", {"kind": "texts"}, "holds no text file"),
        (write(tmp_path / "a.txt", lines(PROSE)), {"kind": "texts", "encoding": "klingon"}, "no text encoding"),
    ):
        with pytest.raises(DataError, match=sentence):
            read(path, **settings)


def test_texts_that_could_mean_missing_are_texts(tmp_path):
    rows = read(write(tmp_path / "names.txt", lines(["na", "none", "nan", "emma and olivia"] * 5)))
    assert "text" in rows.literal


def test_a_folder_of_texts_trains_by_one_command(tmp_path):
    for label, words in (("good", "kind and quick"), ("bad", "rude and slow")):
        for i in range(40):
            write(tmp_path / "mail" / label / f"{i}.txt", f"They were {words} with me, day {i % 7}.")
    out = tmp_path / "run"
    settings = ("--set", "train.epochs=2", "--set", "columns.text.length=16")
    code, output, error = command("train", tmp_path / "mail", *settings, "--out", out)
    assert code == 0, error
    assert "have more than 16 tokens and lose the others" in " ".join(output.split())
    assert (out / "bundle").is_dir()
    remarks = write(tmp_path / "remarks.txt", "They were kind and quick\nThey were rude and slow\n")
    code, _, error = command("predict", out, remarks, "-o", tmp_path / "answers.csv")
    assert code == 0, error
    answers = (tmp_path / "answers.csv").read_text().splitlines()
    assert len(answers) == 3
    assert all("good" in line or "bad" in line for line in answers[1:])
