"""The fits of one competitor; runs in the competitors' environment.

    python peers.py COMPETITOR < JOBS

Each line of JOBS is a JSON object with `folder`, `target`, `kind`, `seed` and `out`. Of each, folder/train.csv and
folder/test.csv are read, predictions of the test rows are written to `out`, and a line of JSON says the CPU seconds
and the wall seconds from the files to the predictions.

What anybody would do first: numbers as they are, other columns as categories, none left out. Columns of text (most
values differ and have three words or more) are 16 components of their TF-IDF, for the linear models all of it.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

HOLE = "no value"  # a name that no table has
CATEGORIES = 254  # what scikit-learn's boosting can take in one column

Parts = tuple[pd.DataFrame, pd.DataFrame]


def is_text(column: Any) -> bool:
    values = column.dropna().astype(str)
    return bool(len(values) and values.nunique() > len(values) / 2 and values.str.split().str.len().mean() >= 3)


def columns(train: pd.DataFrame, test: pd.DataFrame, dense_text: bool = True) -> Parts:
    """Both parts with numbers, categories of the training rows, and texts as numbers or, if not dense, as they are."""
    parts = ({}, {})
    for i, name in enumerate(train.columns):
        pair: list[Any] = [train[name], test[name]]
        if pd.api.types.is_numeric_dtype(pair[0]) and not pd.api.types.is_bool_dtype(pair[0]):
            new = [{f"c{i}": column.astype(float)} for column in pair]
        elif not is_text(pair[0]):
            levels = sorted(pair[0].dropna().astype(str).unique())
            texts = [column.where(column.isna(), column.astype(str)) for column in pair]
            cells = [column.where(column.isin(levels)) for column in texts]
            new = [{f"c{i}": pd.Categorical(column, categories=levels)} for column in cells]
        elif dense_text:
            words = make_pipeline(TfidfVectorizer(min_df=2), TruncatedSVD(16, random_state=0))
            texts = [column.fillna("").astype(str) for column in pair]
            both = words.fit_transform(texts[0]), words.transform(texts[1])
            new = [{f"c{i}t{j}": numbers[:, j] for j in range(numbers.shape[1])} for numbers in both]
        else:
            new = [{f"c{i}text": column.fillna("").astype(str)} for column in pair]
        for part, more in zip(parts, new, strict=True):
            part.update(more)
    return pd.DataFrame(parts[0]), pd.DataFrame(parts[1])


def categories(frame: pd.DataFrame) -> list[str]:
    return list(frame.select_dtypes("category").columns)


def few_categories(train: pd.DataFrame, test: pd.DataFrame) -> Parts:
    """Of columns with more than 254 categories the 254 most frequent; the others count as missing."""
    for name in categories(train):
        levels = list(train[name].value_counts().index[:CATEGORIES])
        train[name], test[name] = (part[name].cat.set_categories(levels) for part in (train, test))
    return train, test


def whole(train: pd.DataFrame, test: pd.DataFrame) -> Parts:
    """Numbers without holes, by the median and a column that says where; a hole among categories is one more."""
    for name in train.columns:
        if name in categories(train):
            train[name], test[name] = (part[name].cat.add_categories(HOLE).fillna(HOLE) for part in (train, test))
        elif np.isnan([*train[name], *test[name]]).any():
            middle = train[name].median()
            for part in (train, test):
                part[f"{name}hole"] = part[name].isna().astype(float)
                part[name] = part[name].fillna(0.0 if np.isnan(middle) else middle)
    return train, test


def lightgbm(x: pd.DataFrame, y: np.ndarray, regression: bool, seed: int) -> Any:
    """Defaults, at most 500 rounds: as many as a fifth of the rows chooses, then trained on all rows."""
    import lightgbm as lgb  # in the competitors' environment

    kind = lgb.LGBMRegressor if regression else lgb.LGBMClassifier
    fixed = {"random_state": seed, "n_jobs": 1, "verbose": -1}
    classes = None if regression else y
    parts: list[Any] = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=classes)
    trial = kind(n_estimators=500, **fixed)
    stop = lgb.early_stopping(50, verbose=False)
    trial.fit(parts[0], parts[2], eval_X=parts[1], eval_y=parts[3], callbacks=[stop])
    return kind(n_estimators=max(trial.best_iteration_ or 0, 1), **fixed).fit(x, y)


def boosting(x: pd.DataFrame, y: np.ndarray, regression: bool, seed: int) -> Any:
    """scikit-learn's histogram gradient boosting with its defaults."""
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return kind(categorical_features="from_dtype", random_state=seed).fit(x, y)


