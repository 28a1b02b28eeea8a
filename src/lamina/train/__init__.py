"""Stage 4: the one training loop, for every architecture, as a generator of rows.

Modules are imported when first used (PEP 562), so that what evaluates a bundle does not wait for torch.
"""

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamina.train import augmentation, device, fit, image_augmentation, image_classifier, settings

# Threads that spin long while they wait can cost a busy machine ten times what they gain; read when torch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "30000")

__all__ = ["augmentation", "device", "fit", "image_augmentation", "image_classifier", "settings"]


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module 'lamina.train' has no attribute '{name}'")
    return import_module(f"lamina.train.{name}")
