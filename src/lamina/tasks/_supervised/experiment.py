"""What a recipe asks of its data: the usable rows in three parts, the task, and all that was set aside on the way."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import data, preprocess, tasks
from lamina.config import Config, DataError
from lamina.data._splits import Auto, ByColumn, Parts, Split, split
from lamina.experiment import Case
from lamina.plugins import kind as kind_of
from lamina.plugins import plugin
from lamina.preprocess import typed
from lamina.recipe import Recipe, Unused
from lamina.schema import Collected, Column, Quarantined, Schema
from lamina.tasks._supervised import external_data as others
from lamina.tasks._supervised import target as labelled
from lamina.tasks.forecasting import column_roles as roles
from lamina.tasks.forecasting import experiment as ahead
from lamina.tasks.generation import experiment as originals


def collect(recipe: Recipe, given: Collected | None = None, given_test: Collected | None = None) -> Case:
    """What a recipe asks of its data, and the other data that the finished network is to be judged by."""
    case = _collected(recipe, given, given_test)
    return replace(case, also=others.read(recipe.also, case)) if recipe.also else case


def _collected(recipe: Recipe, given: Collected | None, given_test: Collected | None) -> Case:
    """Read the recipe's rows, set aside those without a usable target, decide the task, split, look at the columns."""
    source = recipe.data
    collected = given or data.load(source)
    if recipe.task is not None and ahead.asked(recipe.task):
        return ahead.collect(recipe, collected, given_test)
    wanted = collected.target if recipe.target is None else recipe.target
    if wanted is None and recipe.task is not None and _aimless(recipe.task):
        return _untargeted(recipe, collected, given_test)
    if wanted is None:
        seen = "".join(f" {note}" for note in collected.notes)
        raise DataError(f"target: is required. Say which column is to be predicted with: --target COLUMN.{seen}")
    table = labelled.rows(collected, recipe.missing)
    name = labelled.column(table, wanted)
    surely, told = (False, ()) if recipe.task else roles.surely(recipe, table.drop_columns([labelled.ROW]), name)
    if surely:
        wanted = recipe.model_copy(update={"task": plugin("tasks", "forecasting").Config(), "target": name})
        found = ahead.collect(wanted, collected, given_test)
        return replace(found, notes=(*told, *found.notes))
    known = collected.task if name == collected.target else None
    task_cfg, task = _task(recipe, table, name, known)
    aim = Column(name=name, kind=task.target, settings=_target_settings(recipe, table[name], name, task))
    table, bad = labelled.split_off(table, aim, source)
    if bad and not table.num_rows:
        raise DataError(
            f"target: no row of column '{name}' can be used: {bad[0].reason}. Look at it: lamina inspect DATA"
        )
    test, test_source, tested = _test(recipe, name, aim, given_test)
    parts = split(table, _by_source(recipe.split, collected), name, recipe.seed, test)
    values = typed(parts.train, (aim,))[name].combine_chunks()
    state = task.fit(values, task_cfg)
    parts, late = _with_known_labels(parts, aim, task, state, (source, test_source or source))
    schema = _schema(recipe, parts.train, aim, collected.beside)
    parts, broken = _sound(parts, schema, (source, test_source or source))
    lost = (*collected.quarantine, *bad, *tested.quarantine, *late, *broken)
    case = Case(
        recipe=recipe.model_copy(update={"target": name}),
        task=task,
        task_cfg=task_cfg,
        state=state,
        schema=schema,
        parts=Parts(*(t.drop_columns([labelled.ROW]) for t in parts)),
        read=collected.table.num_rows + len(collected.quarantine) + tested.table.num_rows + len(tested.quarantine),
        quarantine=lost,
        notes=(*collected.notes, *told, *tested.notes, *_relabelled(parts.test, aim, state)),
    )
    return originals.of(case) if originals.asked(task_cfg) else case


def _aimless(task: Config) -> bool:
    """Whether a task can do without a column to predict."""
    return bool(vars(plugin("tasks", kind_of(task))).get("aimless"))


def _untargeted(recipe: Recipe, collected: Collected, given_test: Collected | None) -> Case:
    """The same where no column is to be predicted: every row is usable whose cells are sound."""
    source, cfg = recipe.data, recipe.task
    assert cfg is not None
    task = plugin("tasks", kind_of(cfg))
    table = labelled.rows(collected, recipe.missing)
    path = source.model_dump().get("test")
    later, tested = source.model_copy(update={"path": path, "test": None}), given_test
    tested = tested or (data.load(later) if path else None)
    test = labelled.rows(tested, recipe.missing) if tested else None
    parts = split(table, _by_source(recipe.split, collected), None, recipe.seed, test)
    given = {name: Unused(kind="ignore") for name in collected.beside if name in table.column_names} | recipe.columns
    seen = preprocess.infer(parts.train.drop_columns([labelled.ROW]), None, given, recipe.missing)
    parts, broken = _sound(parts, seen, (source, later if path else source))
    extra = tested or Collected(pa.table({}))
    case = Case(
        recipe=recipe,
        task=task,
        task_cfg=cfg,
        state=task.fit(None, cfg),
        schema=seen,
        parts=Parts(*(t.drop_columns([labelled.ROW]) for t in parts)),
        read=sum(c.table.num_rows + len(c.quarantine) for c in (collected, extra)),
        quarantine=(*collected.quarantine, *extra.quarantine, *broken),
        notes=(*collected.notes, *extra.notes),
    )
    return originals.of(case) if originals.asked(cfg) else case


