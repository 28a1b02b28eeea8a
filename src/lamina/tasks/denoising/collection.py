"""What there is to learn from: clean rows, or noisy ones with the clean one of each; and which rows evaluate."""

import itertools
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lamina import preprocess
from lamina.config import Config as Settings
from lamina.config import DataError
from lamina.data._skipped_rows import ROW_NUMBER, column_name, locate
from lamina.data._splits import FEWEST, Auto, Random, Split, Splits, explicit, in_time
from lamina.plugins import plugin
from lamina.preprocess import UNUSED, Preprocessor
from lamina.preprocess.image import cells, codec
from lamina.recipe import Recipe, Unused
from lamina.schema import Collected, Column, Schema, SkippedRow
from lamina.tasks.denoising import image_files, recordings
from lamina.tasks.denoising.image_files import Image
from lamina.tasks.denoising.state import Config, Form, State

FORMS: dict[str, Form] = {"image": "image", "series": "series", "number": "table"}
NAMES: dict[Form, str] = {"image": "images", "series": "series", "table": "numbers"}
CLEAN = "clean"  # the column of clean images that folders give
SHORTEST = 24  # pixels or steps of what is cut into parts


class Pairs(NamedTuple):
    """Rows; the column of what is clean, where it is another one; rows without a fellow; what is to be said."""

    table: pa.Table
    clean: str | None = None
    skipped_rows: tuple[SkippedRow, ...] = ()
    notes: tuple[str, ...] = ()


def pairs(table: pa.Table, collected: Collected, cfg: Config, target: str | None) -> Pairs:
    """Rows with what is clean: the column `target`, or the images of the folder `cfg.clean` that have the same names
    as those of other folders. Else all rows are clean.
    """
    if target is not None and target != collected.target:
        return Pairs(table, column_name(table, target))
    named = {"image", "label"} <= {*table.column_names} and pa.types.is_string(table["label"].type)
    labels = table["label"].to_pylist() if named else []
    folders = {label for label in labels if label}
    clean = next((folder for folder in sorted(folders) if folder.casefold() == cfg.clean.casefold()), None)
    if clean is None or len(folders) < 2:
        if clean is None and cfg.clean != Config().clean:
            raise DataError(
                f"task.clean: there is no folder '{cfg.clean}' (got {', '.join(sorted(folders)) or 'none'})."
            )
        return Pairs(table.drop_columns([collected.target]) if collected.target else table)
    return _by_name(table, labels, clean)


def _by_name(table: pa.Table, labels: Sequence[str], clean: str) -> Pairs:
    """Images of other folders beside those of equal names in the folder `clean`."""
    if not pa.types.is_string(table["image"].type):
        raise DataError("data.path: images in an archive have no names by which they could be paired. Unpack it.")
    paths = table["image"].to_pylist()
    keys = [_key(path, label) for path, label in zip(paths, labels, strict=True)]
    places = {key: row for row, (key, label) in enumerate(zip(keys, labels, strict=True)) if label == clean}
    noisy = [row for row, label in enumerate(labels) if label != clean]
    paired = [row for row in noisy if keys[row] in places]
    fellows = {keys[row] for row in paired}
    lone = [(row, f"has no image of the same name in {clean}/") for row in noisy if keys[row] not in places]
    lone += [(row, "has no noisy image of the same name beside it") for key, row in places.items()
              if key not in fellows]  # fmt: skip
    if not paired:
        raise DataError(
            f"data.path: no image has the name of one in {clean}/. Give clean and noisy ones the same names, or say "
            "that all are clean: --set data.label=none"
        )
    rows = table.take(pa.array(paired)).drop_columns(["label"])
    rows = rows.append_column(CLEAN, pa.array([paths[places[keys[row]]] for row in paired]))
    folders = ", ".join(f"{folder}/" for folder in sorted({labels[row] for row in paired}))
    note = (
        f"Images of {folders} are noisy, and those of the same name in {clean}/ are clean. If all are clean: "
        "--set data.label=none"
    )
    bad = tuple(SkippedRow(paths[row], None, "image", reason) for row, reason in lone)
    return Pairs(rows, CLEAN, bad, (note,))


