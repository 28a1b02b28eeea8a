"""Generated images as parts of the page: sheets, classes, ways between two, the nearest training images."""

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from lamina.evaluate.images.thumbnails import percent, under
from lamina.evaluate.markup import facts, number, table
from lamina.evaluate.plots.canvas import ACCENT, GREYS, INK, figure, panel, style, svg, text
from lamina.preprocess.image.codec import as_png
from lamina.schema import Row
from lamina.tasks.generation.image_fidelity import ImageFidelity

COLUMNS, ROWS = 16, 10
NEAREST = 12
PREVIEWS = "What the same noise became, by weights averaged over the last steps."
MOST_BARS = 40
ZOOM = 980  # pixels of a sheet's width, at most


def html(fidelity: ImageFidelity, classes: Sequence[str], previews: Mapping[int, str]) -> str:
    """Everything that there is to see of generated images; `previews`: PNG in base64 by epoch."""
    few = 2 <= len(classes) <= ROWS
    count = min(COLUMNS * ROWS, len(fidelity.samples))
    order = _by_class(fidelity.codes, len(classes)) if few else np.arange(count)
    lead = "Each row is one class. None was picked by hand." if few else "The first ones; none was picked by hand."
    real = fidelity.real[: COLUMNS * 4]
    parts = [
        _facts(fidelity.facts),
        under("Generated", lead, _sheet(fidelity.samples[order])),
        under("Real, held out", "What the network has never seen, in no order.", _sheet(real)),
        _histogram(fidelity.facts),
        _ways(fidelity.strips),
        _nearest(fidelity),
        _previews(previews),
    ]
    return "\n".join(part for part in parts if part)


def _by_class(codes: np.ndarray, classes: int) -> np.ndarray:
    """Rows of the sheet: as many of each class as a line holds."""
    lines = []
    for code in range(classes):
        rows = np.flatnonzero(codes == code)[:COLUMNS]
        lines.append(np.resize(rows, COLUMNS) if len(rows) else np.zeros(COLUMNS, np.int64))
    return np.concatenate(lines)


def _sheet(images: np.ndarray, columns: int = COLUMNS) -> str:
    """One image of images (rows, height, width, channels) side by side, a pixel apart, every pixel as it is."""
    rows, height, width, channels = images.shape
    lines = -(-rows // columns)
    sheet = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
    zoom = max(1, min(4, ZOOM // sheet.shape[1]))
    body = base64.b64encode(as_png(sheet)).decode()
    size = f'width="{zoom * sheet.shape[1]}" height="{zoom * sheet.shape[0]}"'
    return f'<img class="sheet" {size} alt="{rows} images" src="data:image/png;base64,{body}">'


def _facts(values: Row) -> str:
    pairs = [("looked at by", "a classifier of the same images" if "counts" in values else values["features"])]
    if "counts" in values:
        pairs += [
            ("its accuracy on real test rows", percent(values["classifier_accuracy"])),
            ("trained for", f"{values['classifier_seconds']} s"),
            ("generated images of the class asked for", percent(values["as_asked"])),
            ("classes that appear", f"{values['covered']} of {len(values['counts'])}"),
            ("as varied as so many equal classes", number(values["evenly"])),
        ]
    pairs.append(("spread of features, of that of real ones", percent(min(values["spread"], 0.999))))
    return facts(pairs)


def _histogram(values: Row) -> str:
    """How often each class was recognised in samples, beside how often it was asked for."""
    if "counts" not in values or len(values["counts"]) > MOST_BARS:
        return ""
    names = list(values["counts"])
    at = np.arange(len(names))
    with style():
        width = max(420, min(980, 90 + 46 * len(names)))
        fig = figure(width, 260)
        axes = panel(fig, (48, 34, 20, 62), f"classes of {values['counted']:,} generated images, by the classifier")
        axes.bar(at - 0.2, list(values["wanted"].values()), 0.36, color=GREYS[2], label="asked for")
        axes.bar(at + 0.2, list(values["counts"].values()), 0.36, color=ACCENT, label="seen")
        slanted = max(map(len, names)) > 5
        axes.set_xticks(at, [text(n, 14) for n in names], rotation=40 if slanted else 0,
                        ha="right" if slanted else "center", color=INK)  # fmt: skip
        axes.grid(visible=False, axis="x")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14 if not slanted else -0.3), ncols=2, frameon=False)
        plot = svg(fig, "classes", "Classes of generated images")
    return f'<figure style="width:{width + 22}px"><div class="card">{plot}</div></figure>'


def _ways(strips: np.ndarray) -> str:
    lead = "From one generated image to another of its class in even steps. What lies between should be images too."
    return under("Latent interpolation", lead, _sheet(strips.reshape(-1, *strips.shape[2:]), strips.shape[1]))


def _nearest(fidelity: ImageFidelity) -> str:
    """The samples that are closest to a training image, above it."""
    memory, values = fidelity.memory, fidelity.facts["memory"]
    order = np.argsort(memory.samples, kind="stable")[:NEAREST]
    pairs = np.concatenate([fidelity.samples[order], fidelity.training[memory.nearest[order]]])
    closer, near = percent(values["closer_than_any_real"]), percent(values["closer_than_99_percent"])
    lead = (
        f"Above: generated images that are closest to one of {values['searched']:,} training images, which is below. "
        f"The median distance of generated ones is {number(values['generated'])} grey levels, of held-out real ones "
        f"{number(values['held_out'])}. {closer} of generated ones are closer than any real one is, {near} closer "
        "than all but 1\u00a0% of those. Images that are blurred or plain are close to many."
    )
    return under("Memorisation", lead, _sheet(pairs, NEAREST))


def _previews(previews: Mapping[int, str]) -> str:
    """The same noise as the network learned, one line per epoch."""
    lines = []
    for epoch, body in sorted(previews.items()):
        image = f'<img class="sheet" alt="after epoch {epoch}" src="data:image/png;base64,{body}">'
        lines.append([str(epoch), image])
    return under("Samples by epoch", PREVIEWS, table(["after epoch", ""], lines) if lines else "")
