"""A map of rows by two coordinates: a plot that stands by itself, and with its script is coloured, zoomed and read."""

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lamina.evaluate.markup import escape
from lamina.preprocess.image import codec

SCRIPT = Path(__file__).with_name("scatter.js").read_text("utf-8")
MOST, MOST_WITH_IMAGES = 4_000, 2_000  # points, and fewer where each has its image
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BELOW = 760, 560, 66, 12, 12, 40
THUMB, ACROSS = 28, 50  # pixels of an image's longer side, and images in a line of the sheet
TICKS = 5
INSIDE, MARGIN = (0.002, 0.998), 0.06  # which points a map is made to hold, and how much more
SIMILAR = 3.0  # times one range, up to which both axes have one scale
GROUPS = 12
PALETTES = {
    "groups": ("#0b63b5", "#d9480f", "#2b8a3e", "#862e9c", "#c99200", "#c2255c", "#0c8599", "#74b816", "#495057",
               "#845ef7", "#a0522d", "#9aa3ad"),
    "order": ("#3b0f70", "#8c2981", "#de4968", "#f98e52", "#d9b310", "#9aa3ad"),
}  # fmt: skip
STYLE = """<style>
figure.map { position: relative; width: 784px; }
.map .card { background: #f7f8f9; color-scheme: light; }
.map .bar { display: none; flex-wrap: wrap; gap: 8px; margin-bottom: 8px; font-size: 14px; align-items: center; }
.map.live .bar { display: flex; }
.map .legend { display: flex; flex-wrap: wrap; gap: 4px 12px; margin-top: 8px; font-size: 14px; }
.map button, .map select { font: inherit; color: #20262e; background: #fff; border: 1px solid #c9ced4;
  border-radius: 6px; padding: 2px 9px; cursor: pointer; }
.map .legend button { border: 0; background: none; padding: 0; }
.map .legend span, .map .bar { color: #20262e; }
.map .legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 5px; }
.map svg { display: block; width: 100%; height: auto; touch-action: pan-y; cursor: grab; }
.map .tip { position: absolute; z-index: 2; pointer-events: none; padding: 6px 9px; border-radius: 6px;
  background: #20262e; color: #fff; font-size: 13px; }
.map .tip[hidden] { display: none; }
.map .tip i { display: block; image-rendering: pixelated; margin-bottom: 4px; }
.map img.sprite { display: none; }
</style>"""


class Grouping(NamedTuple):
    """How points are coloured: by which column, what its groups are called, and the group of each point (rows,), of
    which the last may be that of all others. `ordered`: the groups are parts of one range.
    """

    name: str
    values: Sequence[str]
    codes: np.ndarray
    ordered: bool = False


def some(rows: int, has_images: bool) -> np.ndarray:
    """Places of the rows that a map shows, in no order, so that no group lies over all others."""
    return np.random.default_rng(0).permutation(rows)[: MOST_WITH_IMAGES if has_images else MOST]


def figure(
    points: np.ndarray,
    axes: tuple[str, str],
    groupings: Sequence[Grouping],
    numbers: Sequence[int],
    images: np.ndarray | None = None,
) -> str:
    """Points (rows, 2) as a `<figure>`; `numbers`: what each row is called, counted from 1; `images`: of each row,
    (rows, height, width, 1 or 3) uint8.
    """
    groupings = groupings or [Grouping("", ("test rows",), np.zeros(len(points), np.int64))]
    ranges = _ranges(points)
    places = _places(points, ranges)
    radius = 4.0 if len(points) <= 500 else 3.0 if len(points) <= 2000 else 2.3
    first = groupings[0]
    colours = PALETTES["order" if first.ordered else "groups"]
    circles = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colours[c]}"/>'
        for (x, y), c in zip(places.tolist(), first.codes.tolist(), strict=True)
    )
    data = {
        "groupings": json.dumps([_packed(one) for one in groupings], ensure_ascii=False),
        "palettes": json.dumps(PALETTES),
        "radius": radius,
        "box": f"{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BELOW}",
        "across": f"{ranges[0][0]} {ranges[0][1]}",
        "up": f"{ranges[1][0]} {ranges[1][1]}",
        "rows": " ".join(map(str, numbers)),
    }
    attributes = " ".join(f'data-{name}="{html.escape(str(value))}"' for name, value in data.items())
    legend = "".join(
        f'<span><i style="background:{colours[i]}"></i>{escape(value, 40)}</span>'
        for i, value in enumerate(first.values)
    )
    return (
        f'{STYLE}<figure class="map" {attributes}><div class="card">{_bar(groupings)}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="map of {len(points):,} test rows">'
        f"{_frame(axes, ranges)}"
        f'<g clip-path="url(#map-box)"><g class="points" fill-opacity="0.8">{circles}</g>{_names(first, places)}</g>'
        f'</svg><div class="legend">{legend}</div></div>{_sprite(images)}'
        '<div class="tip" hidden><i></i><span></span></div></figure>'
    )


def _packed(one: Grouping) -> dict[str, object]:
    codes = "".join(np.base_repr(code, 36).lower() for code in one.codes.tolist())
    palette = "order" if one.ordered else "groups"
    return {"name": one.name, "values": list(one.values), "codes": codes, "palette": palette}


