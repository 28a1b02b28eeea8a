"""What a bundle that generates says of itself must be possible, before anything is generated or memory is given."""

import math

from lamina.deploy.bundle.strict_json import printable, rejection
from lamina.preprocess import time
from lamina.task import Session
from lamina.tasks.generation import cell_writers, choice_pairs, column_transformer, discriminator_scores, formulas
from lamina.tasks.generation.state import ColumnModes, DiscriminatorCalibration, State, TextTemplate

LATENT, GOLDEN = 1 << 14, 256  # numbers of noise, and golden requests, at most
LATEST = 2.6e11  # seconds from 1970 within which a calendar is sure
BOOLEANS = {"true", "false"}
FORMS = {"text", "whole", "number", "boolean", "date", "moment"}


def check(session: Session) -> None:
    """Refuse a state that cannot be. Errors: BundleError naming file and place."""
    latent(session)
    if len(session.golden) > GOLDEN:
        raise rejection("golden.json", "rows", f"are more than {GOLDEN}")
    state, schema = session.task.state, session.schema
    if len(state.counts) != len(state.classes) or min(state.counts, default=1) < 1:
        raise rejection("task.json", "state.counts", "must be one for each class, 1 or more")
    if len(set(state.classes)) != len(state.classes) or (state.classes and not schema.target):
        raise rejection("task.json", "state.classes", "must be different ones, of a column that the schema names")
    calibration = state.discriminator_calibration
    graphs = [name for name in discriminator_scores.GRAPHS if name in session.graphs]
    if len(graphs) > 1 or bool(graphs) != (calibration is not None):
        reason = (
            "is missing" if not graphs else "is there twice" if calibration else "is there, and task.json knows none"
        )
        raise rejection(f"{graphs[-1] if graphs else discriminator_scores.GRAPH}.onnx", "", reason)
    if calibration and (reason := _calibration_fault(calibration, len(state.classes))):
        raise rejection("task.json", "state.discriminator_calibration", reason)
    kinds = {column.name: column.kind for column in schema.columns}
    names = [modes.name for modes in state.columns]
    if len(set(names)) != len(names) or any(kinds.get(modes.name) != modes.kind for modes in state.columns):
        raise rejection("task.json", "state.columns", "are not those of the schema")
    for i, modes in enumerate(state.columns):
        if reason := _column_fault(modes) or _nesting_fault(modes):
            raise rejection("task.json", f"state.columns.{i}", f"{reason} ({printable(modes.name, 40)})")
    if reason := _relations_fault(state):
        raise rejection("task.json", "state.relations", reason)


def latent(session: Session) -> int:
    """The numbers of noise that the network takes. Errors: BundleError."""
    size = session.config.get("latent")
    if type(size) is not int or not 1 <= size <= LATENT:
        raise rejection("model.json", "config.latent", f"must be 1 to {LATENT:,}")
    return size


def _calibration_fault(discriminator: DiscriminatorCalibration, classes: int) -> str:
    """Why scores cannot be spread so, or ""."""
    if len(discriminator.medians) != max(1, classes):
        return "must have a median for each class"
    quantiles = (discriminator.conditional, discriminator.unconditional)
    sound = all(math.isfinite(v) for values in (discriminator.medians, *quantiles) for v in values)
    return "" if sound and all(list(values) == sorted(values) for values in quantiles) else "must be finite and ordered"


def _column_fault(modes: ColumnModes) -> str:
    """Why a column cannot be encoded so, or ""."""
    patterned = modes.kind in column_transformer.PATTERNED and modes.templates
    if modes.kind not in column_transformer.WRITABLE and not patterned:
        return f"is of the kind {printable(modes.kind, 40)}, which is not generated"
    if modes.form not in FORMS and not (modes.numeric and time.writes(modes.form)):
        return f"has the unknown form {printable(modes.form, 40)}"
    if not modes.numeric:
        return _text_fault(modes)
    numbers = (*modes.spikes, *modes.centres, *modes.reaches, *modes.grid, modes.low, modes.high, modes.gap)
    numbers += (modes.step, modes.origin)
    matching = len(modes.centres) == len(modes.spreads) == len(modes.reaches) and not modes.values
    if not matching or not all(map(math.isfinite, (*numbers, *modes.spreads))) or min(modes.spreads, default=1) <= 0:
        return "must be numbers, with a spread above 0 for each centre"
    most = (
        LATEST / modes.unit if modes.kind == "time" else column_transformer.EXACT if modes.decimals == 0 else math.inf
    )
    ordered = all(list(v) == sorted(set(v)) for v in (modes.spikes, modes.grid))
    if not ordered or modes.low > modes.high or max(map(abs, numbers)) > most:
        return "has no range that can be"
    return ""


