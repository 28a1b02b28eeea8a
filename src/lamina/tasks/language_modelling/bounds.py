"""What a bundle of a language model says of itself must be possible, before anything is written or memory is given."""

import math

from lamina.deploy.bundle.strict_json import printable, rejection
from lamina.task import Session
from lamina.tasks.language_modelling.sampling import GRAPH
from lamina.tasks.language_modelling.state import State

GOLDEN = 64  # requests at most
STATES = 1 << 24  # numbers of the states of one text
READABLE = ("character", "byte", "word", "bpe", "pretrained")


def check(session: Session) -> None:
    """Refuse a state that cannot be. Errors: BundleError naming file and place."""
    state: State = session.task.state
    tokenizer = state.tokenizer
    if len(session.golden) > GOLDEN:
        raise rejection("golden.json", "rows", f"are more than {GOLDEN}")
    if tokenizer.tokenizer not in READABLE:
        raise rejection("task.json", "state.tokenizer", f"is {tokenizer.tokenizer}, which no text can be made of")
    if state.start >= state.size or (state.end is not None and state.end > tokenizer.size):
        raise rejection("task.json", "state", "starts or ends with an id that there is not")
    if len(session.prep.columns) != 1:
        raise rejection("schema.json", "columns", "must be one, that of the texts")
    for name, shape in state.step.items():
        if min(shape, default=0) < 1 or not (name == "position" or name.removeprefix("state").isdigit()):
            raise rejection("task.json", f"state.step.{printable(name, 40)}", "is no state of a network")
    if sum(math.prod(shape) for shape in state.step.values()) > STATES:
        raise rejection("task.json", "state.step", f"holds more than {STATES:,} numbers")
    if GRAPH in session.graphs and not state.step:
        raise rejection("task.json", "state.step", f"is missing, and {GRAPH}.onnx is there")
