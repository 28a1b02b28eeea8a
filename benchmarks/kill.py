"""Kill a training run with SIGKILL at random moments, go on each time, and compare every bit with a run left alone.

    python benchmarks/kill.py --kills 20 --seed 1
    python benchmarks/kill.py --kills 20 --seed 1 --budget 6
    python benchmarks/kill.py --kills 20 --seed 1 --network lstm --source input.txt
    python benchmarks/kill.py --kills 20 --seed 1 --network denoiser --source clean_images/ --epochs 30
    python benchmarks/kill.py --kills 1 --warm

With `--warm` the processes are copies of one that has imported everything already.

Moments are drawn over the whole life of a run: start-up, training (a third of them aimed at a checkpoint while it is
being written), evaluation and the writing of the bundle. Two more interruptions ask politely, by SIGTERM and SIGINT,
and must end in exit code 75 with a sentence that says how to go on. Exit code 1 on any difference.

With `--budget` the clock says how many steps a run has, so the run that was killed is compared with one that is left
alone and trains by its recipe, in which the plan of steps was written down.
"""

import argparse
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import warm_python
from lamina import load
from lamina.config import Interrupted, LaminaError
from lamina.data import toy
from lamina.estimator import Estimator

RECIPE = """\
data: {source}
{target}
seed: {seed}
{network}
train:
  epochs: {epochs}
  budget: {budget}
  patience: {epochs}
  batch_size: 64
  optimizer: adamw
  schedule: {{kind: cosine, warmup: 0.05}}
  clip: 1.0
  ema: 0.99
  threads: 1
  precision: fp32
  checkpoint_every: 0.05
"""
NETWORKS = {
    "fnn": "model: {kind: fnn, width: 64, depth: 2, dropout: 0.2, members: 2}",
    "gan": "task: generation\nmodel: {kind: gan, hidden: 64}",  # two parts, each with its optimizer
    "map": "task: dimensionality_reduction\nmodel: {kind: autoencoder, hidden: [64]}",  # neighbours drawn at random
    "detector": "task: anomaly_detection\nmodel: {kind: autoencoder, hidden: [64]}",  # noise drawn at each step
    "denoiser": "task: denoising\nmodel: {kind: unet, widths: [8, 8], patch: 16}",  # windows and noise drawn, too
    "lstm": "task: language_modelling\nmodel: {kind: lstm, width: 32}",  # a state that is carried from batch to batch
}
WITHOUT_TARGET = ("denoiser", "lstm")
GRAPHS = ("model.onnx", "discriminator.onnx", "step.onnx", "decoder.onnx")
Process = subprocess.Popen[str] | warm_python.Process
Start = Callable[[Path, Path], Process]
CLOCK = ("rate", "seconds", "left")  # fields of a row that depend on the wall clock
ENDLESS = 1_000_000  # epochs of a run that a budget ends
POLL = 0.0005
MISSED = 0.03  # of a run, after which a checkpoint being written is waited for no longer: a busy machine hides it
OVER = 0.999  # of a run, from where on no more checkpoints are written
PATIENCE = 300


@dataclass(frozen=True)
class Moment:
    """When to strike: `share` of the stage and up to a third of a second more, by `number` (a signal)."""

    stage: str
    share: float
    more: float
    number: signal.Signals = signal.SIGKILL


@dataclass(frozen=True)
class Times:
    """How long the run that was left alone took to its first step, its steps, and the rest, in seconds; `budget`: the
    seconds for training of a run that has no steps of its own.
    """

    start: float
    steps: int
    rest: float
    budget: float | None = None

    def share(self, out: Path) -> float:
        """How much of training is over by the newest checkpoint of a run."""
        if self.budget is None:
            return _step(out) / self.steps
        recipe, state = out / "recipe.yaml", out / "checkpoints" / f"step-{_step(out):09d}" / "state.json"
        if recipe.exists() and "  plan:" in recipe.read_text("utf-8"):  # which is written after the last step
            return 1.0
        try:
            return min(0.999, json.loads(state.read_bytes())["progress"]["elapsed"] / self.budget)
        except OSError:  # removed in favour of the next, or not there yet
            return 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--budget", type=float, help="seconds; in place of epochs")
    parser.add_argument("--source", default="toy:churn")
    parser.add_argument("--target", default="Churn")
    parser.add_argument("--network", choices=NETWORKS, default="fnn")
    parser.add_argument("--warm", action="store_true", help="do not import everything anew in each process")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lamina-kill-") as folder:
        return _compare(choice, Path(folder))


