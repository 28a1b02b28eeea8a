"""The six stages, in order, on one page."""

import time
from collections.abc import Callable, Iterator

from lamina import models, preprocess
from lamina.config import Interrupted
from lamina.deploy import bundle
from lamina.deploy import packaging as make
from lamina.deploy.predictor import Predictor
from lamina.evaluate import calibration as calibrate
from lamina.evaluate import finding as judge
from lamina.plugins import kind
from lamina.recipe import Recipe
from lamina.run import Run
from lamina.schema import Collected, Row
from lamina.tasks._supervised import experiment as cases
from lamina.tasks._supervised import synthetic_data as mixed
from lamina.tasks._supervised.evaluation import score
from lamina.train.device import decide
from lamina.train.fit import Home, outputs

Given = tuple[Collected | None, Collected | None]


def never() -> bool:
    return False


def run(recipe: Recipe, out: Run, given: Given = (None, None), stop: Callable[[], bool] = never) -> Iterator[Row]:
    """Train by a recipe into a run directory, going on where an earlier try stopped; the last row is the result.

    `given`: rows in memory and test rows in memory, in place of the recipe's source. `stop` is asked a few times per
    second.
    """
    start = time.perf_counter()

    # 1 collect
    case = cases.collect(recipe, *given)
    out.same_data(case.fingerprint())
    yield {"at": "collect", **case.counts(), "schema": case.schema, "notes": case.notes}

    # 2 preprocess
    prep = preprocess.fit(case.parts.train, case.schema)
    arrays, spec = case.arrays(prep), case.spec(prep)

    # 3 design
    choice = models.choice(recipe.model, spec)
    case = case.designed(choice)
    model = models.build(choice, spec, recipe.seed)
    layers = models.summary(model, spec)
    learner = models.learner(model)
    train, validation = (models.prepared(model, arrays[part]) for part in ("train", "validation"))
    models.begun(model, train, validation)
    cfg = decide(recipe.train, models.training(choice, spec), learner, train)
    more = mixed.made(case, prep, cfg, model, arrays["test"])
    out.write_recipe(case.recipe, cfg)
    yield {"at": "design", "kind": kind(choice), "layers": layers, "train": cfg}

    # 4 train
    home = Home(case.quick, recipe.seed, out.checkpoints, stop, case.warning, case.sketch(choice))
    end: Row = {}
    for end in mixed.fit(learner, mixed.Rows(train, more, validation), cfg, home):
        out.log(end)
        yield end
    models.settled(learner, train)
    case = calibrate.calibrated(case, outputs(learner, validation), validation)

    # 5 evaluate: what is judged is the bundle, exactly as it will be served
    yield {"at": "evaluate"}
    if stop():
        raise Interrupted("train: stopped after training, before the bundle was written; nothing is lost.")
    made = make.files(model, choice, prep, spec, case)
    predictor = Predictor(bundle.write(out.bundle, made))
    found = judge.Finding(case, spec, cfg, layers, end, predictor, score(predictor, case.judged))
    result = judge.write(found, arrays, out, time.perf_counter() - start)

    # 6 deploy reads the bundle, and nothing else
    bundle.write(out.bundle, make.finished(made, found, result))
    out.finish()
    yield {"at": "done", **result}
