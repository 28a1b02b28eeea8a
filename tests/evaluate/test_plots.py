"""Plots can be read on a light and on a dark page, and a method looks the same in all of them."""

import re
from pathlib import Path

import numpy as np

from lamina import evaluate
from lamina.evaluate import metrics
from lamina.evaluate.plots import figures
from lamina.evaluate.plots.named import Context, draw
from lamina.evaluate.plots.timeline import PIECES, extremes, timeline

PAGE = (Path(evaluate.__file__).parent / "page.html").read_text()
COLOUR = re.compile(r"#[0-9a-f]{6}")


def context(rivals=("majority", "logistic", "gradient_boosting")) -> Context:
    """A network and its rivals, of which the last is the best and the first the worst."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 400)

    def answers(strength):
        yes = np.clip(0.5 + strength * (target - 0.5) + rng.normal(0, 0.2, 400), 0.01, 0.99)
        return {"probabilities": np.stack([1 - yes, yes], axis=1)}

    others = {name: answers(0.1 + 0.2 * place) for place, name in enumerate(rivals)}
    own = answers(0.3)
    names = ("accuracy", "roc_auc", "f1")
    return Context(
        target, own, "accuracy", ("no", "yes"), others,
        metrics.scores(names, target, own), {n: metrics.scores(names, target, one) for n, one in others.items()},
    )  # fmt: skip


def lines(svg: str) -> dict[str, str]:
    """The look of each line of a legend by what it is called: stroke and dashes."""
    legend = svg[svg.index('legend_1"') :]
    texts = [" ".join(t.split()[1:]) for t in re.findall(r">(0\.\d+ .*?)</text>", legend)]
    looks = re.findall(r'style="fill: none; (stroke[^"]*)"', legend)
    return dict(zip(texts, looks, strict=True))


def test_every_plot_takes_its_colours_from_the_page_which_has_them_for_light_and_dark():
    plots = draw(("comparison", "confusion", "roc", "precision_recall", "reliability"), context())
    plots["class_balance"] = figures.class_balance({"no": 300, "yes": 100}, 410, 4)
    plots["timeline"] = timeline("sales", np.arange(50), np.arange(50.0), {"training": (0, 30), "test": (30, 50)})
    light, dark = PAGE.split("prefers-color-scheme: dark")[:2]
    for name, svg in plots.items():
        used = set(re.findall(r"var\(--(\w+)\)", svg))
        assert {"ink", "accent"} & used, name
        assert not [one for one in used if f"--{one}:" not in light or f"--{one}:" not in dark], name
        left = {c for style in re.findall(r'style="([^"]*)"', svg) for c in COLOUR.findall(style)}
        assert not left, f"{name} has colours of its own, which only one of both pages suits: {left}"


def test_a_method_has_one_line_in_every_plot_whatever_its_rank_there():
    plots = draw(("roc", "precision_recall"), context())
    roc, precision = lines(plots["roc"]), lines(plots["precision_recall"])
    assert set(roc) == set(precision) == {"network", "majority class", "logistic regression", "gradient boosting"}
    assert roc == precision
    assert len(set(roc.values())) == 4, "and no other method has it"
    assert "ROC curve" in plots["roc"] and "Precision-recall curve" in plots["precision_recall"]


def test_class_balance_has_a_bar_for_each_class_and_one_for_all_others():
    svg = figures.class_balance({"cat": 60, "dog <b>": 30}, 100, 5)
    assert "60  (60.0%)" in svg.replace("\xa0", " ") and "dog &lt;b&gt;" in svg
    assert "3 others" in svg and "10  (10.0%)" in svg


def test_a_long_series_keeps_its_extremes_and_its_gaps_in_a_small_drawing():
    values = np.sin(np.arange(100_000) / 500)
    values[70_000], values[31_234] = 9.0, -9.0
    values[40_000:60_000] = np.nan
    places = extremes(values)
    assert {70_000, 31_234} <= set(places.tolist()) and np.isnan(values[places]).any()
    assert len(places) <= 2 * PIECES + 2
    svg = timeline("load", np.arange(len(values)), values, {"training": (0, 80_000), "test": (80_000, 100_000)})
    assert len(svg) < 40_000 and "training" in svg and "test" in svg
