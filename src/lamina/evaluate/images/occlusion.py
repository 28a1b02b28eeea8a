"""Why an answer: the places of an image it hangs on, found by covering one after the other.

Works with any bundle, because it only asks the predictor. Zeiler and Fergus 2014, "Visualizing and understanding
convolutional networks", section 4.2.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina.config import DataError
from lamina.evaluate import page
from lamina.evaluate.images.thumbnails import figure, grid, percent, shot
from lamina.evaluate.log_odds import best, strength, uncalibrated
from lamina.evaluate.markup import escape, number
from lamina.evaluate.plots import canvas
from lamina.preprocess import image, settings
from lamina.resources import disk
from lamina.schema import Input
from lamina.task import Session

PLACES = 14  # positions of the cover along each side
COVER = 6  # the cover is this part of the side, so that neighbours overlap
BATCH_NUMBERS = 1 << 22
FLAT = 1e-3  # a heat below this, in log-odds, is no heat at all
FOR, AGAINST = (200, 80, 30), (11, 99, 181)  # orange and blue, as in the plots
MAX_IMAGES, MAX_IN_PAGE = 40, 400  # in one drawing, and in a page
LINE, BLOCK, SMALL = (
    250,
    780,
    96,
)  # pixels of a line, of an image with all about it, and below which pixels are squares
LEAST = 5e-4  # of the probability of an answer that a page names
IN_A_COLUMN = 3  # more images are a grid
LEGEND = "Orange speaks for the prediction, blue against it: its odds fall, or rise, when the place is covered."


class Explanation(NamedTuple):
    """One image, its best answers, and the heat of each pixel.

    `image` (height, width, channels) uint8 is what the network sees. `heat` (height, width) is how much the log-odds
    of `label` (of a number: the number) fall when a place is covered: above 0 it speaks for the answer, below against.
    `top` are the best answers with their probabilities, or the number alone.
    """

    image: np.ndarray
    heat: np.ndarray
    label: str
    top: tuple[tuple[str, float], ...]
    name: str = ""


def explain(session: Session, images: Sequence[str | Path], label: str | None = None) -> list[Explanation]:
    """Explain the answer to each image file: its most probable label, or `label`.

    Other columns of the bundle count as missing. Raises DataError for a bundle without images, a label that it does
    not know, and a file that is no sound image.
    """
    prep = session.prep
    if not prep.file_inputs:
        raise DataError("explain: this bundle has no column of images. Name a bundle that was trained on images.")
    name = next(iter(prep.file_inputs))
    column, state = next((c, s) for c, s in zip(prep.columns, prep.states, strict=True) if c.name == name)
    paths = [str(path) for path in images]
    for path in paths:
        if not Path(path).is_file():
            is_folder = Path(path).is_dir()
            what = "is a folder. Name the images in it" if is_folder else "is not there. Name an image file"
            raise DataError(f"explain: {path} {what}.")
    rows = pa.table({name: pa.array(paths, pa.string())})
    values = image.parse(rows[name].combine_chunks(), image.Config.model_validate(settings(column)))
    for path, fault in zip(paths, image.faults(values, image.State.model_validate(state)), strict=True):
        if fault:
            raise DataError(f"explain: {path} {fault}. Name an image that opens in an image viewer.")
    inputs = session.encode(rows)
    by_row = [{k: v[i : i + 1] for k, v in inputs.items()} for i in range(len(paths))]
    return [
        explain_row(session, row, name, label)._replace(name=Path(path).name)
        for row, path in zip(by_row, paths, strict=True)
    ]


def explain_row(
    session: Session, inputs: Mapping[str, np.ndarray], column: str, label: str | None = None
) -> Explanation:
    """Explain one row of encoded inputs by its images in `column`; every other input stays as it is."""
    name, task = session.prep.file_inputs[column], uncalibrated(session.task)
    image, feed = inputs[name][0], session.prep.inputs[name]
    raw = session.run(inputs)
    code, top = best(session.task, raw, label)
    whole = strength(task.decode(raw), code)
    boxes = places(*image.shape[:2])
    size = max(1, BATCH_NUMBERS // image.size)
    falls = list[np.ndarray]()
    for start in range(0, len(boxes), size):
        copies = _cover(image, boxes[start : start + size], feed)
        others = {k: np.repeat(v, len(copies), axis=0) for k, v in inputs.items() if k != name}
        answers = task.decode(session.run({**others, name: copies}))
        falls.append(whole - strength(answers, code))
    heat, covers = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for (upper, lower, left, right), fall in zip(boxes, np.concatenate(falls), strict=True):
        heat[upper:lower, left:right] += fall
        covers[upper:lower, left:right] += 1
    answer = session.task.classes[code] if code is not None else session.target or ""
    return Explanation(np.array(image), heat / np.maximum(covers, 1), answer, top)


def places(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each cover: a grid of 14 x 14, neighbours overlapping, every pixel covered."""
    return [(*y, *x) for y in _along(height) for x in _along(width)]


