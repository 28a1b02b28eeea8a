"""What there is to see of pictures: augmented ones, the worst and the most confused answers, heat maps, duplicates."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow.compute as pc

from lamina.deploy.predictor import Predictor
from lamina.evaluate.images import duplicates
from lamina.evaluate.images import occlusion as explain
from lamina.evaluate.images.thumbnails import figure, grid, percent, shot, under, words
from lamina.evaluate.markup import number
from lamina.experiment import Case
from lamina.preprocess import image, settings
from lamina.schema import Row
from lamina.train.image_augmentation import views
from lamina.train.settings import Data

WORST, PAIRS, EACH, SHEET, VIEWS, HEATS, TWINS = 24, 12, 4, 6, 7, 4, 8
SECONDS = 10.0  # for heat maps; a large network explains fewer pictures


@dataclass(frozen=True)
class _Seen:
    """A picture column of a run: its arrays and files by part, labels, answers."""

    case: Case
    predictor: Predictor
    arrays: Mapping[str, Data]
    column: str
    name: str
    target: np.ndarray
    answers: Mapping[str, np.ndarray]

    def pictures(self, part: str) -> np.ndarray:
        return np.asarray(self.arrays[part].inputs[self.name])

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.case.state.model_dump().get("classes", ()))

    def label(self, part: str, row: int) -> str:
        """The true answer of a row, as a person writes it."""
        truth = self.case.task.truth(self.arrays[part].target[row : row + 1], self.case.state)[0]
        if np.ndim(truth):  # several labels at once
            return ", ".join(np.array(self.classes, object)[np.asarray(truth) > 0]) or "none"
        return self.classes[int(truth)] if self.classes else number(float(truth))

    def file(self, part: str, row: int) -> str:
        """The name of the file a picture came from, where it is known."""
        prep = self.predictor.bundle.prep
        column = next(c for c in prep.used if c.name == self.column)
        cell = self.case.parts._asdict()[part][self.column].slice(row, 1).combine_chunks()
        path = pc.struct_field(image.parse(cell, image.Config.model_validate(settings(column))), [0])[0].as_py()
        return PurePath(path).name if path and not path.startswith(image.ADDRESS) else ""


def made(
    case: Case, predictor: Predictor, score: Mapping[str, Any], arrays: Mapping[str, Data], steps: Sequence[Any]
) -> tuple[Row, dict[str, str]]:
    """Facts for `report.json` and pieces of the page by name; both are empty when the data has no pictures."""
    columns = predictor.bundle.prep.pictures
    if not columns:
        return {}, {}
    column, name = next(iter(columns.items()))
    seen = _Seen(case, predictor, arrays, column, name, score["target"], score["answers"])
    height, width, channels = seen.pictures("train").shape[1:]
    facts: Row = {"column": column, "height": height, "width": width, "channels": channels}
    facts["duplicates"], pieces = _twins(seen)
    found = {"augmented": _sheet(seen, steps)}
    if seen.target.ndim == 1:  # one answer to each picture
        facts["losses"], found["worst"] = _losses(seen)
        facts["confused"], found["confused"] = _confused(seen)
        found["heat"] = _heats(seen)
    return facts, {name: piece for name, piece in {**found, **pieces}.items() if piece}


def _loss(seen: _Seen) -> np.ndarray:
    """(rows,) log loss, or the absolute error of a number."""
    if "probabilities" in seen.answers:
        own = seen.answers["probabilities"][np.arange(len(seen.target)), seen.target.astype(int)]
        return -np.log(np.maximum(own, 1e-15))
    return np.abs(seen.answers["prediction"] - seen.target)


def _predicted(seen: _Seen, row: int) -> tuple[str, float | None]:
    if "probabilities" not in seen.answers:
        return number(float(seen.answers["prediction"][row])), None
    chances = seen.answers["probabilities"][row]
    return seen.classes[int(chances.argmax())], float(chances.max())


def _losses(seen: _Seen) -> tuple[list[Row], str]:
    """The test pictures with the highest loss, the worst first."""
    loss = _loss(seen)
    found, figures = [], []
    for row in np.argsort(-loss, kind="stable")[:WORST].tolist():
        predicted, chance = _predicted(seen, row)
        actual, file = seen.label("test", row), seen.file("test", row)
        found.append({"row": row, "file": file or None, "actual": actual, "predicted": predicted,
                      "probability": chance, "loss": float(loss[row])})  # fmt: skip
        sure = f" <b>{percent(chance)}</b>" if chance is not None else ""
        told = f"<b>{words(actual)}</b><br>taken for {words(predicted)}{sure}"
        if actual == predicted:
            told = f"<b>{words(actual)}</b><br>right, with {sure}"
        told += f'<br><span class="path">{"loss" if chance is not None else "off by"} {number(float(loss[row]))}</span>'
        told += f'<br><span class="path">{words(file, 60)}</span>' if file else ""
        alt = f"test picture {file or row + 1}: {actual}, predicted {predicted}"
        figures.append(figure([shot(seen.pictures("test")[row], alt)], told))
    lead = f"The {len(found)} test pictures with the highest loss, the worst first: look for wrong labels among them."
    return found, under("The worst answers", lead, grid(figures))


def _confused(seen: _Seen) -> tuple[list[Row], str]:
    """The pairs of classes that are mistaken most often, each with the pictures it was surest of."""
    if not seen.classes:
        return [], ""
    chances, actual = seen.answers["probabilities"], seen.target.astype(int)
    predicted = chances.argmax(axis=1)
    counts = np.zeros((len(seen.classes),) * 2, np.int64)
    np.add.at(counts, (actual, predicted), 1)
    of = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    found, figures = [], []
    for cell in np.argsort(-counts, axis=None, kind="stable")[:PAIRS].tolist():
        a, p = divmod(cell, len(seen.classes))
        if not counts[a, p]:
            break
        rows = np.flatnonzero((actual == a) & (predicted == p))
        rows = rows[np.argsort(-chances[rows, p], kind="stable")][:EACH].tolist()
        names = seen.classes[a], seen.classes[p]
        found.append({"actual": names[0], "predicted": names[1], "count": int(counts[a, p]), "of": int(of[a])})
        told = f"<b>{words(names[0])}</b> taken for <b>{words(names[1])}</b><br>{counts[a, p]:,} of {of[a]:,}"
        alt = f"{names[0]} that was taken for {names[1]}"
        figures.append(figure([shot(seen.pictures("test")[row], alt, 96) for row in rows], told, "four"))
    lead = "What is mistaken for what, most often first, with the pictures it was surest of."
    return found, under("The most confused classes", lead, grid(figures, "wide"))


def _sheet(seen: _Seen, steps: Sequence[Any]) -> str:
    """Training pictures after augmentation, exactly as the network sees them; without, as they are."""
    rng = np.random.default_rng(seen.case.recipe.seed)
    rows = _by_class(seen, rng, SHEET if steps else 3 * SHEET)
    rows = rows[np.argsort([seen.label("train", row) for row in rows.tolist()], kind="stable")]
    pictures = np.stack([seen.pictures("train")[row] for row in rows])
    labels = [seen.label("train", row) for row in rows.tolist()]
    if not steps:
        shots = [
            figure([shot(p, f"training picture: {name}")], words(name))
            for p, name in zip(pictures, labels, strict=True)
        ]
        return under("Training pictures", "As the network sees them: nothing is changed in training.", grid(shots))
    inputs = {name: np.stack([values[row] for row in rows]) for name, values in seen.arrays["train"].inputs.items()}
    changed = views(inputs, seen.arrays["train"].target[rows], steps, seen.case.recipe.seed, VIEWS)
    strips = []
    for i, name in enumerate(labels):
        first = shot(pictures[i], f"training picture: {name}", 96)
        rest = [shot(view[i], f"{name}, changed for training, {k} of {VIEWS}", 96) for k, view in enumerate(changed, 1)]
        strips.append(figure([first, *rest], words(name), "strip"))
    names = ", ".join(step.kind.replace("_", " ") for step in steps)
    lead = f"The picture itself, then {VIEWS} ways the network sees it in training ({words(names, 200)})."
    return under("Training pictures after augmentation", lead, grid(strips, "strips"))


def _by_class(seen: _Seen, rng: np.random.Generator, count: int) -> np.ndarray:
    """Rows of a few training pictures, of different classes where there are any."""
    truth = seen.case.task.truth(seen.arrays["train"].target, seen.case.state)
    order = rng.permutation(len(truth))
    if not seen.classes or truth.ndim > 1:
        return order[:count]
    turn = np.zeros(len(order), np.int64)  # how many of the same class come before
    for code in np.unique(truth):
        own = np.flatnonzero(truth[order] == code)
        turn[own] = np.arange(len(own))
    return order[np.argsort(turn, kind="stable")][:count]


def _heats(seen: _Seen) -> str:
    """A few right and a few wrong answers beside what they hang on."""
    rows = np.arange(len(seen.target))
    rng = np.random.default_rng(seen.case.recipe.seed)
    rng.shuffle(rows)
    groups = {"": rows[:HEATS]}
    if seen.classes:
        right = seen.answers["probabilities"].argmax(axis=1)[rows] == seen.target[rows]
        groups = {"right": rows[right][:HEATS], "wrong": rows[~right][:HEATS]}
    most = max(map(len, groups.values()), default=0)
    turns = [(word, int(g[k])) for k in range(most) for word, g in groups.items() if k < len(g)]
    inputs, figures, start = seen.arrays["test"].inputs, {word: [] for word in groups}, time.perf_counter()
    for word, row in turns:
        if time.perf_counter() - start > SECONDS:
            break
        fed = {name: np.array(values[row : row + 1]) for name, values in inputs.items()}
        found = explain.one(seen.predictor, fed, seen.column)
        actual, (predicted, chance) = seen.label("test", row), _predicted(seen, row)
        told = f"<b>{words(actual)}</b><br>predicted {words(predicted)}"
        if chance is not None:
            wrong = f", taken for <b>{words(predicted)}</b>" if word == "wrong" else ""
            told = f"<b>{words(actual)}</b>{wrong}<br>{word}, {percent(chance)} sure"
        pair = [shot(found.picture, f"test picture: {actual}"),
                shot(explain.overlay(found.picture, found.heat), f"heat map of the answer {predicted}")]  # fmt: skip
        figures[word].append(figure(pair, told, "two"))
    lead = (
        "Each place of a picture was covered in turn. Orange: the odds of the answer fall without it. Blue: they rise."
    )
    return under("What answers hang on", lead, grid([f for group in figures.values() for f in group], "wide"))


def _twins(seen: _Seen) -> tuple[Row, dict[str, str]]:
    """Test and validation pictures that are training pictures too; a sentence says how many."""
    pairs: list[Row] = []
    sentences = []
    for part in ("test", "validation"):
        found = duplicates.find(seen.pictures(part), seen.pictures("train"), seen.case.recipe.seed)
        mine = [{"part": part, **pair._asdict(), **_labels(seen, part, pair)} for pair in found.pairs]
        sentences.append(_sentence(part, found, sum(p["label"] != p["training_label"] for p in mine)))
        pairs += mine
    facts: Row = {"told": " ".join(sentences), "pairs": pairs[:1000]}
    if not pairs:
        return facts, {}
    kind = "callout" if pairs[0]["part"] == "test" else "quiet lead"
    first = sorted(pairs, key=lambda p: p["label"] == p["training_label"])[:TWINS]
    told = f'<p class="{kind}">{words(facts["told"], 900)}</p>'
    return facts, {"duplicates": told + grid([_twin(seen, pair) for pair in first], "wide")}


def _labels(seen: _Seen, part: str, pair: duplicates.Pair) -> Row:
    return {"label": seen.label(part, pair.row), "training_label": seen.label("train", pair.training_row)}


def _twin(seen: _Seen, pair: Row) -> str:
    part, ours, theirs = pair["part"], pair["label"], pair["training_label"]
    told = f"<b>{words(ours)}</b> in {part}, <b>{words(theirs)}</b> in training"
    told = f"both <b>{words(ours)}</b>" if ours == theirs else told
    files = [f for f in (seen.file(part, pair["row"]), seen.file("train", pair["training_row"])) if f]
    told += f"<br>{'the same pixels' if pair['exact'] else 'nearly the same'}"
    told += f'<br><span class="path">{words(" and ".join(files), 90)}</span>' if files else ""
    pictures = [
        shot(seen.pictures(part)[pair["row"]], f"{part} picture: {ours}"),
        shot(seen.pictures("train")[pair["training_row"]], f"training picture: {theirs}"),
    ]
    return figure(pictures, told, "two")


def _sentence(part: str, found: duplicates.Found, unequal: int) -> str:
    """How many pictures of a part are training pictures too, and what that means."""
    of = f"{found.looked:,} {part} pictures" + ("" if found.looked == found.rows else " that were looked at")
    if not found.pairs:
        return f"None of the {of} is a training picture, exactly or nearly."
    count, exact = len(found.pairs), sum(pair.exact for pair in found.pairs)
    are = "is a training picture" if count == 1 else "are training pictures"
    how = f"{exact:,} exactly, {count - exact:,} nearly"
    flat = f" {found.flat:,} of them {'is' if found.flat == 1 else 'are'} of a single colour." if found.flat else ""
    meaning = " For these the scores measure memory and not skill." if part == "test" else ""
    worse = (
        f" {unequal:,} of these pairs {'has' if unequal == 1 else 'have'} different labels: one of the two is wrong,"
        " so nothing can answer both right."
    )
    return f"{count:,} of the {of} {are} too ({how}).{flat}{worse if unequal else ''}{meaning}"
