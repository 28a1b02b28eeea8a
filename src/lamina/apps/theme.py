"""One look for all apps: colours and type of Lamina's report, light and dark."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

OTHER_HUES = ("#3f8f6b", "#8d63b8", "#b98a1d", "#7d8691")  # of charts with more than two colours
STYLE = """<style>
[data-testid="stMainBlockContainer"] { max-width: 1080px; padding: 4.4rem 1.5rem 5rem; }
@media (max-width: 560px) { [data-testid="stMainBlockContainer"] { padding: 4.2rem 1rem 3.5rem; } }
.lamina-eyebrow { margin: 0 0 6px; font-size: 15px; opacity: 0.68; overflow-wrap: anywhere; }
.lamina-title { margin: 0 0 4px; padding: 0; font-size: clamp(22px, 3.2vw, 32px); line-height: 1.28; font-weight: 650;
  letter-spacing: -0.012em; overflow-wrap: anywhere; }
[data-testid="stBaseButton-primary"]:enabled p { color: $paper; }
</style>"""


@cache
def _roots() -> list[str]:
    """What the report's page says of its colours and type: all of light, and what is other in dark."""
    return re.findall(r":root \{([^}]*)\}", (files("lamina.evaluate") / "page.html").read_text("utf-8"))[:2]


@cache
def palettes() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Light and dark colours by their names in the report's page: paper, ink, quiet, line, soft, accent, warm."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in _roots())
    return light, {**light, **dark}


def options() -> dict[str, Any]:
    """Streamlit's settings of the look; a browser takes light or dark as its user likes."""
    fonts = dict(re.findall(r"--(sans|mono): ([^;]+);", _roots()[0]))
    settings: dict[str, Any] = {
        "theme.font": fonts["sans"],
        "theme.codeFont": fonts["mono"],
        "theme.baseRadius": "10px",
        "theme.headingFontWeights": [650, 650, 600],
        "theme.headingFontSizes": ["32px", "21px", "17px"],
    }
    for name, colours in zip(("light", "dark"), palettes(), strict=True):
        settings |= {f"theme.{name}.{option}": value for option, value in _colours(colours).items()}
    return settings


def _colours(colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "primaryColor": colours["accent"],
        "backgroundColor": colours["paper"],
        "secondaryBackgroundColor": colours["soft"],
        "textColor": colours["ink"],
        "linkColor": colours["accent"],
        "grayTextColor": colours["quiet"],
        "borderColor": colours["line"],
        "chartCategoricalColors": [colours["accent"], colours["warm"], *OTHER_HUES],
    }


def page(title: str, eyebrow: str = "") -> None:
    """Begin a page: what the browser's tab says, and a heading with a quiet line above it. First call of a script."""
    st.set_page_config(page_title=f"{title} · Lamina", layout="centered", initial_sidebar_state="collapsed")
    st.html(STYLE.replace("$paper", colours()["paper"]))
    above = f'<p class="lamina-eyebrow">{html.escape(eyebrow)}</p>' if eyebrow else ""
    st.html(f'{above}<h1 class="lamina-title">{html.escape(title)}</h1>')


def colours() -> Mapping[str, str]:
    """The colours that the browser shows at present, for what a script draws itself."""
    light, dark = palettes()
    return dark if st.context.theme.type == "dark" else light


def in_pairs(items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Each with its place: two beside one another, in this order too where a narrow page has them below one another."""
    for start in range(0, len(items), 2):
        yield from zip(items[start : start + 2], st.columns(2), strict=False)
