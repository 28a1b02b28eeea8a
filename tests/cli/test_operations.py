"""Commands that bundles bring along: found by their name, with an option for each setting of a request."""

from pathlib import Path
from typing import Any

import pytest
from test_cli import lamina_, process

from conftest import customers, write_csv
from lamina.deploy.request_settings import kind_of

BUNDLES = Path(__file__).parents[1] / "bundles"
ROWS, IMAGES, HOUSES = (
    BUNDLES / f"{name}.lamina" for name in ("generation_vae_rows", "generation_gan_images", "regression_fnn")
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.parametrize("words", [(), (ROWS,)])
def test_help_of_an_operation_has_its_settings_with_and_without_a_bundle(words):
    done = lamina_("generate", *words, "--help")
    assert done.code == 0
    for option in ("-n, --count", "--label", "--seed", "--sheet / --no-sheet", "-o, --output", "--json"):
        assert option in done.out, option
    assert "How many images or rows to generate." in done.out
    assert "source" not in done.out


def test_settings_may_stand_anywhere_and_come_in_several(tmp_path):
    done = lamina_("generate", "-n", "6", "--label", "yes", ROWS, "--label", "no", "-o", "rows.jsonl", "--json")
    assert done.code == 0, done.err
    assert (done.json["count"], done.json["labels"]) == (6, {"no": 3, "yes": 3})
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 6
    assert lamina_("generate", IMAGES, "-n", "2", "-o", "made", "--no-sheet").code == 0
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == ["000001.png", "000002.png"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["generate", HOUSES, "-o", "x"], 1, "generate: this bundle is for regression, and does not do that"),
        (["generate", "nowhere", "-o", "x"], 1, "there is no such bundle"),
        (["generate", ROWS], 2, "-o: is required and was not given"),
        (["generate", ROWS, "-n", "many", "-o", "x.csv"], 2, "-n / --count: should be a valid integer"),
        (["genrate", ROWS, "-o", "x.csv"], 2, "genrate: there is no such command. Did you mean 'generate'?"),
        (["predict", ROWS, HOUSES, "-o", "x.csv"], 1, "predict: this bundle is for generation, and does not do that"),
    ],
)  # fmt: skip
def test_what_a_bundle_does_not_do_is_a_sentence(words, code, sentence):
    done = lamina_(*words)
    assert done.code == code
    assert sentence in done.err
    assert not list(Path().iterdir())


def test_options_of_a_bundle_that_is_not_there_are_no_fault():
    done = lamina_("generate", "nowhere", "--prompt", "the")
    assert done.code == 1
    assert "nowhere: there is no such bundle" in done.err and "--prompt" not in done.err


def test_inspect_lists_what_a_bundle_can_be_asked():
    operations = lamina_("inspect", IMAGES, "--json").json["operations"]
    assert [one["name"] for one in operations] == ["generate", "predict"]
    assert operations[1]["command"] == f"lamina predict {IMAGES} SOURCE -o OUTPUT"
    text = lamina_("inspect", IMAGES).out
    assert all(one["summary"].split(".")[0] in " ".join(text.split()) for one in operations)


def test_help_says_that_a_bundle_may_have_verbs_of_its_own():
    assert "lamina inspect BUNDLE" in " ".join(lamina_("--help").out.split())


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (int, (int, False)),
        (bool, (bool, False)),
        (float | None, (float, False)),
        (int | float, (str, False)),
        (tuple[int, ...] | None, (int, True)),
        (str | tuple[str | int, ...], (str, True)),
        (dict[str, Any] | None, (str, False)),
    ],
)
def test_a_setting_has_the_type_of_its_values_where_all_is_text(annotation, kind):
    assert kind_of(annotation) == kind


@pytest.mark.parametrize("output", [(), ("-o", "-")])
def test_answers_go_to_standard_output_alone_where_no_file_is_named(tmp_path, output):
    write_csv(tmp_path / "rows.csv", customers(40))
    table = BUNDLES / "classification_fnn.lamina"
    assert lamina_("predict", table, "rows.csv", "-o", "answers.csv").code == 0
    done = process("predict", table, "rows.csv", *output)
    assert (done.code, done.out) == (0, (tmp_path / "answers.csv").read_text("utf-8")), done.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["answers.csv", "rows.csv"]
