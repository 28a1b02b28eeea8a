"""What there is to see of images: augmented ones, the worst and the most confused answers, heat maps, duplicates."""

import time
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lamina import train
from lamina.evaluate.images import duplicates, image_files, occlusion
from lamina.evaluate.images.thumbnails import figure, grid, percent, shot, text, under, words
from lamina.evaluate.markup import number
from lamina.experiment import Finding
from lamina.preprocess import image, settings
from lamina.preprocess.image import codec
from lamina.schema import Row

WORST, PAIRS, EACH, SHEET, VIEWS, HEATS, TWINS = 24, 12, 4, 6, 7, 4, 8
MAX_SECONDS = 10.0  # for heat maps; a large network explains fewer images
MAX_PAIRS = 1000  # of duplicates in the facts


class _Images(NamedTuple):
    """The first column of images of a run: its name, that of its input, and how a person writes the true answer of a
    row of a part.
    """

    finding: Finding
    column: str
    input_name: str
    label: Callable[[str, int], str]

    @property
    def task(self) -> Any:
        return self.finding.experiment.task

    @property
    def seed(self) -> int:
        return self.finding.experiment.recipe.seed

    def of(self, part: str) -> np.ndarray:
        """(rows, height, width, channels) of a part."""
        return np.asarray(self.finding.examples[part].inputs[self.input_name])

    def target(self, part: str) -> np.ndarray:
        """Targets of a part as a network is fed."""
        return np.asarray(self.finding.examples[part].target)

    def answer(self, row: int) -> tuple[str, float | None]:
        """The answer to a test image as a person writes it, and how sure it is."""
        value, chance = self.task.spoken(self.finding.evaluation.answers, row)
        return text(value), chance

    def file(self, part: str, row: int) -> str:
        """The name of the file an image came from, where it is known."""
        path = self._cells(part, row, 1).field("path")[0].as_py()
        return PurePath(path).name if path and not path.startswith(image.ADDRESS) else ""

    def files(self, part: str) -> image_files.ImageFiles:
        """The files of a part."""
        return image_files.of(self._cells(part, 0, None), codec.MOST_PIXELS)

    def _cells(self, part: str, first: int, count: int | None) -> pa.StructArray:
        column = next(c for c in self.finding.session.prep.columns if c.name == self.column)
        cells = self.finding.experiment.splits._asdict()[part][self.column].slice(first, count).combine_chunks()
        return image.parse(cells, image.Config.model_validate(settings(column)))