def _compare(chosen: argparse.Namespace, home: Path) -> int:
    recipe = home / "recipe.yaml"
    epochs = ENDLESS if chosen.budget else chosen.epochs
    target = "" if chosen.network in WITHOUT_TARGET else f"target: {chosen.target}"
    values = {"network": NETWORKS[chosen.network], "epochs": epochs, "budget": chosen.budget or "", "target": target}
    recipe.write_text(RECIPE.format(**vars(chosen) | values), "utf-8")
    length = f"{chosen.budget:g} seconds" if chosen.budget else f"{epochs} epochs"
    print(f"seed {chosen.seed}, {chosen.kills} kills, {chosen.network} on {chosen.source}, {length}")
    start = _warm if chosen.warm else _cold
    times = replace(_alone(recipe, home / "alone", start), budget=chosen.budget)
    print(f"left alone: {times.start:.1f} s to the first step, {times.steps} steps, {times.rest:.1f} s after the last")
    draw = random.Random(chosen.seed)
    faults, killed = _torment(recipe, home / "killed", (start, times), _moments(chosen.kills, draw))
    print(f"killed {killed} times")
    single = home / "alone"
    if chosen.budget:
        single = home / "by its plan"
        steps = _alone(home / "killed" / "recipe.yaml", single, start).steps
        print(f"{steps} steps by the plan of the run that was killed")
    single, other = _hashes(single, chosen.source), _hashes(home / "killed", chosen.source)
    for name, value in single.items():
        same = value == other[name]
        print(f"{name:20} {value[:32]} {'the same' if same else 'DIFFERS: ' + other[name][:32]}")
        faults += [] if same else [f"{name} differs"]
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults or killed < chosen.kills else 0


def _moments(kills: int, draw: random.Random) -> list[Moment]:
    """In the order in which one run reaches them."""
    stages = draw.choices(("start-up", "training", "writing", "evaluation"), (15, 35, 25, 25), k=kills)
    early = {"evaluation": 0.4}  # a quiet machine ends sooner than the run left alone did
    result = [Moment(stage, early.get(stage, 1.0) * draw.random(), draw.random() / 3) for stage in stages]
    result += [Moment("training", 0.7 * draw.random(), 0.0, number) for number in (signal.SIGTERM, signal.SIGINT)]
    late = [m for m in result if m.stage == "evaluation"]
    return [*sorted((m for m in result if m not in late), key=lambda m: m.share), *sorted(late, key=lambda m: m.share)]


def _alone(recipe: Path, out: Path, start: Start) -> Times:
    began = time.perf_counter()
    process = start(recipe, out)
    first = last = 0.0
    while process.poll() is None:
        now = time.perf_counter()
        first = first or (now if _step(out) else 0.0)
        last = last or (now if (out / "bundle").exists() else 0.0)
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"the run left alone failed:\n{_output(process)}")
    _output(process)
    return Times(first - began, json.loads(_rows(out)[-1])["step"], time.perf_counter() - last)


def _torment(recipe: Path, out: Path, how: tuple[Start, Times], moments: list[Moment]) -> tuple[list[str], int]:
    """Interrupt the run at every moment, then let it end; what went wrong, and how often it was killed."""
    start, times = how
    faults: list[str] = []
    killed = 0
    for moment in moments:
        process = start(recipe, out)
        began = time.perf_counter()
        _wait(process, out, times, moment)
        seconds, step, stage = time.perf_counter() - began, _step(out), _stage(out)
        process.send_signal(moment.number)
        message, code = _output(process), process.wait(PATIENCE)
        at = f"{seconds:.2f} s into the process, step {step}, {stage}"
        print(f"  {moment.number.name} in {moment.stage} ({moment.share:.3f}): {at}: exit {code}", flush=True)
        if moment.number == signal.SIGKILL:
            killed += code == -signal.SIGKILL
            wrong = code not in (-signal.SIGKILL, 0)  # 0: the run was over before; it is not counted as killed
        else:
            wrong = code != Interrupted.exit_code or f"--resume {out}" not in message
        if wrong:
            faults.append(f"{moment.number.name} at {at} ended in exit {code}: {message.strip()[-500:]}")
    process = start(recipe, out)
    message = _output(process)
    if process.returncode or not (out / "DONE").exists():
        faults.append(f"the last process ended in exit {process.returncode}: {message.strip()[-500:]}")
    return faults, killed


