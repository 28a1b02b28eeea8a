"""Wrong recipes and command lines, as people bring them from other tools, and what each is answered.

    python tests/mistakes.py > docs/errors.md

writes the page of them; a test compares it with what is answered now.
"""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from command_line import Done, run  # noqa: E402 - found by the line above
from conftest import customers, write_csv  # noqa: E402

BUNDLE = ROOT / "tests" / "bundles" / "classification_fnn.lamina"


class Mistake(NamedTuple):
    """A command line, the text of `recipe.yaml` before it, how many faults it has, and its exit code."""

    words: str
    recipe: str | bytes = ""
    faults: int = 1
    code: int = 1


def yaml(text: str | bytes, faults: int = 1) -> Mistake:
    return Mistake("train recipe.yaml", text, faults)


def setting(text: str, faults: int = 1) -> Mistake:
    """One more line of a recipe that is right."""
    return yaml(f"data: churn.csv\ntarget: left\n{text}\n", faults)


def option(words: str) -> Mistake:
    """More words on a command line that is right."""
    return Mistake(f"train churn.csv --target left {words}")


def usage(words: str) -> Mistake:
    return Mistake(words, code=2)


GROUPS: dict[str, tuple[Mistake, ...]] = {
    "YAML": (
        yaml("data: churn.csv\ntarget left\n"),
        yaml("data: churn.csv\ntarget:left\n"),
        yaml("data = churn.csv\ntarget = left\n"),
        yaml("data: churn.csv\n  target: left\n"),
        yaml("data: churn.csv\ntarget: left\ntrain:\n  epochs: 3\n   lr: 0.1\n"),
        yaml("data: churn.csv\ntarget: left\ntrain:\n    epochs: 3\n  lr: 0.1\n"),
        yaml("data: churn.csv\ntarget: left\ntrain:\n\tepochs: 3\n"),
        yaml("data: 'churn.csv\ntarget: left\n"),
        yaml('data: churn.csv\ntarget: "left\ntrain: {epochs: 3}\n'),
        yaml("data: churn.csv\ntarget: left\nmodel: {kind: fnn, width: 64\n"),
        yaml("data: [churn.csv\ntarget: left\n"),
        yaml("data: churn.csv\ntarget: left\nname: churn: first try\n"),
        yaml("data: churn.csv\ntarget: @left\n"),
        yaml('data: "C:\\data\\churn.csv"\ntarget: left\n'),
        yaml("data: churn.csv\ntarget: left\ntrain: {lr: 0.1}\ntrain: {epochs: 3}\n"),
        yaml("data: &file churn.csv\nalso: *file\n"),
        yaml("- data: churn.csv\n- target: left\n"),
        yaml("churn.csv\n"),
        yaml(""),
        yaml("data: churn.csv\ntarget: café\n".encode("latin-1")),
        yaml("target: left\n"),
    ),
    "Names of other tools": (
        setting("epochs: 20"),
        setting("learning_rate: 0.001"),
        setting("batch_size: 32"),
        setting("early_stopping: 5"),
        setting("weight_decay: 0.01"),
        setting("dropout: 0.2"),
        setting("optimizer: adam"),
        setting("loss: mse"),
        setting("metrics: [accuracy]"),
        setting("callbacks: [early]"),
        setting("validation_split: 0.2"),
        setting("test_size: 0.2"),
        setting("random_state: 42"),
        setting("label: left"),
        setting("hidden_layer_sizes: [64, 64]"),
        setting("layers: [64, 64]"),
        setting("time_limit: 600"),
        setting("presets: best_quality"),
        setting("problem_type: binary"),
        setting("num_workers: 4"),
        setting("imgsz: 640"),
        setting("train: {learning_rate: 0.001}"),
        setting("train: {lr0: 0.001}"),
        setting("train: {weight_decay: 0.01}"),
        setting("train: {early_stopping: true}"),
        setting("train: {loss: mse}"),
        setting("train: {shuffle: true}"),
        setting("train: {max_epochs: 3}"),
        setting("train: images/train"),
        setting("model: {kind: fnn, units: 64}"),
        setting("model: {kind: fnn, n_layers: 3}"),
        setting("model: {name: fnn}"),
        setting("columns: {plan: categorical_int}"),
        setting("columns: {plan: string}"),
        setting("columns: {plan: drop}"),
    ),
    "Values": (
        setting("train: {epochs: ten}"),
        setting("train: {epochs: 2.5}"),
        setting("train: {epochs: 0}"),
        setting('train: {batch_size: "32"}'),
        setting("train: {lr: fast}"),
        setting("train: {lr: [0.1, 0.2]}"),
        setting("train: {budget: soon}"),
        setting("train: {optimizer: rmsprop}"),
        setting("train: {optimizer: AdamW}"),
        setting("train: {optimizer: 3}"),
        setting("train: {optimizer: {lr: 0.1}}"),
        setting("train: {schedule: step}"),
        setting("train: {augment: [flip, zoom]}"),
        setting("train: {device: gpu}"),
        setting("train: {precision: fp16}"),
        setting("train: {ema: true}"),
        setting("preset: best"),
        setting("seed: random"),
        setting("seed: -1"),
        setting("missing: 5"),
        setting("split: 0.2"),
        setting("split: kfold"),
        setting("split: {validation: 20}"),
        setting("split: {validation: 0.5, test: 0.5}"),
        setting("task: binary_class"),
        setting("task: 5"),
        setting("model: resnet50"),
        setting("model: [fnn, cnn]"),
        setting("model: {kind: fnn, activation: Relu}"),
        setting("model: {kind: fnn, dropout: 1.5}"),
        setting("model: {kind: sequential, layers: [{dense: {unit: 3}}, {dens: 4}, {dropout: two}]}", 3),
        setting("model: {kind: sequential, layers: ['Dense(64)']}"),
        setting("model: {kind: sequential}"),
        setting("columns: [months, plan]"),
        setting("columns: {months: {kind: number, bins: many}}"),
        setting("model: {kind: fnn, widht: 64}\ntrain: {epocs: 3, lr: -1}", 3),
        setting("data.delimiter: ';'"),
        yaml("data: {file: churn.csv}\ntarget: left\n"),
        yaml("data: {path: churn.csv, sep: ';'}\ntarget: left\n"),
        yaml("data: 5\ntarget: left\n"),
    ),
    "Command lines": (
        usage("fit churn.csv --target left"),
        usage("test model.lamina churn.csv"),
        usage("trian churn.csv"),
        usage("train"),
        Mistake("train churn.csv"),
        Mistake("train left churn.csv"),
        Mistake("train --target churn.csv left"),
        Mistake("train chrn.csv --target left"),
        Mistake("train nothing_like_it.parquet --target left"),
        Mistake("train churn.csv --target left,charges"),
        Mistake("train churn.csv --target lft"),
        Mistake("train data.yaml"),
        Mistake("train data=churn.csv epochs=10"),
        usage("train churn.csv --target left --epoch 5"),
        usage("train churn.csv --target left --learning-rate 0.1"),
        usage("train churn.csv --target left --batch_size 32"),
        usage("train churn.csv --target left --dropout 0.2"),
        usage("train churn.csv --target left --verbose 1"),
        usage("train churn.csv --target left --gpu"),
        usage("train churn.csv --target left --epochs ten"),
        usage("train churn.csv --target left --lr"),
        option("--epochs 0"),
        option("--epochs 5 --set train.epochs=6"),
        usage("train churn.csv --target left --lr fast"),
        option("--budget soon"),
        option("--preset best_quality"),
        option("--task classify_it"),
        option("--model MLPClassifier"),
        option("--set lr=0.1"),
        option("--set train.lr"),
        option("--set train.lr:0.1"),
        option("--set learning_rate=0.1"),
        option("--set train.optimizer.lr=0.1"),
        option("--set 'model={kind: fnn'"),
        option("--set train.epochs.x=3"),
        option("--lr 1e9"),
        Mistake("train --resume nowhere"),
        usage("train churn.csv --resume runs/churn-1"),
        Mistake("predict churn.csv model.lamina -o predictions.csv"),
        usage("predict model.lamina"),
        Mistake("predict model.lamina chrn.csv -o predictions.csv"),
        Mistake("predict model.lamina churn.csv -o predictions.txt"),
        Mistake("predict nowhere churn.csv -o predictions.csv"),
        Mistake("evaluate churn.csv model.lamina"),
        usage("evaluate model.lamina"),
        Mistake("serve churn.csv"),
        usage("serve model.lamina --port http"),
        Mistake("inspect chrn.csv"),
        Mistake("init churn.csv --target left -o recipe.txt"),
        Mistake("export model.lamina -o model.pkl"),
        Mistake("models fnnn"),
        Mistake("tasks clasification"),
    ),
}

