"""Texts as pieces of the page, the words that answers hang on marked; what few rows share is hidden in them."""

import html
from collections.abc import Iterable, Sequence

import numpy as np

from lamina.evaluate.markup import number
from lamina.evaluate.texts.occlusion import Effects
from lamina.evaluate.texts.words import Word, excerpt, split

FLAT = 1e-3  # an effect below this, in log-odds, is none
LEVELS, FAINT = 4, 0.2  # strengths of a mark, and the share of the strongest effect below which there is none
LONGEST, BETWEEN = 120, 40  # words of a text, and signs between two of them, that are shown
HIDDEN = "…"
JOINERS = "\u200c\u200d"  # not printable, but without them scripts and emoji fall apart


def plain(text: str, shared: frozenset[str], longest: int = LONGEST) -> str:
    """A text without marks."""
    return _paragraph(text, split(text), shared, {}, longest)


def marked(effects: Effects, falls: np.ndarray, shared: frozenset[str], longest: int = LONGEST) -> str:
    """A text whose words are marked by `falls` (different words,): orange where they speak for the answer, else blue.

    Marks are scaled to the strongest of the text. `shared`: the words that may be shown.
    """
    most = float(np.abs(falls).max(initial=0.0))
    strong = np.abs(falls) > max(FLAT, FAINT * most)
    marks = [(effects.different[i], float(falls[i])) for i in np.flatnonzero(strong).tolist()]
    styles = {word: _style(fall / most, fall) for word, fall in marks}
    return _paragraph(effects.text, effects.words, shared, styles, longest)


def figure(texts: str, caption: str, below: str) -> str:
    """Texts in a box with words below; all are HTML already."""
    words = f'<figcaption>{caption}<br><span class="path">{below}</span></figcaption>'
    return f'<figure class="text">{texts}{words}</figure>'


def grid(figures: Iterable[str]) -> str:
    """Texts in as many columns as the page has room for."""
    inside = "".join(figures)
    return f'<div class="texts">{inside}</div>' if inside else ""


def _style(share: float, fall: float) -> str:
    """Attributes of a mark: its side, its strength, and the effect in numbers."""
    level = min(LEVELS, 1 + int(abs(share) * LEVELS))
    return f'class="{"for" if share > 0 else "against"} s{level}" title="{"+" if fall > 0 else ""}{number(fall)}"'


def _paragraph(text: str, words: Sequence[Word], shared: frozenset[str], styles: dict[str, str], longest: int) -> str:
    first, last = excerpt(words, longest)
    if not last:
        return f'<p class="text" dir="auto">{_stretch(text, 0, len(text), first, shared, styles)}</p>'
    left = len(words) - len(first) - len(last)
    gap = f' <small dir="ltr">({left:,} words)</small> '
    head = _stretch(text, 0, first[-1].stop, first, shared, styles)
    tail = _stretch(text, last[0].start, len(text), last, shared, styles)
    return f'<p class="text" dir="auto">{head}{gap}{tail}</p>'


def _stretch(
    text: str, start: int, stop: int, words: Sequence[Word], shared: frozenset[str], styles: dict[str, str]
) -> str:
    """The words of a stretch of the text and what stands between them."""
    pieces, end, hidden = list[str](), start, False
    for word in words:
        between = _printable(text[end : word.start])
        hide, end = word.word not in shared, word.stop
        style = styles.get(word.word)
        if hide and hidden and not style and not between.strip():
            continue  # one sign for several hidden words
        own = HIDDEN if hide else html.escape(_printable(text[word.start : word.stop]))
        pieces += [html.escape(between), f"<mark {style}>{own}</mark>" if style else own]
        hidden = hide and not style
    return "".join([*pieces, html.escape(_printable(text[end:stop]))])


def _printable(text: str) -> str:
    """Text on one line: controls and signs that turn the direction of what follows are blanks."""
    short = text if len(text) <= BETWEEN or text.isalnum() else text[:BETWEEN] + HIDDEN
    return "".join(c if c.isprintable() or c in JOINERS else " " for c in short)
