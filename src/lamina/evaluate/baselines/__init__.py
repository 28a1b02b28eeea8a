"""What a network must beat: naive and classical predictors on the very same inputs, found by name.

`fit` fits those that are named. A task whose baselines are of another sort fits them itself and says with `register`
what people call them.
"""

from lamina.evaluate.baselines import predictors as predictors
from lamina.evaluate.baselines.registry import LABELS, Predict, baseline, fit, is_constant, label, phrase, register

__all__ = ["LABELS", "Predict", "baseline", "fit", "is_constant", "label", "phrase", "register"]
