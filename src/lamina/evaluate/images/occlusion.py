"""Why an answer: the places of a picture it hangs on, found by covering one after the other.

Works with any bundle, because it only asks the predictor. Zeiler and Fergus 2014, "Visualizing and understanding
convolutional networks", section 4.2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lamina.config import DataError, nearest
from lamina.deploy.predictor import Predictor
from lamina.preprocess import image, settings
from lamina.schema import Input

PLACES = 14  # positions of the cover along each side
COVER = 6  # the cover is this part of the side, so that neighbours overlap
BATCH_NUMBERS = 1 << 22
TINY = 1e-300  # the least that a float64 still tells from 0
FLAT = 1e-3  # a heat below this, in log-odds, is no heat at all
FOR, AGAINST = (200, 80, 30), (11, 99, 181)  # orange and blue, as in the plots
MOST = 40  # pictures in one file


@dataclass(frozen=True)
class Explained:
    """One picture, its best answers, and the heat of each pixel.

    `picture` (height, width, channels) uint8 is what the network sees. `heat` (height, width) is how much the log-odds
    of `label` (of a number: the number) fall when a place is covered: above 0 it speaks for the answer, below against.
    `top` are the best answers with their probabilities, or the number alone.
    """

    picture: np.ndarray
    heat: np.ndarray
    label: str
    top: tuple[tuple[str, float], ...]
    name: str = ""


def explain(predictor: Predictor, pictures: Sequence[str | Path], label: str | None = None) -> list[Explained]:
    """Explain the answer to each picture file: its most probable label, or `label`.

    Other columns of the bundle count as missing. Raises DataError for a bundle without pictures, a label that it does
    not know, and a file that is no sound picture.
    """
    prep = predictor.bundle.prep
    if not prep.pictures:
        raise DataError("explain: this bundle has no column of pictures. Name a bundle that was trained on pictures.")
    name = next(iter(prep.pictures))
    column, state = next((c, s) for c, s in zip(prep.used, prep.states, strict=True) if c.name == name)
    paths = [str(path) for path in pictures]
    for path in paths:
        if not Path(path).is_file():
            is_folder = Path(path).is_dir()
            what = "is a folder. Name the pictures in it" if is_folder else "is not there. Name a picture file"
            raise DataError(f"explain: {path} {what}.")
    rows = pa.table({name: pa.array(paths, pa.string())})
    values = image.parse(rows[name].combine_chunks(), image.Config.model_validate(settings(column)))
    for path, fault in zip(paths, image.faults(values, image.State.model_validate(state)), strict=True):
        if fault:
            raise DataError(f"explain: {path} {fault}. Name a picture that opens in an image viewer.")
    inputs = predictor.encode(rows)
    found = [one(predictor, {k: v[i : i + 1] for k, v in inputs.items()}, name, label) for i in range(len(paths))]
    return [Explained(f.picture, f.heat, f.label, f.top, Path(path).name) for f, path in zip(found, paths, strict=True)]


def one(predictor: Predictor, inputs: Mapping[str, np.ndarray], column: str, label: str | None = None) -> Explained:
    """Explain one row of encoded inputs by its pictures in `column`; every other input stays as it is."""
    name = predictor.bundle.prep.pictures[column]
    picture, feed = inputs[name][0], predictor.bundle.prep.inputs[name]
    raw = predictor.fed(inputs)
    answers, whole = predictor.task.decode(raw, predictor.state), _open(predictor, raw)
    classes = predictor.state.model_dump().get("classes")
    aim, top = _aim(answers, classes, label)
    boxes = places(*picture.shape[:2])
    size = max(1, BATCH_NUMBERS // picture.size)
    fallen: list[np.ndarray] = []
    for start in range(0, len(boxes), size):
        covered = _covered(picture, boxes[start : start + size], feed)
        others = {k: np.repeat(v, len(covered), axis=0) for k, v in inputs.items() if k != name}
        found = _open(predictor, predictor.fed({**others, name: covered}))
        fallen.append(_strength(whole, aim) - _strength(found, aim))
    heat, seen = np.zeros(picture.shape[:2]), np.zeros(picture.shape[:2])
    for (top_, bottom, left, right), fall in zip(boxes, np.concatenate(fallen), strict=True):
        heat[top_:bottom, left:right] += fall
        seen[top_:bottom, left:right] += 1
    named = classes[aim] if classes and aim is not None else predictor.target or ""
    return Explained(np.array(picture), heat / np.maximum(seen, 1), named, top)


def _open(predictor: Predictor, raw: dict[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Answers before they are calibrated: a calibrated one can be so sure that nothing moves it."""
    plain = {"temperature": 1.0} if "temperature" in predictor.state.model_dump() else {}
    return predictor.task.decode(raw, predictor.state.model_copy(update=plain))


def _aim(
    answers: Mapping[str, np.ndarray], classes: tuple[str, ...] | None, label: str | None
) -> tuple[int | None, tuple[tuple[str, float], ...]]:
    """Which output is explained, and the best answers."""
    if classes is None or "probabilities" not in answers:
        if label is not None:
            raise DataError("--label: this bundle answers with a number, not with labels. Leave --label out.")
        return None, (("", float(answers["prediction"][0])),)
    chances = answers["probabilities"][0]
    if label is not None and label not in classes:
        raise DataError(f"--label: there is no label '{label}'. {nearest(label, classes)}")
    best = np.argsort(-chances, kind="stable")[:4].tolist()
    top = tuple((classes[i], float(chances[i])) for i in best)
    return (best[0] if label is None else classes.index(label)), top


