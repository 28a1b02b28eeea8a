"""From a trained network to a bundle: graphs, golden rows, the card, all written in one go."""

from collections.abc import Mapping, Sequence
from typing import Any

from safetensors.torch import save
from torch import nn

from lamina import models
from lamina.config import Config, TrainingError
from lamina.deploy import bundle, onnx_export
from lamina.deploy.bundle.card import markdown
from lamina.deploy.onnx_runtime import onnx_runtime
from lamina.deploy.session import Session
from lamina.experiment import Experiment, Finding
from lamina.plugins import kind
from lamina.preprocess import Preprocessor
from lamina.resources import memory
from lamina.schema import Row, Spec

EPOCHS = 5_000  # of the history that a bundle keeps
EXPORT_BYTES = 1 << 27  # exporters end the process where they get less
CARD = b"# Not evaluated yet\n\nThis run ended before its report was written: go on with `lamina train --resume`.\n"


def files(
    model: nn.Module, choice: Config, prep: Preprocessor, spec: Spec, experiment: Experiment
) -> tuple[Experiment, dict[str, bytes]]:
    """The files of a bundle, and the experiment with what its task learned from the graphs it serves.

    `finished` adds how the bundle was made and what it is worth.
    """
    memory.require(EXPORT_BYTES)
    weights = save({k: v.detach().cpu().clone().contiguous() for k, v in models.weights(model).items()})
    lean = spec.model_copy(update={"rows": 0})
    config = choice.model_dump(mode="json")
    golden = experiment.golden(prep, choice)
    varying = {
        name: tuple(axis for axis, n in enumerate(feed.shape, 1) if n is None) for name, feed in spec.inputs.items()
    }
    graphs, reason = _graphs(model, golden.inputs, {name: axes for name, axes in varying.items() if axes})
    if "model" not in graphs and models.is_graph_only(kind(choice)):
        raise TrainingError(
            f"bundle: no exporter could write this network as a graph ({reason}), and nothing else would open the "
            "bundle elsewhere. Use another backbone, or an .onnx file of this one."
        )
    runs = {name: onnx_runtime(graph, file=f"{name}.onnx") for name, graph in graphs.items()}
    if "model" not in runs:
        runs["model"] = models.runtime(kind(choice), config, lean, weights)
    experiment = experiment.exported(prep, runs)
    task, assets = experiment.task, experiment.assets(model, prep)
    parts = {
        "model.json": bundle.encode(
            {
                "kind": kind(choice),
                "config": config,
                "spec": lean.model_dump(mode="json"),
                "runtime": "onnx" if "model" in graphs else "torch",
                "reason": reason,
            }
        ),
        "weights.safetensors": weights,
        "preprocess.json": bundle.encode(prep.dump()),
        "schema.json": bundle.encode(prep.schema.model_dump(mode="json")),
        "task.json": bundle.encode(
            {
                "kind": task.kind,
                "config": task.cfg.model_dump(mode="json"),
                "state": task.state.model_dump(mode="json"),
            }
        ),
        **{f"{name}.onnx": graph for name, graph in graphs.items()},
        **assets,
    }
    of = {name: bundle.digest(parts[name]) for name in bundle.bound(type(task)) if name in parts}
    session = Session(task, prep, lean, config, runs)
    session.assets, session.golden = assets, golden.requests
    answers = task.replay(session, golden.requests)
    parts["golden.json"] = bundle.encode({"of": of, "rows": golden.requests, "answers": answers})
    return experiment, parts | {"training.json": bundle.encode({}), "CARD.md": CARD}


def _graphs(
    model: nn.Module, inputs: Mapping[str, Mapping[str, Any]], varying: onnx_export.Varying
) -> tuple[dict[str, bytes], str]:
    """Each network that is served, as a graph where an exporter can write it; and why "model" has none. `varying`: by
    input, its axes of any size.
    """
    graphs, reasons = dict[str, bytes](), dict[str, str]()
    for name, module in models.served(model).items():
        if name in inputs:
            graph, reasons[name] = onnx_export.onnx(
                module, dict(inputs[name]), {n: axes for n, axes in varying.items() if n in inputs[name]}
            )
            graphs |= {name: graph} if graph else {}
    return graphs, reasons.get("model", "")


def _history(epochs: Sequence[Row]) -> dict[str, list[Any]]:
    """Numbers of epochs by name, of at most `EPOCHS` evenly spread; nothing that hangs on a clock."""
    rows = epochs[:: max(1, -(-len(epochs) // EPOCHS))]
    names = ("epoch", "loss", "validation_loss", "lr")
    columns = {name: [row.get(name) for row in rows] for name in names}
    scores = {row["score_name"]: None for row in rows}
    return columns | {name: [row["score"] if row["score_name"] == name else None for row in rows] for name in scores}


def finished(parts: Mapping[str, bytes], finding: Finding, result: Row, versions: Row) -> dict[str, bytes]:
    """The files with `training.json` (recipe, data, scores, versions) and the card for people."""
    experiment = finding.experiment
    training = {
        "recipe": {name: value for name, value in finding.choices.items() if name != "columns"},  # of schema.json
        "data": {"fingerprint": experiment.fingerprint(), "rows": experiment.counts()},
        "scores": result["scores"],
        "baselines": result["baselines"],
        "verdict": result["verdict"],
        "layers": finding.layers,
        "history": _history(finding.epochs),
        "best": {"epoch": finding.end["best_epoch"], "weights": finding.end["best_weights"]},
        "versions": versions,
    }
    scores = [f"| {name} | {value:.4g} |" for name, value in result["scores"].items() if value is not None]
    columns = [markdown(c.name) for c in finding.session.prep.columns]
    lines = [
        f"# {markdown(experiment.subject)}",
        "",
        markdown(result["verdict"]),
        "",
        "| score on rows never seen in training | |",
        "| --- | --- |",
        *scores,
        "",
        f"Trained on {experiment.counts()['train']:,} rows. Columns: {', '.join(columns)}.",
        "",
        "Open it with `lamina predict`, `lamina serve`, or `lamina.load` in Python. The files are data only; the",
        "golden rows are made up; of the training data only what many rows share is in it.",
    ]
    return {**parts, "training.json": bundle.encode(training), "CARD.md": ("\n".join(lines) + "\n").encode()}
