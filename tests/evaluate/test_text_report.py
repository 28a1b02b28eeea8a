"""What a person sees of texts: telling words, marked answers, lengths, texts of the training part, and `inspect`."""

import html
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lamina
from lamina.evaluate.texts import duplicates, explanation, marked, occlusion, words
from service_tools import command

REVIEWS = Path(__file__).parents[3] / "shared" / "data" / "text"
SIDES = {"pos": ("wonderful", "charming", "clever"), "neg": ("dull", "tedious", "clumsy")}
NOUNS = ("film", "plot", "story", "cast", "ending", "music", "script", "scene", "dialogue", "camera", "hero", "villain")
ADVERBS = ("rather", "quite", "very", "truly", "almost", "simply", "really", "oddly")
HEBREW = "הסרט"
SECRET = "zzyzxroad"


def review(rng: np.random.Generator, side: str) -> str:
    """Two sentences of words that say nothing, with one word that says it all."""
    nouns, adverbs = rng.choice(NOUNS, 4, replace=False), rng.choice(ADVERBS, 3)
    word = rng.choice(SIDES[side])
    first = f"the {nouns[0]} and the {nouns[1]} are {adverbs[0]} {word}"
    return f"{first} . {adverbs[1]} a {nouns[2]} , {adverbs[2]} a {nouns[3]}"


