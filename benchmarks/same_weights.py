"""Whether two source trees train the same networks, bit for bit: for a change that must not change what is learned.

    python benchmarks/same_weights.py OLD_SRC [NEW_SRC] [--only PART_OF_A_NAME]

Trains two epochs of each case below with the package of each tree, one thread, seed 0, and compares the weights in the
bundles. What else differs in bundles and reports is listed beside them and is no failure: a newer version may write
more. Each tree is run in a process of its own through `lamina.fit`. Exit code 1 if any weights differ.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
TRAIN = {"epochs": 2, "batch_size": 32, "threads": 1, "precision": "fp32", "device": "cpu"}
WEIGHTS = "weights.safetensors"
TIMES = {"training.json", "CARD.md", "manifest.json"}  # hold times and versions, so that no two runs agree
TIMED = ("seconds", "rate", "left")  # of a report


class Case(NamedTuple):
    """Rows, the column to predict if there is one, and a recipe."""

    rows: Callable[[], Any]
    target: str | None
    task: str | dict[str, Any]
    model: str | dict[str, Any]
    more: dict[str, Any] = {}
    train: dict[str, Any] = {}


def customers(count: int = 400, seed: int = 0) -> list[dict[str, Any]]:
    """Numbers with gaps, categories, a boolean, a date, a text, labels, two classes and an amount."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        risk = rng.normal()
        labels = [name for name, odds in (("late", risk), ("dear", -risk), ("kind", 0.2)) if rng.random() < 0.3 + odds]
        words = rng.choice(["line", "drops", "refund", "quick", "service", "evening"], 4)
        rows.append(
            {
                "months": None if rng.random() < 0.05 else round(float(30 - 12 * risk + 4 * rng.normal()), 1),
                "charges": round(float(1000 + 200 * rng.normal()), 2),
                "plan": None if rng.random() < 0.05 else str(rng.choice(["basic", "plus", "pro"])),
                "paperless": bool(rng.random() < 0.5),
                "since": f"20{18 + i % 6}-{1 + i % 12:02d}-{1 + i % 28:02d}",
                "remark": " ".join([*words.tolist(), str(i)]),
                "labels": "|".join(labels),
                "left": "yes" if risk + 0.3 * rng.normal() > 0 else "no",
                "amount": round(float(50 * risk + 3 * rng.normal()), 2),
            }
        )
    return rows


def columns(*names: str) -> Callable[[], list[dict[str, Any]]]:
    """The customers without the other columns that say the answer."""
    answers = {"labels", "left", "amount"} - set(names)
    return lambda: [{name: cell for name, cell in row.items() if name not in answers} for row in customers()]