MISTAKES = [mistake for group in GROUPS.values() for mistake in group]


def prepare(folder: Path) -> None:
    """What is there when the commands are typed: a table, and a bundle."""
    write_csv(folder / "churn.csv", customers(120))
    shutil.copy(BUNDLE, folder / "model.lamina")


def answer(mistake: Mistake) -> Done:
    """What is said and returned, in the working directory; nothing but the recipe is written there."""
    text = mistake.recipe
    Path("recipe.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return run(*shlex.split(mistake.words))


INTRODUCTION = """# Errors

What is answered to mistakes of people who come from other tools: one sentence for each fault, with its place and
the cure, exit code 1, or 2 where the command line itself is wrong. Where a recipe is shown, it is trained by with
`lamina train recipe.yaml`. `python tests/mistakes.py > docs/errors.md` writes the page, and a test compares it with
what is answered now.
"""


def page(answers: list[Done]) -> str:
    """The page of all mistakes with their predictions."""
    lines, following = [INTRODUCTION], iter(answers)
    for title, mistakes in GROUPS.items():
        lines += [f"## {title}\n", "| written | answered |", "| --- | --- |"]
        lines += [f"| {_cell(_written(mistake))} | {_cell(next(following).err)} |" for mistake in mistakes]
        lines += [""]
    return "\n".join(lines)


def _written(mistake: Mistake) -> str:
    text = mistake.recipe.decode("latin-1") if isinstance(mistake.recipe, bytes) else mistake.recipe
    return text or (f"lamina {mistake.words}" if mistake.words != "train recipe.yaml" else "(an empty file)")


def _cell(text: str) -> str:
    """Lines of code in one cell of a table."""
    lines = text.rstrip().replace("\t", "→").replace("|", "\\|").splitlines()
    return "<br>".join(f"`{line.removeprefix('lamina: ')}`" for line in lines)


def answer_all(folder: Path) -> list[Done]:
    """All mistakes, one after the other, in a folder of their own."""
    with contextlib.chdir(folder):
        prepare(folder)
        return [answer(mistake) for mistake in MISTAKES]


if __name__ == "__main__":
    os.environ["COLUMNS"] = "200"
    with tempfile.TemporaryDirectory() as place:
        print(page(answer_all(Path(place))), end="")
