"""Whether rare categories are made as often as they are: of each that fewer than 2 % of 6,000 rows of the Adult table
have, how often it is among 30,000 made rows; beside what a classifier that learns from made rows is worth.

    python benchmarks/rare.py DATA [gan,vae] [seeds]

DATA holds adult/adult-train.csv and adult/adult-test.csv (the official split, files as UCI gives them).
"""

import csv
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

NAMES = "age workclass fnlwgt education years marital occupation relationship race sex gain loss hours country income"
ROWS, TEST, MADE, RARE = 6_000, 10_000, 30_000, 0.02


def sample(data: Path, out: Path) -> tuple[Path, Path, list[dict[str, str | None]]]:
    """A file to learn from, one to test on, and the rows of the first; a missing cell is empty."""
    result = []
    for part, count in (("train", ROWS), ("test", TEST)):
        with open(data / f"adult/adult-{part}.csv", newline="") as file:
            rows = [[cell.strip().rstrip(".") for cell in row] for row in csv.reader(file) if len(row) == 15]
        if part == "train":
            random.Random(0).shuffle(rows)
        rows = [["" if cell == "?" else cell for cell in row] for row in rows[:count]]
        with open(out / f"{part}.csv", "w", newline="") as file:
            csv.writer(file).writerows([NAMES.split(), *rows])
        result.append(rows)
    return out / "train.csv", out / "test.csv", [dict(zip(NAMES.split(), row, strict=True)) for row in result[0]]


def scores(bundle: str, real: list[dict[str, str | None]]) -> dict[str, float]:
    """How many rare categories there are, how many of them are made less than half as often as they are or never, and
    the total variation of a column, mean of all columns of text.
    """
    import lamina

    estimator = lamina.load(bundle)
    generated = estimator.generate(MADE, seed=1)
    result, apart = list[float](), list[float]()
    for column in estimator.predictor.state.columns:
        if column.values:
            there = Counter(row[column.name] or None for row in real)
            there = {value: count for value, count in there.items() if value in (*column.values, None)}
            own = Counter(generated[column.name].to_pylist())
            shares = {value: count / sum(there.values()) for value, count in there.items()}
            apart.append(sum(abs(share - own[value] / MADE) for value, share in shares.items()) / 2)
            result += [own[value] / MADE / share for value, share in shares.items() if share < RARE]
    return {
        "rare": len(result),
        "halved": sum(ratio < 0.5 for ratio in result),
        "never": sum(ratio == 0 for ratio in result),
        "variation": sum(apart) / len(apart),
    }


def main(data: Path, models: list[str], seeds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        train, test, real = sample(data, Path(scratch))
        for model in models:
            for seed in range(seeds):
                words = [
                    str(train),
                    "--test",
                    str(test),
                    "--target",
                    "income",
                    "--task",
                    "generation",
                    "--model",
                    model,
                ]
                words += ["--set", f"seed={seed}", "--out", f"{scratch}/{model}{seed}", "--json"]
                call = [sys.executable, "-m", "lamina", "train", *words]
                done = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
                like = done["synthetic_rows"]
                learned = {name: round(value, 4) for name, value in like["trained_on"]["generated"].items()}
                print(model, seed, scores(done["bundle"], real), learned, round(like["column_distance"], 4), flush=True)


if __name__ == "__main__":
    words = dict(enumerate(sys.argv[2:]))
    main(Path(sys.argv[1]), words.get(0, "gan,vae").split(","), int(words.get(1, "2")))
