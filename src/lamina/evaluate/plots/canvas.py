"""One quiet style for every plot, and a figure as SVG text that can stand beside others in one page."""

import hashlib
import html
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

NETWORK = "network"
INK, QUIET, FAINT = "#20262e", "#5c6672", "#e3e6ea"
ACCENT, WARM = "#0b63b5", "#c8501e"  # blue and orange: apart for every common colour blindness
GREYS = ("#454c55", "#7d8691", "#a3abb5", "#c0c6cd")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))
AXIS, PAPER = "#aeb5bd", "#ffffff"
_VARIABLES = {  # of the page, which has them for light and for dark
    INK: "ink", QUIET: "quiet", FAINT: "line", ACCENT: "accent", WARM: "warm", AXIS: "axis", PAPER: "card",
    **{grey: f"grey{place}" for place, grey in enumerate(GREYS, start=1)},
}  # fmt: skip
_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lamina",
    "text.parse_math": False,  # a '$' in a column name is a '$'
    "font.size": 12,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 12,
    "axes.edgecolor": AXIS,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titley": 1.0,  # where it is anyway, and need not be found out from all labels
    "axes.grid": True,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": AXIS,
    "ytick.color": AXIS,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 6,
    "lines.linewidth": 1.8,
    "legend.fontsize": 12,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this block; the caller's own matplotlib settings are left as they were."""
    import matplotlib

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The reader's browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing", category=UserWarning)
        yield


def figure(width: int, height: int) -> Any:
    """An empty figure of that many pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), dpi=72)


def panel(fig: Any, box: tuple[float, float, float, float], title: str = "", above: int = 10) -> Any:
    """Axes inside `box` = (left, top, right, bottom) margins in pixels, with a heading `above` them."""
    width, height = (side * 72 for side in fig.get_size_inches())
    left, top, right, bottom = box
    axes = fig.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    if title:
        axes.set_title(title, loc="left", fontsize=12.5, color=INK, pad=above)
    return axes


def line_style(name: str, others: Sequence[str], own: str = NETWORK) -> dict[str, Any]:
    """How the line of a method is drawn: the network's in colour, that of each of `others` the same in every plot."""
    if name == own:
        return {"color": ACCENT, "linewidth": 2.2, "zorder": 3}
    place = others.index(name)
    return {
        "color": GREYS[place % 3], "linestyle": DASHES[place % len(DASHES)], "linewidth": 1.5, "zorder": 2,
    }  # fmt: skip


def legend(axes: Any, place: Any, **settings: Any) -> None:
    """A legend that curves may pass behind, the network's name in its colour."""
    box = axes.legend(loc=place, handlelength=2.4, borderaxespad=1.0, alignment="left", **settings)
    box.get_frame().set(facecolor=PAPER, edgecolor="none", alpha=0.85)
    box.get_title().set(color=QUIET, fontsize=11)
    for handle, label in zip(box.legend_handles, box.get_texts(), strict=True):
        label.set_color(ACCENT if getattr(handle, "get_color", str)() == ACCENT else INK)


def text(value: object, longest: int = 24) -> str:
    """A value as one printable line, cut in the middle when it is longer than `longest`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split()) or "(blank)"
    tail = longest // 3
    return line if len(line) <= longest else f"{line[: longest - tail - 1]}…{line[-tail:]}"


def _tenths(places: str) -> str:
    """Places in tenths of a pixel: it looks the same, is half as long, and no value can be read off to many digits."""
    return re.sub(r"\d+\.\d+", lambda m: f"{float(m[0]):.1f}", places)


def _themed(style: str) -> str:
    """A style with the colours of the page it stands in."""
    return re.sub("#[0-9a-f]{6}", lambda m: f"var(--{_VARIABLES[m[0]]})" if m[0] in _VARIABLES else m[0], style)


def svg(fig: Any, name: str, label: str) -> str:
    """The figure as one `<svg>` element; ids start with `name` and a hash of the image, so none clash in a page."""
    buffer = StringIO()
    fig.savefig(buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    raw = buffer.getvalue()
    prefix = f"{name}-{hashlib.sha256(raw.encode()).hexdigest()[:8]}-"
    body = raw[raw.index(">", raw.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    body = re.sub(r' (d|x|y)="([^"]*)"', lambda m: f' {m[1]}="{_tenths(m[2])}"', body)
    # Outside tags every '<', '>' and '&' of a text is escaped, so these patterns only meet attributes.
    body = re.sub(r'(<[^<>]*?\s)id="([^"]+)"', rf'\1id="{prefix}\2"', body)
    body = re.sub(r'(<[^<>]*?href=")#', rf"\1#{prefix}", body)
    body = re.sub(r"(<[^<>]*?url\()#", rf"\1#{prefix}", body)
    body = re.sub(r"(<text[^<>]*?)'DejaVu Sans'(?:, [^;\"]*)?", lambda m: m[1] + _FAMILY, body)
    body = re.sub(r'(<[^<>]*?\sstyle=")([^"]*)', lambda m: m[1] + _themed(m[2]), body)
    width, height = (round(side * 72) for side in fig.get_size_inches())
    least = min(width, 320) if width <= 520 else round(0.72 * width)  # narrower, and its texts could not be read
    size = f"width:{width}px;max-width:100%;min-width:{least}px;height:auto"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" class="plot" role="img" '
        f'aria-label="{html.escape(label)}" viewBox="0 0 {width} {height}" '
        f'style="{size};stroke-linejoin:round;font-variant-numeric:tabular-nums">{body}'
    )
