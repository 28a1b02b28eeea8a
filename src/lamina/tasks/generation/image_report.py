"""Made pictures as pieces of the page: sheets, classes, ways between two, the nearest training pictures."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from lamina.evaluate.images.thumbnails import percent, under
from lamina.evaluate.markup import facts, number, table
from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, figure, panel, style, svg, text
from lamina.preprocess.image.codec import as_png
from lamina.tasks.generation.image_fidelity import Made

COLUMNS, ROWS = 16, 10
NEAREST = 12
LEARNED = "What the same noise became, by weights averaged over the last steps."
MOST_BARS = 40
ZOOM = 980  # pixels of a sheet's width, at most


def pieces(found: Made, classes: Sequence[str], sketches: Mapping[int, str]) -> str:
    """HTML of everything that there is to see of made pictures; `sketches`: PNG in base64 by epoch."""
    few = 2 <= len(classes) <= ROWS
    order = _by_class(found.asked, len(classes)) if few else np.arange(min(COLUMNS * ROWS, len(found.pictures)))
    lead = "Each row is one class. None was picked by hand." if few else "The first ones; none was picked by hand."
    parts = [_told(found), under("Made", lead, _sheet(found.pictures[order]))]
    real = found.real[: COLUMNS * 4]
    parts.append(under("Real, held out", "What the network has never seen, in no order.", _sheet(real)))
    parts += [_histogram(found), _ways(found), _nearest(found), _learned(sketches)]
    return "\n".join(part for part in parts if part)


def _by_class(asked: np.ndarray, classes: int) -> np.ndarray:
    """Rows of the sheet: as many of each class as a line holds."""
    lines = []
    for code in range(classes):
        rows = np.flatnonzero(asked == code)[:COLUMNS]
        lines.append(np.resize(rows, COLUMNS) if len(rows) else np.zeros(COLUMNS, np.int64))
    return np.concatenate(lines)


def _sheet(pictures: np.ndarray, columns: int = COLUMNS) -> str:
    """One image of pictures (rows, height, width, channels) side by side, a pixel apart, every pixel kept."""
    rows, height, width, channels = pictures.shape
    lines = -(-rows // columns)
    sheet = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    zoom = max(1, min(4, ZOOM // sheet.shape[1]))
    body = base64.b64encode(as_png(sheet)).decode()
    size = f'width="{zoom * sheet.shape[1]}" height="{zoom * sheet.shape[0]}"'
    return f'<img class="sheet" {size} alt="{rows} pictures" src="data:image/png;base64,{body}">'


def _told(found: Made) -> str:
    told = found.facts
    known = [("looked at by", "a classifier of the same pictures" if "counts" in told else told["judge"])]
    if "counts" in told:
        known += [
            ("its accuracy on real test rows", percent(told["judge_accuracy"])),
            ("trained for", f"{told['judge_seconds']} s"),
            ("made pictures of the class asked for", percent(told["as_asked"])),
            ("classes that appear", f"{told['covered']} of {len(told['counts'])}"),
            ("as varied as so many equal classes", number(told["evenly"])),
        ]
    known.append(("spread of features, of that of real ones", percent(min(told["spread"], 0.999))))
    return facts(known)


def _histogram(found: Made) -> str:
    """How often each class was seen in made pictures, beside how often it was asked for."""
    told = found.facts
    if "counts" not in told or len(told["counts"]) > MOST_BARS:
        return ""
    names = list(told["counts"])
    at = np.arange(len(names))
    with style():
        width = max(420, min(980, 90 + 46 * len(names)))
        fig = figure(width, 260)
        axes = panel(fig, (48, 34, 20, 62), f"classes of {told['counted']:,} made pictures, by the classifier")
        axes.bar(at - 0.2, list(told["wanted"].values()), 0.36, color=GREYS[2], label="asked for")
        axes.bar(at + 0.2, list(told["counts"].values()), 0.36, color=ACCENT, label="seen")
        slanted = max(map(len, names)) > 5
        axes.set_xticks(at, [text(n, 14) for n in names], rotation=40 if slanted else 0,
                        ha="right" if slanted else "center", color=INK)  # fmt: skip
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14 if not slanted else -0.3), ncols=2, frameon=False)
        drawn = svg(fig, "classes", "Classes of made pictures")
    return f'<figure style="width:{width + 22}px"><div class="card">{drawn}</div></figure>'


def _ways(found: Made) -> str:
    strips = found.strips
    lead = "From one made picture to another of its class in even steps: what lies between should be pictures too."
    return under("Between two", lead, _sheet(strips.reshape(-1, *strips.shape[2:]), strips.shape[1]))


def _nearest(found: Made) -> str:
    """The made pictures that are closest to a training picture, above it."""
    memory, told = found.memory, found.facts["memory"]
    order = np.argsort(memory.made, kind="stable")[:NEAREST]
    pairs = np.concatenate([found.pictures[order], found.training[memory.nearest[order]]])
    closer, near = percent(told["closer_than_any_real"]), percent(told["closer_than_99_percent"])
    lead = (
        f"Above: made pictures that are closest to one of {told['searched']:,} training pictures, which is below. The "
        f"median distance of made ones is {number(told['made'])} grey levels, of held-out real ones "
        f"{number(told['held_out'])}. {closer} of made ones are closer than any real one is, {near} closer than all "
        "but 1\u00a0% of those. Pictures that are blurred or plain are close to many."
    )
    return under("Learned by heart?", lead, _sheet(pairs, NEAREST))


def _learned(sketches: Mapping[int, str]) -> str:
    """The same noise as the network learned, one line per epoch."""
    lines = []
    for epoch, body in sorted(sketches.items()):
        shown = f'<img class="sheet" alt="after epoch {epoch}" src="data:image/png;base64,{body}">'
        lines.append([str(epoch), shown])
    return under("As it learned", LEARNED, table(["after epoch", ""], lines) if lines else "")
