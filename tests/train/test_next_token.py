"""Training on a long text: windows in order or shuffled, a state that is carried, epochs of some steps, any size."""

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lamina import models
from lamina.config import parse
from lamina.plugins import plugin
from lamina.schema import Batch, Input, Output, Row, Spec, Windows
from lamina.train import batches, checkpoint, fit, progress, settings
from lamina.train.settings import Examples

CONTEXT, VOCABULARY = 12, 9
SPEC = Spec(
    inputs={"tokens": Input(kind="tokens", shape=(CONTEXT + 1,), dtype="int64", sizes=(VOCABULARY,))},
    output=Output(head="tokens", size=VOCABULARY, loss="next_token"),
    rows=40,
)
NETWORKS: dict[str, dict[str, Any]] = {
    "lstm": {"width": 16, "depth": 2, "dropout": 0.3},
    "gru": {"width": 16, "dropout": 0.2},
    "rnn": {"width": 16, "activation": "softplus"},
    "transformer": {"width": 16, "depth": 2, "heads": 2, "dropout": 0.2},
}
CLOCK = ("rate", "seconds", "left")


def text(count: int, seed: int = 0) -> np.ndarray:
    """Letters that come in turn, with some left out."""
    return (2 + np.random.default_rng(seed).choice([1, 1, 1, 2], count).cumsum() % (VOCABULARY - 2)).astype(np.uint8)


def windows(values: np.ndarray, context: int = CONTEXT, shift: int | None = None) -> Windows:
    """Pieces of a text, one behind the other; each begins with the last token of the one before."""
    shift = context - 1 if shift is None else shift
    return Windows(values, np.arange(0, len(values) - context - shift, context), context + 1, shift)


def examples(values: np.ndarray, shift: int | None = None) -> Examples:
    own = windows(values, shift=shift)
    return Examples({"tokens": own}, np.zeros(len(own), np.int64), contiguous=True)


TRAIN, HELD_OUT = examples(text(500)), examples(text(200, 1), shift=0)


def network(name: str, seed: int = 0) -> nn.Module:
    faults: list[str] = []
    cfg = parse(plugin("models", name).Config, {"kind": name, **NETWORKS[name]}, "model", faults)
    assert not faults
    return models.build(cfg, SPEC, seed)


def choices(**changes: Any) -> settings.Config:
    faults: list[str] = []
    usual = {"epochs": 3, "batch_size": 4, "checkpoint_every": 1e-9, "threads": 1, "precision": "fp32", "device": "cpu"}
    cfg = parse(settings.Config, usual | changes, "train", faults)
    assert cfg is not None, faults
    return cfg


def score(outputs: dict[str, np.ndarray], target: np.ndarray) -> dict[str, float]:
    return {"loss": float(outputs["nll"].mean()), "nats": float(outputs["nll"].mean())}


def run(model: nn.Module, cfg: settings.Config, folder: Path | None = None) -> list[Row]:
    return list(fit.fit(model, TRAIN, HELD_OUT, cfg, fit.Hooks(score, 7, folder)))


@pytest.fixture
def _at_every_step(monkeypatch) -> None:
    monkeypatch.setattr(progress, "TICK", -1.0)


# --- the order of batches


def data(values: np.ndarray, shift: int | None = None) -> Any:
    own = examples(values, shift)
    return batches.tensors(own.inputs, own.target, torch.device("cpu"))


def tokens(stream: Any) -> list[Tensor]:
    return [batch.inputs["tokens"] for batch in stream]


def test_in_lanes_each_row_of_a_batch_goes_on_where_that_row_of_the_batch_before_ended():
    values = np.arange(241, dtype=np.int32)
    own = list(batches.epoch(data(values), 3, 5, 2, lanes=True))
    assert [batch.continues for batch in own] == [False] + [True] * (len(own) - 1)
    cuts = 0
    for before, after in itertools.pairwise(own):
        ends, begins = before.inputs["tokens"][:, -1], after.inputs["tokens"][:, 0]
        cuts += int((ends != begins).sum())
        assert before.inputs["tokens"].shape == (3, CONTEXT + 1)
    assert cuts <= 1  # where the text is over, its beginning follows


def test_a_pass_in_lanes_has_each_window_once_but_for_fewer_than_a_batch():
    values = np.arange(1000, dtype=np.int32)
    for size in (1, 3, 7, 64, 1000):
        first = torch.cat(tokens(batches.epoch(data(values), size, 0, 1, lanes=True)))[:, 0]
        count = len(windows(values))
        assert len(first.unique()) == len(first) > count - min(size, count)


@pytest.mark.parametrize("lanes", [True, False])
def test_the_order_is_a_function_of_seed_and_pass_and_windows_begin_elsewhere_in_each(lanes):
    own = data(np.arange(1000, dtype=np.int32))

    def order(seed: int, number: int, start: int = 0) -> Tensor:
        return torch.cat(tokens(batches.epoch(own, 5, seed, number, start, lanes)))

    assert torch.equal(order(3, 4), order(3, 4))
    assert torch.equal(order(3, 4)[10:], order(3, 4, start=2))
    assert not torch.equal(order(3, 4), order(3, 5))
    starts = {int(order(0, number).min()) for number in range(40)}
    assert starts <= set(range(CONTEXT)) and len(starts) > 5


