"""A function of many images, in as many threads as pay."""

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PROBES, QUICK = 8, 2e-4  # images, and seconds for one of them below which threads do not pay

T = TypeVar("T")


def in_threads(function: Callable[[int], T], count: int) -> list[T]:
    """The function of 0, 1 ... in threads: OpenCV lets go of the interpreter lock, so they decode side by side.

    Where the first few are done in no time, one thread does them all: more would only pass the lock to and fro.
    """
    results, quickest = [], math.inf
    for place in range(min(count, PROBES)):
        start = time.perf_counter()
        results.append(function(place))
        quickest = min(quickest, time.perf_counter() - start)
        if quickest > 10 * QUICK:
            break
    if CORES == 1 or quickest < QUICK:
        return [*results, *map(function, range(len(results), count))]
    step = max(1, min(32, count // (4 * CORES)))
    pieces = (range(start, min(start + step, count)) for start in range(len(results), count, step))
    with ThreadPoolExecutor(CORES) as pool:
        later = pool.map(lambda piece: [function(place) for place in piece], pieces)
        return [*results, *(one for piece in later for one in piece)]
