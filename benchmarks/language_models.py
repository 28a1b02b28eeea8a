"""Language models beside a plain PyTorch script of the same network, in one run on one machine.

    python benchmarks/language_models.py input.txt --network lstm
    python benchmarks/language_models.py input.txt --network transformer --rounds 5

Training: tokens per second of a plain loop (fp32, and by autocast in bf16; PyTorch's own optimizer) and of Lamina's, in
turn, on the same windows with the settings that the network suggests. Generation: tokens per second of a plain script,
which samples with `torch.multinomial` (the transformer once as most scripts do, over the whole window for each token,
and once with keys and values kept), and of a bundle by `generate`, with the states going in and out of its graph.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina import load, models
from lamina.plugins import plugin
from lamina.schema import Batch, Input, Output, Spec, Windows
from lamina.train import batches, device, settings
from lamina.train.loop import Loop
from lamina.train.settings import Examples


class PlainRecurrent(nn.Module):
    """The network of `lstm`, `gru` or `rnn` as it is usually written."""

    def __init__(self, cell: str, vocabulary: int, width: int, depth: int, dropout: float):
        super().__init__()
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(kinds[cell](width, width, batch_first=True) for _ in range(depth))
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor, state: list | None = None) -> tuple[Tensor, list]:
        x, states = self.embedding(tokens), []
        for i, layer in enumerate(self.layers):
            after, end = layer(self.dropout(x), state[i] if state else None)
            x = self.norm(after) if i == 0 else x + self.norm(after)
            states.append(end)
        return self.head(self.dropout(x)), states


class PlainBlock(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width // heads)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], past: tuple | None) -> tuple[Tensor, tuple]:
        rows, steps, width = x.shape
        q, k, v = self.qkv(self.first(x)).view(rows, steps, 3, self.heads, width // self.heads).unbind(2)
        q, k = (turn(self.norm(part).transpose(1, 2), angles) for part in (q, k))
        v = v.transpose(1, 2)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(y.transpose(1, 2).reshape(rows, steps, width))
        return x + self.down(F.relu(self.up(self.second(x))).square()), (k, v)


def turn(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    one, other = x.chunk(2, -1)
    cos, sin = angles
    return torch.cat([one * cos - other * sin, other * cos + one * sin], -1)


class PlainTransformer(nn.Module):
    """The network of `transformer` as it is usually written."""

    def __init__(self, vocabulary: int, width: int, depth: int, heads: int):
        super().__init__()
        self.embedding, self.norm = nn.Embedding(vocabulary, width), nn.LayerNorm(width)
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in range(depth))
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.speeds = 10_000.0 ** -torch.linspace(0, 1, width // heads // 2)

    def forward(self, tokens: Tensor, state: list | None = None) -> tuple[Tensor, list]:
        first = state[0][0].shape[2] if state else 0
        angles = torch.outer(torch.arange(first, first + tokens.shape[1]).float(), self.speeds)
        x, states = self.norm(self.embedding(tokens)), []
        for i, block in enumerate(self.blocks):
            x, own = block(x, (angles.cos(), angles.sin()), state[i] if state else None)
            states.append(own)
        return self.head(self.norm(x)), states


def plain(network: str, cfg: object, vocabulary: int) -> nn.Module:
    choice = vars(cfg)
    if network == "transformer":
        return PlainTransformer(vocabulary, *sizes(cfg), choice["heads"])
    return PlainRecurrent(network, vocabulary, choice["width"] or 512, choice["depth"], choice["dropout"])


def sizes(cfg: object) -> tuple[int, int]:
    from lamina.models.transformer import decoder

    width, depth, _ = cfg.sizes(decoder.WIDTH, decoder.DEPTH, decoder.DROPOUT)
    return width, depth


def plain_optimizers(model: nn.Module, cfg: settings.Config) -> list[torch.optim.Optimizer]:
    if cfg.optimizer.kind != "muon":
        return [torch.optim.AdamW(model.parameters(), cfg.lr, fused=True)]
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "blocks" in name]
    inside = {id(p) for p in hidden}
    rest = [p for p in model.parameters() if id(p) not in inside]
    return [torch.optim.Muon(hidden, cfg.lr), torch.optim.AdamW(rest, 0.1 * cfg.lr, fused=True)]


def plain_step(model: nn.Module, cfg: settings.Config, bf16: bool) -> Callable[[Batch], None]:
    """One step of a plain loop; the state of a recurrent network is carried as in Lamina."""
    optimizers, carried = plain_optimizers(model, cfg), [None]
    recurrent = isinstance(model, PlainRecurrent)

    def step(batch: Batch) -> None:
        tokens = batch.inputs["tokens"]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits, state = model(tokens[:, :-1], carried[0] if batch.continues else None)
            loss = F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        if recurrent:
            carried[0] = [detached(part) for part in state]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def detached(state: Tensor | tuple[Tensor, Tensor]) -> Tensor | tuple[Tensor, ...]:
    return state.detach().float() if isinstance(state, Tensor) else tuple(part.detach().float() for part in state)


def train(text: str, args: argparse.Namespace) -> None:
    letters = sorted(set(text))
    codes = {letter: i + 2 for i, letter in enumerate(letters)}
    ids = np.fromiter((codes[letter] for letter in text), np.uint16, len(text))
    size, context = len(letters) + 2, args.context
    windows = Windows(ids, np.arange(0, len(ids) - 2 * context, context), context + 1, context - 1)
    feed = Input(kind="tokens", shape=(context + 1,), dtype="int64", sizes=(size,))
    output = Output(head="tokens", size=size, loss="next_token")
    spec = Spec(inputs={"tokens": feed}, output=output, rows=len(windows))
    cfg = plugin("models", args.network).Config()
    model = models.build(cfg, spec, 0)
    rows = Examples({"tokens": windows}, np.zeros(len(windows), np.int8), contiguous=True)
    how = device.decide({"device": "cpu"}, models.training(cfg, spec), model, rows)
    data = batches.tensors(rows.inputs, rows.target, torch.device("cpu"))
    lanes = models.is_stateful(model)
    loop, other = Loop(model, how, torch.device("cpu")), {}
    for bf16 in (False, True):
        torch.manual_seed(0)
        other[bf16] = plain_step(plain(args.network, cfg, size).train(), how, bf16)
    ways: dict[str, tuple[Callable[[Batch], None], int]] = {
        "plain PyTorch, fp32": (other[False], args.threads),
        "plain PyTorch, bf16": (other[True], args.threads),
        f"Lamina ({how.precision}, {how.threads} threads)": (lambda batch: loop.step(batch, 0.5), how.threads or 1),
    }
    model.train()
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(args.rounds + 1):
        for way, (step, threads) in ways.items():
            torch.set_num_threads(threads)
            own = islice(batches.stream(data, how.batch_size, 0, number * args.steps, lanes), args.steps)
            start = time.perf_counter()
            for batch in own:
                step(batch)
            if number:  # the first round is warm-up
                speeds[way].append(args.steps * how.batch_size * context / (time.perf_counter() - start))
    print(
        f"training, {sum(p.numel() for p in model.parameters()):,} weights, {how.batch_size} x {context} tokens a step"
    )
    report(speeds)
    generate(text, cfg, size, args)


def report(speeds: dict[str, list[float]]) -> None:
    base = statistics.median(next(iter(speeds.values())))
    for way, values in speeds.items():
        middle = statistics.median(values)
        print(f"  {way:42} {middle:10,.0f} tokens/s ({min(values):,.0f} to {max(values):,.0f})  x {middle / base:.2f}")


@torch.inference_mode()
def sample(model: nn.Module, count: int, context: int, keep: bool) -> float:
    """Tokens per second of a plain script, one text at a time."""
    tokens, state = torch.ones(1, 1, dtype=torch.long), None
    start = time.perf_counter()
    for _ in range(count):
        logits, own = model(tokens[:, -1:] if keep else tokens[:, -context:], state)
        if keep and isinstance(model, PlainTransformer):
            state = [(k[:, :, -context + 1 :], v[:, :, -context + 1 :]) for k, v in own]
        elif keep:
            state = own
        chances = (logits[:, -1] / 0.8).softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(chances, 1)], 1)
    return count / (time.perf_counter() - start)


def bundle_of(text: str, args: argparse.Namespace, folder: Path) -> object:
    """A bundle of the network, trained for a moment: speed does not hang on what was learned."""
    (folder / "text.txt").write_text(text[:200_000])
    words = ["train", folder / "text.txt", "--task", "language_modelling", "--model", args.network, "--budget", "5s"]
    words += ["--set", f"task.context={args.context}", "--set", "task.documents=none", "--out", folder / "run"]
    subprocess.run([sys.executable, "-m", "lamina", *map(str, words)], check=True, capture_output=True)
    return load(folder / "run")


def own_speed(bundle: object, count: int) -> float:
    """Tokens per second of the operation `generate`."""
    start = time.perf_counter()
    text = "".join(str(piece) for piece in bundle.generate(length=count, seed=1, temperature=0.8))
    assert text
    return count / (time.perf_counter() - start)


def generate(text: str, cfg: object, size: int, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bundle = bundle_of(text, args, Path(folder))
    model = plain(args.network, cfg, size).eval()
    torch.set_num_threads(args.threads)
    ways: dict[str, Callable[[], float]] = {}
    if args.network == "transformer":
        ways["plain PyTorch, the window for each token"] = lambda: sample(model, args.tokens, args.context, False)
        ways["plain PyTorch, keys and values kept"] = lambda: sample(model, args.tokens, args.context, True)
    else:
        ways["plain PyTorch"] = lambda: sample(model, args.tokens, args.context, True)
    ways["Lamina, generate of a bundle"] = lambda: own_speed(bundle, args.tokens)
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(args.rounds + 1):
        for way, run in ways.items():
            speed = run()
            if number:
                speeds[way].append(speed)
    print(f"generation, {args.tokens} tokens, one text")
    report(speeds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--network", default="lstm", choices=("lstm", "gru", "rnn", "transformer"))
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5, help="of training, per round")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the plain script")
    options = parser.parse_args()
    train(options.text.read_text("utf-8"), options)
