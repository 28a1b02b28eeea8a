"""Scores on held-out rows: one function per metric, named as it appears in the report, a family in a file each.

Each takes the target and the answers of one predictor, arrays by row; what these hold is told where the family is. A
metric that these rows do not define (no rows, one class only, a value that is not finite) is None. A task registers
metrics of its own with `metric`, and is then scored by their names.
"""

from lamina.evaluate.metrics import classification as classification
from lamina.evaluate.metrics import multilabel as multilabel
from lamina.evaluate.metrics import regression as regression
from lamina.evaluate.metrics.classification import confusion, one_against_rest, reliability
from lamina.evaluate.metrics.registry import (
    HIGHER,
    Answers,
    Metric,
    bootstrap,
    class_rows,
    class_table,
    defined,
    find,
    higher,
    label,
    metric,
    scores,
)

__all__ = [
    "HIGHER",
    "Answers",
    "Metric",
    "bootstrap",
    "class_rows",
    "class_table",
    "confusion",
    "defined",
    "find",
    "higher",
    "label",
    "metric",
    "one_against_rest",
    "reliability",
    "scores",
]
