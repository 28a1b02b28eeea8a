"""The next piece of work is made ready while one is worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def prefetch(items: Generator[T, None, None]) -> Iterator[T]:
    """The same items in their order; the next one is made by another thread, and no more than one is made ahead.

    Errors: what `items` raises, where it is its turn.
    """
    context = copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="lamina-prefetch") as thread:
        try:
            coming = thread.submit(context.run, next, items, None)
            while (item := coming.result()) is not None:
                coming = thread.submit(context.run, next, items, None)
                yield item
        finally:
            thread.submit(context.run, items.close)
