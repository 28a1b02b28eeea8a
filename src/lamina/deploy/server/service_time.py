"""How long requests take, learned from those that were answered: what a request would wait is predicted by it."""

from math import ceil

DECAY = 0.9  # of what was learned, at each batch
JOIN, MOST = 1 << 20, 1 << 10  # bytes of request bodies after which a batch is closed, and requests


class ServiceTime:
    """Seconds of a batch as a straight line of the number of requests in it, by least squares over the latest.

    `joins`: whether requests are answered together, up to `size` bytes and `most` of them.
    """

    def __init__(self, joins: bool, size: int = JOIN):
        self.requests = self.bytes = 0  # that are inside
        self._joins, self._size = joins, size
        self.most = MOST
        self._count = self._requests = self._seconds = self._squares = self._products = 0.0
        self._constant = self._slope = 0.0

    def add(self, requests: int, seconds: float) -> None:
        """Learn from a batch."""
        self._count = DECAY * self._count + 1
        self._requests = DECAY * self._requests + requests
        self._seconds = DECAY * self._seconds + seconds
        self._squares = DECAY * self._squares + requests * requests
        self._products = DECAY * self._products + requests * seconds
        mean, level = self._requests / self._count, self._seconds / self._count
        spread, joint = self._squares / self._count - mean * mean, self._products / self._count - mean * level
        self._slope = min(max(joint / (spread + 1.0), 0.0), level / mean)  # a slope must show; none is the first guess
        self._constant = level - self._slope * mean

    def requests_in(self, seconds: float) -> int:
        """How many requests of a batch are answered in that time; 0 as long as none ever was."""
        if not self._count or self._constant + self._slope > seconds:
            return 0
        return int(min((seconds - self._constant) / max(self._slope, 1e-9), 1e9))

    def count(self, requests: int, size: int) -> None:
        """Requests that came in, or that are answered if the number is negative."""
        self.requests += requests
        self.bytes += size

    def wait(self) -> float:
        """Seconds until all that are inside are answered; 0 as long as none ever was."""
        if not self.requests:
            return 0.0
        joint = max(ceil(self.bytes / self._size), ceil(self.requests / self.most))
        batches = joint if self._joins else self.requests
        return batches * self._constant + self.requests * self._slope
