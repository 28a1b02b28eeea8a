"""Texts of about one length share a batch, which is as wide as they need, in an order that (seed, pass) decides."""

from itertools import islice

import numpy as np
import pyarrow as pa
import torch

import lamina
from lamina.preprocess import text
from lamina.train import batches

CPU = torch.device("cpu")


def texts(rows: int = 203, width: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Ids (rows, width), 0 behind the end, and lengths (rows,); the first id of a row is its number."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, width + 1, rows)
    ids = np.where(np.arange(width) < lengths[:, None], 7, 0).astype(np.int64)
    ids[:, 0] = np.arange(1, rows + 1)
    return ids, lengths


def passes(count: int, first: int = 0, seed: int = 3) -> list[torch.Tensor]:
    ids, lengths = texts()
    data = batches.tensors({"tokens": ids}, lengths.astype(np.float32), CPU)
    return [b.inputs["tokens"] for b in islice(batches.stream(data, 8, seed, first, padding={"tokens": 0}), count)]


def test_a_pass_has_each_row_once_and_the_next_has_another_order():
    per_pass = len(batches.bounds(203, 8))
    first, second = passes(2 * per_pass)[:per_pass], passes(2 * per_pass)[per_pass:]
    for one in (first, second):
        assert sorted(torch.cat([batch[:, 0] for batch in one]).tolist()) == list(range(1, 204))
    assert any(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_batch_is_as_wide_as_its_longest_text_needs_and_loses_nothing():
    ids, lengths = texts()
    for batch in passes(25):
        rows = batch[:, 0].numpy() - 1
        assert batch.shape[1] == -(-lengths[rows].max() // 16) * 16
        assert np.array_equal(batch.numpy(), ids[rows, : batch.shape[1]])


def test_texts_of_about_one_length_waste_little():
    ids, lengths = texts()
    numbers = sum(batch.numel() for batch in passes(25))
    assert numbers < 0.7 * ids.size
    assert numbers < 1.35 * lengths.sum()


def test_the_order_is_that_of_seed_and_pass_wherever_a_run_goes_on():
    whole = passes(40)
    for first in (1, 20, 25, 30):
        assert all(torch.equal(a, b) for a, b in zip(whole[first:], passes(40 - first, first), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(whole, passes(40, seed=4), strict=True))


def test_an_answer_does_not_hang_on_how_wide_its_batch_is():
    words = ["fine", "bad", "film", "plot", "dull", "great"]
    draw = np.random.default_rng(0)
    rows = [
        {"text": " ".join(draw.choice(words, draw.integers(3, 60))) + f" {i % 9}", "good": i % 2 == 0}
        for i in range(160)
    ]
    recipe = {
        "model": {"kind": "gru", "width": 8},
        "columns": {"text": {"kind": "text", "tokenizer": "word", "length": 64}},
        "train": {"epochs": 2, "batch_size": 16},
    }
    model = lamina.fit(rows, "good", recipe=recipe)
    assert model.predictor.bundle.model.runtime == "onnx"
    short, long = {"text": "a fine film"}, {"text": "dull plot " * 30}
    state = model.predictor.prep.states[0]
    assert [text.encode(pa.array([one["text"]]), state).shape[1] for one in (short, long)] == [16, 64]
    together, single = model.predict([short, long])[0], model.predict([short])[0]
    assert abs(together["probabilities"]["true"] - single["probabilities"]["true"]) < 1e-6