def reviews(count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    sides = [("pos", "neg")[i % 2] for i in range(count)]
    return [{"text": review(rng, side), "label": side} for side in sides]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A small network that has learned which words say it; some test texts are training texts."""
    train, test = reviews(400, 0), reviews(60, 1)
    test[0] = train[0] | {}
    test[1] = {"text": train[1]["text"].upper() + " !!", "label": train[1]["label"]}
    test[2] = {"text": train[3]["text"], "label": train[2]["label"]}
    test[3] = test[3] | {"text": f"<b>{SECRET}</b> \u202e {test[3]['text']}"}
    for row in train[10:20]:
        row["text"] = f"{HEBREW} {row['text']}"
    test[4] = test[4] | {"text": f"{HEBREW} {test[4]['text']}"}
    test[5] = test[5] | {"text": " ".join(row["text"] for row in reviews(40, 2))}
    folder = tmp_path_factory.mktemp("reviews")
    recipe = {
        "columns": {"text": {"kind": "text", "tokenizer": "ngram", "length": 512}},
        "model": {"kind": "fnn", "width": 32, "depth": 1, "members": 1},
        "train": {"epochs": 8, "batch_size": 32, "threads": 1},
    }
    lamina.fit(pa.Table.from_pylist(train), "label", test=pa.Table.from_pylist(test), recipe=recipe, out=folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return (run / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def facts(run: Path) -> dict[str, Any]:
    return json.loads((run / "report.json").read_text("utf-8"))["texts"]


def section(page: str, anchor: str) -> str:
    match = re.search(rf'<section id="{anchor}">.*?</section>', page, re.DOTALL)
    assert match, anchor
    return match[0]


# the report


def test_the_telling_words_are_those_that_say_it(facts, page):
    for side, others in (("pos", "neg"), ("neg", "pos")):
        top = [row["word"] for row in facts["telling"][side][:3]]
        assert set(top) == set(SIDES[side]), facts["telling"]
        assert not set(SIDES[others]) & {row["word"] for row in facts["telling"][side]}
        for row in facts["telling"][side]:
            assert row["effect"] > 0
            assert row["rows"] >= 5
    assert 50 <= facts["telling_rows"] <= 60
    assert "speaks for pos" in section(page, "texts")


def test_the_strongest_mark_of_a_right_answer_is_the_word_that_says_it(page):
    right = [text for text in re.findall(r'<figure class="text">.*?</figure>', page, re.DOTALL) if ", right," in text]
    assert len(right) >= 6
    telling = {word for side in SIDES.values() for word in side}
    strongest = [re.search(r'<mark class="for s4"[^>]*>(\w+)</mark>', text) for text in right]
    assert sum(match is not None and match[1] in telling for match in strongest) >= 5


def test_words_of_few_rows_are_hidden_and_markup_is_text(page, run):
    for path in run.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert "<b>zz" not in page
    assert "\u202e" not in page
    assert "…" in section(page, "texts")


def test_texts_say_their_direction_themselves(page):
    paragraphs = re.findall(r'<p class="text"[^>]*>', page)
    assert paragraphs
    assert all('dir="auto"' in paragraph for paragraph in paragraphs)


def test_no_text_stands_in_the_facts(facts):
    assert {"row", "actual", "predicted", "probability", "loss"} == set(facts["losses"][0])
    assert "the film" not in json.dumps(facts)


def test_test_texts_of_the_training_part_are_counted_and_scored_without(facts, page, run):
    pairs = {pair["row"]: pair for pair in facts["duplicates"]["pairs"] if pair["part"] == "test"}
    assert pairs[0] == {
        "part": "test", "row": 0, "training_row": 0, "exact": True, "label": "pos", "training_label": "pos"
    }  # fmt: skip
    assert (pairs[1]["training_row"], pairs[1]["exact"]) == (1, False)
    assert (pairs[2]["training_row"], pairs[2]["label"], pairs[2]["training_label"]) == (3, "pos", "neg")
    sentence = facts["duplicates"]["sentence"]
    assert re.match(r"\d+ of the 60 test texts are training texts too \(2 exactly, \d+ nearly\)\. 1 of these", sentence)
    assert "Without these test rows accuracy is" in sentence
    assert html.escape(sentence[:60]) in section(page, "same_text")


def test_lengths_say_how_many_texts_are_cut(facts, page):
    lengths = facts["lengths"]
    assert (lengths["tokenizer"], lengths["length"], lengths["train_cut"], lengths["test_cut"]) == ("ngram", 512, 0, 1)
    assert sum(row["rows"] for row in lengths["by_length"]) == 60
    assert all(0 <= row["score"] <= 1 for row in lengths["by_length"])
    assert "1 of 60 test texts (1.7 %) are longer than the 512 tokens" in section(page, "texts")


@pytest.mark.parametrize("target", ["stars", "sides"])
def test_numbers_and_several_labels_have_telling_words_too(target, tmp_path):
    rows = reviews(200, 3)
    for row in rows:
        row |= {
            "stars": 5.0 if row["label"] == "pos" else 1.25,
            "sides": [row["label"], "any"],
            "size": len(row["text"]),
        }
    table = pa.Table.from_pylist(rows).select(["text", "size", target])
    task = {"stars": "regression", "sides": "multilabel"}[target]
    recipe = {"columns": {"text": {"kind": "text"}}, "model": "fnn", "task": task, "train": {"epochs": 4, "threads": 1}}
    model = lamina.fit(table, target, recipe=recipe, out=tmp_path / "run")
    facts = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["texts"]
    group = {"stars": "higher", "sides": "pos"}[target]
    assert facts["telling"][group][0]["word"] in SIDES["pos"]
    assert ("losses" in facts) == (target == "stars")
    assert "The most telling words" in Path(model.result["report"]).read_text("utf-8")


# before training


def test_inspect_tells_of_lengths_classes_copies_and_blanks_on_lines_of_their_own(tmp_path):
    rows = [*reviews(40, 4), {"text": "", "label": "pos"}]
    rows += [rows[0], rows[1] | {"label": "pos"}]
    for row in rows[:6]:
        row["text"] = "a [b]text[/b]\n\n\tof three lines\nthat comes again"
    table = pa.Table.from_pylist(rows).rename_columns(["what they\nwrote", "label"])
    pq.write_table(table, tmp_path / "rows.parquet")
    code, output, _ = command("inspect", tmp_path / "rows.parquet", "--target", "label")
    assert code == 0
    assert "what they wrote, by class" in output
    assert re.search(r"what they wrote +text +1 +\d+", output)
    assert re.search(r"pos +23 +\d+\n", output)
    assert "42 texts\n" in output
    assert re.search(r"words   \d+ of a text \(median\), \d+ to \d+ of nine in ten, \d+ at most", output)
    assert re.search(r"twice   \d texts are copies of another: 1 with different labels", output)
    assert "empty   1 text is missing or blank" in output
    assert not re.search(r"^\s*of three lines", output, re.MULTILINE)


# explain


def test_explain_marks_the_words_of_a_text_of_ones_own(run, tmp_path):
    (tmp_path / "mine.txt").write_text(f"\ufeffthe film is wonderful , {SECRET} & <i>dull</i>\n", "utf-8")
    code, output, _ = command("explain", run, tmp_path / "mine.txt", "-o", tmp_path / "why.html", "--label", "pos")
    assert code == 0
    assert re.search(r"mine.txt  (pos|neg) \d", output)
    page = (tmp_path / "why.html").read_text("utf-8")
    assert re.search(r'<mark class="for s4"[^>]*>wonderful</mark>', page)
    assert re.search(r'<mark class="against s\d"[^>]*>dull</mark>', page)
    assert SECRET in page  # it is one's own
    assert "<i>" not in page
    (one,) = explanation.explain(lamina.Predictor(run / "bundle"), ["a wonderful film"])
    assert (one.label, one.effects.different) == ("pos", ("a", "wonderful", "film"))
    assert one.effects.falls[1, 0] > 3 * np.abs(one.effects.falls[[0, 2], 0]).max()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.txt", "-o", "w.html"], "explain: no.txt is not there."),
        ([".", "-o", "w.html"], "explain: . is a folder. Name the texts in it."),
        (["noise.bin", "-o", "w.html"], "explain: noise.bin is no text in UTF-8."),
        (["good.txt", "-o", "w.png"], "-o: must end in .html for texts (got 'w.png')."),
        (["good.txt", "-o", "w.html", "--label", "poss"], "--label: there is no label 'poss'. Did you mean 'pos'?"),
        (["good.txt"] * 41 + ["-o", "w.html"], "explain: 41 texts are too many for one page."),
        (["good.txt", "-o", "good.html"], "good.html"),
    ],
)
def test_what_cannot_be_explained_is_a_sentence(run, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    Path("good.txt").write_text("a good film")
    Path("good.html").write_text("mine")
    Path("noise.bin").write_bytes(b"\xff\xfe\xfa")
    code, _, errors = command("explain", run, *arguments)
    assert code != 0
    assert sentence in errors
    assert Path("good.html").read_text() == "mine"


# words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, it’s 3.5 stars!", ["don't", "stop", "it’s", "3", "5", "stars"]),
        ("這部電影 ok", ["這", "部", "電", "影", "ok"]),
        ("الفيلم رائع جدا", ["الفيلم", "رائع", "جدا"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("so good 🙂🙂", ["so", "good", "🙂🙂"]),
        ("me@example.com\x00a_b", ["me", "example", "com", "a", "b"]),
        ("", []),
    ],
)
def test_words_of_any_script(text, expected):
    assert [word.word for word in words.split(text)] == expected


def test_a_text_without_a_word_is_the_rest_of_it():
    text = "not good , not bad"
    word = [word for word in words.split(text) if word.word == "not"]
    assert words.without(text, word) == "good , bad"


def test_only_words_that_five_rows_have_may_be_shown():
    texts = ["Shared word", "shared", "shared a", "SHARED", "shared once once once once once", None, ""]
    assert words.shared(texts) == {"shared"}


def test_a_long_text_is_shown_by_both_its_ends():
    text = " ".join(f"w{i}" for i in range(500))
    piece = marked.plain(text, frozenset(f"w{i}" for i in range(500)), 40)
    assert "w0 " in piece
    assert "w9" in piece
    assert "(460 words)" in piece
    assert piece.endswith("w499</p>")


def test_other_columns_stay_as_they_are_while_words_are_left_out(churn_bundle):
    session = lamina.Predictor(churn_bundle)
    table = pa.table(
        {"months": [30.0, 2.0], "remark": ["the line drops every evening", None], "plan": ["pro", "basic"]}
    )
    first, second = occlusion.effects(session, table, "remark", [0, 1])
    assert first.different == ("the", "line", "drops", "every", "evening")
    assert np.allclose(first.falls[:, 0], -first.falls[:, 1])
    assert second.falls.shape == (0, 2)


# duplicates


def test_copies_that_differ_in_case_marks_or_a_number_are_nearly_the_same():
    training = ["You have won 500 pounds! Call 0871 now to claim your prize", "see you at the station at nine tonight"]
    texts = [
        "YOU HAVE WON 500 POUNDS - call 0871 now, to claim your prize!!",
        "You have won 900 pounds! Call 0871 now to claim your prize",
        "see you at the station at ten in the morning, if the train is there",
        "", None, "ok",
    ]  # fmt: skip
    matches = duplicates.find(texts, [*training, None, ""])
    assert [(pair.row, pair.training_row, pair.exact) for pair in matches.pairs] == [(0, 0, False), (1, 0, False)]


@pytest.mark.skipif(not REVIEWS.exists(), reason="the texts are not on this machine: ../shared/data/text")
def test_sentences_that_two_real_sets_share_are_nearly_all_found():
    """78 % of the sentences of SST-2 are those of rt-polarity, letter by letter, and more with other marks."""
    lines = (REVIEWS / "sst2" / "stsa.binary.test").read_text("utf-8", "replace").splitlines()
    texts = [line.split(" ", 1)[1] for line in lines]
    training = [
        line for side in ("pos", "neg")
        for line in (REVIEWS / "rt_polarity" / f"rt-polarity.{side}").read_text("latin-1").splitlines()
    ]  # fmt: skip
    matches = duplicates.find(texts, training)
    assert 0.75 < len(matches.pairs) / len(texts) < 0.95
    assert len(duplicates.find(training[::10], [text for i, text in enumerate(training) if i % 10]).pairs) < 20


@pytest.mark.slow
def test_a_hundred_thousand_texts_take_seconds():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{i}" for i in range(20_000)], object)
    texts = [" ".join(rng.choice(vocabulary, 30)) for _ in range(100_000)]
    start = time.process_time()
    matches = duplicates.find([*texts[:500], *texts[80_000:]], texts[:80_000])
    assert len(matches.pairs) == 500
    assert time.process_time() - start < 30
