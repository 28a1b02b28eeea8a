"""The report is one safe, self-contained page that shows what there is, and its plots are safe SVG."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from lamina.evaluate import metrics, page, verdict
from lamina.evaluate.plots import figures
from lamina.evaluate.plots.named import Context, draw
from lamina.evaluate.sections import Page
from lamina.task import Usage

EVIL = '<script>alert("1")</script>'
CLASSIFICATION = ("comparison", "confusion", "roc", "precision_recall", "reliability", "learning")
REGRESSION = ("comparison", "residuals", "learning")
USAGE = Usage(
    "lamina predict runs/toy/bundle.lamina rows.csv", "curl -s http://127.0.0.1:8000/predict", "import lamina", "1"
)
ROWS = [{"epoch": e, "loss": 1 / e, "validation_loss": 1.2 / e, "score": 1 - 1 / e} for e in range(1, 9)]


def classified(k=3, names=None, n=300, one_class=False):
    rng = np.random.default_rng(0)
    target = np.zeros(n, dtype=int) if one_class else rng.integers(0, k, n)
    p = rng.uniform(size=(n, k)) + np.eye(k)[target]
    answers, chance = {"probabilities": p / p.sum(1, keepdims=True)}, {"probabilities": np.full((n, k), 1 / k)}
    asked = ("accuracy", "f1", "log_loss", "roc_auc", "ece")
    return Context(
        target=target,
        answers=answers,
        primary="accuracy",
        classes=tuple(names or (f"class {i}" for i in range(k))),
        baselines={"majority": chance},
        scores=metrics.scores(asked, target, answers),
        baseline_scores={"majority": metrics.scores(asked, target, chance)},
        interval=metrics.bootstrap("accuracy", target, answers),
        rows=ROWS,
        best=8,
    )


def facts(context, **more):
    return {
        "name": "toy",
        "task": "classification",
        "target": "species",
        "created": "2026-01-02 03:04",
        "verdict": verdict.sentence("accuracy", context.scores, context.baseline_scores, "species"),
        "primary": "accuracy",
        "scores": context.scores,
        "interval": context.interval,
        "baselines": context.baseline_scores,
        "per_class": metrics.class_table("per_class", context.target, context.answers, context.classes),
        "model": {"kind": "fnn", "parameters": 1234, "layers": [{"layer": "dense", "output": "8", "parameters": 8}]},
        "data": {
            "source": "toy.csv",
            "rows": {"read": 1010, "used": 1000, "skipped": 10, "train": 600, "validation": 100, "test": 300},
            "columns": [
                {"name": "petal", "kind": "number", "missing": 50, "distinct": 43, "examples": ["1.4"], "note": "in cm"}
            ],
            "skipped_rows": [{"file": "toy.csv", "line": 7, "column": "petal", "reason": "got 'x'"}],
            "notes": ["2 rows are twice there."],
        },
        "training": {
            "rows": ROWS, "best": {"epoch": 8, "weights": "ema"}, "seconds": 200.0, "device": "cpu",
            "precision": "float32", "seed": 0, "stopped": "all epochs done",
        },
        "calibration": {"temperature": 1.25},
        "recipe": "train:\n  lr: 0.001\n",
        "example": {"row": {"petal": 1.4}, "answer": {"label": "class 1"}},
        "versions": {"lamina": "0.1.0"},
        "bundle": "runs/toy/bundle.lamina",
        **more,
    }  # fmt: skip


class Parser(HTMLParser):
    """Tags, ids and visible text of a page; faults in nesting are collected."""

    void = frozenset({"meta", "link", "br", "img"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.open, self.words, self.attributes = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        self.attributes += attrs
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def write(tmp_path, report, plots, usage=USAGE):
    content = Page(report, plots, usages={"predict": usage})
    text = page.write(tmp_path / "run", content).read_text(encoding="utf-8")
    parsed = Parser(text)
    assert parsed.open == []
    return text, parsed


def test_the_page_holds_every_section_and_is_well_formed(tmp_path):
    context = classified()
    text, parsed = write(tmp_path, facts(context), draw(CLASSIFICATION, context))
    for anchor in ("scores", "comparison", "errors", "confidence", "training", "data", "network", "use", "versions"):
        assert f'<section id="{anchor}">' in text
    assert parsed.tags.count("svg") == len(CLASSIFICATION)
    words = " ".join(parsed.words)
    for piece in ("1,010", "majority class", "3 min 20 s", "lamina serve", "their moving average", "got 'x'", "8.3%"):
        assert piece in words


def test_the_page_needs_nothing_but_itself(tmp_path):
    context = classified()
    text, parsed = write(tmp_path, facts(context), draw(CLASSIFICATION, context))
    assert "script" not in parsed.tags and "link" not in parsed.tags and "img" not in parsed.tags
    assert not [v for k, v in parsed.attributes if k in ("src", "href", "xlink:href") and not v.startswith("#")]
    assert "@import" not in text and "url(http" not in text


def test_ids_do_not_clash_when_plots_stand_in_one_page(tmp_path):
    context = classified()
    svgs = draw(CLASSIFICATION, context)
    _, parsed = write(tmp_path, facts(context), svgs)
    assert len(parsed.ids) == len(set(parsed.ids))
    for svg in svgs.values():
        used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg))
        assert {a or b for a, b in used} <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_the_same_numbers_draw_the_same_image():
    assert draw(CLASSIFICATION, classified()) == draw(CLASSIFICATION, classified())


def test_hostile_names_are_text_everywhere(tmp_path):
    names = (EVIL, "a$x^2$b", 'quo"te\x00', "日本語", "long " * 60, "")
    context = classified(len(names), names)
    hostile = facts(context, name=EVIL, target=EVIL + "$title", verdict=EVIL, recipe=EVIL, bundle=f"runs/it's {EVIL}")
    hostile["data"]["columns"] = [dict.fromkeys(("name", "kind", "note"), EVIL) | {"examples": [EVIL]}]
    hostile["data"]["skipped_rows"] = [{"file": EVIL, "line": None, "column": EVIL, "reason": EVIL}] * 40
    hostile["versions"] = {EVIL: EVIL}
    text, parsed = write(tmp_path, hostile, draw(CLASSIFICATION, context), Usage(EVIL, EVIL, EVIL, EVIL))
    assert "<script" not in text
    assert "script" not in parsed.tags
    assert text.count("<tr>") < 60  # of 40 skipped rows 20 are shown


def test_absent_parts_are_left_out(tmp_path):
    text, parsed = write(tmp_path, {"name": "bare"}, {})
    assert parsed.tags.count("section") == 0
    assert "bare" in text


def test_a_plot_of_another_task_finds_its_place(tmp_path):
    text, _ = write(tmp_path, {"name": "bare"}, {"samples": '<svg viewBox="0 0 10 10"></svg>'})
    assert 'id="more"' in text


def test_json_is_strict_and_keeps_the_report(tmp_path):
    odd = {
        "scores": {"rmse": float("nan"), "mae": np.float32(2), "r2": np.float64("inf")},
        "n": np.int64(3),
        "p": tmp_path,
    }
    page.write(tmp_path, Page(odd))
    back = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert back == {"scores": {"rmse": None, "mae": 2.0, "r2": None}, "n": 3, "p": str(tmp_path)}


def test_a_test_set_of_one_class_still_has_a_report(tmp_path):
    context = classified(2, one_class=True)
    svgs = draw(CLASSIFICATION, context)
    assert "roc" not in svgs and "confusion" in svgs
    write(tmp_path, facts(context), svgs)


def test_thirty_classes_show_the_most_confused_ones_and_all_in_the_table(tmp_path):
    context = classified(30)
    svgs = draw(CLASSIFICATION, context)
    assert "14 of 30" in svgs["confusion"]
    _, parsed = write(tmp_path, facts(context), svgs)
    assert all(f"class {i}" in parsed.words for i in range(30))


def test_a_regression_is_drawn_and_rows_that_are_not_finite_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    target = rng.normal(size=7000) * 1e5
    said = target + rng.normal(size=7000) * 1e4
    said[3] = np.nan
    context = Context(target, {"prediction": said}, "rmse", scores={"rmse": 1e4}, rows=ROWS[:1])
    svgs = draw(REGRESSION, context)
    assert set(svgs) == set(REGRESSION)
    assert sum(map(len, svgs.values())) < 400_000


def test_no_rows_and_no_numbers_draw_nothing_or_an_empty_frame():
    empty = Context(np.zeros(0), {"prediction": np.zeros(0), "probabilities": np.zeros((0, 2))}, "rmse")
    assert draw((*CLASSIFICATION, *REGRESSION), empty) == {}
    assert "<svg" in figures.learning([{"epoch": 1, "loss": float("nan"), "validation_loss": None}])
    assert "<svg" in figures.residuals(np.full(3, np.nan), np.zeros(3))
    assert "<svg" in figures.residuals(np.full(3, 2.0), np.full(3, 2.0))


def test_a_plot_that_does_not_exist_is_our_fault():
    with pytest.raises(AssertionError, match="sunburst"):
        draw(("sunburst",), classified())


@pytest.mark.parametrize(
    "value, rival, interval, sentence",
    [
        (0.90, 0.80, (0.88, 0.92), "The network predicts income best: accuracy 0.9000 against 0.8000"),
        (0.90, 0.89, (0.88, 0.92), "slightly better than gradient boosting"),
        (0.85, 0.90, (0.84, 0.86), "Gradient boosting is better here: accuracy 0.9000 against 0.8500 for the network."),
        (0.85, 0.86, (0.84, 0.87), "Gradient boosting is slightly better here"),
        (0.85, 0.85, None, "equally good"),
        (None, 0.85, None, "could not be evaluated"),
    ],
)
def test_the_verdict_says_who_is_better_and_when_it_may_be_chance(value, rival, interval, sentence):
    rivals = {"majority": {"accuracy": 0.6}, "gradient_boosting": {"accuracy": rival}, "logistic": {"accuracy": None}}
    words = verdict.sentence("accuracy", {"accuracy": value}, rivals, "income", interval)
    assert sentence in words
    assert ("inside the 95 % interval" in words) == ("slightly" in words)


def test_the_verdict_is_plain_when_a_network_learned_nothing_and_when_lower_is_better():
    words = verdict.sentence("rmse", {"rmse": 5.0}, {"mean": {"rmse": 4.9}, "ridge": {"rmse": 6.0}}, "price")
    assert words.startswith("The network has learned nothing useful: always predicting the mean gives RMSE 4.900")
    assert "best: RMSE 3.000 against 4.000 for ridge" in verdict.sentence(
        "rmse", {"rmse": 3.0}, {"ridge": {"rmse": 4.0}}, "price"
    )
    assert "0.9000 on rows it has never seen" in verdict.sentence("accuracy", {"accuracy": 0.9}, {}, "income")
