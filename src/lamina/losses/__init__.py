"""Losses: one file is one loss, named by the file, with a class `Loss(nn.Module)` built from an `Output`.

Called with raw outputs and an encoded target, it gives one number, the mean over rows. Raw outputs may carry members of
an ensemble in front, (members, rows, size); the loss is then the mean of the members' losses, never the loss of their
mean (Gorishniy et al. 2024, TabM). A target of another length in each row comes with the lengths, as a third argument.

A loss may have weights of its own, such as the class centres of ArcFace. They are trained with the network and saved in
its checkpoints; they are never exported, and no bundle holds them.
"""

from torch import Tensor, nn

from lamina.plugins import plugin
from lamina.schema import Mixed, Output


class Criterion(nn.Module):
    """The loss of a network: one of the files of this folder, which may be asked for a target that is two."""

    def __init__(self, one: nn.Module):
        super().__init__()
        self.one = one

    def forward(self, raw: Tensor, target: Tensor | Mixed, lengths: Tensor | None = None) -> Tensor:
        if isinstance(target, Mixed):
            return target.share * self.one(raw, target.first) + (1 - target.share) * self.one(raw, target.second)
        return self.one(raw, target) if lengths is None else self.one(raw, target, lengths)


def loss(output: Output) -> Criterion:
    """The loss that an output names, as a module of the network; RecipeError where there is no such file."""
    return Criterion(plugin("losses", output.loss).Loss(output))


def smooth_labels(output: Output, share: float) -> Output:
    """The same output with labels smoothed, where its classes exclude one another and its task says nothing else."""
    smoothing = {"label_smoothing": share} if output.head == "logits" and share else {}
    return output.model_copy(update={"settings": {**smoothing, **output.settings}})


def without_losses(model: nn.Module) -> dict[str, Tensor]:
    """The state of a network by name, but for its losses: what a bundle holds."""
    losses = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, Criterion))
    return {name: value for name, value in model.state_dict().items() if not name.startswith(losses)}
