"""Counts and durations in the text format that Prometheus reads. Touched by the event loop only."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Requests by status code, rows answered, seconds per request, requests in flight."""

    def __init__(self) -> None:
        self.codes: Counter[int] = Counter()
        self.reloads: Counter[str] = Counter()  # of bundles that changed, by what came of it
        self.buckets = [0] * (len(BOUNDS) + 1)  # the last: longer than all
        self.seconds, self.rows, self.inside = 0.0, 0, 0

    @contextmanager
    def observe(self, status: Callable[[], int], start: float) -> Iterator[None]:
        """Count one request; `status` is asked when it is over (0: the connection was cut)."""
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1
            self.count(status(), time.perf_counter() - start)

    def count(self, status: int, seconds: float) -> None:
        """Count one request that is over."""
        self.codes[status] += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def text(self) -> str:
        total = sum(self.codes.values())
        lines = [
            "# TYPE lamina_requests_total counter",
            *(f'lamina_requests_total{{code="{code}"}} {count}' for code, count in sorted(self.codes.items())),
            "# TYPE lamina_reloads_total counter",
            *(f'lamina_reloads_total{{result="{result}"}} {n}' for result, n in sorted(self.reloads.items())),
            "# TYPE lamina_rows_total counter",
            f"lamina_rows_total {self.rows}",
            "# TYPE lamina_requests_in_flight gauge",
            f"lamina_requests_in_flight {self.inside}",
            "# TYPE lamina_request_seconds histogram",
            *(
                f'lamina_request_seconds_bucket{{le="{bound}"}} {count}'
                for bound, count in zip((*BOUNDS, "+Inf"), accumulate(self.buckets), strict=True)
            ),
            f"lamina_request_seconds_sum {self.seconds:.6f}",
            f"lamina_request_seconds_count {total}",
        ]
        return "\n".join(lines) + "\n"
