"""Small real tables that come with the package, for a first run without any data of one's own."""

from importlib.resources import as_file, files
from typing import Literal

from pydantic import Field

from lamina.config import Config as Settings
from lamina.config import DataError, nearest
from lamina.data import files as table_files
from lamina.schema import Collected

SUFFIX = ".csv.gz"


class Config(Settings):
    """Which of the tables: each is a file in the folder samples."""

    kind: Literal["toy"] = "toy"
    name: str = Field(description="churn (7,043 customers) or wine (6,497 wines).")


def names() -> tuple[str, ...]:
    """The tables there are."""
    folder = files("lamina.data") / "samples"
    return tuple(sorted(f.name.removesuffix(SUFFIX) for f in folder.iterdir() if f.name.endswith(SUFFIX)))


def load(cfg: Config) -> Collected:
    """Read one table. Errors: DataError with the nearest name when there is no such table."""
    if cfg.name not in names():
        raise DataError(f"data.name: there is no toy table '{cfg.name}'. {nearest(cfg.name, names())}")
    with as_file(files("lamina.data") / "samples" / f"{cfg.name}{SUFFIX}") as path:
        return table_files.load(table_files.Config(path=str(path)))
