"""Results in a file of JSON lines, one per fit: what is there is not measured again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One fit. `score` is null where it failed, and `note` says why; `seconds` of the wall, `cpu` of all threads."""

    table: str
    split: int
    competitor: str
    version: str
    score: float | None
    seconds: float
    cpu: float
    note: str = ""

    @property
    def key(self) -> tuple[str, int, str, str]:
        return self.table, self.split, self.competitor, self.version


def path(cache: Path) -> Path:
    return cache / "results.jsonl"


def read(cache: Path) -> list[Result]:
    """All results; of the same fit the last one."""
    if not path(cache).exists():
        return []
    lines = path(cache).read_text(encoding="utf-8").splitlines()
    return list({result.key: result for result in (Result(**json.loads(line)) for line in lines)}.values())


def add(cache: Path, result: Result) -> None:
    with path(cache).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")
