"""The six stages, in order, on one page."""

import time
from collections.abc import Callable, Iterator

from lamina import data, models, preprocess
from lamina.config import Config, Interrupted
from lamina.data._skipped_rows import reasons
from lamina.deploy import bundle, packaging
from lamina.deploy.predictor import Predictor
from lamina.evaluate import report
from lamina.evaluate.versions import versions
from lamina.experiment import Experiment, Finding, collect
from lamina.plugins import kind
from lamina.preprocess import Preprocessor
from lamina.recipe import Recipe
from lamina.resources import memory
from lamina.run import Run, every_choice
from lamina.schema import Collected, Row
from lamina.train.device import choose, decide
from lamina.train.fit import Hooks, outputs

Rows = tuple[Collected | None, Collected | None]


STAGES = {  # where memory ran out, by the last row of a run, and what helps
    "": ("reading the rows", "Use fewer rows, or a larger machine."),
    "collect": ("preparing the rows", "Leave columns out (columns: {NAME: ignore}), or use fewer rows."),
    "design": ("training", "Use a smaller train.batch_size, a smaller network, or fewer rows."),
    "end": ("evaluation", "The training is saved: go on with --resume where more memory is free."),
}


def never() -> bool:
    return False


def design(experiment: Experiment) -> tuple[Experiment, Preprocessor, Config]:
    """With columns as the network reads them that the recipe names or that suits best; what is learned of these, and
    the settings of that network.
    """
    recipe, rows = experiment.recipe, experiment.splits.train
    prep = preprocess.fit(rows, experiment.schema)
    choice = models.choice(recipe.model, experiment.spec(prep), recipe.preset)
    designed = experiment.with_model(choice)
    same = designed.schema == experiment.schema
    return designed, prep if same else preprocess.fit(rows, designed.schema), choice


@memory.by_stage(STAGES)
def run(recipe: Recipe, out: Run, rows: Rows = (None, None), stop: Callable[[], bool] = never) -> Iterator[Row]:
    """Train by a recipe into a run directory, going on where an earlier try stopped; the last row is the result.

    `rows`: rows in memory and test rows in memory, in place of the recipe's source. `stop` is called a few times per
    second.
    """
    start = time.perf_counter()

    # 1 collect
    experiment = collect(recipe, data.read(recipe.data, *rows))
    out.same_data(experiment.fingerprint())
    statistics = preprocess.statistics(experiment.splits.train, experiment.schema, experiment.target)
    yield {
        "at": "collect", **experiment.counts(), "reasons": reasons(experiment.skipped_rows),
        "schema": experiment.schema, "notes": experiment.notes, "task": experiment.task.kind,
        "subject": experiment.subject, "statistics": statistics,
    }  # fmt: skip

    # 2 preprocess
    experiment, prep, choice = design(experiment)
    examples, spec = experiment.examples(prep), experiment.spec(prep)

    # 3 design
    model = models.build(choice, spec, recipe.seed)
    layers = models.summary(model, spec)
    network = models.learner(model)
    device = choose(recipe.train.get("device", "auto"))
    inputs = {part: models.precompute(model, rows, device) for part, rows in examples.items() if part != "test"}
    models.initialize(model, inputs["train"], inputs["validation"])
    if folds := models.folds(choice):
        inputs |= experiment.with_folds(inputs, folds)
    cfg = decide(recipe.train, models.training(choice, spec, recipe.preset), network, inputs["train"])
    hooks = Hooks(
        experiment.validate, recipe.seed, out.checkpoints, stop, experiment.warning, experiment.preview(choice),
        experiment.target_transform(),
    )  # fmt: skip
    epochs = experiment.fit(prep, model, inputs | {"test": examples["test"]}, cfg, hooks)
    out.write_recipe(experiment.recipe, cfg)
    notes = (*out.notes(), *prep.notes(experiment.splits.train))
    yield {"at": "design", "kind": kind(choice), "layers": layers, "train": cfg, "notes": notes}

    # 4 train
    end: Row = {}
    for end in epochs:
        out.log(end)
        yield end
    if cfg.budget:  # trained by the plan that came of it, the network is the same again
        cfg = cfg.with_plan(end["plan"])
        out.write_recipe(experiment.recipe, cfg)
    models.finalize(network, inputs["train"])
    experiment = experiment.calibrated(outputs(network, inputs["validation"]), inputs["validation"])

    # 5 evaluate: what is evaluated is the bundle, exactly as it will be served
    yield {"at": "evaluate"}
    if stop():
        raise Interrupted("train: stopped after training, before the bundle was written; nothing is lost.")
    experiment, files = packaging.files(model, choice, prep, spec, experiment)
    predictor = Predictor(bundle.write(out.bundle, files, type(experiment.task)))
    evaluation = experiment.evaluate(predictor, experiment.test)
    choices = every_choice(experiment.recipe, experiment.settings(), experiment.schema, cfg)
    finding = Finding(
        experiment, choices, spec, cfg, layers, end, predictor, evaluation, examples, out.rows(), out.folder,
        statistics,
    )  # fmt: skip
    result = report.write(finding, out, start)

    # 6 deploy reads the bundle, and nothing else
    bundle.write(out.bundle, packaging.finished(files, finding, result, versions()), type(experiment.task))
    out.finish(choices, result)
    yield {"at": "done", **result}
