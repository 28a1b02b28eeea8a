"""The page `Recipe`: what is learned, by which network, with which settings; as forms and as YAML side by side."""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from lamina.apps import theme
from lamina.apps.studio import data_page, draft, forms, ledger, places, understanding
from lamina.apps.studio.understanding import Understanding
from lamina.apps.try_app.model import notes, plain, sentences
from lamina.config import LaminaError
from lamina.plugins import Settings, available, kind, plugin
from lamina.preprocess import UNUSED
from lamina.recipe import Recipe, Rest
from lamina.run import name_of
from lamina.schema import Row
from lamina.train.settings import Config as Train

BY_DATA = "by the data"
CHOICES, COLUMNS, MODEL, TRAINING, REST = "What to learn", "Columns", "Network", "Training", "Data and split"
CHOSEN_ABOVE = ("target", "preset", "name")


def show() -> None:
    theme.page("Recipe", f"Studio · {Path.cwd()}")
    if not draft.exists():
        st.write("A recipe begins with data.")
        if st.button("Bring data", type="primary"):
            places.go(places.DATA)
        return
    forms_side, text_side = st.columns([3, 2], gap="large")
    with text_side:
        _text()
    with forms_side:
        _forms()


def _text() -> None:
    """The recipe as YAML, to be changed too."""
    key = f"yaml {draft.text()}"
    height = 28 * max(10, min(draft.text().count("\n") + 2, 24))
    st.text_area("Recipe as YAML", draft.text(), height=height, key=key, on_change=_typed, args=(key,))
    st.download_button("Download the recipe", draft.text(), "recipe.yaml", "text/yaml", on_click="ignore")


def _typed(key: str) -> None:
    draft.replace_text(st.session_state[key])


def _forms() -> None:
    """The forms, as far as the recipe can be understood; what is wrong with it is said first."""
    for fault in st.session_state.pop("form faults", ()):
        st.error(plain(fault))
    with sentences():
        values = draft.values()
    checked, understood = None, None
    try:
        checked = draft.build()
        understood = understanding.understand(checked)
    except LaminaError as error:
        for line in str(error).splitlines():
            st.error(plain(line))
    _start(checked if understood else None)
    part = st.segmented_control(
        "Part of the recipe", [CHOICES, COLUMNS, MODEL, TRAINING, REST], default=CHOICES, required=True, key="part",
        label_visibility="collapsed",
    )  # fmt: skip
    with sentences():
        _PARTS[part or CHOICES](values, checked, understood)


def _start(checked: Recipe | None) -> None:
    """The name of the run, and the button that trains."""
    name_side, button_side = st.columns([2, 1], vertical_alignment="bottom")
    name = name_side.text_input("Name of the run", st.session_state[draft.NAME], key="name of the run")
    if button_side.button("Train", type="primary", disabled=checked is None, width="stretch") and checked:
        with sentences():
            places.go(places.RUN, ledger.start(draft.text(), checked.name or name_of([name or "run"])))


def _choices(values: Row, checked: Recipe | None, understood: Understanding | None) -> None:
    """Target, task, network and effort, with what suits first."""
    names = list(understanding.sources(checked).train.table.column_names) if checked else []
    target = values.get("target")
    known_target = understood.experiment.target if understood else None
    usual = known_target.name if known_target and target is None else None
    options = [*names, *([str(target)] if target is not None and str(target) not in names else [])]
    current = usual if target is None else str(target)
    _pick("Target: the column to predict", options, current, ("target",), "No column: some tasks need none.")
    tasks = understood.tasks if understood else dict.fromkeys(available("tasks"))
    best = understood.experiment.task.kind if understood else ""
    _pick_plugin("Task", "tasks", list(tasks), values.get("task"), ("task",), best)
    network = understood.model if understood else ""
    fitting = understood.models if understood else dict.fromkeys(available("models"), 0.0)
    _pick_plugin("Network", "models", list(fitting), values.get("model"), ("model",), network)
    if understood and (others := [name for name in available("models") if name not in fitting]):
        st.caption(f"Not for these data: {', '.join(others)}.")
    forms.form(Rest, (), values, skip=[name for name in Rest.model_fields if name != "preset"])
    if understood:
        counts = understood.experiment.counts()
        st.write(
            f"{counts['used']:,} rows: {counts['train']:,} to train, {counts['validation']:,} to validate, "
            f"{counts['test']:,} to test; {counts['quarantined']:,} set aside"
        )
        notes(understood.experiment.notes)
    if checked and checked.task is not None and not isinstance(checked.task, Settings):
        st.subheader(f"Settings of {plain(kind(checked.task))}")
        _plugin_form("tasks", kind(checked.task), "task", values)
    elif understood:
        st.subheader(f"Settings of {plain(best)}")
        usual_settings = understood.experiment.settings().model_dump(mode="json")
        _plugin_form("tasks", best, "task", values, usual_settings)


