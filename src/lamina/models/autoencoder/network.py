"""The network: encoder and decoder, what is fed to them in training, and what is asked of the codes."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lamina.config import RecipeError
from lamina.layers.basic import activation
from lamina.models._reconstruction import codec
from lamina.models._reconstruction.codec import Decoder, Encoder, Rebuilding, Served, Start
from lamina.models._reconstruction.values import Values
from lamina.models.autoencoder.config import Config, neighbor_count, network
from lamina.models.autoencoder.neighbors import LEAST_WIDTH, Graph
from lamina.schema import Batch, Spec, Windows

CHUNK = 512
ERROR_WEIGHT = 0.1  # weight of the error beside that of neighbours, which shape the code
BOUNDED = ("sigmoid", "softmax", "tanh", "relu", "softplus")  # activations that cannot give every number


class Origin:
    """Where training began and what evaluates it: no part of the network, and never copied with it."""

    def __init__(self, at: Start, validation: np.ndarray | Windows):
        self.at, self.validation = at, validation
        self.graph: Graph | None = None

    def __deepcopy__(self, memo: object) -> "Origin":
        return self


class Autoencoder(Rebuilding):
    """Values to codes and back. `variance` is that of the training rows, the unit of the loss."""

    parts = ("",)

    def __init__(self, cfg: Config, spec: Spec):
        super().__init__()
        ((self.name, feed),) = spec.inputs.items()
        cfg = cfg.model_copy(update={"network": network(cfg, spec)})
        _check(cfg, feed.kind)
        self.cfg, self.size, self.view = cfg, spec.output.size, Values(feed)
        trim = spec.output.settings.get("trim", 0.0)
        self.neighbors, self.trim = neighbor_count(cfg, spec), trim if isinstance(trim, float) else 0.0
        self.encoder = Encoder(cfg, feed, self.size, cfg.linear)
        self.bend = activation(cfg.latent_activation)
        self.decoder = Decoder(cfg, feed, self.size, cfg.linear, cfg.output_activation)
        self.variance: Tensor
        self.register_buffer("variance", torch.ones(()))
        self.origin: Origin | None = None

    def encode(self, values: Tensor, there: Tensor | None) -> Tensor:
        """Codes of values, (rows, size)."""
        return self.bend(self.encoder(values, there))

    def rebuild(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values, there = self.view(inputs[self.name])
        latent = self.encode(values, there)
        reconstruction = self.decoder.values(latent)
        error = self.view.error(reconstruction, values, there)
        return {"latent": latent, "reconstruction": reconstruction, "error": error}

    def served(self) -> dict[str, nn.Module]:
        return {"model": Served(self), "decoder": self.decoder}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """The error in units of the variance, and what is asked of codes beside."""
        values, there = self.view(batch.inputs[self.name])
        latent = self.encode(self.corrupt(values), there)
        errors = self.view.error(self.decoder.values(latent), values, there)[:, 0]
        if self.trim:
            errors = errors.topk(max(1, round(len(errors) * (1 - self.trim))), largest=False).values
        graph = None if self.origin is None else self.origin.graph
        loss = errors.mean() / self.variance * (1.0 if graph is None else ERROR_WEIGHT)
        if self.cfg.sparsity:
            loss = loss + self.cfg.sparsity * latent.abs().mean()
        if graph is not None:
            loss = loss + self.attraction(graph, len(values))
        yield "", loss

    def corrupt(self, values: Tensor) -> Tensor:
        """Values with noise, and with some of them hidden."""
        cfg = self.cfg
        if cfg.noise:
            values = values + cfg.noise * self.view.spread * torch.randn_like(values)
        if cfg.masking:
            values = torch.where(torch.rand_like(values) < cfg.masking, self.view.centre, values)
        return values

    def attraction(self, graph: Graph, count: int) -> Tensor:
        """What the codes of some neighbours, and of rows that are none, cost."""
        first, second = graph.draw(count)
        device = self.variance.device
        rows = np.concatenate([first, second])
        values, there = self.view(torch.from_numpy(np.ascontiguousarray(graph.inputs[rows])).to(device))
        heads, tails = self.encode(values, there).chunk(2)
        return graph.cost(heads.float(), tails.float())

    @torch.no_grad()
    def initialize(self, train: Batch, validation: Batch) -> None:
        """Begin as principal component analysis; learn which rows are neighbours."""
        inputs = train.inputs[self.name]
        size = max(self.size, LEAST_WIDTH if self.neighbors else 0)
        of = codec.components(self.view, inputs, size)
        self.variance.fill_(max(of.variance, 1e-8))
        self.origin = Origin(codec.start(of, self.size), validation.inputs[self.name])
        if self.cfg.linear:
            codec.restore(self.encoder, self.decoder, self.origin.at)
        if self.neighbors and len(inputs) > 2:
            self.origin.graph = Graph(inputs, self.view, of, self.neighbors)

    @torch.no_grad()
    def finalize(self, inputs: Mapping[str, Tensor]) -> None:
        """Go back to principal component analysis where that is better on validation rows. A map of neighbours stays:
        it was not made to be given back.
        """
        origin = self.origin
        if origin is None or origin.graph is not None or self.encoder.linear is None:
            return
        error, before = self.validation_error(origin.validation), {k: v.clone() for k, v in self.state_dict().items()}
        codec.restore(self.encoder, self.decoder, origin.at)
        if error < self.validation_error(origin.validation):
            self.load_state_dict(before)

    def validation_error(self, inputs: np.ndarray | Windows) -> float:
        """The mean error of rows."""
        device, total = self.variance.device, 0.0
        for at in range(0, len(inputs), CHUNK):
            rows = torch.from_numpy(np.ascontiguousarray(inputs[at : at + CHUNK])).to(device)
            total += float(self({self.name: rows})["error"].double().sum())
        return total / max(len(inputs), 1)


def _check(cfg: Config, kind: str) -> None:
    """Refuse what cannot be. Errors: RecipeError."""
    if kind == "row" and cfg.output_activation in BOUNDED:
        raise RecipeError(
            [
                f"model.output_activation: numbers of a row are standardised, and {cfg.output_activation} cannot give "
                "all of them. Use linear."
            ]
        )
    if (cfg.network == "recurrent" and kind != "series") or (cfg.network == "convolutional" and kind == "row"):
        sort = "series" if cfg.network == "recurrent" else "images and series"
        raise RecipeError([f"model.network: {cfg.network} is for {sort}. Leave it out, or use dense."])
