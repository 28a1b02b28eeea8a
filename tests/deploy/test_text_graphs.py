"""Graphs of texts take any number of tokens, answer as the network does, and are bounded at each width they are run."""

import numpy as np
import pytest
import torch

from lamina import models
from lamina.config import BundleError
from lamina.deploy import onnx_export
from lamina.deploy.bundle import onnx_graph
from lamina.deploy.bundle.onnx_cost import cost
from lamina.deploy.onnx_runtime import onnx_runtime
from lamina.plugins import plugin
from lamina.schema import Input, Output, Spec

FEED = Input(kind="tokens", shape=(None,), dtype="int64", sizes=(300,), max_length=512)
SPEC = Spec(inputs={"tokens0": FEED}, output=Output(size=3, loss="cross_entropy", head="logits"), rows=500)


def ids(rows: int, width: int) -> np.ndarray:
    """Texts of all lengths, one of which is empty; 0 is padding."""
    rng = np.random.default_rng(width)
    lengths = rng.integers(0, width + 1, rows)
    return np.where(np.arange(width) < lengths[:, None], rng.integers(1, 300, (rows, width)), 0)


@pytest.mark.parametrize("name", ["fnn", "rnn", "gru", "lstm"])
def test_a_graph_answers_as_its_network_at_any_width(name):
    network = models.build(plugin("models", name).Config(), SPEC, 0).eval()
    graph, reason = onnx_export.onnx(network, {"tokens0": ids(9, 16)}, {"tokens0": (1,)})
    assert graph is not None, reason
    run = onnx_runtime(graph)
    for width in (1, 16, 48, 200):
        texts = ids(7, width)
        with torch.inference_mode():
            expected = network({"tokens0": torch.from_numpy(texts)})["target"].numpy()
        assert run({"tokens0": texts})["target"] == pytest.approx(expected, abs=1e-5)


def squares() -> bytes:
    """A graph that compares each token with each other: ten times the text are a hundred times the numbers."""
    from onnx import TensorProto, helper

    tokens = helper.make_tensor_value_info("tokens0", TensorProto.INT64, ["rows", "steps"])
    target = helper.make_tensor_value_info("target", TensorProto.FLOAT, ["rows", 1])
    nodes = [
        helper.make_node("Cast", ["tokens0"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["x", "two"], ["column"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["line"]),
        helper.make_node("MatMul", ["column", "line"], ["square"]),
        helper.make_node("ReduceSum", ["square", "two"], ["sums"], keepdims=0),
        helper.make_node("ReduceMax", ["sums", "one"], ["target"], keepdims=1),
    ]
    axes = [helper.make_tensor(name, TensorProto.INT64, [1], [axis]) for name, axis in (("one", 1), ("two", 2))]
    graph = helper.make_graph(nodes, "squares", [tokens], [target], axes)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()


def test_what_a_graph_makes_is_bounded_at_the_width_it_is_run_with():
    body = squares()
    parsed, run = onnx_graph.check(body), onnx_runtime(body)
    narrow, wide = (cost(parsed, len(body), {"tokens0": (steps,)}) for steps in (16, 160))
    assert wide.results > 50 * narrow.results
    assert run({"tokens0": np.ones((3, 160), np.int64)})["target"].tolist() == [[160.0]] * 3
    with pytest.raises(BundleError, match=r"makes more than .* MB of one row"):
        run({"tokens0": np.ones((1, 40_000), np.int64)})
