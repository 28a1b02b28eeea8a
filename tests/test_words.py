"""The words of the field, in what people read: help, reports, pages. Names that settings had before are still read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from command_line import run
from lamina import plugins
from lamina.cli import commands
from lamina.recipe import build, json_schema

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


@pytest.mark.parametrize("folder", ["models", "tasks"])
def test_the_catalogue_uses_the_words_of_the_field(folder):
    assert RETIRED.findall(run(folder).out) == []
    for name in plugins.available(folder):
        assert RETIRED.findall(run(folder, name).out) == [], name


def test_descriptions_of_settings_use_the_words_of_the_field():
    assert [text for text in _descriptions(json_schema()) if RETIRED.search(text)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "bundles").glob("*.lamina")), ids=lambda path: path.stem)
def test_the_interface_of_a_server_uses_the_words_of_the_field(path, tmp_path):
    assert run("export", path, "--format", "openapi", "-o", tmp_path / "openapi.json").code == 0
    texts = _descriptions(json.loads((tmp_path / "openapi.json").read_text("utf-8")))
    assert texts and [text for text in texts if RETIRED.search(text)] == []


def _descriptions(schema: Any) -> list[str]:
    """Of a JSON schema or an OpenAPI document, what it says to people."""
    if isinstance(schema, list):
        return [text for value in schema for text in _descriptions(value)]
    if not isinstance(schema, dict):
        return []
    own = [schema[key] for key in ("description", "summary") if isinstance(schema.get(key), str)]
    return [*own, *(text for value in schema.values() for text in _descriptions(value))]


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


@pytest.mark.parametrize("name", ["image", "picture"])
def test_the_earlier_name_of_the_backbone_of_images_is_still_read(name):
    recipe = build({"data": "a.csv", "model": {"kind": "combine", name: {"kind": "cnn", "width": 8}}})
    assert recipe.model.model_dump()["image"]["width"] == 8


@pytest.mark.parametrize("name", ["generated_image_detector", "detector"])
def test_the_earlier_name_of_the_generated_image_detector_is_still_read(name):
    assert build({"data": "a.csv", "model": name}).model.model_dump()["kind"] == "generated_image_detector"
