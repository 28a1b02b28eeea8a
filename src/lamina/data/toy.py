"""Small real tables and images that come with the package, for a first run without any data of one's own."""

from importlib.resources import as_file, files
from typing import Literal

from pydantic import Field

from lamina.config import Config as Settings
from lamina.config import DataError, nearest
from lamina.data import files as table_files
from lamina.data import npz
from lamina.schema import Collected

SUFFIXES = (".csv.gz", ".npz")


class Config(Settings):
    """Which of them: each is a file in the folder samples."""

    kind: Literal["toy"] = "toy"
    name: str = Field(
        description="churn (7,043 customers), wine (6,497 wines), digits (5,000 images), airline (144 months) or sms "
        "(2,000 messages)."
    )


def names() -> tuple[str, ...]:
    """Those there are."""
    return tuple(sorted(_files()))


def _files() -> dict[str, str]:
    there = [file.name for file in (files("lamina.data") / "samples").iterdir()]
    return {name.removesuffix(suffix): name for name in there for suffix in SUFFIXES if name.endswith(suffix)}


def load(cfg: Config) -> Collected:
    """Read one of them. Errors: DataError with the nearest name when there is no such table."""
    if cfg.name not in names():
        raise DataError(f"data.name: there is no toy table '{cfg.name}'. {nearest(cfg.name, names())}")
    with as_file(files("lamina.data") / "samples" / _files()[cfg.name]) as path:
        if path.suffix == ".npz":
            return npz.load(npz.Config(path=str(path)))
        return table_files.load(table_files.Config(path=str(path)))