def pieces(finding: Finding) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name; both are empty when the data has no images.

    `augmented`, `duplicates`, and where each image has one answer `worst`, `confused`, `heat`.
    """
    task, answers = finding.experiment.task, finding.evaluation.answers

    def label(part: str, row: int) -> str:
        return text(task.label(task.truth(np.asarray(finding.examples[part].target)[row : row + 1])[0]))

    images = _images(finding, label)
    if images is None:
        return {}, {}
    excluding = task.chances(answers) is not None
    facts, parts = training_pieces(finding, label, task.truth(images.target("train")) if excluding else None)
    losses = task.losses(answers, finding.evaluation.target)
    if losses is not None:  # one answer to each image
        facts["losses"], parts["worst"] = _worst(images, losses)
        facts["confused"], parts["confused"] = _confused(images)
        parts["heat"] = _heat(images)
    return facts, {name: piece for name, piece in parts.items() if piece}


def training_pieces(
    finding: Finding, label: Callable[[str, int], str], codes: np.ndarray | None
) -> tuple[Row, dict[str, str]]:
    """What there is to see of images whatever is answered: `augmented` ones, and `duplicates` across the parts.

    `label(part, row)`: what a person calls an image; `codes`: the class of each training image, where it has one.
    """
    images = _images(finding, label)
    if images is None:
        return {}, {}
    height, width, channels = images.of("train").shape[1:]
    facts: Row = {"column": images.column, "height": height, "width": width, "channels": channels}
    facts["duplicates"], twins = _duplicates(images)
    parts = {"augmented": _augmented(images, finding.cfg.augment, codes), "duplicates": twins}
    return facts, {name: piece for name, piece in parts.items() if piece}


def _images(finding: Finding, label: Callable[[str, int], str]) -> _Images | None:
    prep = finding.session.prep
    columns = [(column, name) for column, name in prep.file_inputs.items() if prep.inputs[name].kind == "image"]
    return _Images(finding, *columns[0], label) if columns else None


def _worst(images: _Images, losses: np.ndarray) -> tuple[list[Row], str]:
    """The test images with the highest loss, the worst first."""
    rows, figures = list[Row](), list[str]()
    for row in np.argsort(-losses, kind="stable")[:WORST].tolist():
        answer, chance = images.answer(row)
        actual, file, loss = images.label("test", row), images.file("test", row), float(losses[row])
        rows.append({"row": row, "file": file or None, "actual": actual, "predicted": answer,
                     "probability": chance, "loss": loss})  # fmt: skip
        sure = f" <b>{percent(chance)}</b>" if chance is not None else ""
        caption = f"<b>{words(actual)}</b><br>taken for {words(answer)}{sure}"
        if actual == answer:
            caption = f"<b>{words(actual)}</b><br>right, with {sure}"
        caption += f'<br><span class="path">{"loss" if chance is not None else "off by"} {number(loss)}</span>'
        caption += f'<br><span class="path">{words(file, 60)}</span>' if file else ""
        alt = f"test image {file or row + 1}: {actual}, predicted {answer}"
        figures.append(figure([shot(images.of("test")[row], alt)], caption))
    lead = f"The {len(rows)} test images with the highest loss, the worst first: look for wrong labels among them."
    return rows, under("Top losses", lead, grid(figures))


def _confused(images: _Images) -> tuple[list[Row], str]:
    """The pairs of classes that are mistaken most often, each with the images it was surest of."""
    evaluation, classes = images.finding.evaluation, images.task.classes
    chances = images.task.chances(evaluation.answers)
    if chances is None:
        return [], ""
    actual, predicted = evaluation.target.astype(int), chances.argmax(axis=1)
    counts = np.zeros((len(classes),) * 2, np.int64)
    np.add.at(counts, (actual, predicted), 1)
    of = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    pairs, figures = list[Row](), list[str]()
    for cell in np.argsort(-counts, axis=None, kind="stable")[:PAIRS].tolist():
        a, p = divmod(cell, len(classes))
        if not counts[a, p]:
            break
        rows = np.flatnonzero((actual == a) & (predicted == p))
        rows = rows[np.argsort(-chances[rows, p], kind="stable")][:EACH].tolist()
        pairs.append({"actual": classes[a], "predicted": classes[p], "count": int(counts[a, p]), "of": int(of[a])})
        caption = f"<b>{words(classes[a])}</b> taken for <b>{words(classes[p])}</b><br>{counts[a, p]:,} of {of[a]:,}"
        alt = f"{classes[a]} that was taken for {classes[p]}"
        figures.append(figure([shot(images.of("test")[row], alt, 96) for row in rows], caption, "four"))
    lead = "What is mistaken for what, most often first, with the images it was surest of."
    return pairs, under("The most confused classes", lead, grid(figures, "wide"))


def _augmented(images: _Images, steps: Sequence[Any], codes: np.ndarray | None) -> str:
    """Training images after augmentation, exactly as the network sees them; without, as they are."""
    rng = np.random.default_rng(images.seed)
    order = rng.permutation(len(images.target("train")))
    rows = (order if codes is None else _by_class(order, codes))[: SHEET if steps else 3 * SHEET]
    rows = rows[np.argsort([images.label("train", row) for row in rows.tolist()], kind="stable")]
    pixels = np.stack([images.of("train")[row] for row in rows])
    labels = [images.label("train", row) for row in rows.tolist()]
    if not steps:
        shots = [
            figure([shot(one, f"training image: {name}")], words(name))
            for one, name in zip(pixels, labels, strict=True)
        ]
        return under("Training images", "As the network sees them: nothing is changed in training.", grid(shots))
    examples = images.finding.examples["train"]
    inputs = {name: np.stack([values[row] for row in rows]) for name, values in examples.inputs.items()}
    target = images.target("train")[rows]
    epochs = train.image_augmentation.views(inputs, target, steps, images.seed, VIEWS)
    strips = []
    for i, name in enumerate(labels):
        first = shot(pixels[i], f"training image: {name}", 96)
        rest = [shot(view[i], f"{name}, changed for training, {k} of {VIEWS}", 96) for k, view in enumerate(epochs, 1)]
        strips.append(figure([first, *rest], words(name), "strip"))
    names = ", ".join(step.kind.replace("_", " ") for step in steps)
    lead = f"The image itself, then {VIEWS} ways the network sees it in training ({words(names, 200)})."
    return under("Training images after augmentation", lead, grid(strips, "strips"))


def _by_class(order: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The same rows, one of each class after the other."""
    turn = np.zeros(len(order), np.int64)  # how many of the same class come before
    for code in np.unique(codes):
        own = np.flatnonzero(codes[order] == code)
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn, kind="stable")]


