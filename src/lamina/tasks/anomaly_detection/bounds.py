"""What a bundle says of itself must be possible, before anything is scored."""

import math

from lamina.deploy.bundle.strict_json import rejection
from lamina.task import Session
from lamina.tasks.anomaly_detection import detector
from lamina.tasks.anomaly_detection.state import State

GOLDEN = 256  # requests at most


def check(session: Session) -> None:
    """Refuse a state that cannot be, and a detector that does not fit it. Errors: BundleError naming file and place."""
    state: State = session.task.state
    if len(session.golden) > GOLDEN:
        raise rejection("golden.json", "rows", f"are more than {GOLDEN}")
    if state.tails is None:
        raise rejection("task.json", "state.tails", "are missing")
    tails = dict(state.tails._asdict())
    if state.recording is not None:
        tails |= {"recording.whole": state.recording.whole.tail, "recording.last": state.recording.last.tail}
    for name, tail in tails.items():
        if tail and not (all(map(math.isfinite, tail.quantiles)) and list(tail.quantiles) == sorted(tail.quantiles)):
            raise rejection("task.json", f"state.{name}", "must be finite and ordered")
    if state.recording is not None:
        if state.recording.whole.tail is None:
            raise rejection("task.json", "state.recording.whole.tail", "is missing")
        kinds = {column.name: column.kind for column in session.prep.columns}
        if kinds.get(state.recording.time) is None or state.layout is None:
            raise rejection("task.json", "state.recording", "is of columns that the schema has not")
    if detector.ASSET not in session.assets:
        raise rejection(detector.ASSET, "", "is missing")
    arrays, places, near = detector.restore(session.assets[detector.ASSET]), *_sizes(session)
    if len(arrays.centre) != places or len(arrays.origin) != near:
        raise rejection(detector.ASSET, "", "does not fit the inputs of the network")


def _sizes(session: Session) -> tuple[int, int]:
    """Places of what is left of a row, and of where it is."""
    feed = next(iter(session.spec.inputs.values()))
    if feed.kind == "image":
        height, width = (min(detector.GRID, side or 1) for side in feed.shape[:2])
        return height * width, session.spec.output.size
    places = math.prod(side or 1 for side in feed.shape)
    return places, places
