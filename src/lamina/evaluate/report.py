"""The report: `report.json` for machines, one self-contained `report.html` for people."""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from string import Template
from typing import Any, Literal

import numpy as np

from lamina.evaluate import sections as _sections
from lamina.evaluate.baselines import LABELS
from lamina.evaluate.markup import number
from lamina.evaluate.metrics import label

_SAID = {"last_value": "the last value", "seasonal_naive": "the seasonal naive forecast"}  # in a sentence
_DOING = {"predicts": "predicting", "forecasts": "forecasting"}
_NAIVE = ("majority", "mean", "frequent_labels")


def write(folder: Path, report: Mapping[str, Any], plots: Mapping[str, str]) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    Parts of the report that are absent are left out. A number that is not finite is null in the JSON. Text
    of the report is escaped in the page; `plots` are SVG and HTML made by this package and are placed as they are.
    """
    plain = _plain(report)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8", errors="replace")
    page = folder / "report.html"
    page.write_text(_page(plain, plots), encoding="utf-8", errors="replace")
    return page


def _page(report: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    template = Template(Path(__file__).with_name("_report.html").read_text(encoding="utf-8"))
    title = " · ".join(str(report[key]) for key in ("name", "target") if report.get(key)) or "Report"
    body = "\n".join(part for part in (section(report, plots) for section in _sections.ORDER) if part)
    images = "; img-src data:" if any("<img" in piece for piece in plots.values()) else ""
    return template.substitute(title=html.escape(title), body=body, images=images)


def verdict(
    primary: str,
    higher_is_better: bool,
    scores: Mapping[str, float | None],
    baselines: Mapping[str, Mapping[str, float | None]],
    target: str,
    interval: Sequence[float] | None = None,
    verb: Literal["predicts", "forecasts"] = "predicts",
) -> str:
    """One honest sentence: does the network beat the best baseline, and is the difference more than chance?"""
    value, name = scores.get(primary), label(primary)
    if value is None:
        return f"The network could not be judged: {name} is not defined on these test rows."
    rivals = {b: v for b, s in baselines.items() if (v := s.get(primary)) is not None}
    if not rivals:
        return f"The network {verb} {target} with {name} {number(value)} on rows it has never seen."
    sign = 1 if higher_is_better else -1
    best = max(rivals, key=lambda b: sign * rivals[b])
    gain, rival = sign * (value - rivals[best]), _SAID.get(best, LABELS.get(best, best))
    facts = f"{name} {number(rivals[best])} against {number(value)} for the network"
    within = interval is not None and interval[0] <= rivals[best] <= interval[1]
    doubt = (
        f"a difference inside the 95 % interval ({number(interval[0])} to {number(interval[1])})" if interval else ""
    )
    if interval is None and verb == "forecasts":
        doubt = "on too few forecasts to tell it from chance"
    if gain <= 0 and best in _NAIVE:
        return f"The network has learned nothing useful: always answering with the {rival} gives {facts}."
    if gain == 0:
        return f"The network and {rival} are equally good: {name} {number(value)} for both."
    if gain < 0:
        rival = rival[0].upper() + rival[1:]
        doubted = f", {doubt}" if within or (doubt and interval is None) else ""
        return f"{rival} is {'slightly ' if within else ''}better here: {facts}{doubted}."
    facts = f"{name} {number(value)} against {number(rivals[best])} for {rival}"
    if within:
        facts = facts.removesuffix(f" for {rival}")
        return f"The network is slightly better than {rival} at {_DOING[verb]} {target}: {facts}, {doubt}."
    if verb == "forecasts":
        facts = facts.removesuffix(f" for {rival}") + (f", {doubt}" if interval is None else "")
        return f"The network forecasts {target} better than {rival}: {facts}."
    return f"The network predicts {target} best: {facts}."


def _plain(value: Any) -> Any:
    """Strict JSON values; what is not finite becomes null."""
    match value:
        case Mapping():
            return {str(key): _plain(inner) for key, inner in value.items()}
        case bool() | int() | None:
            return value
        case str():
            return str(value)
        case float():  # NumPy's float64 is one too
            return float(value) if math.isfinite(value) else None
        case bytes():
            return f"{len(value):,} bytes"
        case date() | datetime():
            return value.isoformat()
        case os.PathLike():
            return os.fspath(value)
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case np.ndarray() | np.generic():
            return _plain(value.tolist())
    return str(value)