def _strength(answers: Mapping[str, np.ndarray], aim: int | None) -> np.ndarray:
    """(rows,) log-odds of the label, which still move where the probability is as good as 1; or the number."""
    if aim is None:
        return np.asarray(answers["prediction"], np.float64)
    own, others = answers["probabilities"][:, aim], np.delete(answers["probabilities"], aim, axis=1).sum(axis=1)
    rest = np.where(np.abs(own + others - 1) < 1e-6, others, 1 - own)  # several labels at once do not sum to 1
    return np.log(own + TINY) - np.log(rest + TINY)


def places(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each cover: a grid of 14 x 14, neighbours overlapping, every pixel covered."""
    return [(*y, *x) for y in _along(height) for x in _along(width)]


def _along(side: int) -> list[tuple[int, int]]:
    count = min(PLACES, side)
    length = max(-(-side // COVER), -(-side // count))
    starts = np.rint(np.linspace(0, side - length, count)).astype(int)
    return [(int(start), int(start) + length) for start in starts]


def _covered(picture: np.ndarray, boxes: Sequence[tuple[int, int, int, int]], feed: Input) -> np.ndarray:
    """(boxes, height, width, channels): a copy for each place, covered by the mean colour of the training pictures."""
    covered = np.repeat(picture[None], len(boxes), axis=0)
    cover = np.rint(np.array(feed.mean) * 255).astype(np.uint8) if feed.mean else np.uint8(128)
    for copy, (top, bottom, left, right) in zip(covered, boxes, strict=True):
        copy[top:bottom, left:right] = cover
    return covered


def overlay(picture: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8: the picture in grey, orange where it speaks for the answer, blue where against."""
    grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2) * 0.75 + 48
    most = float(np.abs(heat).max())
    share = np.abs(heat)[:, :, None] / most if most > FLAT else np.zeros((*heat.shape, 1))
    colour = np.where(heat[:, :, None] > 0, np.array(FOR, float), np.array(AGAINST, float))
    return np.rint(grey * (1 - 0.85 * share) + colour * 0.85 * share).astype(np.uint8)


def write(
    predictor: Predictor, pictures: Sequence[str | Path], output: Path, label: str | None = None
) -> list[Explained]:
    """Explain the answers to at most 40 picture files and draw them into one PNG."""
    if output.suffix.lower() != ".png":
        raise DataError(f"-o: must end in .png (got '{output}').")
    if len(pictures) > MOST:
        raise DataError(f"explain: {len(pictures)} pictures are too many for one file. Name at most {MOST}.")
    found = explain(predictor, pictures, label)
    draw(found, output)
    return found


def draw(found: Sequence[Explained], output: Path) -> None:
    """Write one PNG: for each picture a line with the picture, its heat and its best answers."""
    from lamina.evaluate.plots import canvas as _canvas

    line = 250
    with _canvas.style():
        fig = _canvas.figure(780, line * len(found) + 34)
        for i, one_ in enumerate(found):
            _line(fig, one_, i * line, len(found) * line + 34)
        told = "Orange speaks for the answer, blue against it: its odds fall, or rise, when the place is covered."
        fig.text(0.5, 12 / (line * len(found) + 34), told, ha="center", fontsize=11.5, color=_canvas.QUIET)
        fig.savefig(output, format="png", dpi=144, facecolor="white", metadata={"Software": None})


def _line(fig: object, found: Explained, above: int, height: int) -> None:
    from lamina.evaluate.markup import number
    from lamina.evaluate.plots import canvas as _canvas

    below = height - above - 250
    small = max(found.picture.shape[:2]) <= 96
    grey = found.picture.shape[2] == 1
    shown = np.repeat(found.picture, 3, axis=2) if grey else found.picture
    about = f"what speaks for {_canvas.text(found.label, 18)}"
    titles = (_canvas.text(found.name, 26) if found.name else "the picture", about)
    for k, (pixels, title) in enumerate(zip((shown, overlay(found.picture, found.heat)), titles, strict=True)):
        axes = _canvas.panel(fig, (20 + 236 * k, above + 34, 780 - 230 - 236 * k, below + 6), title)
        axes.imshow(pixels, interpolation="nearest" if small else "antialiased")
        axes.set_axis_off()
    axes = _canvas.panel(fig, (610, above + 34, 60, below + 60), "answers" if len(found.top) > 1 else "answer")
    if len(found.top) == 1:
        axes.text(0, 0.5, number(found.top[0][1]), fontsize=22, color=_canvas.ACCENT, transform=axes.transAxes)
        axes.set_axis_off()
        return
    names, chances = [_canvas.text(name, 14) for name, _ in found.top], [chance for _, chance in found.top]
    colours = [_canvas.ACCENT if name == found.label else _canvas.GREYS[2] for name, _ in found.top]
    axes.barh(range(len(names)), chances, color=colours, height=0.55)
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)), xticks=[])
    axes.set_yticklabels(names, color=_canvas.INK)
    for i, chance in enumerate(chances):
        axes.annotate(f"{chance:.1%}", (chance, i), (6, 0), textcoords="offset points", va="center", fontsize=11,
                      annotation_clip=False)  # fmt: skip
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
