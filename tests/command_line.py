"""The command line in this process, as `main` runs it."""

import contextlib
import io
import json
import sys
from typing import Any, NamedTuple

from lamina.cli import commands


class Done(NamedTuple):
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        assert len(self.out.splitlines()) == 1, self.out
        return json.loads(self.out)


def run(*words: object) -> Done:
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lamina", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            commands.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), err.getvalue())