def _nesting_fault(modes: ColumnModes) -> str:
    """Why the parts or the templates of a column cannot be, or how its cells are written, or ""."""
    own = [part for part in modes.parts if part.numeric]
    zones = [part for part in modes.parts if not part.numeric]
    single = modes.spikes or modes.centres or modes.values
    if modes.parts and (not modes.numeric or not own or single or (zones and (modes.parts[-1:] != tuple(zones)))):
        return "has parts that it cannot have"
    if modes.templates and (modes.numeric or single):
        return "has templates that it cannot have"
    if any(part.nested or part.missing or part.bases for part in modes.nested):
        return "has parts within parts"
    if not modes.relative and own and own[0].name not in ("rest", "week", "day"):
        return "has an unknown part"
    if any(not part.choices or _column_fault(part) for part in modes.nested):
        return "has a part that cannot be"
    if not all(map(_is_whole, modes.templates)) or not cell_writers.writes(modes):
        return "has no way to be written"
    return "" if not modes.relative or (modes.bases and modes.parts) else "is relative to nothing"


def _is_whole(template: TextTemplate) -> bool:
    """Whether each slot of a template has something in it."""
    filled = all(bool(slot.alphabets) != bool(slot.modes) and all(slot.alphabets) for slot in template.slots)
    return filled and len(template.literals) == len(template.slots) + 1


def _relations_fault(state: State) -> str:
    """Why what is said to hold between columns cannot, or ""."""
    by_name = {modes.name: modes for modes in state.columns}
    numeric = {name for name, modes in by_name.items() if modes.numeric}
    if any(not set(modes.bases) <= numeric - {modes.name} for modes in state.columns):
        return "name bases that are no numbers of other columns"
    for formula in state.relations.formulas:
        names = {name for name, _ in formula.terms}
        times = {name for name in names & numeric if by_name[name].kind == "time"}
        finite = all(map(math.isfinite, (formula.constant, *(factor for _, factor in formula.terms))))
        sound = names <= (times if formula.kind == "calendar" else numeric) and formula.target not in names and finite
        if not sound or formula.target not in by_name or (formula.kind == "calendar") != bool(formula.part):
            return "have a formula of columns that cannot be in it"
        if formula.part and formula.part not in formulas.CALENDAR:
            return "have a part of a time that there is not"
        if formula.kind != "calendar" and formula.target not in numeric:
            return "have a formula of text"
    for one in state.relations.choice_pairs:
        first, second = by_name.get(one.first), by_name.get(one.second)
        if first is None or second is None or first is second or not first.choices or not second.choices:
            return "combine columns that there are not"
        sizes = [int(choice_pairs.states(modes).max()) + 1 for modes in (first, second)]
        if len(one.allowed) != sizes[0] or not all(0 <= i < sizes[1] for row in one.allowed for i in row):
            return "combine choices that there are not"
    return ""


def _text_fault(modes: ColumnModes) -> str:
    """Why a column of text cannot be encoded so, or ""."""
    if modes.templates:
        return ""
    if modes.spikes or modes.centres or (not modes.values and modes.kind != "constant"):
        return "must have values and nothing else"
    if len(modes.values) != len(modes.shares):
        return "must have a share for each value"
    if len(set(modes.values)) != len(modes.values):
        return "has a value twice"
    if modes.form == "boolean" and not set(modes.values) <= BOOLEANS:
        return "has a value that is not true or false"
    exact = modes.form not in ("number", "whole") or all(map(_is_number, modes.values))
    return "" if exact and min(modes.shares, default=1) > 0 else "has a value that is not a number"


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
