"""What a person sees on a terminal: nothing wider than it, no number cut, an error folded between words."""

import pytest

import walk


@pytest.mark.parametrize(
    ("words", "last"), [("lamina predict nothing houses.csv", "COLUMN"), ("lamina tasks forecasting", "promotions")]
)
def test_what_is_long_is_folded_between_words_and_not_cut(words, last, tmp_path):
    done = walk.run(words, 64, str(tmp_path))
    lines = [line for line in walk.screen(done.text) if not walk.STAYS.search(line)]
    assert max(map(len, lines)) <= 64
    assert "…" not in done.text
    assert last in done.text


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_a_new_user_meets_no_fault(columns, tmp_path):
    walk.prepare(tmp_path)
    faults = [
        (words, fault)
        for status, _, words in (line.partition(" ") for line in walk.WALK)
        for fault in walk.wrong(walk.run(words, columns, str(tmp_path)), columns, int(status))
    ]
    assert faults == []