def _key(path: str, label: str) -> tuple[str, ...]:
    """Where an image stands, without the folder that is its label and without its ending."""
    parts, own = PurePath(path).with_suffix("").parts, tuple(label.split("/"))
    ends = range(len(parts) - len(own) - 1, -1, -1)
    start = next((i for i in ends if parts[i : i + len(own)] == own), 0)
    return (*parts[:start], *parts[start + len(own) :])


def settings(recipe: Recipe, collected: Collected, table: pa.Table) -> dict[str, Settings]:
    """Kinds of columns that are set: what says where a row comes from is not looked at. Of few rows, those that are all
    the same are no reason to leave a column out.
    """
    kinds: dict[str, Settings] = {}
    for name in table.column_names if table.num_rows < FEWEST else ():
        cells = table[name].combine_chunks()
        kind = next((kind for kind in ("image", "series") if preprocess.suits(cells.drop_null(), kind) > 0), None)
        kinds |= {name: plugin("preprocess", kind).Config(**preprocess.look(cells.drop_null(), kind))} if kind else {}
    kinds |= {name: Unused(kind="ignore") for name in collected.metadata if name in table.column_names}
    return kinds | dict(recipe.columns)


def schema(rows: Pairs, table: pa.Table, recipe: Recipe, collected: Collected) -> tuple[Schema, tuple[str, ...]]:
    """The columns of some rows: those that are noisy, and the target where clean ones are given; and notes.

    Errors: DataError where there is nothing to take noise off, or it is open which column is meant.
    """
    table = table.drop_columns([ROW_NUMBER])
    kinds = settings(recipe, collected, table)
    whole = preprocess.infer(table, rows.clean, kinds, recipe.missing, collected.decimal)
    used = [column for column in whole.columns if column.kind not in UNUSED]
    kind = next((kind for kind in FORMS if any(column.kind == kind for column in used)), None)
    if kind is None:
        names = ", ".join(f"{column.name} ({column.kind})" for column in whole.columns[:8])
        raise DataError(f"task: there are no images, series or numbers to take noise off (got {names or 'nothing'}).")
    own = [column for column in used if column.kind == kind]
    if len(own) > 1 and (kind != "number" or whole.target):
        names = ", ".join(column.name for column in own[:8])
        cure = "Say which not to use: --set columns.NAME=ignore" if whole.target or kind == "series" else (
            "Name the clean one with --target COLUMN, or say which not to use: --set columns.NAME=ignore"
        )  # fmt: skip
        raise DataError(f"task: several columns hold {NAMES[FORMS[kind]]} ({names}). {cure}")
    if whole.target is not None and whole.target.kind != kind:
        raise DataError(
            f"target: column '{whole.target.name}' must hold what {own[0].name} is without noise, which is "
            f"{NAMES[FORMS[kind]]} (got {whole.target.kind})."
        )
    columns = tuple(
        c if c in own or c.kind in UNUSED else c.model_copy(update={"kind": "ignore"}) for c in whole.columns
    )
    others = [column.name for column in used if column not in own]
    notes = (f"Not looked at: {', '.join(others[:8])}, which are no {NAMES[FORMS[kind]]}.",) if others else ()
    return whole.model_copy(update={"columns": columns, "literal": collected.literal}), notes


def in_parts(cfg: Split, form: Form) -> Split:
    """How rows are given to parts: of a table the first, the next and the last ones."""
    return in_time(cfg) if form == "table" and isinstance(cfg, Auto | Random) else explicit(cfg)


def are_few(rows: Pairs, form: Form) -> bool:
    """Whether there are so few images or series that each is cut into parts."""
    return form != "table" and rows.table.num_rows < FEWEST


def cut(rows: Pairs, prep: Preprocessor, state: State, shares: tuple[float, float]) -> Splits:
    """Each image or series in three parts along its longer side: to learn from, to choose the network, to evaluate it.

    Errors: DataError where they are too small for that.
    """
    names = [*state.columns, *([rows.clean] if rows.clean else [])]
    bounds = np.cumsum([0, 1 - sum(shares), *shares])
    tables = []
    for low, high in itertools.pairwise(bounds):
        columns = {name: _stretch(rows.table, name, prep, state, (low, high)) for name in names}
        tables.append(pa.table({**columns, ROW_NUMBER: rows.table[ROW_NUMBER]}))
    return Splits(*tables)


