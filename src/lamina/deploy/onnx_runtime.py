"""ONNX graphs held in memory, as functions from inputs to outputs, within bounds of memory and time."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Timer
from typing import Any

import numpy as np

from lamina.deploy.bundle import onnx_graph
from lamina.deploy.bundle.onnx_cost import Cost, cost
from lamina.deploy.bundle.strict_json import COPY, first_line, guarded, rejection

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]

AFTER = "_after"  # behind the name of a state as it comes out of a graph, where it goes in under that name
LIGHT = 1 << 26  # multiply-adds of one row, up to which rows are shared out among threads, and not each operator
PART, PART_WORK = 512, 1 << 32  # rows of one thread at a time, and multiply-adds: results stay in its cache
WIDTHS = 1024  # of inputs of any length, whose costs are remembered
PATIENCE, BYTES_PER_SECOND = 30, 1 << 20  # seconds to open a bundle, and one more for each MB of its files


def after(name: str) -> str:
    """What a graph calls a state that comes out of it; a name in a graph stands for one thing alone."""
    return name + AFTER


class _Deadline:
    """What stops every graph that is loaded or run when the time is over."""

    def __init__(self, seconds: float):
        import onnxruntime

        self.seconds, self.run = seconds, onnxruntime.RunOptions()
        self.loads: list[Any] = []
        self.timer = Timer(seconds, self.stop)
        self.timer.daemon = True

    def stop(self) -> None:
        self.run.terminate = True
        for options in self.loads:
            options.set_load_cancellation_flag(True)


_deadline: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(files: Mapping[str, bytes]) -> Iterator[None]:
    """Inside, graphs are stopped when loading and running them takes longer than the files of a bundle explain."""
    limit = _Deadline(PATIENCE + sum(map(len, files.values())) / BYTES_PER_SECOND)
    token = _deadline.set(limit)
    limit.timer.start()
    try:
        yield
    finally:
        limit.timer.cancel()
        _deadline.reset(token)


def onnx_runtime(graph: bytes, threads: int | None = None, file: str = "model.onnx", price: Cost | None = None) -> Run:
    """Run an ONNX graph held in memory; it may refer to nothing outside itself. `file`: its name in a bundle; `price`:
    what it costs, of a graph that was checked.

    Many rows are run in pieces, so that memory is bounded; those of a light graph by several threads. Errors:
    BundleError, also for a graph whose sizes cannot be bounded before it is run.
    """
    import onnxruntime

    checked: Cost = price or guarded(file, lambda: cost(onnx_graph.check(graph), len(graph)))
    priced = _priced(graph, file)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    light = checked.joined and checked.work <= LIGHT
    options.intra_op_num_threads = 1 if light else threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    part, workers = max(1, min(PART, PART_WORK // max(1, checked.work))), threads or len(os.sched_getaffinity(0))
    limit = _deadline.get()
    if limit:
        limit.loads.append(options)
    try:
        session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
        inputs = {i.name for i in session.get_inputs()}
        loose = sorted(i.name for i in session.get_inputs() if not all(isinstance(n, int) for n in i.shape[1:]))
        outputs = [o.name for o in session.get_outputs()]
        names = [name.removesuffix(AFTER) if name.removesuffix(AFTER) in inputs else name for name in outputs]
    except Exception as error:  # ONNX Runtime raises its own classes and plain RuntimeError
        raise _rejection(file, "loaded", error, limit) from None

    def piece(arrays: Mapping[str, np.ndarray], limit: _Deadline | None) -> list[Any]:
        try:
            return list(session.run(outputs, dict(arrays), limit.run if limit else None))
        except Exception as error:  # see above
            raise _rejection(file, "run", error, limit) from None

    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if missing := inputs - arrays.keys():
            raise rejection(file, min(missing), "is asked for by the graph, and nothing here gives it")
        feeds = {name: arrays[name] for name in inputs}
        rows = max((len(values) for values in feeds.values()), default=0)
        price_now = priced(tuple((name, feeds[name].shape[1:]) for name in loose)) if loose else checked
        most = min(price_now.rows, part) if light else price_now.rows
        give = functools.partial(piece, limit=_deadline.get())
        if not checked.joined or rows <= most:
            return dict(zip(names, give(feeds), strict=True))
        parts = [{name: v[i : i + most] for name, v in feeds.items()} for i in range(0, rows, most)]
        with ThreadPoolExecutor(workers if light else 1, thread_name_prefix="lamina-rows") as pool:
            pieces = list(pool.map(give, parts))
        return dict(zip(names, map(np.concatenate, zip(*pieces, strict=True)), strict=True))

    return run


def _priced(graph: bytes, file: str) -> Callable[[tuple[tuple[str, tuple[int, ...]], ...]], Cost]:
    """What a graph costs that takes inputs of any length, by their names and sizes behind the rows."""
    parsed = functools.cache(lambda: onnx_graph.check(graph))

    @functools.lru_cache(maxsize=WIDTHS)
    def price(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Cost:
        return guarded(file, lambda: cost(parsed(), len(graph), dict(shapes)))

    return price


def _rejection(file: str, what: str, error: Exception, limit: _Deadline | None) -> Exception:
    """Why a graph could not be loaded or run."""
    if limit and limit.run.terminate:
        seconds = round(limit.seconds)
        return rejection(file, "", f"was stopped after {seconds} seconds, in which a bundle of its size opens", COPY)
    return rejection(file, "", f"cannot be {what} ({first_line(error)})", COPY)