def _words(recipe: Path, out: Path) -> list[str]:
    """The run's next process: `--resume` as soon as there is something to go on with."""
    there = (out / "recipe.yaml").exists()
    return ["-m", "lamina", "train", *(["--resume", str(out)] if there else [str(recipe), "--out", str(out)])]


def _cold(recipe: Path, out: Path) -> Process:
    command = [sys.executable, *_words(recipe, out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _warm(recipe: Path, out: Path) -> Process:
    return warm_python.Process(*_words(recipe, out))


def _output(process: Process) -> str:
    return re.sub(r"\s+", " ", " ".join(process.communicate(timeout=PATIENCE)))


def _wait(process: Process, out: Path, times: Times, moment: Moment) -> None:
    """Until the moment has come, or the process is over."""
    began = time.perf_counter()
    first = share = times.share(out)
    while process.poll() is None:
        passed, before = time.perf_counter() - began, share
        share = times.share(out) or before
        start = moment.stage == "start-up" or (first >= OVER and moment.stage != "evaluation")
        if start and passed >= moment.share * times.start:
            return
        if moment.stage == "training" and first < share and share >= moment.share:
            time.sleep(moment.more)
            return
        if moment.stage == "writing" and share >= moment.share and (out / "checkpoints" / ".writing").exists():
            return
        if moment.stage == "writing" and share > min(max(first, moment.share) + MISSED, OVER):
            return
        if moment.stage == "evaluation" and share >= 1 and passed >= times.start + moment.share * times.rest:
            return
        time.sleep(POLL)


def _step(out: Path) -> int:
    """The step of the newest checkpoint, 0 before the first."""
    return max((int(p.name.removeprefix("step-")) for p in (out / "checkpoints").glob("step-*")), default=0)


def _stage(out: Path) -> str:
    """What is to be seen in the run directory, in a few words."""
    if not (out / "recipe.yaml").exists():
        return "nothing saved yet"
    if (out / "checkpoints" / ".writing").exists():
        return "checkpoint half written"
    if any(out.glob(".bundle-*")):
        return "bundle half written"
    return "bundle there" if (out / "bundle").exists() else "no bundle yet"


def _rows(out: Path) -> list[str]:
    return (out / "rows.jsonl").read_text("utf-8").splitlines()


def _hashes(out: Path, source: str) -> dict[str, str]:
    """What must be the same to the last bit."""
    rows = [json.loads(line) for line in _rows(out)]
    lasting = [{k: v for k, v in row.items() if k not in CLOCK} for row in rows]
    bundle = load(out)
    answers = _answers(bundle, source)
    files = [out / "bundle" / name for name in ("weights.safetensors", *GRAPHS)]
    files += sorted((out / "checkpoints").glob("step-*/tensors.safetensors"))[-1:]  # and each part's optimizer
    return {
        **{file.name: _hash(file.read_bytes()) for file in files if file.exists()},
        "rows.jsonl": _hash(json.dumps(lasting).encode()),
        "answers": _hash("".join(answers).encode()),  # a gan's discriminator answers too
    }


def _answers(bundle: Estimator, source: str) -> list[str]:
    """What a bundle answers to the rows of a source; of texts, what it writes."""
    if "predict" not in bundle.operations:
        return [str(piece) for piece in bundle.generate(length=50, seed=1)]
    if Path(source).is_dir():
        images = sorted(path for path in Path(source).iterdir() if path.suffix == ".png")
        return [image.tobytes().hex() for image in bundle.predict([str(path) for path in images])]
    return [str(answer) for answer in bundle.predict(_table(source)).to_pylist()]


def _table(source: str):
    if source.startswith("toy:"):
        return toy.load(toy.Config(name=source.removeprefix("toy:"))).table
    from lamina.data import files

    return files.load(files.Config(path=source)).table


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LaminaError as error:
        sys.exit(str(error))
