"""Fine-tuning: slower the further from the head, or by low-rank changes of the weights.

Howard and Ruder 2018; the decay per block after Bao et al. 2022 (BEiT); Hu et al. 2022 (LoRA).
"""

import warnings
from typing import Any

from torch import nn

from lamina.config import RecipeError
from lamina.models.pretrained import hub
from lamina.models.pretrained.onnx_graph import first_line
from lamina.models.pretrained.settings import Lora

DEEPEST = 12  # blocks that the decay of learning rates is counted over


def scale_lr(backbone: nn.Module, decay: float) -> None:
    """Give each weight its factor on the learning rate: `decay` to the power of the blocks above it, head included;
    more blocks than `DEEPEST` take smaller steps, so that the first of them still learns.
    """
    blocks = (_block(name) for name, _ in backbone.named_parameters())
    order = [name for name in dict.fromkeys(blocks) if name != "pooler"]  # which features do without
    step = min(1.0, DEEPEST / max(1, len(order)))
    for name, p in backbone.named_parameters():
        above = len(order) - order.index(_block(name)) if _block(name) in order else 0
        p.lr_scale = decay ** (above * step)  # pyrefly: ignore[missing-attribute] - read by train.optim


def _block(name: str) -> str:
    """The block a weight belongs to: its name up to the second number, such as a stage and a layer in it."""
    words = name.removeprefix("network.").split(".")
    numbers = [i for i, word in enumerate(words) if word.isdigit()][:2]
    return ".".join(words[: numbers[-1] + 1] if numbers else words[:1])


def add_lora(network: Any, cfg: Lora) -> Any:
    """A network that learns low-rank changes of its linear layers, and nothing else. Errors: RecipeError."""
    try:
        import peft
    except ImportError:
        cure = "pip install 'lamina[lora]', or leave it out and set model.frozen=false"
        raise RecipeError([f"model.lora: needs peft, which is not installed. {cure}."]) from None
    settings = peft.LoraConfig(
        r=cfg.rank,
        lora_alpha=cfg.alpha,  # pyrefly: ignore[bad-argument-type] - any number will do
        lora_dropout=cfg.dropout,
        target_modules="all-linear",
        bias="none",
    )
    with hub.quietly(hub.import_transformers()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the library settles by itself
        try:
            return peft.get_peft_model(network, settings)
        except ValueError as error:
            cure = "Set model.frozen=false without it"
            raise RecipeError([f"model.lora: has nothing to change here ({first_line(error)}). {cure}."]) from None


def merge_lora(network: Any) -> Any:
    """The network with the changes added to its weights, as it was before `add_lora`."""
    return network.merge_and_unload().requires_grad_(False)