def rows_of_images(shape: tuple[int, int, int] = (16, 16, 3), count: int = 240) -> list[dict[str, Any]]:
    """Dark images with a bright band in one of three places, which is the class, and a number that goes with it."""
    rng = np.random.default_rng(1)
    places, images = rng.integers(0, 3, count), rng.normal(40, 8, (count, *shape))
    for place in range(3):
        top = place * (shape[0] // 3)
        images[places == place, top : top + shape[0] // 3] += 150
    numbers = places + rng.normal(0, 0.3, count)
    return [
        {"picture": image, "number": round(float(number), 3), "place": ("up", "middle", "down")[place]}
        for image, number, place in zip(images.clip(0, 255).astype(np.uint8), numbers, places, strict=True)
    ]


def images_alone(shape: tuple[int, int, int] = (16, 16, 3)) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [{"picture": row["picture"], "place": row["place"]} for row in rows_of_images(shape)]


def recordings(count: int = 240) -> list[dict[str, Any]]:
    """Series of two channels and several lengths with gaps, beside a number, a class and a pitch."""
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(count):
        pitch, t = rng.uniform(0.5, 3), np.linspace(0, 1, int(rng.integers(18, 25)))
        wave = np.stack([np.sin(2 * np.pi * pitch * t), np.cos(2 * np.pi * pitch * t)], 1)
        wave += rng.normal(0, 0.1, wave.shape)
        cells = [[None if rng.random() < 0.02 else float(v) for v in step] for step in wave]
        rows.append({"wave": cells, "gain": float(rng.normal()), "pitch": float(pitch), "high": str(pitch > 1.7)})
    return rows


def of_recordings(target: str, *beside: str) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [{name: row[name] for name in ("wave", *beside, target)} for row in recordings()]


def months() -> list[dict[str, Any]]:
    """Twelve years of sales with a season, and promotions that are known beforehand."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(144):
        promotion = bool(rng.random() < 0.25)
        sales = 100 + i + 20 * np.sin(2 * np.pi * i / 12) + 15 * promotion + rng.normal(0, 2)
        month = f"{2010 + i // 12}-{1 + i % 12:02d}-01"
        rows.append({"month": month, "promotion": promotion, "sales": round(float(sales), 2)})
    return rows


def prices() -> list[dict[str, Any]]:
    """Closing prices of business days."""
    rng, days, day = np.random.default_rng(4), list[date](), date(2019, 1, 1)
    while len(days) < 500:
        days += [day] if day.weekday() < 5 else []
        day += timedelta(1)
    closing = 100 * np.exp(np.cumsum(rng.normal(0.0003, 0.013, len(days))))
    return [{"day": d.isoformat(), "close": round(float(p), 3)} for d, p in zip(days, closing, strict=True)]


def shops() -> list[dict[str, Any]]:
    """Visits of three shops by the hour, and the load of their tills."""
    rng = np.random.default_rng(5)
    rows = []
    for shop, level in {"north": 50, "south": 200, "west": 10}.items():
        for hour in range(240):
            visits = level * (1 + 0.4 * np.sin(2 * np.pi * hour / 24)) + rng.normal(0, level * 0.05)
            time_of = f"2024-03-{1 + hour // 24:02d}T{hour % 24:02d}:00:00"
            load = visits / 3 + rng.normal()
            rows.append({"time": time_of, "shop": shop, "visits": round(visits, 2), "load": round(load, 2)})
    return rows


def layers(*given: Any) -> dict[str, Any]:
    return {"kind": "sequential", "layers": list(given)}


def backbone() -> str:
    """A file of random filters for the architecture that goes on from the networks of others."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights = {"filters": rng.normal(size=(16, 3, 3, 3)) * 0.3, "matrix": rng.normal(size=(1024, 10)) * 0.05}
    nodes = [
        helper.make_node("Conv", ["pixels", "filters"], ["maps"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["lit"]),
        helper.make_node("Flatten", ["lit"], ["features"]),
        helper.make_node("MatMul", ["features", "matrix"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"]),
    ]
    graph = helper.make_graph(
        nodes,
        "backbone",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 3, 16, 16])],
        [helper.make_tensor_value_info("shares", TensorProto.FLOAT, ["rows", 10])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    path = Path(tempfile.gettempdir()) / "lamina_backbone.onnx"  # a name that is the same for both trees
    path.write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    return str(path)


SMALL = {"width": 32, "depth": 2}
FNN = {"kind": "fnn", **SMALL, "members": 2}
CNN = {"kind": "cnn", "width": 8, "most": 16}
SERIES = {"columns": {"wave": "series"}}
AHEAD = {"kind": "forecasting", "horizon": 6, "context": 24}
PRICES = {"kind": "forecasting", "horizon": 5, "context": 20}
QUANTILES = {**AHEAD, "targets": ["visits", "load"], "series": "shop", "loss": "pinball", "quantiles": [0.1, 0.5, 0.9]}
GAN = {"kind": "gan", "width": 8, "hidden": 32, "latent": 8}
VAE = {"kind": "vae", "width": 8, "hidden": 32, "latent": 8}
STEPS = ["flip", {"kind": "shift", "pixels": 1}, {"kind": "jpeg", "share": 0.4}]
MADE = {"augment_with": str(HERE.parent / "tests" / "bundles" / "generation_vae_rows.lamina")}

CASES = {
    "classification fnn": Case(columns("left"), "left", "classification", FNN),
    "classification linear": Case(columns("left"), "left", "classification", "linear"),
    "classification balanced": Case(
        columns("left"), "left", {"kind": "classification", "class_weight": "balanced", "focal": 1.0}, FNN
    ),
    "classification with made rows": Case(
        lambda: [{k: row[k] for k in ("months", "plan", "paperless", "since", "left")} for row in customers()],
        "left",
        "classification",
        FNN,
        {},
        MADE,
    ),
    "classification sequential": Case(
        images_alone((12, 12, 1)),
        "place",
        "classification",
        layers({"conv2d": {"filters": 4, "kernel_size": 3}}, {"maxpool": 2}, "flatten", {"dense": 3}),
    ),
    "classification cnn": Case(images_alone(), "place", "classification", CNN),
    "classification cnn augmented": Case(images_alone(), "place", "classification", CNN, {}, {"augment": STEPS}),
    "classification detector": Case(images_alone(), "place", "classification", {"kind": "detector", "width": 8}),
    "classification pretrained": Case(images_alone(), "place", "classification", {"kind": "pretrained"}),
    "classification combine": Case(
        rows_of_images,
        "place",
        "classification",
        {"kind": "combine", "image": CNN, "table": {"kind": "fnn", **SMALL}, "width": 16},
    ),
    "classification cnn series": Case(
        of_recordings("high"), "high", "classification", {"kind": "cnn", "width": 8, "members": 2}, SERIES
    ),
    "classification gru": Case(
        of_recordings("high", "gain"), "high", "classification", {"kind": "gru", "width": 8, "depth": 2}, SERIES
    ),
    "multilabel fnn": Case(columns("labels"), "labels", "multilabel", FNN),
    "multilabel linear": Case(columns("labels"), "labels", "multilabel", "linear"),
    "regression fnn": Case(columns("amount"), "amount", "regression", FNN),
    "regression linear": Case(columns("amount"), "amount", {"kind": "regression", "loss": "huber"}, "linear"),
    "regression rnn": Case(of_recordings("pitch"), "pitch", "regression", {"kind": "rnn", "width": 8}, SERIES),
    "regression lstm": Case(
        of_recordings("pitch", "gain"),
        "pitch",
        "regression",
        {"kind": "lstm", "width": 8, "bidirectional": True, "pooling": "attention"},
        SERIES,
    ),
    "regression sequential": Case(
        of_recordings("pitch"), "pitch", "regression", layers({"lstm": {"units": 8}}, {"dense": 1}), SERIES
    ),
    "forecasting linear": Case(months, "sales", {**AHEAD, "known": ["promotion"], "calendar": True}, "linear"),
    "forecasting fnn": Case(months, "sales", AHEAD, FNN),
    "forecasting rnn": Case(months, "sales", AHEAD, {"kind": "rnn", "width": 8}),
    "forecasting lstm": Case(months, "sales", {**AHEAD, "known": ["promotion"]}, {"kind": "lstm", "width": 8}),
    "forecasting gru quantiles": Case(shops, None, QUANTILES, {"kind": "gru", "width": 8}),
    "forecasting linear quantiles": Case(shops, None, QUANTILES, {"kind": "linear", "decompose": True}),
    "forecasting sequential": Case(months, "sales", AHEAD, layers({"gru": {"units": 8}}, {"dense": 6})),
    "forecasting prices": Case(prices, "close", PRICES, FNN),
    "generation gan": Case(images_alone((12, 12, 1)), "place", "generation", GAN),
    "generation gan dcgan": Case(images_alone((12, 12, 1)), "place", "generation", {**GAN, "preset": "dcgan"}),
    "generation vae": Case(images_alone((12, 12, 3)), "place", "generation", VAE),
    "generation gan rows": Case(columns("left"), "left", "generation", GAN, {"columns": {"remark": "ignore"}}),
    "generation gan rows wgan": Case(
        columns("left"), None, "generation", {**GAN, "preset": "wgan_gp"}, {"columns": {"remark": "ignore"}}
    ),
    "generation vae rows": Case(columns("left"), None, "generation", VAE, {"columns": {"remark": "ignore"}}),
}


def numbers(value: Any, place: str = "") -> dict[str, float | bool]:
    """The numbers of a report by their place in it."""
    if isinstance(value, dict):
        return {at: n for key, item in value.items() for at, n in numbers(item, f"{place}.{key}").items()}
    if isinstance(value, list):
        return {at: n for i, item in enumerate(value) for at, n in numbers(item, f"{place}.{i}").items()}
    return {place: value} if isinstance(value, int | float) and place.rpartition(".")[2] not in TIMED else {}


def body(file: Path) -> bytes:
    """What a file holds; of golden rows all but the hashes of the other files."""
    if file.name != "golden.json":
        return file.read_bytes()
    golden = json.loads(file.read_text("utf-8"))
    return json.dumps({name: value for name, value in golden.items() if name != "of"}).encode()


def trained(case: Case, folder: Path) -> dict[str, Any]:
    """The hash of each file of the bundle that a case gives, and the numbers of its report."""
    import lamina

    model = {"kind": case.model} if isinstance(case.model, str) else dict(case.model)
    if model["kind"] == "pretrained":
        model["name"] = backbone()
    recipe = {"task": case.task, "model": model, "train": {**TRAIN, **case.train}, "seed": 0, **case.more}
    lamina.fit(case.rows(), case.target, recipe=recipe, out=folder)
    files = {file.name: hashlib.sha256(body(file)).hexdigest() for file in (folder / "bundle").iterdir()}
    return {"files": files, "report": numbers(json.loads((folder / "report.json").read_text("utf-8")))}


def work(source: str, only: str) -> None:
    """Train each case with the package that is imported here, and print a line of JSON for each."""
    import lamina

    assert Path(lamina.__file__ or "").is_relative_to(Path(source).resolve()), lamina.__file__
    for name, case in CASES.items():
        if only not in name:
            continue
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            try:
                line: dict[str, Any] = trained(case, Path(folder) / "run")
            except Exception as error:  # whatever it is, the other cases are of interest too
                traceback.print_exc()
                line = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps({"name": name, "seconds": time.perf_counter() - start, **line}), flush=True)


def run(source: Path, only: str) -> dict[str, dict[str, Any]]:
    """What each case gives with one source tree."""
    command = [sys.executable, "-W", "ignore", __file__, "--train", str(source), "--only", only]
    with tempfile.TemporaryDirectory() as cache:
        more = {"PYTHONPATH": str(source), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "LAMINA_CACHE": cache}
        ended = subprocess.run(command, env={**os.environ, **more}, stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith('{"name"')]
    return {line["name"]: line for line in lines}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", nargs="?", help="folder that holds the package `lamina` before the change")
    parser.add_argument("new", nargs="?", default=str(HERE.parent / "src"), help="the same after it")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        work(args.train, args.only)
        return
    if not args.old:
        parser.error("say which tree to compare with")
    old, new = (run(Path(source).resolve(), args.only) for source in (args.old, args.new))
    print(f"{'case':32s} {'weights':10s} {'old s':>6s} {'new s':>6s}  what else differs")
    failures = sum(not compared(name, old[name], new.get(name, {"error": "no answer"})) for name in old)
    print(f"{len(old) - failures} of {len(old)} have the same weights")
    sys.exit(bool(failures))


def compared(name: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Print a line for a case, and say whether its weights are the same."""
    if failures := [f"{side} fails: {one['error']}" for side, one in (("old", old), ("new", new)) if "error" in one]:
        print(f"{name:32s} {'; '.join(failures)}")
        return False
    before, after = old["files"], new["files"]
    same = before[WEIGHTS] == after[WEIGHTS]
    differ = sorted(f for f in {*before, *after} - TIMES - {WEIGHTS} if before.get(f) != after.get(f))
    if places := [place for place in {**old["report"], **new["report"]} if not agree(place, old, new)]:
        differ.append(f"{len(places)} numbers of the report ({', '.join(places[:3])}{' ...' * (len(places) > 3)})")
    seconds = f"{old['seconds']:6.1f} {new['seconds']:6.1f}"
    print(f"{name:32s} {'equal' if same else 'DIFFERENT':10s} {seconds}  {', '.join(differ)}")
    return same


def agree(place: str, old: dict[str, Any], new: dict[str, Any]) -> bool:
    return old["report"].get(place) == new["report"].get(place)


if __name__ == "__main__":
    main()
