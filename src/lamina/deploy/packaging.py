"""From a trained network to a bundle: export, golden rows, the card, all written in one go."""

from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.torch import save
from torch import nn

from lamina import models
from lamina.config import Config, TrainingError
from lamina.deploy import bundle
from lamina.deploy import onnx_export as export
from lamina.deploy.predictor import forecast, from_json, json_rows, onnx_runtime
from lamina.evaluate.finding import Finding, versions
from lamina.experiment import Case
from lamina.plugins import kind
from lamina.preprocess import Preprocessor
from lamina.recipe import plain
from lamina.schema import Row, Spec, clean
from lamina.tasks.forecasting.experiment import Ahead
from lamina.tasks.generation import critic
from lamina.tasks.generation import sampling as requested
from lamina.tasks.generation.experiment import Originals

GOLDEN = 24


def files(model: nn.Module, choice: Config, prep: Preprocessor, spec: Spec, case: Case) -> dict[str, bytes]:
    """The files of a bundle; `finished` adds how it was made and what it is worth."""
    task_cfg, state = case.task_cfg, case.state
    weights = save({k: v.detach().cpu().clone().contiguous() for k, v in model.state_dict().items()})
    lean = spec.model_copy(update={"rows": 0})
    config = choice.model_dump(mode="json")
    rows, encoded = _tried(case, prep, config)
    graph, reason = export.onnx(model.get_submodule("generator") if isinstance(case, Originals) else model, encoded)
    if graph is None and models.graph_only(kind(choice)):
        raise TrainingError(
            f"bundle: no exporter could write this network as a graph ({reason}), and nothing else would open the "
            "bundle elsewhere. Use another backbone, or an .onnx file of this one."
        )
    run = onnx_runtime(graph) if graph else models.runtime(kind(choice), config, lean, weights)
    own, scored = _critic(model, prep, case) if isinstance(case, Originals) else (None, None)
    state = state.model_copy(update={"critic": own.state.critic}) if own else state
    made = {
        "model.json": bundle.encode(
            {
                "kind": kind(choice),
                "config": config,
                "spec": lean.model_dump(mode="json"),
                "runtime": "onnx" if graph else "torch",
                "reason": reason,
            }
        ),
        "weights.safetensors": weights,
        "preprocess.json": bundle.encode(prep.dump()),
        "schema.json": bundle.encode(prep.schema.model_dump(mode="json")),
        "task.json": bundle.encode(
            {
                "kind": kind(task_cfg),
                "config": task_cfg.model_dump(mode="json"),
                "state": state.model_dump(mode="json"),
            }
        ),
    }
    made |= {name: body for name, body in (("model.onnx", graph), ("critic.onnx", scored)) if body}
    of = {name: bundle.digest(made[name]) for name in bundle.BOUND if name in made}
    made |= {"training.json": bundle.encode({}), "CARD.md": b""}
    answers = _answers(run, case, prep, rows, encoded, own)
    made["golden.json"] = bundle.encode({"of": of, "rows": rows, "answers": answers})
    return made


def _tried(case: Case, prep: Preprocessor, config: dict[str, Any]) -> tuple[list[Row], dict[str, np.ndarray]]:
    """Golden rows, and what a network is fed when its graph is compared with it."""
    if isinstance(case, Originals):
        rows = case.golden()
        inputs = {"noise": requested.noise([row["seed"] for row in rows], config["latent"])}
        names = [row.get(case.about) for row in rows]
        if case.state.classes:
            inputs["condition"] = requested.codes(names, case.state.classes, case.about)
        return rows, inputs
    if isinstance(case, Ahead):
        return case.golden(prep), case.sample(prep)
    rows = golden_rows(case.parts.train, prep)
    return rows, prep.encode(clean(from_json(rows, prep), prep.schema.missing))


def _critic(model: nn.Module, prep: Preprocessor, case: Originals) -> tuple[critic.Critic | None, bytes | None]:
    """The critic of a generator that has one, which knows how it scores held-out real rows, and its graph."""
    judge = models.judge(model)
    if judge is None:
        return None, None
    real = case.part(case.parts.validation, prep)
    codes = np.asarray(real.target)
    ((name, originals),) = ((name, np.asarray(v)) for name, v in real.inputs.items() if name != "condition")
    some = critic.Critic(None, name, case.state, np.zeros(0)).fed(originals[: critic.GOLDEN], codes[: critic.GOLDEN])
    graph, _ = export.onnx(judge, some)
    return (critic.learned(onnx_runtime(graph), name, case.state, originals, codes), graph) if graph else (None, None)


def _answers(
    run: Any, case: Case, prep: Preprocessor, rows: list[Row], encoded: dict[str, np.ndarray], own: critic.Critic | None
) -> list[Any]:
    """What the bundle answers to its golden rows."""
    if isinstance(case, Originals):
        found = next(iter(run(encoded).values()))
        codes = encoded["condition"][:, 0] if "condition" in encoded else np.full(len(found), -1)
        scores = critic.golden(own, found, codes, prep.schema) if own else ()
        return requested.golden(found, case.state.columns, scores)
    if isinstance(case, Ahead):
        cells = clean(from_json(rows, prep), prep.schema.missing)
        return json_rows(forecast(run, case.task, case.state, prep, cells).answers)
    return json_rows(case.task.table(case.task.decode(run(encoded), case.state), case.state))


def golden_rows(train: pa.Table, prep: Preprocessor) -> list[dict[str, Any]]:
    """Rows to test a bundle with: values of training rows, shuffled within each column or made up by its kind, so
    that nobody's row leaves with the bundle; then one row without any value, one of values never seen, and
    one of each text that means missing.
    """
    rng = np.random.Generator(np.random.PCG64(0))
    names = [c.name for c in prep.used]
    picked: dict[str, list[Any]] = {}
    for name in names:
        chosen = rng.choice(train.num_rows, GOLDEN, replace=train.num_rows < GOLDEN)
        values = train[name].take(pa.array(chosen)).combine_chunks()
        made = prep.golden(name, values, rng)
        picked[name] = made or [row[name] for row in json_rows(pa.table({name: values}))]
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*picked.values(), strict=True)]
    return [*rows, *(dict.fromkeys(names, text) for text in (None, "never seen", *prep.schema.missing))]


def finished(made: dict[str, bytes], finding: Finding, result: dict[str, Any]) -> dict[str, bytes]:
    """The files with `training.json` (recipe, data, scores, versions) and the card for people."""
    case = finding.case
    training = {
        "recipe": plain(case.recipe) | {"train": finding.cfg.model_dump(mode="json", exclude_none=True)},
        "data": {"fingerprint": case.fingerprint(), "rows": case.counts()},
        "scores": result["scores"],
        "baselines": result["baselines"],
        "best": {"epoch": finding.end["best_epoch"], "weights": finding.end["best_weights"]},
        "versions": versions(),
    }
    scores = [f"| {name} | {value:.4g} |" for name, value in result["scores"].items() if value is not None]
    columns = [c.name for c in finding.predictor.bundle.prep.used]
    lines = [
        f"# {case.about}",
        "",
        result["verdict"],
        "",
        "| score on rows never seen in training | |",
        "| --- | --- |",
        *scores,
        "",
        f"Trained on {case.counts()['train']:,} rows. Columns: {', '.join(columns)}.",
        "",
        "Open it with `lamina predict`, `lamina serve`, or `lamina.load` in Python. The files are data only; the",
        "golden rows are values of the training data shuffled within their columns, not anybody's row.",
    ]
    return made | {"training.json": bundle.encode(training), "CARD.md": ("\n".join(lines) + "\n").encode()}
