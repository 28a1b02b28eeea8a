"""One thread does the work; requests that arrive while it is busy are joined and answered together."""

from collections import deque
from collections.abc import Callable, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Body = TypeVar("Body", bound=Sized)
Result = TypeVar("Result")
JOIN = 1 << 20  # bytes of request bodies after which a batch is closed


class Batcher(Generic[Body, Result]):
    """`submit` bodies from any thread; `solve` gets them in lists, one list at a time, in order of arrival."""

    def __init__(self, solve: Callable[[list[Body]], Sequence[Result | Exception]]):
        self._solve = solve
        self._waiting: deque[tuple[Body, Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lamina-predict")

    def submit(self, body: Body) -> "Future[Result]":
        """The result to come. A future cancelled before its turn is never worked on."""
        future: Future[Result] = Future()
        self._waiting.append((body, future))
        self._thread.submit(self._work)  # one call per body, so none is left waiting; most calls find nothing
        return future

    def _work(self) -> None:
        batch, size = list[tuple[Body, Future[Result]]](), 0
        while self._waiting and size < JOIN:
            body, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                batch.append((body, future))
                size += len(body)
        try:
            results = self._solve([body for body, _ in batch]) if batch else []
        except Exception as error:
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def together(answer: Callable[[list[Asked]], list[Result]], asked: list[Asked]) -> list[Result | Exception]:
    """Answer all at once. If that fails, the one at fault is found by halving, and fails alone."""
    if not asked:
        return []
    try:
        results = answer(asked)
        assert len(results) == len(asked)
        return [*results]
    except Exception as error:
        if len(asked) == 1:
            return [error]
        half = len(asked) // 2
        return [*together(answer, asked[:half]), *together(answer, asked[half:])]
