"""Other data that the finished network is judged by, looked at before training: no fault of it waits an hour."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from lamina import data, preprocess
from lamina.config import Config, DataError, nearest
from lamina.data import _locator as _named
from lamina.experiment import Case, Other
from lamina.preprocess import UNUSED
from lamina.schema import Quarantined, named
from lamina.tasks._supervised import target as labelled

TRIED = 256  # rows at a time that are looked at for one that can be used


def read(wanted: Mapping[str, Config], case: Case) -> tuple[Other, ...]:
    """The sources of a recipe's `also`, each with a row at least that can be judged.

    Errors: DataError where a task predicts no column, a source cannot be read, has no such column or class, or no
    usable row.
    """
    if vars(case.task).get("generative") or case.schema.target is None:
        raise DataError("also: this run predicts no column, so there is nothing to judge on other data. Leave it out.")
    found = []
    for name, source in wanted.items():
        try:
            found.append(Other(name, source, data.load(source)))
            _look(found[-1], case)
        except DataError as error:
            raise DataError(f"also.{name}: {str(error).removeprefix('data.path: ')}") from None
    return tuple(found)


def _look(other: Other, case: Case) -> None:
    aim, collected = case.target, other.collected
    used = [column for column in case.schema.columns if column.kind not in UNUSED]
    pictures = [column.name for column in used if column.kind == "image"]
    names = {"image": pictures[0]} if len(pictures) == 1 else {}
    rows = named(collected.table, names | ({collected.target: aim.name} if collected.target else {}))
    if aim.name not in rows.column_names:
        if rows.column_names == pictures:
            raise DataError(f"its pictures have no class. Say which one: CLASS={_named.told(other.source)}")
        raise DataError(f"there is no column '{aim.name}'. {nearest(aim.name, rows.column_names)}")
    if not {column.name for column in used} & set(rows.column_names):
        known, got = (", ".join(names[:5]) for names in ([c.name for c in used], rows.column_names))
        raise DataError(f"has none of the columns that are learned from, {known} (got {got}).")
    if vars(case.task).get("framed"):
        return
    table = labelled.rows(replace(collected, table=rows), case.schema.missing)
    table, bad = labelled.split_off(table, aim, other.source)
    _refuse_strangers(other, case)
    table, unknown = labelled.known(table, aim, case.task, case.state, other.source)
    if not table.num_rows:
        raise DataError(f"no row can be judged; the first was set aside because {(bad + unknown)[0].reason}.")
    _refuse_broken(table, case, other.source)


def _refuse_strangers(other: Other, case: Case) -> None:
    """A class that was named and was never trained on is a slip of the pen."""
    classes = case.state.model_dump().get("classes")
    for name in other.source.model_dump().get("classes", ()) if classes else ():
        if case.task.unknown(pa.array([str(name)]), case.state)[0]:
            raise DataError(f"there is no class '{name}' to judge. {nearest(str(name), classes)}")


def _refuse_broken(table: pa.Table, case: Case, source: Config) -> None:
    """Rows are looked at until one is found whose cells are sound."""
    for column in filter(preprocess.can_be_broken, case.schema.columns):
        if column.name not in table.column_names:
            continue
        pieces = (table.slice(start, TRIED) for start in range(0, table.num_rows, TRIED))
        first: list[Quarantined] = []
        for piece in pieces:
            _, faults = preprocess.faults((case.parts.train.slice(0, TRIED), piece), column)
            bad = np.array([fault is not None for fault in faults])
            if not bad.all():
                break
            first = first or labelled.lines(piece, bad, column.name, [str(fault) for fault in faults], source)
        else:
            raise DataError(f"no row can be judged; the first is {first[0].file}, which {first[0].reason}.")
