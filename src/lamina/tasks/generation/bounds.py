"""What a bundle that generates says of itself must be possible, before anything is made of it or memory is given."""

import math
from typing import Any

from lamina.deploy.bundle.strict_json import refused, shown
from lamina.tasks.generation import Critic, Made
from lamina.tasks.generation import column_transformer as columns

LATENT, GOLDEN = 1 << 14, 256  # numbers of noise, and golden requests, at most
EXACT = float(1 << 53)  # up to which whole numbers are whole
LATEST = 2.6e11  # seconds from 1970 within which a calendar is sure
BOOLEANS = {"true", "false"}
FORMS = {"text", "whole", "number", "boolean", "date", "moment"}


def check(bundle: Any) -> int:
    """The numbers of noise that its network takes. Errors: BundleError naming file and place."""
    latent = bundle.model.config.get("latent")
    if type(latent) is not int or not 1 <= latent <= LATENT:
        raise refused("model.json", "config.latent", f"must be 1 to {LATENT:,}")
    if len(bundle.golden.rows) > GOLDEN:
        raise refused("golden.json", "rows", f"are more than {GOLDEN}")
    state = bundle.task_state
    if len(state.counts) != len(state.classes) or min(state.counts, default=1) < 1:
        raise refused("task.json", "state.counts", "must be one for each class, 1 or more")
    if len(set(state.classes)) != len(state.classes) or (state.classes and not bundle.schema.target):
        raise refused("task.json", "state.classes", "must be different ones, of a column that the schema names")
    if state.critic and (reason := _unscored(state.critic, len(state.classes))):
        raise refused("task.json", "state.critic", reason)
    kinds = {column.name: column.kind for column in bundle.schema.columns}
    names = [made.name for made in state.columns]
    if len(set(names)) != len(names) or any(kinds.get(made.name) != made.kind for made in state.columns):
        raise refused("task.json", "state.columns", "are not those of the schema")
    for i, made in enumerate(state.columns):
        if reason := _impossible(made):
            raise refused("task.json", f"state.columns.{i}", f"{reason} ({shown(made.name, 40)})")
    return latent


def _unscored(critic: Critic, classes: int) -> str:
    """Why scores cannot be spread so, or nothing."""
    if len(critic.middles) != max(1, classes):
        return "must have a middle for each class"
    spread = (critic.told, critic.untold)
    sound = all(math.isfinite(v) for values in (critic.middles, *spread) for v in values)
    return "" if sound and all(list(values) == sorted(values) for values in spread) else "must be finite and ordered"


def _impossible(made: Made) -> str:
    """Why a column cannot be written so, or nothing."""
    if made.kind not in columns.WRITABLE:
        return f"is of the kind {shown(made.kind, 40)}, which is not made"
    numeric = made.kind in ("number", "time")
    if made.form not in (FORMS | columns.TIMES if numeric else FORMS):
        return f"has the unknown form {shown(made.form, 40)}"
    if not numeric:
        return _texts(made)
    numbers = (*made.spikes, *made.centres, *made.reaches, *made.grid, made.low, made.high)
    alike = len(made.centres) == len(made.spreads) == len(made.reaches) and not made.values
    if not alike or not all(map(math.isfinite, (*numbers, *made.spreads))) or min(made.spreads, default=1) <= 0:
        return "must be numbers, with a spread above 0 for each centre"
    most = LATEST / made.unit if made.kind == "time" else EXACT if made.decimals == 0 else math.inf
    ordered = all(list(v) == sorted(set(v)) for v in (made.spikes, made.grid))
    if not ordered or made.low > made.high or max(map(abs, numbers)) > most:
        return "has no range that can be"
    return ""


def _texts(made: Made) -> str:
    if made.spikes or made.centres or (not made.values and made.kind != "constant"):
        return "must have values and nothing else"
    if len(made.values) != len(made.shares):
        return "must have a share for each value"
    if len(set(made.values)) != len(made.values):
        return "has a value twice"
    if made.form == "boolean" and not set(made.values) <= BOOLEANS:
        return "has a value that is not true or false"
    exact = made.form not in ("number", "whole") or all(map(_number, made.values))
    return "" if exact and min(made.shares, default=1) > 0 else "has a value that is not a number"


def _number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