def _pick(label: str, options: Sequence[str], current: str | None, path: tuple[str, ...], about: str) -> None:
    place = options.index(current) if current in options else None
    key = f"{draft.revision()} pick {'.'.join(path)} {current} {len(options)}"
    st.selectbox(label, options, place, key=key, help=about, placeholder="none", on_change=_picked, args=(path, key))


def _pick_plugin(
    label: str, folder: str, names: list[str], value: str | Row | None, path: tuple[str, ...], best: str
) -> None:
    """A plug-in of a folder by name, or the one that the data decide for; with what each says of itself."""
    chosen = value.get("kind") if isinstance(value, dict) else value
    chosen = str(chosen).replace("-", "_") if chosen else None
    names = [*names, *([chosen] if chosen and chosen not in names else [])]

    def title(name: str) -> str:
        if name == BY_DATA:
            return f"{BY_DATA}: {best}" if best and not chosen else BY_DATA
        first = " (suits best)" if names and name == names[0] else ""
        return f"{name}{first} – {understanding.sentence(folder, name)}"

    options = [BY_DATA, *names]
    key = f"{draft.revision()} plugin {folder} {chosen} {best}"
    st.selectbox(
        label, options, options.index(chosen) if chosen in names else 0, format_func=title, key=key,
        on_change=_picked, args=(path, key),
    )  # fmt: skip


def _picked(path: tuple[str, ...], key: str) -> None:
    """Another choice; its old settings would not fit it."""
    value = st.session_state[key]
    draft.change(path, None if value == BY_DATA else value)


def _plugin_form(folder: str, name: str, section: str, values: Row, usual: Row | None = None) -> None:
    """The settings of a plug-in that the recipe, or the data, decided for."""
    value = values.get(section)
    forms.form(plugin(folder, name).Config, (section,), value if isinstance(value, dict) else {}, usual)


def _columns(values: Row, checked: Recipe | None, understood: Understanding | None) -> None:
    """The columns as they are read, and a place to read one otherwise."""
    if understood is None:
        st.caption("The columns come here once the recipe has no fault.")
        return
    schema = understood.experiment.schema
    data_page.columns_table([column.model_dump(mode="json") for column in schema.columns])
    names = [column.name for column in schema.columns]
    name = st.selectbox("Column to read otherwise", names, None, placeholder="Choose one", key="column")
    if not name:
        return
    column = next(column for column in schema.columns if column.name == name)
    settings = (values.get("columns") or {}).get(name)
    chosen = settings.get("kind") if isinstance(settings, dict) else settings
    kinds = [*available("preprocess"), *UNUSED]
    options, current = [f"{BY_DATA}: {column.kind}" if not chosen else BY_DATA, *kinds], chosen
    key = f"{draft.revision()} kind of {name} {chosen}"
    st.selectbox(
        f"Kind of {plain(name)}", options, options.index(current) if current in kinds else 0, key=key,
        on_change=_picked_kind, args=(name, key),
    )  # fmt: skip
    if column.kind not in UNUSED:
        forms.form(
            plugin("preprocess", column.kind).Config, ("columns", name), settings if isinstance(settings, dict) else {},
            column.settings,
        )  # fmt: skip


def _picked_kind(name: str, key: str) -> None:
    value = st.session_state[key]
    draft.change(("columns", name), None if value.startswith(BY_DATA) else value)


def _model(values: Row, checked: Recipe | None, understood: Understanding | None) -> None:
    """The settings of the network."""
    name = understood.model if understood else None
    if checked and checked.model is not None and not isinstance(checked.model, Settings):
        name = kind(checked.model)
    value = values.get("model")
    name = name or (value.get("kind") if isinstance(value, dict) else value)
    if name not in available("models"):
        st.caption("Choose a network first.")
        return
    st.subheader(plain(name))
    st.caption(plain(understanding.sentence("models", name)))
    _plugin_form("models", name, "model", values)


def _training(values: Row, checked: Recipe | None, understood: Understanding | None) -> None:
    """How to train; what suits the network is shown where the recipe says nothing."""
    train = values.get("train")
    forms.form(Train, ("train",), train if isinstance(train, dict) else {}, understood.training if understood else None)


def _rest(values: Row, checked: Recipe | None, understood: Understanding | None) -> None:
    """How the data are read and split, and the seed."""
    forms.form(Rest, (), values, skip=CHOSEN_ABOVE)
    if checked:
        st.subheader("Reading the data")
        data = checked.data.model_dump(mode="json", exclude_defaults=True)
        required = [name for name, field in type(checked.data).model_fields.items() if field.is_required()]
        forms.form(type(checked.data), ("data",), data, skip=required)


_PARTS: dict[str, Callable[[Row, Recipe | None, Understanding | None], None]] = {
    CHOICES: _choices,
    COLUMNS: _columns,
    MODEL: _model,
    TRAINING: _training,
    REST: _rest,
}
