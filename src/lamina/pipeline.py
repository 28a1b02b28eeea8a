"""The six stages, in order, on one page."""

import time
from collections.abc import Callable, Iterator

from lamina import cases, models, preprocess
from lamina.config import kind
from lamina.deploy import bundle, make
from lamina.deploy.predictor import Predictor
from lamina.evaluate import calibrate, judge
from lamina.evaluate.score import score
from lamina.recipe import Recipe
from lamina.run import Run
from lamina.schema import Collected, Row
from lamina.train.device import decide
from lamina.train.fit import Home, fit, outputs


def never() -> bool:
    return False


def run(recipe: Recipe, out: Run, given: Collected | None = None, stop: Callable[[], bool] = never) -> Iterator[Row]:
    """Train by a recipe into a run directory, going on where an earlier try stopped; the last row is the result.

    `given`: rows in memory, in place of the recipe's source. `stop` is asked a few times per second.
    """
    start = time.perf_counter()
    case = cases.collect(recipe, given)                                         # 1 collect
    out.same_data(case.fingerprint())
    yield {"at": "collect", **case.counts(), "schema": case.schema, "notes": case.notes}
    prep = preprocess.fit(case.parts.train, case.schema)                        # 2 preprocess
    arrays, spec = case.arrays(prep), case.spec(prep)
    model = models.build(recipe.model, spec, recipe.seed)                       # 3 design
    layers = models.summary(model, spec)
    cfg = decide(recipe.train, models.training(recipe.model, spec), model, arrays["train"])
    out.write_recipe(recipe, cfg)
    yield {"at": "design", "kind": kind(recipe.model), "layers": layers, "train": cfg}
    home, end = Home(case.quick, recipe.seed, out.checkpoints, stop), {}
    for end in fit(model, arrays["train"], arrays["validation"], cfg, home):    # 4 train
        out.log(end)
        yield end
    case = calibrate.calibrated(case, outputs(model, arrays["validation"]), arrays["validation"].target)
    yield {"at": "evaluate"}
    made = make.files(model, recipe.model, prep, spec, case)
    predictor = Predictor(bundle.write(out.bundle, made))
    found = judge.Finding(case, spec, cfg, layers, end, predictor, score(predictor, case.parts.test))
    result = judge.write(found, arrays, out, time.perf_counter() - start)       # 5 evaluate
    bundle.write(out.bundle, make.finished(made, found, result))                # 6 deploy reads the bundle
    out.finish()
    yield {"at": "done", **result}
