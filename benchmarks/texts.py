"""Accuracy and seconds on sets of sentences, beside TF-IDF and logistic regression in the same run.

    python benchmarks/texts.py DATA [--model ngram] [--sets rt subj sst2 sms] [--folds 10] [--seeds 0 1 2]

`DATA` holds the folders rt_polarity, subj, sst2 and sms_spam. rt-polarity and Subj are evaluated by ten folds, SST-2 by
its own split, SMS spam by training on its first 30 %. For a quick look: `--folds 1 --seeds 0`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

import lamina

Part = tuple[np.ndarray, np.ndarray]  # texts and labels


def lines(path: Path, encoding: str = "utf-8") -> list[str]:
    return [line.strip() for line in path.read_text(encoding, "replace").split("\n") if line.strip()]


def two_files(folder: Path, names: tuple[str, str], folds: int) -> Iterator[tuple[Part, Part]]:
    """Ten folds, of which so many are run."""
    groups = [lines(folder / name, "latin-1") for name in names]
    texts = np.array(groups[0] + groups[1], object)
    labels = np.repeat(["a", "b"], [len(group) for group in groups])
    for train, test in list(StratifiedKFold(10, shuffle=True, random_state=0).split(texts, labels))[:folds]:
        yield (texts[train], labels[train]), (texts[test], labels[test])


def sst2(folder: Path) -> Iterator[tuple[Part, Part]]:
    def part(*names: str) -> Part:
        rows = [line for name in names for line in lines(folder / f"stsa.binary.{name}")]
        return np.array([row[2:] for row in rows], object), np.array([row[0] for row in rows])

    yield part("train", "dev"), part("test")


def sms(folder: Path) -> Iterator[tuple[Part, Part]]:
    rows = [row.split("\t", 1) for row in lines(folder / "SMSSpamCollection")]
    labels, texts = (np.array([row[i] for row in rows], object) for i in (0, 1))
    first = int(0.3 * len(texts))
    yield (texts[:first], labels[:first]), (texts[first:], labels[first:])


def splits(name: str, data: Path, folds: int) -> Iterator[tuple[Part, Part]]:
    if name == "rt":
        return two_files(data / "rt_polarity", ("rt-polarity.neg", "rt-polarity.pos"), folds)
    if name == "subj":
        return two_files(data / "subj", ("subj.objective", "subj.subjective"), folds)
    return sst2(data / "sst2") if name == "sst2" else sms(data / "sms_spam")


def table(part: Part) -> pa.Table:
    return pa.table({"text": pa.array(part[0].tolist()), "label": pa.array([f"label {x}" for x in part[1]])})


def network(train: Part, test: Part, recipe: dict[str, object]) -> tuple[float, float]:
    """Accuracy, and seconds from the table to the evaluated bundle and its report."""
    start, rows = time.perf_counter(), table(test)
    with tempfile.TemporaryDirectory() as folder:
        estimator = lamina.fit(table(train), "label", test=rows, recipe=recipe, out=Path(folder) / "run")
        seconds = time.perf_counter() - start
        answers = estimator.predict(rows.select(["text"]))["prediction"].to_pylist()
    return float(np.mean([a == b for a, b in zip(answers, rows["label"].to_pylist(), strict=True)])), seconds


def baseline(train: Part, test: Part) -> tuple[float, float]:
    start, words = time.perf_counter(), TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(words.fit_transform(train[0]), train[1])
    score = float(model.score(words.transform(test[0]), test[1]))
    return score, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="a network; the default when left out")
    parser.add_argument("--sets", nargs="+", default=["rt", "sst2", "sms", "subj"])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print(f"{'set':6} {'network':>8} {'spread':>7} {'seconds':>8} {'TF-IDF + LR':>12} {'seconds':>8}  runs", flush=True)
    for name in options.sets:
        by_seed: list[list[tuple[float, float]]] = [[] for _ in options.seeds]
        rivals = []
        for train, test in splits(name, options.data, options.folds):
            rivals.append(baseline(train, test))
            for runs, seed in zip(by_seed, options.seeds, strict=True):
                recipe: dict[str, object] = {"seed": seed} | ({"model": options.model} if options.model else {})
                runs.append(network(train, test, recipe))
        scores = np.array(by_seed).mean(1)  # (seeds, accuracy and seconds)
        rival = np.array(rivals).mean(0)
        print(
            f"{name:6} {scores[:, 0].mean():8.4f} {scores[:, 0].std():7.4f} {scores[:, 1].mean():8.1f} "
            f"{rival[0]:12.4f} {rival[1]:8.1f}  {len(options.seeds)} x {len(rivals)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