def _stretch(table: pa.Table, name: str, prep: Preprocessor, state: State, share: tuple[float, float]) -> pa.Array:
    """A part of each image or series of a column."""
    if state.form == "series":
        values = [one for one in recordings.cells(prep.schema, table, name, state.channels) if not isinstance(one, str)]
        layout = prep.columns[0].settings.get("layout", "steps_first")
        return recordings.column([_piece(one.values, 0, share) for one in values], state.channels, layout)
    column, most = image_files.column(prep.schema, table, name), image_files.most(prep)
    bodies = list[bytes]()
    for row in range(table.num_rows):
        image = image_files.read(column, row, most)
        assert not isinstance(image, str)
        height, width = image.pixels.shape[:2]
        bodies.append(image_files.encode(Image(_piece(image.pixels, 0 if height >= width else 1, share))))
    return pa.array(bodies, pa.large_binary())


def _piece(values: np.ndarray, axis: int, share: tuple[float, float]) -> np.ndarray:
    size = values.shape[axis]
    if size < SHORTEST:
        sizes = " x ".join(map(str, values.shape[:-1]))
        raise DataError(
            f"split: fewer than {FEWEST} rows are cut into parts, and one of {sizes} is too small for that. Give more "
            f"rows, or larger ones ({SHORTEST} or more)."
        )
    low, high = (round(size * edge) for edge in share)
    return values.take(np.arange(low, max(high, low + 1)), axis)


def sound(
    table: pa.Table, schema: Schema, form: Form, names: Sequence[str], source: Settings
) -> tuple[pa.Table, list[SkippedRow]]:
    """The rows whose images or series can be used, and are as large as the clean ones; and those that cannot."""
    if form == "table" or not table.num_rows:
        return table, []
    reasons = _reasons(table, schema, form, names)
    bad = np.array([reason is not None for reason in reasons])
    broken = locate(table, bad, names[0], [reason for reason in reasons if reason], source)
    if bad.all():
        raise DataError(f"data: no usable row is left; the first was skipped: {broken[0].reason}.")
    return table.filter(pa.array(~bad)), broken


def _reasons(table: pa.Table, schema: Schema, form: Form, names: Sequence[str]) -> list[str | None]:
    """Why rows cannot be used."""
    if form == "series":
        return _series_reasons(table, schema, names)
    columns = {one.name: one for one in (*schema.columns, schema.target) if one}
    faults = [next(preprocess.faults([table], columns[name])) for name in names]
    sizes = [_sizes(schema, table, name) for name in names]
    reasons = list[str | None]()
    for fault, size in zip(zip(*faults, strict=True), zip(*sizes, strict=True), strict=True):
        reason = next((one for one in fault if one), None)
        if reason is None and None in size:
            reason = image_files.MISSING
        if reason is None and len({*size}) > 1:
            reason = "is of another size than its clean image"
        reasons.append(reason)
    return reasons


def _sizes(schema: Schema, table: pa.Table, name: str) -> list[tuple[int, int] | None]:
    column = image_files.column(schema, table, name)
    bodies = (cells.body(column, row)[0] for row in range(table.num_rows))
    return [codec.upright_shape(body) if body else None for body in bodies]


def _series_reasons(table: pa.Table, schema: Schema, names: Sequence[str]) -> list[str | None]:
    prep = preprocess.fit(table.drop_columns([ROW_NUMBER]), schema)
    channels = prep.states[0].model_dump()["channels"]
    reasons = list[str | None]()
    for own in zip(*(recordings.cells(schema, table, name, channels) for name in names), strict=True):
        reason = next((one for one in own if isinstance(one, str)), None)
        if reason is None and len({len(one.values) for one in own if not isinstance(one, str)}) > 1:
            reason = "is of another length than its clean series"
        reasons.append(reason)
    return reasons


def moments(schema: Schema, table: pa.Table, names: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the columns of a table; a deviation of none is 1."""
    recording = recordings.table(schema, table, names)
    if isinstance(recording, str):
        raise DataError(f"data: the table {recording}.")
    std = recording.values.std(axis=0)
    return tuple(recording.values.mean(axis=0).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def of_kind(columns: Sequence[Column]) -> tuple[str, ...]:
    """The columns whose noise is taken off."""
    return tuple(column.name for column in columns if column.kind not in UNUSED)
