"""From `pip install` to a first chart in a notebook: Lamina beside Keras, AutoGluon and fastai.

    python benchmarks/first_chart.py FOLDER [--only lamina keras]

For each, in an environment of its own below FOLDER: packages are installed without a cache, then a notebook of one cell
is run whose code goes, as the tool's own introduction does, from the 7,043 rows of a table of customers to a network
(of AutoGluon: its fastest model) that knows who leaves, and to a chart of how it learned or scored. Printed: seconds to
install and to run, MB on disk, lines of the cell, and the score that the cell prints. Everything runs in one go on one
machine; PyTorch is the build without CUDA for all.
"""

import argparse
import gzip
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

TORCH = "torch==2.13.0"
NOTEBOOK = ("ipykernel", "matplotlib", "nbclient")
RUN = """
import sys, nbformat, nbclient
cell = nbformat.v4.new_code_cell(open("cell.py").read())
book = nbformat.v4.new_notebook(cells=[cell])
nbclient.NotebookClient(book, timeout=900).execute()
outputs = [o for o in cell.outputs]
text = "".join(o.get("text", "") for o in outputs if o.output_type == "stream" and o.name == "stdout")
kinds = {kind for o in outputs if "data" in o for kind in o["data"]}
assert kinds & {"image/png", "image/svg+xml", "text/html"}, kinds
print([line for line in text.splitlines() if line.startswith("score")][-1])
"""
LAMINA = """
import lamina
model = lamina.fit("train.csv", "Churn")
print("score", model.evaluate("test.csv")["accuracy"])
model.plot_history()
"""
KERAS = """
import keras, pandas as pd
train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
for frame in (train, test):
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
numbers = ["tenure", "MonthlyCharges", "TotalCharges"]
choices = [c for c in train if c not in (*numbers, "customerID", "Churn")]
space = keras.utils.FeatureSpace(
    {n: "float_normalized" for n in numbers} | {c: "string_categorical" for c in choices}, output_mode="concat")
def inputs(frame):
    return {n: frame[n].fillna(train[n].median()).to_numpy("float32") for n in numbers} | {
        c: frame[c].astype(str).to_numpy(object).astype(str) for c in choices}
import tensorflow as tf
rows = tf.data.Dataset.from_tensor_slices((inputs(train), (train["Churn"] == "Yes").to_numpy("float32")))
space.adapt(rows.map(lambda x, y: x).batch(256))
encoded = space.get_encoded_features()
hidden = keras.layers.Dense(64, activation="relu")(encoded)
hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(32, activation="relu")(hidden))
model = keras.Model(encoded, keras.layers.Dense(1, activation="sigmoid")(hidden))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
held = tf.data.Dataset.from_tensor_slices((inputs(test), (test["Churn"] == "Yes").to_numpy("float32")))
prepare = lambda x, y: (space(x), y)
history = model.fit(rows.batch(256).map(prepare).cache(), epochs=20, verbose=0)
print("score", model.evaluate(held.batch(256).map(prepare), verbose=0)[1])
pd.DataFrame(history.history).plot()
"""
AUTOGLUON = """
import pandas as pd
from autogluon.tabular import TabularPredictor
predictor = TabularPredictor("Churn", verbosity=0).fit("train.csv", hyperparameters={"GBM": {}})
print("score", predictor.evaluate(pd.read_csv("test.csv"))["accuracy"])
predictor.leaderboard().plot.barh("model", "score_val")
"""
FASTAI = """
import pandas as pd
from fastai.tabular.all import *
train, test = pd.read_csv("train.csv"), pd.read_csv("test.csv")
for frame in (train, test):
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
numbers = ["tenure", "MonthlyCharges", "TotalCharges"]
choices = [c for c in train if c not in (*numbers, "customerID", "Churn")]
loaders = TabularDataLoaders.from_df(train, y_names="Churn", cat_names=choices, cont_names=numbers,
    procs=[Categorify, FillMissing, Normalize], y_block=CategoryBlock(), bs=256)
learn = tabular_learner(loaders, metrics=accuracy)
learn.fit_one_cycle(5)
print("score", learn.validate(dl=learn.dls.test_dl(test, with_labels=True))[1])
learn.recorder.plot_loss()
"""


class Tool(NamedTuple):
    """What is installed, in steps, and the cell."""

    packages: tuple[tuple[str, ...], ...]
    cell: str


ROOT = Path(__file__).parents[1]
TOOLS = {
    "lamina": Tool(((TORCH, f"{ROOT}[train]"),), LAMINA),
    "keras": Tool((("keras", "tensorflow-cpu", "pandas"),), KERAS),
    "autogluon": Tool((("autogluon.tabular[lightgbm]",),), AUTOGLUON),
    "fastai": Tool(((TORCH, "fastai"),), FASTAI),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*TOOLS], default=[*TOOLS])
    options = parser.parse_args()
    print(f"{'':10} {'install':>9} {'on disk':>9} {'notebook':>9} {'in all':>8} {'lines':>6}  score")
    for name in options.only:
        print(measure(name, TOOLS[name], options.folder / name), flush=True)


def measure(name: str, tool: Tool, folder: Path) -> str:
    """One line of the table."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_tables(folder)
    (folder / "cell.py").write_text(tool.cell, "utf-8")
    (folder / "run.py").write_text(RUN, "utf-8")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python, start = folder / "env" / "bin" / "python", time.perf_counter()
    for packages in tool.packages:
        command = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *packages, *NOTEBOOK]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            return f"{name:10} could not be installed: {ended.stderr.strip().splitlines()[-1][:90]}"
    middle = time.perf_counter()
    ended = subprocess.run([python, "run.py"], cwd=folder, capture_output=True, text=True, check=False)
    end = time.perf_counter()
    size = sum(file.stat().st_size for file in (folder / "env").rglob("*") if file.is_file() and not file.is_symlink())
    score = ended.stdout.strip() or "failed: " + ended.stderr.strip().splitlines()[-1][:90]
    lines = len(tool.cell.strip().splitlines())
    times = f"{middle - start:7.0f} s {size / 1e6:6,.0f} MB {end - middle:7.1f} s {end - start:6.0f} s"
    return f"{name:10} {times} {lines:6}  {score}"


def write_tables(folder: Path) -> None:
    """Rows to train on, and every fifth to evaluate by."""
    packed = (files("lamina.data") / "samples" / "churn.csv.gz").read_bytes()
    head, *rows = gzip.decompress(packed).decode().splitlines(keepends=True)
    for name, part in (("train.csv", [row for i, row in enumerate(rows) if i % 5]), ("test.csv", rows[::5])):
        (folder / name).write_text("".join((head, *part)), "utf-8")


if __name__ == "__main__":
    main()
