"""Memory that runs out, in Python, NumPy, Arrow, PyTorch or ONNX Runtime: smaller batches first, then a sentence."""

import errno
import re
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from lamina.config import LaminaError
from lamina.resources.disk import amount

CLASSES = {"OutOfMemoryError", "OutOfMemoryException"}  # of PyTorch and DuckDB, which are not imported for this
WORDS = re.compile(
    r"can.t allocate memory|cannot allocate memory|failed to allocate|unable to allocate|bad.alloc|out of memory|"
    r"can't start new thread|failed to create thread|failed to map segment",
    re.IGNORECASE,
)
SIZE = re.compile(r"(?:tried to allocate|unable to allocate|of size) ([\d.,]+)\s*([KMGT]i?B)?", re.IGNORECASE)
FREE = re.compile(r"of which ([\d.]+)\s*([KMGT]i?B)? is free", re.IGNORECASE)  # of an accelerator, as PyTorch says it
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

FEWEST = 256  # parts of a batch, below which going on would take forever

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R", bound=Mapping[str, Any])


class OutOfMemoryError(LaminaError, MemoryError):
    """Something needs more memory than there is."""


def exhausted(error: BaseException | None) -> bool:
    """Whether an error says that memory ran out; libraries that wrap one error in another are looked through."""
    while error is not None:
        if isinstance(error, MemoryError) or type(error).__name__ in CLASSES:
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, Exception) and not isinstance(error, OSError | LaminaError) and WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def guard(stage: str, cure: str) -> AbstractContextManager[None]:
    """Memory that runs out within is an `OutOfMemoryError` that says where, what was asked for, and the cure."""
    return _guard(lambda: (stage, cure))


@contextmanager
def _guard(place: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """`place` gives stage and cure, where memory has run out."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemoryError) or not exhausted(error):
            raise
        stage, cure = place()
        text = sentence(stage, error, cure)
    else:
        return
    raise OutOfMemoryError(text)  # outside, so that what the error holds is free again


def by_stage(stages: Mapping[str, tuple[str, str]]) -> Callable[[Callable[P, Iterator[R]]], Callable[P, Iterator[R]]]:
    """The same for a generator of rows: where it was, and the cure, are those of the last row whose `at` is there."""

    def decorate(run: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
        @wraps(run)
        def rows(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
            place = stages[""]
            with _guard(lambda: place):
                for row in run(*args, **kwargs):
                    place = stages.get(str(row["at"]), place)
                    yield row

        return rows

    return decorate


def sentence(stage: str, error: BaseException, cure: str) -> str:
    """`train: memory ran out (2.1 GB were asked for, 800 MB are free). Use fewer rows.`"""
    size = _size(error)
    needs = f"{amount(size)} were asked for, " if size else ""
    free = _match(FREE, error)
    return f"{stage}: memory ran out ({needs}{amount(available() if free is None else free)} are free). {cure}"


def halving(count: int, size: int, answer: Callable[[int, int], T]) -> Iterator[T]:
    """What `answer(start, stop)` gives for `count` rows, `size` at a time; half as many where memory runs out.

    Once for no rows at all. Errors: what `answer` raises; memory that is too small for 1/256 of `size` too.
    """
    start, least = 0, max(1, size // FEWEST)
    while start < max(count, 1):
        stop, parts = min(start + size, count), list[T]()
        try:
            parts.append(answer(start, stop))
        except Exception as error:
            size = (stop - start) // 2
            if size < least or not exhausted(error):
                raise
        if parts:
            yield parts[0]
            start = max(stop, start + 1)
        else:
            _release()


def require(size: int) -> None:
    """Before what ends the process where memory runs out, as some libraries do. Errors: MemoryError below `size`."""
    if 0 < available() < size:
        raise MemoryError(f"unable to allocate {size} bytes")


def available() -> int:
    """Bytes that this process can still take: what the machine has left, within the limit of the process.

    0 where nobody says.
    """
    left = list[int]()
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        left.append(int(fields["MemAvailable"].split()[0]) << 10)
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        if limit != resource.RLIM_INFINITY:
            left.append(limit - pages * resource.getpagesize())
    except (OSError, KeyError, ValueError):
        return min(left, default=0)
    return max(min(left), 1)


def _release() -> None:
    """Give back what an accelerator keeps for later."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _size(error: BaseException | None) -> int:
    """The bytes that were asked for, where the error says so."""
    return _match(SIZE, error) or 0


def _match(pattern: re.Pattern[str], error: BaseException | None) -> int | None:
    """An amount that an error, or one it comes from, tells, in bytes."""
    while error is not None:
        if match := pattern.search(str(error)):
            return int(float(match[1].replace(",", "")) * UNITS[(match[2] or "")[:1].upper()])
        error = error.__cause__ or error.__context__
    return None