def linear(x: pd.DataFrame, y: np.ndarray, regression: bool, seed: int) -> Any:
    """Ridge or logistic regression, its strength chosen by cross-validation."""
    one_hot = OneHotEncoder(min_frequency=5, max_categories=100, handle_unknown="infrequent_if_exist")
    texts = [(TfidfVectorizer(min_df=2, max_features=5000), name) for name in x.columns if name.endswith("text")]
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    prepare = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_include="category")),
        *texts,
    )
    if regression:
        return make_pipeline(prepare, RidgeCV(np.logspace(-3, 4, 15))).fit(x, y)
    model = make_pipeline(prepare, LogisticRegression(max_iter=500))
    strengths = {"logisticregression__C": [0.01, 0.1, 1, 10]}
    return GridSearchCV(model, strengths, cv=3, scoring="neg_log_loss").fit(x, y)


def catboost(x: pd.DataFrame, y: np.ndarray, regression: bool, seed: int) -> Any:
    """Defaults: 1,000 rounds."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostRegressor if regression else CatBoostClassifier
    fixed = {"random_seed": seed, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return kind(cat_features=categories(x), **fixed).fit(x, y)


def realmlp(x: pd.DataFrame, y: np.ndarray, regression: bool, seed: int) -> Any:
    """RealMLP with its tuned defaults (Holzmüller et al. 2024), evaluated by cross entropy, since AUC scores it."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    fixed = {"device": "cpu", "random_state": seed, "n_cv": 1, "n_threads": 1, "verbosity": 0}
    if regression:
        model = RealMLP_TD_Regressor(**fixed)
    else:
        model = RealMLP_TD_Classifier(**fixed, val_metric_name="cross_entropy", use_ls=False)
    return model.fit(x, y, cat_col_names=categories(x))


# By name: what is imported of it, how the columns come to it, how it is fitted.
COMPETITORS: dict[str, tuple[str, Callable[[pd.DataFrame, pd.DataFrame], Parts], Callable[..., Any]]] = {
    "lightgbm": ("lightgbm", columns, lightgbm),
    "boosting": ("scikit-learn", lambda a, b: few_categories(*columns(a, b)), boosting),
    "linear": ("scikit-learn", lambda a, b: columns(a, b, dense_text=False), linear),
    "catboost": ("catboost", lambda a, b: whole(*columns(a, b)), catboost),
    "realmlp": ("pytabkit", lambda a, b: whole(*columns(a, b)), realmlp),
}


def predictions(name: str, folder: Path, target: str, kind: str, seed: int) -> pd.DataFrame:
    """Of the test rows: `prediction`, or a column of probabilities per class."""
    parts = [pd.read_csv(folder / f"{part}.csv", low_memory=False) for part in ("train", "test")]
    cells = pd.read_csv(folder / "train.csv", usecols=[target], dtype=str, keep_default_na=False)[target]
    _, prepare, fit = COMPETITORS[name]
    train, test = prepare(*(part.drop(columns=target) for part in parts))
    if kind == "regression":
        return pd.DataFrame({"prediction": fit(train, cells.to_numpy(float), True, seed).predict(test)})
    classes, codes = np.unique(cells.to_numpy(str), return_inverse=True)
    return pd.DataFrame(fit(train, codes, False, seed).predict_proba(test), columns=classes)


def main(name: str) -> None:
    for line in sys.stdin:
        job = json.loads(line)
        start, cpu = time.perf_counter(), time.process_time()
        try:
            table = predictions(name, Path(job["folder"]), job["target"], job["kind"], job["seed"])
        except Exception as fault:  # whatever a library raises is a line of the results; the other splits go on
            print(json.dumps({"error": f"{type(fault).__name__}: {fault}"}), flush=True)
            continue
        answer = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        table.to_csv(job["out"], index=False)
        print(json.dumps({"version": version(COMPETITORS[name][0]), **answer}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
