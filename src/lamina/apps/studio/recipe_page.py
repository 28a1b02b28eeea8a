"""The page `Recipe`: what is learned, by which network, with which settings; as forms and as YAML side by side."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from lamina.apps import theme
from lamina.apps.messages import faults, notes, plain, sentences
from lamina.apps.studio import data_page, draft, forms, ledger, places
from lamina.apps.studio.analysis import Analysis, analyse, column_names, sentence
from lamina.config import LaminaError
from lamina.plugins import available, plugin
from lamina.preprocess import UNUSED
from lamina.recipe import Recipe, Rest
from lamina.run import name_of
from lamina.schema import Row
from lamina.train.settings import Config as Train

BY_DATA = "by the data"
CHOICES, COLUMNS, MODEL, TRAINING, REST = "What to learn", "Columns", "Network", "Training", "Data and split"
SEPARATE_FIELDS = ("target", "preset", "name")


def show() -> None:
    theme.page("Recipe", f"Studio · {Path.cwd()}")
    if not draft.restore():
        st.write("A recipe begins with data.")
        if st.button("Bring data", type="primary"):
            places.go(places.DATA)
        return
    forms_side, text_side = st.columns([3, 2], gap="large")
    with text_side:
        _text()
    with forms_side:
        _forms()
    draft.save()


def _text() -> None:
    """The recipe as YAML, to be changed too."""
    key = f"yaml {draft.text()}"
    height = 28 * max(10, min(draft.text().count("\n") + 2, 24))
    st.text_area("Recipe as YAML", draft.text(), height=height, key=key, on_change=_apply_text, args=(key,))
    st.download_button("Download the recipe", draft.text(), "recipe.yaml", "text/yaml", on_click="ignore")


def _apply_text(key: str) -> None:
    draft.replace_text(st.session_state[key])


def _forms() -> None:
    """The forms, as far as the recipe can be understood; what is wrong with it is said first."""
    for fault in draft.pop_faults():
        st.error(plain(fault))
    with sentences():
        _form(draft.values())


def _form(values: Row) -> None:
    """The part of the recipe that a person chose; the button that trains works where nothing is wrong."""
    recipe, analysis = None, None
    try:
        recipe = draft.build()
        analysis = analyse(recipe)
    except LaminaError as error:
        say = st.info if not values.keys() & {"target", "task"} else st.error  # nothing is chosen yet
        for fault in faults(error):
            say(plain(fault))
    _start(recipe if analysis else None)
    part = st.segmented_control(
        "Part of the recipe", [CHOICES, COLUMNS, MODEL, TRAINING, REST], default=CHOICES, required=True, key="part",
        label_visibility="collapsed",
    )  # fmt: skip
    _PARTS[part or CHOICES](values, recipe, analysis)


def _start(recipe: Recipe | None) -> None:
    """The name of the run, and the button that trains."""
    name_side, button_side = st.columns([2, 1], vertical_alignment="bottom")
    name = name_side.text_input("Name of the run", st.session_state[draft.NAME], key="name of the run")
    if button_side.button("Train", type="primary", disabled=recipe is None, width="stretch") and recipe:
        with sentences():
            places.go(places.RUN, ledger.start(draft.text(), recipe.name or name_of([name or "run"])))


def _choices(values: Row, recipe: Recipe | None, analysis: Analysis | None) -> None:
    """Target, task, network and effort, with what suits first."""
    names = column_names(values)
    target = values.get("target")
    target_column = analysis.experiment.target if analysis else None
    usual = target_column.name if target_column and target is None else None
    options = [*names, *([str(target)] if target is not None and str(target) not in names else [])]
    current = usual if target is None else str(target)
    _pick("Target: the column to predict", options, current, ("target",), "No column: some tasks need none.")
    tasks = analysis.tasks if analysis else dict.fromkeys(available("tasks"), 0.0)
    best = analysis.experiment.task.kind if analysis else ""
    _pick_plugin("Task", "tasks", tasks, values.get("task"), ("task",), best)
    network = analysis.model if analysis else ""
    fitting = analysis.models if analysis else dict.fromkeys(available("models"), 0.0)
    _pick_plugin("Network", "models", fitting, values.get("model"), ("model",), network)
    if analysis and (others := [name for name in available("models") if name not in fitting]):
        st.caption(f"Not for these data: {', '.join(others)}.")
    forms.form(Rest, (), values, skip=[name for name in Rest.model_fields if name != "preset"])
    if analysis:
        counts = analysis.experiment.counts()
        st.write(
            f"{counts['used']:,} rows: {counts['train']:,} to train, {counts['validation']:,} to validate, "
            f"{counts['test']:,} to test; {counts['skipped']:,} skipped"
        )
        notes(analysis.experiment.notes)
    name = best or _kind(values.get("task"))
    if name in available("tasks"):
        st.subheader(f"Settings of {plain(name)}")
        by_data = analysis.experiment.settings().model_dump(mode="json") if analysis else {}
        _plugin_form("tasks", name, "task", values, by_data)


def _pick(label: str, options: Sequence[str], current: str | None, path: tuple[str, ...], about: str) -> None:
    place = options.index(current) if current in options else None
    key = f"{draft.revision()} pick {'.'.join(path)} {current} {len(options)}"
    st.selectbox(label, options, place, key=key, help=about, placeholder="none", on_change=_choose, args=(path, key))


def _pick_plugin(
    label: str, folder: str, fitness: Mapping[str, float], value: Any, path: tuple[str, ...], best: str
) -> None:
    """A plug-in of a folder by name, or the one that the data decide for; with what each says of itself."""
    own = _kind(value)
    names = [*fitness, *([own] if own and own not in fitness else [])]

    def title(name: str) -> str:
        if name == BY_DATA:
            return f"{BY_DATA}: {best}" if best and not own else BY_DATA
        first = " (suits best)" if name == names[0] and fitness.get(name) else ""
        return f"{name}{first} – {sentence(folder, name)}"

    options = [BY_DATA, *names]
    key = f"{draft.revision()} plugin {folder} {own} {best}"
    st.selectbox(
        label, options, options.index(own) if own in names else 0, format_func=title, key=key,
        on_change=_choose, args=(path, key),
    )  # fmt: skip


def _choose(path: tuple[str, ...], key: str) -> None:
    """Another choice; its old settings would not fit it."""
    value = st.session_state[key]
    draft.change(path, None if value == BY_DATA else value)
    draft.refresh()


def _plugin_form(folder: str, name: str, section: str, values: Row, by_data: Row) -> None:
    """The settings of a plug-in; what the data say for those that the recipe leaves open is in `by_data`."""
    settings = _settings(values.get(section))
    usual = {name: value for name, value in by_data.items() if name not in settings}
    forms.form(plugin(folder, name).Config, (section,), settings, usual)


def _settings(value: Any) -> Row:
    return value if isinstance(value, dict) else {}


def _kind(value: Any) -> str:
    """The plug-in that a section of a recipe names; "" for none."""
    return str((value.get("kind") if isinstance(value, dict) else value) or "").replace("-", "_")


def _columns(values: Row, recipe: Recipe | None, analysis: Analysis | None) -> None:
    """The columns as they are read, and a place to read one otherwise."""
    if analysis is None:
        st.caption("The columns come here once the recipe has no fault.")
        return
    schema = analysis.experiment.schema
    data_page.columns_table([column.model_dump(mode="json") for column in schema.columns])
    names = [column.name for column in schema.columns]
    name = st.selectbox("Column to read otherwise", names, None, placeholder="Choose one", key="column")
    if not name:
        return
    column = next(column for column in schema.columns if column.name == name)
    value = _settings(values.get("columns")).get(name)
    own, kinds = _kind(value), [*available("preprocess"), *UNUSED]
    options = [BY_DATA if own else f"{BY_DATA}: {column.kind}", *kinds]
    key = f"{draft.revision()} kind of {name} {own}"
    st.selectbox(
        f"Kind of {plain(name)}", options, options.index(own) if own in kinds else 0, key=key,
        on_change=_choose_kind, args=(name, key),
    )  # fmt: skip
    if column.kind not in UNUSED:
        settings = _settings(value)
        usual = {name: value for name, value in column.settings.items() if name not in settings}
        forms.form(plugin("preprocess", column.kind).Config, ("columns", name), settings, usual)


def _choose_kind(name: str, key: str) -> None:
    value = st.session_state[key]
    draft.change(("columns", name), None if value.startswith(BY_DATA) else value)
    draft.refresh()


def _model(values: Row, recipe: Recipe | None, analysis: Analysis | None) -> None:
    """The settings of the network."""
    name = _kind(values.get("model")) or (analysis.model if analysis else "")
    if name not in available("models"):
        st.caption("Choose a network first.")
        return
    st.subheader(plain(name))
    st.caption(plain(sentence("models", name)))
    _plugin_form("models", name, "model", values, {})


def _training(values: Row, recipe: Recipe | None, analysis: Analysis | None) -> None:
    """How to train; what suits the network is shown where the recipe says nothing."""
    usual = analysis.training if analysis else {}
    forms.form(Train, ("train",), _settings(values.get("train")), usual)


def _rest(values: Row, recipe: Recipe | None, analysis: Analysis | None) -> None:
    """How the data are read and split, and the seed."""
    forms.form(Rest, (), values, skip=SEPARATE_FIELDS)
    if recipe:
        settings = type(recipe.data).model_fields
        where = [name for name, field in settings.items() if field.is_required()]  # which the page Data is for
        if settings.keys() - {"kind", *where}:
            st.subheader("Reading the data")
            data = recipe.data.model_dump(mode="json", exclude_defaults=True)
            forms.form(type(recipe.data), ("data",), data, skip=where)


_PARTS: dict[str, Callable[[Row, Recipe | None, Analysis | None], None]] = {
    CHOICES: _choices,
    COLUMNS: _columns,
    MODEL: _model,
    TRAINING: _training,
    REST: _rest,
}
