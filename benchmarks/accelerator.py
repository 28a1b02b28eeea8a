"""Every network and task on this machine's accelerator beside its CPU: scores, seconds and precision.

    python benchmarks/accelerator.py [--epochs 8] [--only PART_OF_A_NAME] [--jobs 4]

Trains each case of `same_weights.py` twice, on the CPU and on the accelerator, with everything else left to Lamina, and
opens both bundles, which asks their golden rows of ONNX Runtime. Networks of these sizes do not fill an accelerator:
what counts is that they train to the same quality and serve alike. Exit code 1 if a case fails, or scores otherwise on
the accelerator by more than `--slack`; distances of generated images after so few epochs may differ by a factor of 4.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from same_weights import CASES, backbone

DISTANCE = "frechet_distance"


def trained(name: str, device: str, epochs: int) -> dict[str, Any]:
    """The primary score of a case on a device, and how it was trained."""
    import lamina

    case = CASES[name]
    model = {"kind": case.model} if isinstance(case.model, str) else dict(case.model)
    if model["kind"] == "pretrained":
        model["name"] = backbone()
    train = {"epochs": epochs, "batch_size": 32, **case.train, "device": device}
    recipe = {"task": case.task, "model": model, "train": train, "seed": 0, **case.more}
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        lamina.fit(case.rows(), case.target, recipe=recipe, out=run)
        seconds = time.perf_counter() - start
        lamina.load(run / "bundle")
        report = json.loads((run / "report.json").read_text("utf-8"))
    primary, precision = report["primary"], report["training"]["precision"]
    return {"metric": primary, "score": report["scores"][primary], "seconds": seconds, "precision": precision}


def work(names: list[str], epochs: int, devices: tuple[str, str]) -> None:
    for name in names:
        line: dict[str, Any] = {"name": name}
        for device in devices:
            try:
                line[device] = trained(name, device, epochs)
            except Exception as error:  # whatever it is, the other cases are of interest too
                traceback.print_exc()
                line[device] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(line), flush=True)


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--jobs", type=int, default=4, help="processes side by side")
    parser.add_argument("--slack", type=float, default=0.1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not torch.accelerator.is_available():
        print("This machine has no accelerator that PyTorch can use.")
        return 1
    devices = ("cpu", torch.accelerator.current_accelerator().type)
    if args.work:
        work(args.work.split("|"), args.epochs, devices)
        return 0
    names = [name for name in CASES if args.only in name]
    shares = [names[i :: args.jobs] for i in range(min(args.jobs, len(names)))]
    command = [sys.executable, "-W", "ignore", __file__, "--epochs", str(args.epochs), "--work"]
    more = {"OMP_NUM_THREADS": "2"} | os.environ
    workers = [subprocess.Popen([*command, "|".join(s)], stdout=subprocess.PIPE, text=True, env=more) for s in shares]
    lines = [line for worker in workers for line in worker.communicate()[0].splitlines() if line.startswith('{"name"')]
    results = {result["name"]: result for result in map(json.loads, lines)}
    print(f"{'case':32s} {'metric':>12s} {'cpu':>9s} {devices[1]:>9s} {'precision':>10s} {'cpu s':>7s} {'s':>7s}")
    faults = [name for name in names if not compare(name, results.get(name), devices, args.slack)]
    print(f"{len(names) - len(faults)} of {len(names)} train and serve on {devices[1]}")
    return bool(faults)


def compare(name: str, result: dict[str, Any] | None, devices: tuple[str, str], slack: float) -> bool:
    """Print a line for a case, and say whether the accelerator holds its own."""
    if result is None:
        print(f"{name:32s} no answer")
        return False
    cpu, other = (result[device] for device in devices)
    if errors := [f"{device}: {result[device]['error']}" for device in devices if "error" in result[device]]:
        print(f"{name:32s} {'; '.join(errors)}")
        return False
    scores = f"{cpu['metric'][:12]:>12s} {cpu['score']:9.4f} {other['score']:9.4f} {other['precision']!s:>10s}"
    low, high = sorted((cpu["score"], other["score"]))
    fits = high - low <= slack * max(abs(cpu["score"]), 1.0) or (cpu["metric"] == DISTANCE and high <= 4 * low)
    print(f"{name:32s} {scores} {cpu['seconds']:7.1f} {other['seconds']:7.1f}{'' if fits else '  DIFFERS'}")
    return fits


if __name__ == "__main__":
    sys.exit(main())