def test_batches_of_a_run_go_on_pass_after_pass_wherever_they_are_taken_up():
    own = data(np.arange(500, dtype=np.int32))
    for lanes in (True, False):
        whole = tokens(itertools.islice(batches.stream(own, 4, 1, 0, lanes), 30))
        for first in (0, 1, 9, 10, 11, 29):
            later = tokens(itertools.islice(batches.stream(own, 4, 1, first, lanes), 30 - first))
            assert all(torch.equal(a, b) for a, b in zip(whole[first:], later, strict=True))


def test_windows_of_tokens_are_whole_numbers_of_any_size_on_disk(tmp_path):
    for kind in (np.uint8, np.uint16, np.int32):
        values = np.arange(200).astype(kind)
        values.tofile(tmp_path / "ids")
        own = windows(np.memmap(tmp_path / "ids", kind, "r"))
        assert own.shape == (len(own), CONTEXT + 1) and own.ndim == 2
        assert own[2:4].dtype == np.int64
        assert own[2:4].tolist() == [list(range(24, 37)), list(range(36, 49))]
        assert np.asarray(own).shape == own.shape


# --- the carried state


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_state_that_is_carried_makes_windows_one_text(name):
    """The loss of two windows in a row is that of the long window they make together."""
    model = network(name).eval()
    own = torch.from_numpy(text(2 * CONTEXT + 1).astype(np.int64))[None]
    halves = [Batch({"tokens": own[:, : CONTEXT + 1]}), Batch({"tokens": own[:, CONTEXT:]}, continues=True)]
    with torch.no_grad():
        losses = [float(loss) for half in halves for _, loss in model.losses(half)]
        whole = model({"tokens": own})["nll"].mean()
    np.testing.assert_allclose(np.mean(losses), float(whole), rtol=1e-5)


@pytest.mark.usefixtures("_at_every_step")
@pytest.mark.parametrize("changes", [{}, {"steps_per_epoch": 4, "epochs": 6, "ema": 0.9}], ids=["passes", "steps"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_language_model_dropped_at_random_steps_ends_in_the_same_bits(name, changes, tmp_path):
    optimizer = {"optimizer": "muon", "lr": 0.02} if name == "transformer" else {"lr": 0.01, "clip": 1.0}
    cfg, draw = choices(**changes, **optimizer), np.random.default_rng(len(name))
    single = network(name)
    record = run(single, cfg, tmp_path / "alone")
    pieces: list[Row] = []
    for drop in (*draw.integers(1, 8, 5), 1000):
        other = network(name, seed=100 if (tmp_path / "dropped").exists() else 0)
        going = fit.fit(other, TRAIN, HELD_OUT, cfg, fit.Hooks(score, 7, tmp_path / "dropped"))
        pieces += itertools.islice(going, int(drop))
        going.close()
    assert pieces[-1]["at"] == "end"
    assert epochs(pieces) == epochs(record)
    saved, others = (checkpoint.read(tmp_path / part) for part in ("dropped", "alone"))
    assert saved and others
    assert saved[0].keys() == others[0].keys()
    assert all(torch.equal(value, others[0][key]) for key, value in saved[0].items())
    assert any(key.startswith("state/") for key in saved[0]) == (name != "transformer")


def epochs(rows: list[Row]) -> list[Row]:
    """The record without the clock; an epoch that a later process goes through again counts once."""
    own = {row["epoch"]: {k: v for k, v in row.items() if k not in CLOCK} for row in rows if row["at"] == "epoch"}
    return [own[epoch] for epoch in sorted(own)]


def test_epochs_of_some_steps_cut_the_same_run_otherwise():
    """The last weights of 24 steps are the same, however often the network was evaluated meanwhile."""
    per_pass = len(batches.sizes_of(data(text(500)), 4, True))
    by_pass, by_steps = network("lstm"), network("lstm")
    run(by_pass, choices(epochs=2, keep="last", schedule="constant"))
    rows = epochs(run(by_steps, choices(epochs=per_pass, steps_per_epoch=2, keep="last", schedule="constant")))
    assert [row["step"] for row in rows] == list(range(2, 2 * per_pass + 1, 2))
    assert all(torch.equal(v, by_steps.state_dict()[k]) for k, v in by_pass.state_dict().items())


# --- memory


def test_a_text_of_many_windows_is_never_copied_as_a_whole(tmp_path):
    """Steps and looks at validation on 256 MB of ids in a file take a few MB of arrays."""
    with (tmp_path / "ids").open("wb") as file:
        file.truncate(1 << 28)
    own = windows(np.memmap(tmp_path / "ids", np.uint8, "r")[: 1 << 28], 4095)
    train = Examples({"tokens": own}, np.zeros(len(own), np.int8), contiguous=True)
    cfg = choices(epochs=2, steps_per_epoch=1, batch_size=1)
    feed = SPEC.inputs["tokens"].model_copy(update={"shape": (4096,)})
    long = SPEC.model_copy(update={"inputs": {"tokens": feed}})
    model = models.build(plugin("models", "rnn").Config(width=8), long, 0)
    tracemalloc.start()
    try:
        list(fit.fit(model, train, HELD_OUT, cfg, fit.Hooks(score)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 26
