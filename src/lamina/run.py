"""One experiment is one directory; the only file that knows its names.

recipe.yaml      every choice: while it trains those it was given and those of training, at the end all that were made
rows.jsonl       one row per epoch
checkpoints/     enough to go on after a kill, bit for bit
bundle/          what is deployed
report.html      for people; report.json for programs
result.json      what the run came to, in short
DONE             there when all of the above is
"""

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from lamina.config import Config, DataError, LaminaError
from lamina.recipe import Recipe, dump, plain, read, to_yaml
from lamina.resources import disk
from lamina.schema import Row, Schema
from lamina.train import epoch_rows

EARLY = {".lock": rb"(process \d+)?", "data.sha256": rb"[0-9a-f]{64}\n"}  # what a run writes before its recipe


class Run:
    """The directory of one run. `create` makes a new one, `resume` goes on with one that was stopped."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.recipe_file = folder / "recipe.yaml"
        self.rows_file = folder / "rows.jsonl"
        self.checkpoints = folder / "checkpoints"
        self.bundle = folder / "bundle"
        self.report = folder / "report.html"
        self.result_file = folder / "result.json"
        self.done = folder / "DONE"
        self.appends = False  # to the rows: they were read, and begin as they should

    @classmethod
    def create(cls, folder: Path) -> "Run":
        """A new directory; one that already holds a run, or other files under the names of one, is refused."""
        run = cls(folder)
        if run.recipe_file.exists():
            cure = f"Go on with it: lamina train --resume {folder}. Or choose another --out."
            raise LaminaError(f"--out: {folder} already holds a run. {cure}")
        with disk.guard(f"--out: {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            if foreign := run._foreign():
                cure = "It would be replaced: choose another --out."
                raise LaminaError(f"--out: {folder} holds '{foreign[0]}', which no run of lamina wrote. {cure}")
        return run

    @classmethod
    def resume(cls, folder: Path) -> "Run":
        """The directory of a run that was started before."""
        run = cls(folder)
        if not run.recipe_file.exists():
            raise LaminaError(
                f"--resume: {folder} holds no run that got as far as training (there is no recipe.yaml). "
                f"Start it again: lamina train DATA --out {folder}"
            )
        return run

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; the lock vanishes with the process, however it ends."""
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = file.read().decode("utf-8", "replace").strip() or "another process"
                raise LaminaError(
                    f"{self.folder} is in use by {holder}. Wait for it, or choose another --out."
                ) from None
            with contextlib.suppress(OSError):  # a full disk: the lock holds without a word on who has it
                file.truncate(0)
                file.write(f"process {os.getpid()}".encode())
            try:
                yield
            finally:
                self._leave_no_trace()

    def _lock_file(self) -> IO[Any]:
        try:
            handle = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            raise disk.StorageError(disk.sentence(error, self.folder)) from None
        return open(handle, "r+b", buffering=0)

    def _foreign(self) -> list[str]:
        """What is there under the names of a run though none got as far as its recipe."""
        pages = (self.report, self.folder / "report.json", self.result_file)
        later = (self.rows_file, self.checkpoints, self.bundle, *pages, self.done)
        early = {self.folder / name: form for name, form in EARLY.items()}
        return [path.name for path in later if os.path.lexists(path)] + [
            path.name for path, form in early.items() if path.exists() and not re.fullmatch(form, path.read_bytes())
        ]

    def _leave_no_trace(self) -> None:
        """Remove the directory of a run that ended before it wrote anything."""
        if {path.name for path in self.folder.iterdir()} == {".lock"}:
            (self.folder / ".lock").unlink()
            self.folder.rmdir()

    def write_recipe(self, recipe: Recipe, train: Config) -> None:
        """Durable before the first step: what a resumed run reads is what this one decided."""
        disk.write_text(self.recipe_file, dump(_with_training(recipe, train)))

    def same_data(self, fingerprint: str) -> None:
        """Remember the data's fingerprint; on a resumed run, refuse other data."""
        file = self.folder / "data.sha256"
        if not (file.exists() and self.recipe_file.exists()):  # a try that never got as far as its recipe binds nobody
            disk.write_text(file, fingerprint + "\n")
        elif file.read_text().strip() != fingerprint:
            raise DataError(f"data: the rows are not those this run started with ({self.folder}). Start a new run.")

    def recipe(self) -> Recipe:
        return read(self.recipe_file)

    def result(self) -> Row:
        """What a finished run came to, with its files where they are now; nothing of one that wrote none."""
        if not self.result_file.exists():
            return {}
        places = {"run": str(self.folder), "bundle": str(self.bundle), "report": str(self.report)}
        return json.loads(self.result_file.read_text("utf-8")) | places

    def log(self, row: Row) -> None:
        """Append one epoch row; the first of a process replaces what follows on it, and lines that are no rows."""
        if row.get("at") != "epoch":
            return
        if self.appends:
            disk.append_text(self.rows_file, json.dumps(row) + "\n")
        else:
            earlier = [r for r in self.rows() if r["epoch"] < row["epoch"]]
            disk.write_text(self.rows_file, "".join(json.dumps(r) + "\n" for r in [*earlier, row]))
        self.appends = True

    def rows(self) -> list[Row]:
        """The epoch rows so far."""
        return epoch_rows.read(self.rows_file)[0]

    def notes(self) -> list[str]:
        """What is to be said of the rows of an earlier process."""
        foreign = epoch_rows.read(self.rows_file)[1]
        if not foreign:
            return []
        lines = "1 line is" if foreign == 1 else f"{foreign} lines are"
        return [f"{self.rows_file}: {lines} not of this run and left out of its record. Weights do not hang on it."]

    def finish(self, recipe: Row, result: Row) -> None:
        """Write the recipe of `every_choice`, what the run came to, and that nothing is left to do."""
        disk.write_text(self.result_file, json.dumps(result, default=str))
        disk.write_text(self.recipe_file, to_yaml(recipe))
        earlier = [path for path in self.folder.glob(".bundle-*") if path.name.removeprefix(".bundle-").isdigit()]
        disk.remove(*earlier)  # what a run of an earlier version left when it was killed
        disk.write_text(self.done, datetime.now(UTC).isoformat(timespec="seconds") + "\n")


