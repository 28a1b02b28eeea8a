"""As many new images or rows as are asked for, into files, a batch at a time, so that they need not fit in memory.

Each file says that it was made, and by what: images inside the PNG, Parquet and Feather in the metadata of their
schema, CSV and JSON lines, which have none, in a file beside them.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, Field

from lamina.config import DataError
from lamina.data import _contact_sheets
from lamina.deploy import writers
from lamina.deploy.formulas import Formulas
from lamina.deploy.writers import FORMATS
from lamina.resources import disk
from lamina.schema import Row
from lamina.task import Session
from lamina.tasks.generation import provenance
from lamina.tasks.generation.contact_sheet import ContactSheet
from lamina.tasks.generation.requests import GenerateRequest, Sampler, plain
from lamina.tasks.generation.sampling import Samples

IMAGES, ROWS = 256, 16_384  # generated at a time
PNG = ".png"
PLAIN = (".csv", ".jsonl")  # nothing but the rows has a place in these
SHEET, INDEX = _contact_sheets.NAME, "index.csv"
DIGITS = 6
CLASSES = 10  # in a sentence


class GenerateOptions(GenerateRequest):
    """The same for files, and how they are written."""

    count: Annotated[int, BeforeValidator(plain)] = Field(
        default=64, description="how many images or rows to generate", json_schema_extra={"short": "n"}
    )
    format: str | None = Field(
        default=None, description="png, csv, parquet, jsonl or feather; by the suffix of the output when left out"
    )
    sheet: bool = Field(default=True, description="beside images, a contact sheet and an index")
    overwrite: bool = Field(default=False, description="replace what is at the output already")
    escape_formulas: bool = Field(
        default=False, description="in CSV, put ' in front of cells that a spreadsheet would compute"
    )


def write(session: Session, rows: pa.Table | None, options: GenerateOptions, output: Path) -> Row:
    """Write images into a new folder `output`, or rows into one file.

    Errors: DataError for what this bundle cannot make, LaminaError where it cannot be written.
    """
    if options.size < 1:
        raise DataError(f"-n: must be 1 or more (got {options.size}).")
    state = session.task.state
    suffix = _suffix(output, options.format, bool(state.columns))
    output = output.with_name(output.name + suffix) if state.columns and output.suffix != suffix else output
    disk.refuse_existing(output, options.overwrite, folder=not state.columns)
    if state.columns and suffix in PLAIN:
        disk.refuse_existing(_source_file(output), options.overwrite)
    sampler = Sampler(session, options)
    batches = sampler.batches(ROWS if state.columns else IMAGES)
    if state.columns:
        files, sentences = _write_table(batches, session, output, options)
    else:
        files, sentences = _write_folder(batches, session, output, options)
    result: Row = {"output": str(output), "count": options.size, "samples": state.samples, **files}
    if sampler.rejection is not None:
        attempts = sampler.rejection.attempts
        result["attempts"] = attempts
        sentences = [f"Of {attempts:,} rows tried, these are the first that meet the conditions.", *sentences]
    first = f"{options.size:,} {state.samples} in {output}{_by_class(files['labels'])}"
    result |= {"seed": options.seed, "bundle": session.id, "source": provenance.SOURCE_TYPE}
    return result | {"sentences": [first, *sentences]}


def _suffix(output: Path, form: str | None, rows: bool) -> str:
    """How the file ends, checked against what the bundle makes."""
    suffix = f".{form.lower().lstrip('.')}" if form else output.suffix if rows else PNG
    if rows and suffix not in FORMATS:
        option, got = ("--format", form) if form else ("-o", output)
        formats = ", ".join(name.lstrip(".") for name in FORMATS)
        raise DataError(f"{option}: this bundle makes rows. Write them to one file, as one of {formats} (got '{got}').")
    if not rows and (suffix != PNG or output.suffix in (PNG, *FORMATS)):
        got = form if form and suffix != PNG else output
        raise DataError(f"-o: this bundle generates images. Name a new folder for the PNG files (got '{got}').")
    return suffix


def _source_file(output: Path) -> Path:
    """The file beside plain rows that says where they come from."""
    return output.with_name(f"{output.name}.source.json")


def _write_table(
    batches: Iterator[Samples], session: Session, output: Path, options: GenerateOptions
) -> tuple[Row, list[str]]:
    """One file of rows, whose class is one more column."""
    counts, metadata = Counter[str](), provenance.metadata(session.id, options.seed)
    formulas = Formulas(options.escape_formulas)
    with writers.writer(output, options.overwrite, formulas) as append:
        for batch in batches:
            counts.update(batch.labels or [])
            append(batch.values if output.suffix in PLAIN else batch.values.replace_schema_metadata(metadata))
    labels: Row = {"labels": _ordered(counts, session.task.classes)}
    if output.suffix not in PLAIN:
        sentence = "The metadata of the file say that its rows are generated, by which bundle and from which seed."
        return labels | {"metadata": str(output)}, [sentence]
    place = _source_file(output)
    disk.write_text(place, json.dumps(metadata, indent=1) + "\n", options.overwrite)
    sentence = f"The rows themselves do not say that they are generated; {place} does."
    return labels | {"metadata": str(place)}, [sentence, *formulas.notes()]


def _write_folder(
    batches: Iterator[Samples], session: Session, output: Path, options: GenerateOptions
) -> tuple[Row, list[str]]:
    """A folder of PNG files, the contact sheet and the index; it appears under its name when all is written."""
    with disk.new_folder(output, options.overwrite) as aside:
        labels = _write_images(batches, session, aside)
        if not options.sheet:
            (aside / SHEET).unlink()
            (aside / INDEX).unlink()
    sentence = "Each PNG says in its metadata that it is generated, by which bundle and from which seed."
    if not options.sheet:
        return {"labels": labels}, [sentence]
    places = {"sheet": str(output / SHEET), "index": str(output / INDEX)}
    lines = [f"sheet    {places['sheet']}", f"index    {places['index']} (file, label, seed)"]
    return {"labels": labels, **places}, [*lines, sentence]


def _write_images(batches: Iterator[Samples], session: Session, folder: Path) -> dict[str, int]:
    """Numbered PNG files, the sheet and the index; how many there are of each class."""
    number, first, counts = 0, 0, Counter[str]()
    sheet = ContactSheet(session.task.classes)
    with open(folder / INDEX, "w", encoding="utf-8", newline="") as file:
        index = csv.writer(file)
        index.writerow(["file", "label", "seed"])
        for seeds, labels, images in batches:
            first = first or seeds[0]
            for seed, label, image in zip(seeds, labels or [""] * len(seeds), images, strict=True):
                number += 1
                name = f"{number:0{DIGITS}}{PNG}"
                (folder / name).write_bytes(provenance.png(image, session.id, seed))
                index.writerow([name, label, seed])
                sheet.add(image, label)
            counts.update(labels or [])
    (folder / SHEET).write_bytes(provenance.png(sheet.draw(), session.id, first))
    return _ordered(counts, session.task.classes)


def _ordered(counts: Counter[str], classes: Sequence[str]) -> dict[str, int]:
    """How many of each class, in the order of the classes."""
    return {name: counts[name] for name in classes if counts[name]}


def _by_class(labels: dict[str, Any]) -> str:
    """The same in words."""
    if not labels:
        return ""
    some = ", ".join(f"{name} {count:,}" for name, count in list(labels.items())[:CLASSES])
    more = f" and {len(labels) - CLASSES:,} classes more" if len(labels) > CLASSES else ""
    return f" ({some}{more})"
