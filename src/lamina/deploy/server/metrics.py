"""Counts and durations in the text format that Prometheus reads.

Numbers are added by whoever works at the moment, the event loop or the thread beside it, never by both; nothing is
locked. With several processes each has its own. Beside our own names there are those of Triton (`nv_inference_*`) and
of KServe (`request_*_seconds`), so that dashboards and autoscalers made for these work.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from lamina.deploy.drift import DriftMonitor

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
OWN = "lamina"  # the protocol of our own JSON
GONE = 499  # the status of a request whose client left before there was an answer
REASONS = {401: "token", 403: "token", 408: "slow", 413: "size", 415: "content_type", 431: "size"}  # of refusals
MOST = 200  # samples of what there could be many of
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TYPES = {"_total": "counter", "_seconds": "histogram", "_size": "histogram"}

Sample = tuple[Mapping[str, str], "float | Histogram"]


class Histogram:
    """How many values are at most as large as each bound, and their sum."""

    __slots__ = ("bounds", "buckets", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS):
        self.bounds, self.buckets, self.sum = bounds, [0] * (len(bounds) + 1), 0.0  # the last: larger than all

    def observe(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.buckets)


class Requests:
    """Requests to one model in one protocol, or to none: by status code, and seconds of those that were answered."""

    __slots__ = ("codes", "labels", "seconds")

    def __init__(self, **labels: str):
        self.labels, self.codes, self.seconds = labels, Counter[int](), 0.0

    @property
    def successes(self) -> int:
        return sum(count for code, count in self.codes.items() if code < 400)

    @property
    def failures(self) -> int:
        return self.codes.total() - self.successes


@dataclass
class Usage:
    """Requests to a model by protocols of others: how many, seconds of all, rows; and when the last one was answered,
    in seconds since 1970.
    """

    successes: int = 0
    failures: int = 0
    seconds: float = 0.0
    failure_seconds: float = 0.0
    rows: int = 0
    last: float = 0.0


class ModelMetrics:
    """What is counted of one model, that is of one version of a bundle under a name."""

    def __init__(self, model: str = "", version: str = ""):
        self.model, self.version = model, version
        self.requests: dict[str, Requests] = {}
        self.drift: DriftMonitor | None = None
        self.usage = Usage()
        self.queue_wait, self.inference = Histogram(), Histogram()
        self.preprocess, self.postprocess = Histogram(), Histogram()
        self.batch_size = Histogram(ROWS)  # rows that went through the network at once
        self.issues = Counter[tuple[str, str]]()  # cells by column and what is wrong with them
        self.absent = Counter[tuple[str, ...]]()  # rows without any of these columns
        self._first_pass = self._pass_seconds = 0.0  # since the last replies: when the first one began, and of all

    def of(self, protocol: str) -> Requests:
        """Where requests in this protocol are counted."""
        if protocol not in self.requests:
            self.requests[protocol] = Requests(model=self.model, version=self.version, protocol=protocol)
        return self.requests[protocol]

    def add_batch(self, rows: int, start: float) -> None:
        """Count one pass of so many rows through the network, which began at `start` and is just over."""
        seconds = time.perf_counter() - start
        self.inference.observe(seconds)
        self.batch_size.observe(rows)
        self._first_pass = self._first_pass or start
        self._pass_seconds += seconds

    def add_replies(self, start: float) -> None:
        """Count the work at `start` and since then, with the passes in it: what came before them, and the rest."""
        if self._first_pass:
            before = self._first_pass - start
            self.preprocess.observe(before)
            self.postprocess.observe(time.perf_counter() - start - before - self._pass_seconds)
        self._first_pass = self._pass_seconds = 0.0


class Metrics:
    """All that one server counts."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], ModelMetrics] = {}
        self.reloads: Counter[str] = Counter()  # of bundles that changed, by what came of it
        self.requests, self.duration = Requests(), Histogram()  # of no model; of all
        self.rows, self.inside = 0, 0
        self._served = frozenset[tuple[str, str]]()
        self._facts: Mapping[tuple[str, str], Mapping[str, str]] = {}

    def model(self, name: str, version: str) -> ModelMetrics:
        """What is counted of a model; goes on where it was counted before."""
        return self.models.setdefault((name, version), ModelMetrics(name, version))

    def serve(self, facts: Mapping[tuple[str, str], Mapping[str, str]]) -> None:
        """Models that are served from now on, by name and version, with what to say of each. Those that they take the
        place of are counted until the next change, since they answer the requests that have begun.
        """
        models = self._served | facts.keys()
        self.models = {key: model for key, model in self.models.items() if key in models}
        self._served, self._facts = frozenset(facts), dict(facts)

    @contextmanager
    def observe(self, status: Callable[[], int], start: float, state: Mapping[str, Any]) -> Iterator[None]:
        """Count one request; `status` is asked when it is over (0: the client left). `state["requests"]`: where those
        of its model are counted.
        """
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
            self.count(status(), time.perf_counter() - start, state.get("requests"))

    def count(self, status: int, seconds: float, requests: Requests | None = None) -> None:
        """Count one request that is over, among those of its model, if it asked one."""
        requests = requests or self.requests
        requests.codes[status or GONE] += 1
        if 0 < status < 400:
            requests.seconds += seconds
        self.duration.observe(seconds)

    def text(self, depth: int, rejected: Mapping[str, int], is_ready: bool) -> str:
        """All of it; `depth`: requests that wait for their turn; `rejected`: those that found the server full."""
        return "".join([*self._own(depth, rejected, is_ready), *self._triton(), *self._kserve()])

    def _own(self, depth: int, rejected: Mapping[str, int], is_ready: bool) -> Iterator[str]:
        models = self.models.values()
        every = [self.requests, *(requests for model in models for requests in model.requests.values())]
        yield _family(
            "lamina_requests_total",
            "Requests by model, version, protocol and status code; without a model where none was asked.",
            (({**one.labels, "code": str(code)}, n) for one in every for code, n in sorted(one.codes.items())),
        )
        yield _family("lamina_request_duration_seconds", "From the headers to the response.", [({}, self.duration)])
        for name, text, values in (
            ("queue_wait_seconds", "From a whole body to its turn.", [one.queue_wait for one in models]),
            ("inference_seconds", "Of one batch in the network.", [one.inference for one in models]),
            ("batch_size", "Rows of one batch.", [one.batch_size for one in models]),
        ):
            labels = [{"model": one.model, "version": one.version} for one in models]
            yield _family(f"lamina_{name}", text, zip(labels, values, strict=True))
        yield _family("lamina_rows_total", "Rows that were answered.", [({}, self.rows)])
        yield _family("lamina_queue_depth", "Requests that wait for their turn.", [({}, depth)])
        yield _family("lamina_in_flight", "Requests that are being answered.", [({}, self.inside)])
        rejections = Counter(rejected)
        for code, reason in REASONS.items():
            rejections[reason] += sum(one.codes[code] for one in every)
        reasons = (({"reason": reason}, count) for reason, count in sorted(rejections.items()))
        yield _family("lamina_rejected_total", "Requests that were refused before they were worked on.", reasons)
        expired = sum(one.codes[504] for one in every)
        yield _family("lamina_expired_total", "Requests without a response in time.", [({}, expired)])
        issues = Counter[tuple[str, str]]()
        for model in models:
            issues.update(dict(model.issues))  # a copy, since the thread may add some
            for columns, count in list(model.absent.items()):
                issues.update({(column, "missing_column"): count for column in columns})
        cells = (({"column": column, "kind": kind}, n) for (column, kind), n in sorted(issues.most_common(MOST)))
        yield _family("lamina_input_issues_total", "Cells that are not what training had.", cells)
        yield from self._drift()
        results = (({"result": result}, count) for result, count in sorted(self.reloads.items()))
        yield _family("lamina_reloads_total", "Bundles that changed on disk.", results)
        infos = (({"model": name, "version": version, **facts}, 1) for (name, version), facts in self._facts.items())
        yield _family("lamina_model_info", "Models that are served.", infos)
        yield _family("lamina_ready", "Whether new requests are welcome.", [({}, int(is_ready))])

    def _drift(self) -> Iterator[str]:
        """Of the models that are served now, once a window of rows is over."""
        models = [self.models[key] for key in self._served if key in self.models]
        reports = [(model.model, model.drift) for model in models if model.drift and model.drift.windows]
        scores = [
            ({"model": name, "column": column.name}, round(column.score, 6))
            for name, drift in reports
            for column in drift.columns[:MOST]
        ]
        yield _family("lamina_drift_score", "Population stability index of the last window of rows.", scores)
        alarms = (({"model": name}, int(drift.alarm)) for name, drift in reports)
        yield _family("lamina_drift_alarm", "Whether the last window of rows was unlike training.", alarms)

    def _triton(self) -> Iterator[str]:
        """As Triton Inference Server names and defines them."""
        labels = [{"model": one.model, "version": one.version} for one in self.models.values()]
        every = [(one, list(one.requests.values())) for one in self.models.values()]
        for name, text, values in (
            ("request_success", "Requests that were answered.", [sum(r.successes for r in rs) for _, rs in every]),
            ("request_failure", "Requests that were refused.", [sum(r.failures for r in rs) for _, rs in every]),
            ("count", "Rows that went through the network.", [int(one.batch_size.sum) for one, _ in every]),
            ("exec_count", "Batches that went through the network.", [one.batch_size.count for one, _ in every]),
            ("request_duration_us", "Of requests, together.", [_us(sum(r.seconds for r in rs)) for _, rs in every]),
            ("queue_duration_us", "Of waiting, together.", [_us(one.queue_wait.sum) for one, _ in every]),
            ("compute_infer_duration_us", "Of the network, together.", [_us(one.inference.sum) for one, _ in every]),
        ):
            yield _family(f"nv_inference_{name}", text, zip(labels, values, strict=True), "counter")

    def _kserve(self) -> Iterator[str]:
        """As the model servers of KServe name them: by name of the model alone."""
        latest = {name: self.models[name, version] for name, version in self._served if (name, version) in self.models}
        for name, text, values in (
            ("preprocess", "Of reading one batch.", [one.preprocess for one in latest.values()]),
            ("predict", "Of one batch in the network.", [one.inference for one in latest.values()]),
            ("postprocess", "Of writing the answers of one batch.", [one.postprocess for one in latest.values()]),
        ):
            labels = [{"model_name": model} for model in latest]
            yield _family(f"request_{name}_seconds", text, zip(labels, values, strict=True))


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _family(name: str, text: str, samples: Iterable[Sample], kind: str = "") -> str:
    """One metric with all its samples; "" where there is none. Its type is told by its name, as Prometheus wants it."""
    kind = kind or next((kind for end, kind in TYPES.items() if name.endswith(end)), "gauge")
    lines = [line for labels, value in samples for line in _lines(name, labels, value)]
    return "\n".join([f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines, ""]) if lines else ""


def _lines(name: str, labels: Mapping[str, str], value: float | Histogram) -> Iterator[str]:
    if not isinstance(value, Histogram):
        yield f"{name}{_labels(labels)} {value}"
        return
    counts = list(accumulate(value.buckets))
    for bound, count in zip((*value.bounds, "+Inf"), counts, strict=True):
        yield f"{name}_bucket{_labels({**labels, 'le': str(bound)})} {count}"
    yield f"{name}_sum{_labels(labels)} {value.sum}"
    yield f"{name}_count{_labels(labels)} {counts[-1]}"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(pairs)}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n").encode("utf-8", "replace").decode()
