"""As many new pictures or rows as are wanted, into files, a batch at a time, so that they need not fit in memory.

Each file says that it was made, and by what: pictures inside the PNG, Parquet and Feather in the metadata of their
schema, CSV and JSON lines, which have none, in a file beside them.
"""

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamina.config import DataError, LaminaError
from lamina.data import _contact_sheets as _contact
from lamina.deploy.batch import FORMATS, writer
from lamina.deploy.predictor import Predictor
from lamina.schema import Row
from lamina.tasks.generation import contact_sheet as _sheet
from lamina.tasks.generation import provenance as _mark
from lamina.tasks.generation import rejection_sampling as _sought
from lamina.tasks.generation import sampling as made

PICTURES, ROWS = 256, 16_384  # made at a time
PNG = ".png"
PLAIN = (".csv", ".jsonl")  # nothing but the rows has a place in these
SHEET, INDEX = _contact.NAME, "index.csv"
DIGITS = 6


@dataclass(frozen=True)
class Wish:
    """What to make. `label`: a class for all, or several taken in turn. `form`: png, csv, parquet, jsonl or feather; by
    the suffix of the output when left out. `sheet`: whether pictures get a contact sheet and an index beside them.
    `where`: what rows have to meet.
    """

    count: int
    seed: int = 0
    label: Any = None
    form: str | None = None
    sheet: bool = True
    where: Any = None


def write(predictor: Predictor, wish: Wish, output: Path) -> Row:
    """Make pictures into a new folder `output`, or rows into one file.

    Errors: DataError for what this bundle cannot make, LaminaError where it cannot be written.
    """
    predictor.must_generate()
    if wish.count < 1:
        raise DataError(f"-n: must be 1 or more (got {wish.count}).")
    rows = bool(predictor.state.columns)
    suffix = _suffix(output, wish.form, rows)
    output = output if output.suffix == suffix or not rows else output.with_name(output.name + suffix)
    asked = _sought.Asked(wish.count, wish.seed, wish.label, wish.where) if wish.where else None
    if asked:
        pieces = _sought.gathered(predictor.sought(asked), ROWS)
    else:
        pieces = _pieces(predictor, wish, ROWS if rows else PICTURES)
    told = _table(pieces, predictor, output, wish.seed) if rows else _folder(pieces, predictor, output, wish.sheet)
    about = {"output": str(output), "made": wish.count, "of": "rows" if rows else "pictures"}
    told |= {"tried": asked.tried} if asked else {}
    return about | told | {"seed": wish.seed, "bundle": predictor.bundle.id, "source": _mark.MADE}


def _suffix(output: Path, form: str | None, rows: bool) -> str:
    """How the file ends, checked against what the bundle makes."""
    suffix = f".{form.lower().lstrip('.')}" if form else output.suffix if rows else PNG
    if rows and suffix not in FORMATS:
        said = "--format" if form else "-o"
        known = ", ".join(name.lstrip(".") for name in FORMATS)
        got = form or output
        raise DataError(f"{said}: this bundle makes rows. Write them to one file, as one of {known} (got '{got}').")
    if not rows and (suffix != PNG or output.suffix in (PNG, *FORMATS)):
        got = form if form and suffix != PNG else output
        raise DataError(f"-o: this bundle makes pictures. Name a new folder for the PNG files (got '{got}').")
    return suffix


def _pieces(predictor: Predictor, wish: Wish, size: int) -> Iterator[tuple[list[int], list[str] | None, Any]]:
    """Seeds, classes and what is made of them, so many at a time."""
    for start in range(0, wish.count, size):
        many = min(size, wish.count - start)
        seeds = made.seeds(wish.seed, many, start)
        labels = made.classes(wish.label, many, predictor.bundle, start)
        labels = made.drawn(seeds, predictor.bundle) if labels is None and predictor.state.classes else labels
        yield seeds, labels, predictor.requested(seeds, labels)


def _table(pieces: Iterator[Any], predictor: Predictor, output: Path, seed: int) -> Row:
    """One file of rows, whose class is one more column."""
    bundle, counts = predictor.bundle, Counter[str]()
    said = {"lamina": _mark.sentence(bundle.id, seed), "digital_source_type": _mark.MADE}
    output.parent.mkdir(parents=True, exist_ok=True)
    with writer(output) as append:
        for _, labels, table in pieces:
            counts.update(labels or [])
            append(table if output.suffix in PLAIN else table.replace_schema_metadata(said))
    told = {"labels": _ordered(counts, predictor)}
    if output.suffix in PLAIN:
        beside = output.with_name(f"{output.name}.source.json")
        beside.write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        return told | {"marked": str(beside)}
    return told | {"marked": str(output)}


def _folder(pieces: Iterator[Any], predictor: Predictor, output: Path, sheet: bool) -> Row:
    """A folder of PNG files, the contact sheet and the index; it appears under its name when all is written."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise LaminaError(f"-o: {output} is there already and not empty. Name a new folder.")
    aside = output.parent / f".{output.name}.writing"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        told = _pictures(pieces, predictor, aside)
        if not sheet:
            (aside / SHEET).unlink()
            (aside / INDEX).unlink()
        aside.replace(output)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return told | ({"sheet": str(output / SHEET), "index": str(output / INDEX)} if sheet else {})


def _pictures(pieces: Iterator[Any], predictor: Predictor, folder: Path) -> Row:
    bundle, number, counts = predictor.bundle, 0, Counter[str]()
    sheet = _sheet.Sheet(predictor.state.classes)
    first = 0
    with open(folder / INDEX, "w", encoding="utf-8", newline="") as file:
        index = csv.writer(file)
        index.writerow(["file", "label", "seed"])
        for seeds, labels, pictures in pieces:
            first = first or seeds[0]
            for seed, label, picture in zip(seeds, labels or [""] * len(seeds), pictures, strict=True):
                number += 1
                name = f"{number:0{DIGITS}}{PNG}"
                (folder / name).write_bytes(_mark.png(picture, bundle.id, seed))
                index.writerow([name, label, seed])
                sheet.add(picture, label)
            counts.update(labels or [])
    (folder / SHEET).write_bytes(_mark.png(sheet.drawn(), bundle.id, first))
    return {"labels": _ordered(counts, predictor)}


def _ordered(counts: Counter[str], predictor: Predictor) -> dict[str, int]:
    """How many of each class, in the order of the classes."""
    return {name: counts[name] for name in predictor.state.classes if counts[name]}
