"""ONNX graphs held in memory, as functions from inputs to outputs."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lamina.deploy.bundle import onnx_graph
from lamina.deploy.bundle.strict_json import COPY, first_line, guarded, rejection

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def onnx_runtime(graph: bytes, threads: int | None = None, file: str = "model.onnx") -> Run:
    """Run an ONNX graph held in memory; it may refer to nothing outside itself. `file`: its name in a bundle."""
    import onnxruntime

    guarded(file, lambda: onnx_graph.check(graph))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
        inputs = {i.name for i in session.get_inputs()}
        outputs = [o.name for o in session.get_outputs()]
    except Exception as error:  # ONNX Runtime raises its own classes and plain RuntimeError
        raise rejection(file, "", f"cannot be loaded ({first_line(error)})", COPY) from None

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            values: list[Any] = list(session.run(outputs, {name: arrays[name] for name in inputs}))
        except Exception as error:  # see above; KeyError when the graph asks for an input that is not there
            raise rejection(file, "", f"cannot be run ({first_line(error)})", COPY) from None
        return dict(zip(outputs, values, strict=True))

    return run
