"""What a user can mend: every error is a sentence."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class LaminaError(Exception):
    """A fault the user can mend: the message says where, what was got, and the cure."""

    exit_code = 1


class RecipeError(LaminaError):
    """One or more settings are wrong; the message lists every fault found."""

    def __init__(self, faults: Iterable[str]):
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


class DataError(LaminaError):
    """The data cannot be read or cannot be used as asked."""


class MissingColumn(DataError):
    """A column that was named is not in the data."""


class TrainingError(LaminaError):
    """Training cannot go on; the weights on disk are the last good ones."""


class BundleError(LaminaError):
    """A bundle is damaged, altered or from another version.

    Attributes: `file` inside the bundle, `at` (a place in that file), `reason`, `cure`.
    """

    def __init__(self, file: str, at: str, reason: str, cure: str):
        self.file, self.at, self.reason, self.cure = file, at, reason, cure
        super().__init__(f"{file}{': ' + at if at else ''}: {reason}. {cure}")


class Interrupted(LaminaError):
    """The run was asked to stop and has saved everything needed to go on."""

    exit_code = 75


@contextmanager
def errors_with_notes(notes: Iterable[str]) -> Iterator[None]:
    """Within it, an error about a column that is not there says what was guessed of the data too, and the cure."""
    try:
        yield
    except MissingColumn as error:
        raise MissingColumn(" ".join([str(error), *notes])) from None
