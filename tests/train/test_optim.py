"""Muon: hidden matrices move as by PyTorch's own, whichever format of numbers the processor is fast at."""

import pytest
import torch
from torch import nn

from lamina.train import optim, settings


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
@pytest.mark.parametrize("in_halves", [True, False])
def test_matrices_move_as_by_the_muon_of_pytorch(shape, in_halves, monkeypatch):
    monkeypatch.setattr(optim, "multiplies_bf16", lambda: in_halves)
    generator = torch.Generator().manual_seed(0)
    start, *grads = (torch.randn(shape, generator=generator) for _ in range(5))
    layer, other = nn.Linear(*shape[::-1], bias=False), nn.Parameter(start.clone())
    layer.weight.data.copy_(start)
    choice = settings.Muon(momentum=0.9, weight_decay=0.1)
    (mine,) = optim.build(layer, settings.Config(optimizer=choice, lr=0.05), torch.zeros(()))
    theirs = torch.optim.Muon([other], 0.05, 0.1, momentum=0.9)
    for grad in grads:
        layer.weight.grad, other.grad = grad.clone(), grad.clone()
        mine.step(0.05)
        theirs.step()
    moved, expected = (layer.weight.detach() - start).flatten(), (other.detach() - start).flatten()
    assert torch.cosine_similarity(moved, expected, dim=0) > 0.999
    assert moved.norm() == pytest.approx(float(expected.norm()), rel=0.02)