def _bar(groupings: Sequence[Grouping]) -> str:
    options = "".join(f'<option value="{i}">{escape(one.name, 40)}</option>' for i, one in enumerate(groupings))
    choice = f"<label>coloured by <select>{options}</select></label>" if len(groupings) > 1 else ""
    buttons = "".join(
        f'<button type="button" data-zoom="{name}" aria-label="{title}" title="{title}">{text}</button>'
        for name, title, text in (("in", "nearer", "+"), ("out", "farther", "−"), ("whole", "the whole map", "whole"))
    )
    return f'<div class="bar">{choice}{buttons}</div>'


def _ranges(points: np.ndarray) -> list[tuple[float, float]]:
    """The lowest and highest of each axis that is drawn; one scale for both where they are similar."""
    low, high = np.quantile(points.astype(np.float64), INSIDE, axis=0)
    half = np.maximum((high - low) / 2 * (1 + 2 * MARGIN), 1e-9)
    middle, sides = (low + high) / 2, np.array([WIDTH - LEFT - RIGHT, HEIGHT - TOP - BELOW])
    per_pixel = half / sides
    if per_pixel.max() <= SIMILAR * per_pixel.min():
        half = per_pixel.max() * sides
    return [(float(m - h), float(m + h)) for m, h in zip(middle, half, strict=True)]


def _places(points: np.ndarray, ranges: Sequence[tuple[float, float]]) -> np.ndarray:
    """Points (rows, 2) as pixels."""
    (x0, x1), (y0, y1) = ranges
    x = LEFT + (points[:, 0] - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)
    y = HEIGHT - BELOW - (points[:, 1] - y0) / (y1 - y0) * (HEIGHT - TOP - BELOW)
    return np.stack([x, y], axis=1)


def _frame(axes: tuple[str, str], ranges: Sequence[tuple[float, float]]) -> str:
    """The box, its ticks, and what the axes are called."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BELOW
    style = 'font-size="11" fill="#5c6672"'
    shares = [(i + 0.5) / TICKS for i in range(TICKS)]
    box = f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}" fill="none" stroke="#aeb5bd"/>'
    parts = [f'<clipPath id="map-box">{box}</clipPath>', box]
    for share in shares:
        x, y = LEFT + share * (right - LEFT), bottom - share * (bottom - TOP)
        for axis, at, place, anchor in (
            ("x", x, f'x="{x:.0f}" y="{bottom + 15}"', "middle"),
            ("y", y, f'x="{LEFT - 6}" y="{y + 4:.0f}"', "end"),
        ):
            low, high = ranges[axis == "y"]
            value = f"{low + share * (high - low):.3g}".replace("-", "−")
            parts.append(
                f'<text class="tick" data-axis="{axis}" data-at="{at:.1f}" {place} text-anchor="{anchor}" {style}>'
                f"{value}</text>"
            )
    middle = f'x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 6}"'
    turned = f'transform="translate(13 {(TOP + bottom) / 2:.0f}) rotate(-90)"'
    parts += [f'<text {middle} text-anchor="middle" font-size="12" fill="#5c6672">{escape(axes[0], 60)}</text>']
    parts += [f'<text {turned} text-anchor="middle" font-size="12" fill="#5c6672">{escape(axes[1], 60)}</text>']
    return "".join(parts)


def _names(one: Grouping, places: np.ndarray) -> str:
    """What each group is called, in the middle of its points."""
    if one.ordered or len(one.values) < 2:
        return ""
    texts = []
    for code, value in enumerate(one.values):
        own = places[one.codes == code]
        if len(own):
            x, y = np.median(own, axis=0).tolist()
            texts.append(f'<text data-x="{x:.1f}" data-y="{y:.1f}" x="{x:.1f}" y="{y:.1f}">{escape(value, 24)}</text>')
    look = 'text-anchor="middle" font-size="15" font-weight="650" fill="#20262e" stroke="#fff" stroke-width="3"'
    return f'<g class="names" {look} paint-order="stroke" pointer-events="none">{"".join(texts)}</g>'


def _sprite(images: np.ndarray | None) -> str:
    """All images in one, from which the script takes them."""
    if images is None or not len(images):
        return ""
    small = np.stack([_thumb(image) for image in images])
    rows, height, width, channels = small.shape
    lines = -(-rows // ACROSS)
    padded = np.zeros((lines * ACROSS, height, width, channels), np.uint8)
    padded[:rows] = small
    sheet = padded.reshape(lines, ACROSS, height, width, channels).swapaxes(1, 2).reshape(lines * height, -1, channels)
    source = codec.data_address(sheet, max(sheet.shape))
    size = f'data-across="{ACROSS}" data-width="{width}" data-height="{height}"'
    return f'<img class="sprite" alt="" {size} src="{source}">'


def _thumb(image: np.ndarray) -> np.ndarray:
    """An image whose longer side is at most 28 pixels."""
    height, width = image.shape[:2]
    if max(height, width) <= THUMB:
        return image
    shape = tuple(max(1, round(n * THUMB / max(height, width))) for n in (width, height))
    cv2 = codec.opencv()
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA).reshape(shape[1], shape[0], -1)
