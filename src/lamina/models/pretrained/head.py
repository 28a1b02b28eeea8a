"""What is trained on features: a small head, which begins where logistic regression ends."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lamina.layers.basic import activation
from lamina.losses import smooth_labels
from lamina.models._single_part import SinglePart
from lamina.models.pretrained.settings import Config
from lamina.schema import Batch, Output

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001)  # half of them times the squares of weights is added to the loss
ROUNDS, MOST_ROWS = 40, 40_000  # of L-BFGS for each, and of training rows that it looks at
PACE = 0.1  # of the learning rate, for weights that are nearly right from the start


class Standard(nn.Module):
    """Each row brought to mean 0 and spread 1, by plain arithmetic: exporters give `nn.LayerNorm` weights."""

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(1, keepdim=True)
        return x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()  # (rows, width)


class Head(SinglePart):
    """Features to raw answers."""

    def __init__(self, cfg: Config, width: int, output: Output):
        super().__init__(smooth_labels(output, cfg.label_smoothing))
        layers: list[nn.Module] = [Standard(), nn.Dropout(cfg.dropout)]
        if cfg.hidden:
            layers += [nn.Linear(width, cfg.hidden), activation(cfg.activation), nn.Dropout(cfg.dropout)]
        last = nn.Linear(cfg.hidden or width, output.size)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.zeros_(last.bias)
        self.linear = not cfg.hidden
        self.layers = nn.Sequential(*layers, last)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"target": self.layers(inputs["features"]).float()}  # (rows, size)

    def initialize(self, train: Batch, validation: Batch) -> None:
        """Put in the weights of least loss and penalty, found by L-BFGS; the penalty is that of the least validation
        loss. Batches are of tensors. A head with a hidden layer learns by steps alone.
        """
        if not self.linear:
            return
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        self.eval()
        params, best = [last.weight, last.bias], (float("inf"), list[Tensor]())
        for penalty in PENALTIES:
            optimizer = torch.optim.LBFGS(params, max_iter=ROUNDS, line_search_fn="strong_wolfe")

            def closure(penalty: float = penalty, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
                optimizer.zero_grad()
                loss = self._loss(train) + 0.5 * penalty * last.weight.square().sum()
                loss.backward()
                return loss

            optimizer.step(closure)
            with torch.no_grad():
                loss = float(self._loss(validation))
            if loss < best[0]:
                best = loss, [p.detach().clone() for p in params]
        with torch.no_grad():
            for p, value in zip(params, best[1], strict=False):
                p.copy_(value)
        for p in params:
            p.grad = None
            p.lr_scale = PACE  # pyrefly: ignore[missing-attribute] - read by train.optim

    def _loss(self, batch: Batch) -> Tensor:
        (loss,) = [loss for _, loss in self.losses(batch)]
        return loss