def _heat(images: _Images) -> str:
    """Occlusion maps of a few right and a few wrong predictions."""
    evaluation, session = images.finding.evaluation, images.finding.session
    rows = np.arange(len(evaluation.target))
    np.random.default_rng(images.seed).shuffle(rows)
    chances = images.task.chances(evaluation.answers)
    groups = {"": rows[:HEATS]}
    if chances is not None:
        right = chances.argmax(axis=1)[rows] == evaluation.target[rows]
        groups = {"right": rows[right][:HEATS], "wrong": rows[~right][:HEATS]}
    most = max(map(len, groups.values()), default=0)
    turns = [(word, int(g[k])) for k in range(most) for word, g in groups.items() if k < len(g)]
    test, figures, start = images.finding.examples["test"].inputs, {word: [] for word in groups}, time.perf_counter()
    for word, row in turns:
        if time.perf_counter() - start > MAX_SECONDS:
            break
        inputs = {name: np.array(values[row : row + 1]) for name, values in test.items()}
        explanation = occlusion.explain_row(session, inputs, images.column)
        actual, (answer, chance) = images.label("test", row), images.answer(row)
        caption = f"<b>{words(actual)}</b><br>predicted {words(answer)}"
        if chance is not None:
            wrong = f", taken for <b>{words(answer)}</b>" if word == "wrong" else ""
            caption = f"<b>{words(actual)}</b>{wrong}<br>{word}, {percent(chance)} sure"
        overlay = occlusion.overlay(explanation.image, explanation.heat)
        pair = [shot(explanation.image, f"test image: {actual}"),
                shot(overlay, f"heat map of the prediction {answer}")]  # fmt: skip
        figures[word].append(figure(pair, caption, "two"))
    lead = "Each place of an image was covered in turn. Orange: the odds of the prediction fall. Blue: they rise."
    return under("Occlusion maps", lead, grid([f for group in figures.values() for f in group], "wide"))


def _duplicates(images: _Images) -> tuple[Row, str]:
    """Test and validation images that are training images too; a sentence says how many."""
    pairs, sentences = list[Row](), list[str]()
    for part in ("test", "validation"):
        files = images.files(part), images.files("train")
        matches = duplicates.find(images.of(part), images.of("train"), images.seed, files)
        own = [{"part": part, **pair._asdict(), **_labels(images, part, pair)} for pair in matches.pairs]
        sentences.append(_sentence(part, matches, sum(p["label"] != p["training_label"] for p in own)))
        pairs += own
    facts: Row = {"sentence": " ".join(sentences), "pairs": pairs[:MAX_PAIRS]}
    if not pairs:
        return facts, ""
    kind = "callout" if pairs[0]["part"] == "test" else "quiet lead"
    first = sorted(pairs, key=lambda p: p["label"] == p["training_label"])[:TWINS]
    sentence = f'<p class="{kind}">{words(facts["sentence"], 900)}</p>'
    return facts, sentence + grid([_twins(images, pair) for pair in first], "wide")


def _labels(images: _Images, part: str, pair: duplicates.Pair) -> Row:
    return {"label": images.label(part, pair.row), "training_label": images.label("train", pair.training_row)}


def _twins(images: _Images, pair: Row) -> str:
    part, ours, theirs = pair["part"], pair["label"], pair["training_label"]
    caption = f"<b>{words(ours)}</b> in {part}, <b>{words(theirs)}</b> in training"
    caption = f"both <b>{words(ours)}</b>" if ours == theirs else caption
    files = [f for f in (images.file(part, pair["row"]), images.file("train", pair["training_row"])) if f]
    caption += f"<br>{'the same file' if pair['exact'] else 'nearly the same'}"
    caption += f'<br><span class="path">{words(" and ".join(files), 90)}</span>' if files else ""
    shots = [
        shot(images.of(part)[pair["row"]], f"{part} image: {ours}"),
        shot(images.of("train")[pair["training_row"]], f"training image: {theirs}"),
    ]
    return figure(shots, caption, "two")


def _sentence(part: str, matches: duplicates.Duplicates, unequal: int) -> str:
    """How many images of a part are training images too, and what that means."""
    of = f"{matches.compared:,} {part} images" + ("" if matches.compared == matches.rows else " that were looked at")
    if not matches.pairs:
        return f"None of the {of} is a training image, exactly or nearly."
    count, exact = len(matches.pairs), sum(pair.exact for pair in matches.pairs)
    are = "is a training image" if count == 1 else "are training images"
    how = f"{exact:,} exactly, {count - exact:,} nearly"
    flat = (
        f" {matches.flat:,} of them {'is' if matches.flat == 1 else 'are'} of a single colour." if matches.flat else ""
    )
    meaning = " For these the scores measure memory and not skill." if part == "test" else ""
    worse = (
        f" {unequal:,} of these pairs {'has' if unequal == 1 else 'have'} different labels: one of the two is wrong,"
        " so nothing can answer both right."
    )
    return f"{count:,} of the {of} {are} too ({how}).{flat}{worse if unequal else ''}{meaning}"