def every_choice(recipe: Recipe, task: Config, schema: Schema, train: Config) -> Row:
    """Plain values of a recipe that leaves nothing open but how files are laid out: run again on the same rows, it
    gives the same weights. `recipe` names its model, `task` and `train` are the settings they came to.
    """
    columns = (*schema.columns, *([schema.target] if schema.target else []))
    values = plain(_with_training(recipe, train)) | {
        "task": task.model_dump(mode="json"),
        "columns": {column.name: {"kind": column.kind, **column.settings} for column in columns},
        "literal": list(schema.literal),
        "split": recipe.split.model_dump(mode="json"),
        "model": recipe.model.model_dump(mode="json") if recipe.model else None,
    }
    order = [name for name in Recipe.model_fields if name in values]
    return {name: values[name] for name in order}


def _with_training(recipe: Recipe, train: Config) -> Recipe:
    off = {name: None for name, value in recipe.train.items() if value is None}  # what suits would come back
    return recipe.model_copy(update={"train": {**train.model_dump(mode="json", exclude_none=True), **off}})


def fresh_folder(name: str) -> Path:
    """`runs/<name>-<n>` with the first free number."""
    number = 1
    while (folder := Path("runs") / f"{name}-{number}").exists():
        number += 1
    return folder


def name_of(words: Sequence[str]) -> str:
    """A name for a run, of the words that say where its data come from."""
    name = "-".join(dict.fromkeys(word.partition("=")[0] for word in words)) if len(words) > 1 else words[0]
    name = Path(name.removeprefix("toy:")).name.split(".")[0]
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "run"
