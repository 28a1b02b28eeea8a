"""Which training rows are neighbours, and what it costs where their codes are not: parametric UMAP.

The nearest rows of each have weights that fall from the nearest on, at a pace that is each row's own (McInnes et al.
2018); in training edges are drawn by their weights, and codes of all other pairs of these rows are pushed apart, where
Sainburg et al. 2021 draw some: in a plane that costs little, and it needs a tenth of the steps.
"""

import numpy as np
import torch
from torch import Tensor

from lamina.models._reconstruction.principal_components import Components
from lamina.models._reconstruction.values import Values
from lamina.schema import Windows

LEAST_WIDTH = 50  # principal components, in which distances are measured
MOST_ROWS = 60_000  # that have neighbours, evenly spread
BLOCK = 1 << 24  # distances at once
A, B = 1.577, 0.8951  # of the curve 1 / (1 + a d^2b), for a least distance of 0.1 between codes
NEGATIVES = 5  # weight of pairs that are no neighbours, as that of so many for each neighbour
SMALLEST = 1e-4
ROUNDS = 40  # of bisection


class Graph:
    """Edges of neighbouring rows among `inputs`, and codes drawn together along them."""

    def __init__(self, inputs: np.ndarray | Windows, values: Values, of: Components, neighbors: int):
        self.inputs = inputs
        count = min(len(inputs), MOST_ROWS)
        self.places = np.linspace(0, len(inputs) - 1, count).astype(np.int64)
        points = _project(inputs, self.places, values, of)
        near, distances = nearest(points, min(neighbors, count - 1))
        weights = fuzzy_weights(distances)
        self.near = near.numpy()
        self.edges = torch.cumsum(weights.flatten().double(), 0)  # an edge is as likely as its weight

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and a neighbour of each, as indices into the inputs."""
        chance = torch.rand(count, dtype=torch.float64) * self.edges[-1]
        edges = torch.searchsorted(self.edges, chance).clamp(max=len(self.edges) - 1).numpy()
        width = self.near.shape[1]
        return self.places[edges // width], self.places[self.near[edges // width, edges % width]]

    def cost(self, heads: Tensor, tails: Tensor) -> Tensor:
        """The cross-entropy of edges, and of all pairs of these rows that are none, from codes (count, size) each."""
        attraction = torch.log1p(_powers(heads - tails)).mean()
        codes, count = torch.cat([heads, tails]), len(heads)
        powers = _powers(codes[:, None] - codes)  # (codes, codes)
        apart = 1 - torch.eye(count, device=codes.device).repeat(2, 2)
        repulsion = ((torch.log1p(powers) - powers.log()) * apart).sum() / apart.sum().clamp(min=1)
        return attraction + NEGATIVES * repulsion


def _powers(differences: Tensor) -> Tensor:
    """a d^2b of distances, none of them 0, where a power has no gradient."""
    return A * (differences.square().sum(-1) + SMALLEST) ** B


def _project(inputs: np.ndarray | Windows, places: np.ndarray, values: Values, of: Components) -> Tensor:
    """Rows as their principal components, (rows, axes) float32."""
    axes, mean = torch.from_numpy(of.axes).float(), torch.from_numpy(of.mean).float()
    step = max(1, (1 << 22) // max(values.size, 1))
    parts = []
    for at in range(0, len(places), step):
        block, _ = values(torch.from_numpy(np.ascontiguousarray(inputs[places[at : at + step]])))
        parts.append((block.flatten(1) - mean) @ axes.T)
    return torch.cat(parts)


def nearest(points: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest others of each point, nearest first, (points, count), and how far they are."""
    squares = points.square().sum(1)
    step = max(1, BLOCK // len(points))
    near, far = [], []
    for at in range(0, len(points), step):
        block = points[at : at + step]
        distances = squares[at : at + step, None] + squares - 2 * block @ points.T
        distances[torch.arange(len(block)), at + torch.arange(len(block))] = torch.inf
        least, which = distances.topk(count, largest=False)
        near.append(which)
        far.append(least.clamp(min=0).sqrt())
    return torch.cat(near), torch.cat(far)


def fuzzy_weights(distances: Tensor) -> Tensor:
    """Weights of the neighbours of each row, (rows, count): 1 for the nearest, and log2(count + 1) in all."""
    beyond = distances - distances[:, :1]
    target = float(np.log2(distances.shape[1] + 1))
    low, high = torch.zeros(len(distances), 1), torch.full((len(distances), 1), torch.inf)
    pace = torch.ones(len(distances), 1) * beyond.mean().clamp(min=1e-12)
    for _ in range(ROUNDS):
        much = torch.exp(-beyond / pace).sum(1, keepdim=True) > target
        high, low = torch.where(much, pace, high), torch.where(much, low, pace)
        pace = torch.where(high.isinf(), pace * 2, (low + high) / 2)
    least = 1e-3 * distances.mean(1, keepdim=True).clamp(min=1e-12)
    return torch.exp(-beyond / torch.maximum(pace, least))
