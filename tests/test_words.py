"""The words of the field, in what people read: help, reports, pages. Names that settings had before are still read."""

import re
from pathlib import Path

import pytest

from command_line import run
from lamina.cli import commands
from lamina.recipe import build

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *(p for p in sorted((ROOT / "docs").glob("*.md")) if p.stem not in ("log", "design"))]
RETIRED = re.compile(
    r"\b(set aside|put aside|quarantined rows|judge[sd]?|judging|pictures?|simpler methods?|worst answers?|made rows"
    r"|right and wrong|ranking and confidence|share of alarms|answers hang on|critic)\b",
    re.IGNORECASE,
)
NAMES = r"```.*?```|`[^`]*`|\]\([^)]*\)|<style.*?</style>|<script.*?</script>|<[^>]*>"  # of files, settings, tags


def retired(text: str) -> list[str]:
    return RETIRED.findall(re.sub(NAMES, "", text, flags=re.DOTALL | re.MULTILINE))


def test_a_retired_word_would_be_found():
    assert retired("3 rows set aside, and the worst answers") == ["set aside", "worst answers"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_use_the_words_of_the_field(path):
    assert retired(path.read_text("utf-8")) == []


def test_help_uses_the_words_of_the_field():
    for command in commands.app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        assert RETIRED.findall(run(name, "--help").out) == [], name


def test_a_report_uses_the_words_of_the_field(churn_run):
    page = Path(churn_run.result["report"]).read_text("utf-8")
    assert "Confusion matrix and errors" in page and "Baselines" in page
    assert retired(page) == []


@pytest.mark.parametrize(("word", "setting"), [("model", {"kind": "cnn"}), ("task", {"kind": "denoising"})])
@pytest.mark.parametrize("name", ["views", "test_time_augmentation"])
def test_the_earlier_name_of_a_setting_is_still_read(word, setting, name):
    value = "flips" if word == "model" else 8
    recipe = build({"data": "a.csv", word: {**setting, name: value}})
    assert getattr(recipe, word).test_time_augmentation == value
