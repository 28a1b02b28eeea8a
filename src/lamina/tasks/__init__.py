"""What is asked of the network: how large its output is, what its raw numbers mean, how it is judged.

A task is one file here, NumPy and Arrow only, with

- `Config` (settings, `kind: Literal["<name>"]`) and `State` (what was learned from the training target);
- `target`: the column kind by which the target is parsed (`category`, `number`, ...), and where that kind needs them
  `reading`: its settings for a target;
- `suits(values) -> float`: how well a raw target column fits this task, 0 to 1;
- `fit(values, cfg) -> State`, `encode(values, state) -> array`;
- `unknown(values, state)`: a mask of the rows it cannot take;
- `truth(encoded, state)`: an encoded target as metrics want it, class codes or numbers in their own unit;
- `output(state, cfg) -> Output`: what the network must answer and its loss;
- `decode(raw, state) -> answers`: raw outputs to arrays; `table(answers, state) -> pa.Table`: to what a person reads;
- `quick(raw, target, state) -> dict`: two cheap numbers, what is minimised and what the progress line shows;
- `warning(found, best, epoch) -> str`, where it can tell from `quick` that a run goes wrong: a sentence, said once;
- `metrics` (first is primary), `baselines`, `plots`, `calibration`: names of what belongs to it.

A task with `framed = True` takes rows as steps of series and no row by itself: it has no `fit`, `encode`, `truth` and
`unknown`; its `State` is made by `lamina.ahead` and its answers have one row per series and step.
"""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lamina.config import DataError
from lamina.plugins import available, plugin


def suggest(values: pa.Array, target: str) -> str:
    """The task that fits a raw target column best."""
    values = _numbers(values)
    scores: dict[str, Any] = {name: plugin("tasks", name).suits(values) for name in available("tasks")}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] <= 0:
        raise DataError(f"target: no task fits column '{target}' ({values.type}). Say it with task: <name>.")
    return best


def _numbers(values: pa.Array) -> pa.Array:
    """Text of which every cell is a number, perhaps as money or percent, as numbers."""
    if not pa.types.is_string(values.type):
        return values
    bare = pc.replace_substring_regex(values, r"[$€£%,\s]", "")
    plain = pc.match_substring_regex(bare, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
    return bare.cast(pa.float64()) if pc.all(plain, min_count=0).as_py() else values
