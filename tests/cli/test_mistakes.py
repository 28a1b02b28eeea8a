"""Mistakes of newcomers are answered in a sentence each, with the place and the cure, and the page of them is true."""

import pytest

import mistakes
from lamina.config import synonyms
from lamina.plugins import available, every_setting
from lamina.recipe import json_schema

NUMBERS = range(len(mistakes.MISTAKES))


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> list[mistakes.Done]:
    return mistakes.answer_all(tmp_path_factory.mktemp("mistakes"))


def test_there_are_many():
    assert len(mistakes.MISTAKES) >= 60


@pytest.mark.parametrize("number", NUMBERS, ids=[f"{m.words} {m.recipe!r}"[:90] for m in mistakes.MISTAKES])
def test_a_mistake_is_answered_in_a_sentence_for_each_fault(answers, number):
    mistake, answer = mistakes.MISTAKES[number], answers[number]
    sentences = [line for line in answer.err.splitlines() if not line.startswith(" ")]
    assert answer.code == mistake.code, answer
    assert len(sentences) == mistake.faults, answer.err
    for sentence in sentences:
        assert sentence.startswith("lamina: ") and "Traceback" not in sentence
        assert ": " in sentence.removeprefix("lamina: "), "no place"
        assert len(sentence) < 330, sentence
        assert not {"tag", "discriminator", "NoneType", "pydantic"} & set(sentence.split()), sentence


def test_the_page_of_errors_says_what_is_answered(answers):
    page = (mistakes.ROOT / "docs" / "errors.md").read_text("utf-8")
    lines, now = page.splitlines(), mistakes.page(answers).splitlines()
    assert [(a, b) for a, b in zip(lines, now, strict=False) if a != b] == []
    assert len(lines) == len(now)


def test_words_of_other_tools_stand_for_settings_and_choices_that_there_are():
    text = str(json_schema())
    names = {*every_setting("models"), *every_setting("tasks"), *every_setting("data"), *available("models")}
    assert [name for name in synonyms.SAME if name not in names and f"'{name}'" not in text] == []
