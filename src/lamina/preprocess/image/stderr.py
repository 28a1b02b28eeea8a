"""The terminal kept free of what decoders of images write there by themselves."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

QUIET = threading.Lock()
_deep = 0  # how many are quiet at present
_terminal: int | None = None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is written to the terminal meanwhile: libjpeg and libpng do so for every image they wonder at.

    For the whole process, so only where nobody else has something to say: in training, never while serving.
    """
    global _deep, _terminal  # noqa: PLW0603 - the terminal is one for the process
    with QUIET:
        _deep += 1
        if _deep == 1:
            _terminal = _silenced()
    try:
        yield
    finally:
        with QUIET:
            _deep -= 1
            if _deep == 0 and _terminal is not None:
                os.dup2(_terminal, 2)
                os.close(_terminal)
                _terminal = None


def _silenced() -> int | None:
    """Where the terminal was, or None where there is none."""
    try:
        sys.stderr.flush()
        before = os.dup(2)
    except (OSError, ValueError, AttributeError):
        return None
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return before
