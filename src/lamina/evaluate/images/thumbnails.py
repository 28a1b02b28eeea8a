"""Images as pieces of the page: each is an `<img>` that carries its own pixels, with words beside it."""

import html
from collections.abc import Sequence

import numpy as np

from lamina.evaluate.markup import escape, number
from lamina.preprocess.image.codec import data_address

SIDE = 144  # pixels of the longer side, at most
SMALL = 96  # below, every pixel is drawn as a square


def shot(image: np.ndarray, alt: str, side: int = SIDE) -> str:
    """An image (height, width, 1 or 3) uint8 as an `<img>` that fills its place."""
    height, width = image.shape[:2]
    sharp = ' class="sharp"' if max(height, width) <= SMALL else ""
    return (
        f'<img{sharp} width="{width}" height="{height}" alt="{html.escape(alt, quote=True)}" '
        f'src="{data_address(image, side)}">'
    )


def figure(images: Sequence[str], words: str, kind: str = "") -> str:
    """Images side by side with words below; `words` are HTML already."""
    own = f" {kind}" if kind else ""
    return (
        f'<figure class="shot{own}"><div class="row">{"".join(images)}</div><figcaption>{words}</figcaption></figure>'
    )


def grid(figures: Sequence[str], kind: str = "") -> str:
    """Figures in as many columns as the page has room for."""
    return f'<div class="shots{" " + kind if kind else ""}">{"".join(figures)}</div>' if figures else ""


def under(title: str, lead: str, body: str) -> str:
    """A heading, a sentence, and what it is about; nothing when there is no body."""
    return f'<h3>{title}</h3>\n<p class="quiet lead">{lead}</p>\n{body}' if body else ""


def percent(value: float) -> str:
    """98 %, 0.3 %, >99.9 %."""
    if value > 0.9995:
        return "&gt;99.9\u00a0%"
    return f"{value:.0%}".replace("%", "\u00a0%") if 0.1 <= value < 0.995 else f"{value * 100:.1f}\u00a0%"


def words(value: object, longest: int = 40) -> str:
    """Any text, escaped and cut."""
    return escape(value, longest)


def text(value: str | float) -> str:
    """An answer as a person writes it: a name, or a number."""
    return value if isinstance(value, str) else number(value)