def _along(side: int) -> list[tuple[int, int]]:
    count = min(PLACES, side)
    length = max(-(-side // COVER), -(-side // count))
    starts = np.rint(np.linspace(0, side - length, count)).astype(int)
    return [(int(start), int(start) + length) for start in starts]


def _cover(image: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], feed: Input) -> np.ndarray:
    """(boxes, height, width, channels): a copy for each place, covered by the mean colour of the training images."""
    copies = np.repeat(image[None], len(boxes), axis=0)
    cover = np.rint(np.array(feed.mean) * 255).astype(np.uint8) if feed.mean else np.uint8(128)
    for copy, (top, bottom, left, right) in zip(copies, boxes, strict=True):
        copy[top:bottom, left:right] = cover
    return copies


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8: the image in grey, orange where it speaks for the answer, blue where against."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * 0.75 + 48
    most = float(np.abs(heat).max())
    share = np.abs(heat)[:, :, None] / most if most > FLAT else np.zeros((*heat.shape, 1))
    colour = np.where(heat[:, :, None] > 0, np.array(FOR, float), np.array(AGAINST, float))
    return np.rint(grey * (1 - 0.85 * share) + colour * 0.85 * share).astype(np.uint8)


def write(
    session: Session, images: Sequence[str | Path], output: Path, label: str | None = None, overwrite: bool = False
) -> list[Explanation]:
    """Explain the answers to image files: at most 40 in one PNG, at most 400 in a page of HTML.

    Errors: as `explain`; StorageError where it cannot be written, or something is there and `overwrite` is not set.
    """
    suffix, count = output.suffix.lower(), len(images)
    if suffix not in (".png", ".html"):
        raise DataError(f"-o: must end in .png (got '{output}'). A page of many images: -o FILE.html")
    if suffix == ".png" and count > MAX_IMAGES:
        cure = f"Name at most {MAX_IMAGES}, or a page: -o {output.with_suffix('.html')}"
        raise DataError(f"explain: {count} images are too many for one file. {cure}")
    if count > MAX_IN_PAGE:
        raise DataError(f"explain: {count} images are too many for one page. Name at most {MAX_IN_PAGE}.")
    disk.refuse_existing(output, overwrite)
    explanations = explain(session, images, label)
    if suffix == ".html":
        disk.write_text(output, html(explanations), overwrite)
        return explanations
    with disk.new_file(output, overwrite) as file:
        draw(explanations, file)
    return explanations


def html(explanations: Sequence[Explanation]) -> str:
    """A page with as many images side by side as it has room for, each beside its heat, with its best answers."""
    figures = []
    for one in explanations:
        name = f'<br><span class="path">{escape(one.name, 80)}</span>' if one.name else ""
        pair = [shot(one.image, "the image"), shot(overlay(one.image, one.heat), f"what speaks for {one.label}")]
        figures.append(figure(pair, _answers(one) + name, "two"))
    lead = f'<h1>Occlusion maps</h1>\n<p class="quiet lead">{LEGEND}</p>'
    return page.document("Occlusion maps", f"{lead}\n{grid(figures, 'wide')}")


def _answers(one: Explanation) -> str:
    """The best answers, the one that is explained in bold."""
    if len(one.top) == 1:
        return f"<b>{number(one.top[0][1])}</b>"
    chances = [(f"<b>{escape(name, 40)}</b>" if name == one.label else escape(name, 40), share)
               for name, share in one.top if share >= LEAST]  # fmt: skip
    explained = (
        "" if any(name == one.label for name, _ in one.top) else f"what speaks for <b>{escape(one.label, 40)}</b>; "
    )
    return explained + ", ".join(f"{name}\u00a0{percent(share)}" for name, share in chances)


def draw(explanations: Sequence[Explanation], output: Path | IO[bytes]) -> None:
    """Write one PNG: for each image the image, its heat and its best answers; many are a grid."""
    count = len(explanations)
    columns = 1 if count <= IN_A_COLUMN else min(3, math.ceil(math.sqrt(count / IN_A_COLUMN)))
    height, width = LINE * math.ceil(count / columns) + 34, BLOCK * columns
    with canvas.style():
        fig = canvas.figure(width, height)
        for i, explanation in enumerate(explanations):
            _line(fig, explanation, i // columns * LINE, height, (i % columns * BLOCK, width))
        fig.text(0.5, 12 / height, LEGEND, ha="center", fontsize=11.5, color=canvas.QUIET)
        fig.savefig(output, format="png", dpi=144, facecolor="white", metadata={"Software": None})


def _line(fig: Any, explanation: Explanation, above: int, height: int, across: tuple[int, int]) -> None:
    """One explanation, `above` pixels from the top; `across`: pixels to the left of it, and of all."""
    left, width = across
    below = height - above - LINE
    image, small = explanation.image, max(explanation.image.shape[:2]) <= SMALL
    pixels = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
    about = f"what speaks for {canvas.text(explanation.label, 18)}"
    titles = (canvas.text(explanation.name, 26) if explanation.name else "the image", about)
    for k, (panel, title) in enumerate(zip((pixels, overlay(image, explanation.heat)), titles, strict=True)):
        axes = canvas.panel(fig, (left + 20 + 236 * k, above + 34, width - left - 230 - 236 * k, below + 6), title)
        axes.imshow(panel, interpolation="nearest" if small else "antialiased")
        axes.set_axis_off()
    top = explanation.top
    axes = canvas.panel(
        fig, (left + 610, above + 34, width - left - BLOCK + 60, below + 60), "answers" if len(top) > 1 else "answer"
    )
    if len(top) == 1:
        axes.text(0, 0.5, number(top[0][1]), fontsize=22, color=canvas.ACCENT, transform=axes.transAxes)
        axes.set_axis_off()
        return
    names, chances = [canvas.text(name, 14) for name, _ in top], [chance for _, chance in top]
    colours = [canvas.ACCENT if name == explanation.label else canvas.GREYS[2] for name, _ in top]
    axes.barh(range(len(names)), chances, color=colours, height=0.55)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)), xticks=[])
    axes.set_yticklabels(names, color=canvas.INK)
    for i, chance in enumerate(chances):
        axes.annotate(f"{chance:.1%}", (chance, i), (6, 0), textcoords="offset points", va="center", fontsize=11,
                      annotation_clip=False)  # fmt: skip
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
