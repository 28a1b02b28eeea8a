"""What a bundle that generates says of itself must be possible, before anything is made of it or memory is given."""

from typing import Any

from lamina.deploy._strict import refused, shown
from lamina.preprocess import UNUSED
from lamina.tasks.generation import Made

LATENT, GOLDEN = 1 << 14, 256  # numbers of noise, and golden requests, at most
EXACT = float(1 << 53)  # up to which whole numbers are whole
BOOLEANS = {"true", "false"}


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
    used = [(column.name, column.kind) for column in bundle.schema.columns if column.kind not in UNUSED]
    if state.columns and [(made.name, made.kind) for made in state.columns] != used:
        raise refused("task.json", "state.columns", "are not those of the schema")
    for i, made in enumerate(state.columns):
        if reason := _impossible(made):
            raise refused("task.json", f"state.columns.{i}", f"{reason} ({shown(made.name, 40)})")
    return latent


def _impossible(made: Made) -> str:
    """Why a column cannot be written so, or nothing."""
    if bool(made.values) == bool(made.centres):
        return "must have either values or centres"
    if made.values:
        if len(set(made.values)) != len(made.values):
            return "has a value twice"
        if made.kind == "boolean" and not set(made.values) <= BOOLEANS:
            return "has a value that is not true or false"
        return "" if made.kind != "number" or all(map(_number, made.values)) else "has a value that is not a number"
    if made.kind != "number" or len(made.spreads) != len(made.centres) or min(made.spreads) <= 0:
        return "must be a number with a spread above 0 for each centre"
    if made.low > made.high or (made.whole and max(abs(made.low), abs(made.high)) > EXACT):
        return "has no range that can be"
    return ""


def _number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