def _by_source(said: Split, collected: Collected) -> Split:
    """The split the source knows, where the recipe says nothing of its own."""
    return ByColumn(name=collected.part) if collected.part and isinstance(said, Auto) else said


def _sound(parts: Parts, schema: Schema, sources: tuple[Config, Config]) -> tuple[Parts, list[Quarantined]]:
    """Without the rows whose cells a kind can tell to be broken, such as pictures that do not decode."""
    lost: list[Quarantined] = []
    for column in filter(preprocess.can_be_broken, schema.columns):
        kept = []
        for name, table, faults in zip(Parts._fields, parts, preprocess.faults(parts, column), strict=True):
            bad = np.array([fault is not None for fault in faults])
            reasons = [fault for fault in faults if fault]
            lost += labelled.lines(table, bad, column.name, reasons, sources[name == "test"])
            kept.append(table.filter(pa.array(~bad)) if bad.any() else table)
            if bad.all():
                raise DataError(f"{name}: no usable row is left; the first was set aside: {lost[0].reason}.")
        parts = Parts(*kept)
    return parts, lost


def _task(recipe: Recipe, table: pa.Table, name: str, known: str | None) -> tuple[Config, Any]:
    """The task said, else what the source is for, else what fits the target."""
    cfg = recipe.task
    if cfg is None:
        cfg = plugin("tasks", known or tasks.suggest(table[name].combine_chunks(), name)).Config()
    return cfg, plugin("tasks", kind_of(cfg))


def _target_settings(recipe: Recipe, column: pa.ChunkedArray, name: str, task: Any) -> dict[str, Any]:
    """What the recipe says of the target's cells, over what its kind finds out by looking at them."""
    kind = task.target
    found = preprocess.look(column.combine_chunks().drop_null(), kind) | vars(task).get("reading", {})
    said = recipe.columns.get(name)
    values = said.model_dump(mode="json", exclude_defaults=True) if said else {}
    own = {k: v for k, v in values.items() if k != "kind"} if said and kind_of(said) == kind else {}
    return found | own


def _test(
    recipe: Recipe, name: str, aim: Column, given: Collected | None
) -> tuple[pa.Table | None, Config | None, Collected]:
    """The separate test rows, if the recipe names a file or rows were given."""
    source = recipe.data
    path = source.model_dump().get("test")
    if given is None and path is None:
        return None, None, Collected(pa.table({}))
    source = source if given else source.model_copy(update={"path": path, "test": None})
    collected = given or data.load(source)
    table = labelled.rows(collected, recipe.missing)
    if name not in table.column_names:
        raise DataError(f"test: the test rows have no column '{name}', so they cannot be judged.")
    table, bad = labelled.split_off(table, aim, source)
    return table, source, replace(collected, quarantine=(*collected.quarantine, *bad), table=_less(collected, bad))


def _less(collected: Collected, bad: list[Quarantined]) -> pa.Table:
    """The table without as many rows as were set aside after reading: only its length is used."""
    return collected.table.slice(0, collected.table.num_rows - len(bad))


def _with_known_labels(
    parts: Parts, aim: Column, task: Any, state: Any, sources: tuple[Config, Config]
) -> tuple[Parts, list[Quarantined]]:
    validation, bad = labelled.known(parts.validation, aim, task, state, sources[0])
    test, worse = labelled.known(parts.test, aim, task, state, sources[1])
    for name, rows in (("validation", validation), ("test", test)):
        if not rows.num_rows:
            why = f" Its labels are unknown: {(bad + worse)[0].reason}." if bad + worse else ""
            raise DataError(f"{name}: no usable row is left.{why}")
    return Parts(parts.train, validation, test), bad + worse


def _relabelled(test: pa.Table, aim: Column, state: Any) -> tuple[str, ...]:
    """A note where test labels are written otherwise than in training."""
    classes = state.model_dump().get("classes")
    if not classes:
        return ()
    labels = typed(test, (aim,))[aim.name].combine_chunks()
    labels = labels.flatten() if pa.types.is_list(labels.type) else labels
    seen = set(labels.unique().to_pylist()) - set(classes)
    return (f"Test labels {', '.join(map(repr, sorted(seen)))} were read as the class they resemble.",) if seen else ()


def _schema(recipe: Recipe, train: pa.Table, aim: Column, beside: tuple[str, ...]) -> Schema:
    """Kinds of all columns from training rows; the target's kind is the task's."""
    given: dict[str, Config] = {name: Unused(kind="ignore") for name in beside if name in train.column_names}
    given |= {name: cfg for name, cfg in recipe.columns.items() if name != aim.name}
    table = train.drop_columns([labelled.ROW])
    seen = preprocess.infer(table.drop_columns([aim.name]), None, given, recipe.missing)
    looked = preprocess.infer(table.select([aim.name]), None, {}, recipe.missing).columns[0]
    return Schema(
        columns=seen.columns,
        target=looked.model_copy(update={"kind": aim.kind, "settings": aim.settings, "note": "the target"}),
        missing=recipe.missing,
    )
