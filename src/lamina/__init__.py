"""From raw data to a running service, with a neural network in between."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.config import BundleError, DataError, LaminaError, RecipeError, TrainingError
    from lamina.deploy.predictor import Predictor
    from lamina.estimator import Estimator, load
    from lamina.recipe import Recipe
    from lamina.trainer import fit, import_model

__version__ = "0.1.0"

_HOMES = {
    "BundleError": "config",
    "DataError": "config",
    "Estimator": "estimator",
    "LaminaError": "config",
    "Predictor": "deploy.predictor",
    "Recipe": "recipe",
    "RecipeError": "config",
    "Run": "run",
    "TrainingError": "config",
    "evaluate_source": "experiment",  # this, `from_words` and `Run` are for `estimator`, which waits for them only then
    "fit": "trainer",
    "from_words": "recipe",
    "import_model": "trainer",
    "load": "estimator",
}

__all__ = [
    "BundleError",
    "DataError",
    "Estimator",
    "LaminaError",
    "Predictor",
    "Recipe",
    "RecipeError",
    "TrainingError",
    "fit",
    "import_model",
    "load",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used (PEP 562), so that `import lamina` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lamina' has no attribute '{name}'")
    return vars(import_module(f"lamina.{_HOMES[name]}"))[name]


def __dir__() -> list[str]:
    return __all__
