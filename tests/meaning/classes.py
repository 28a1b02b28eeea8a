"""Names, codes, classes, tags, and settings of networks: what a label is, and which task a target asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lamina.preprocess.image.codec import as_png
from meaning.corpus import Case, day, label, number, table, text

REGIONS = ("NA", "EMEA", "APAC")
TAGS = ("red", "green", "blue", "big")


def among(*values: Any) -> Callable[[int], str]:
    """A row whose number tells which of some values it has."""
    return lambda i: f"{round(i % len(values) + (i * 7 % 10) / 20, 2)},{values[i % len(values)]}"


def rows(*values: Any) -> Callable[[Path], Any]:
    """The same as rows in memory."""
    return lambda folder: [{"x": i % len(values) + (i * 7 % 10) / 20, "y": values[i % len(values)]} for i in range(48)]


def tags(i: int) -> list[str]:
    """Those of the four whose bit is set: none, one or several."""
    return [tag for place, tag in enumerate(TAGS) if (i * 7 + 5) % 16 >> place & 1]


def tagged(separator: str, quote: str = "") -> Callable[[int], str]:
    bits = lambda i: ",".join(str(int(tag in tags(i))) for tag in TAGS)  # noqa: E731
    return lambda i: f"{bits(i)},{quote}{separator.join(tags(i))}{quote}"


def folders(*names: str, words: bool = False) -> Callable[[Path], Any]:
    """A folder of images for each name, the later the brighter; `words`: as NAME=PATH."""

    def build(folder: Path) -> Any:
        for place, name in enumerate(names):
            (folder / name).mkdir()
            for i in range(16):
                grey = np.full((8, 8, 3), 30 + 160 * place // max(len(names) - 1, 1) + i, np.uint8)
                (folder / name / f"{i}.png").write_bytes(as_png(grey))
        return tuple(f"{name}={folder / name}" for name in names) if words else folder

    return build


def parquet(columns: dict[str, Any]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        pq.write_table(pa.table(columns), folder / "data.parquet")
        return folder / "data.parquet"

    return build


def npz(**arrays: np.ndarray) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        np.savez(folder / "data.npz", allow_pickle=False, **arrays)
        return folder / "data.npz"

    return build


def frame(values: Any) -> Callable[[Path], Any]:
    def build(folder: Path) -> Any:
        import pandas as pd

        return pd.DataFrame({"x": [i % len(values) + (i * 7 % 10) / 20 for i in range(48)], "y": [*values] * 16})

    return build


X = np.array([[i % 3 + (i * 7 % 10) / 20, i % 5] for i in range(48)])
MATRIX = np.array([[tag in tags(i) for tag in TAGS] for i in range(48)]).astype(np.int64)

CASES = [
    # texts that can mean missing
    Case(
        "a_region_called_na",
        table("x,y", among(*REGIONS)),
        target="y",
        task="classification",
        used=48,
        notes=("'NA' of y (16 rows) is read as a value", "--set 'literal=[]'"),
        cells={"y": ["NA", "EMEA", "APAC"]},
        answer={"prediction": "NA"},
    ),
    Case(
        "a_region_called_na_that_means_missing",
        table("x,y", among(*REGIONS)),
        target="y",
        sets=("literal=[]",),
        aside=16,
        cells={"y": [None, "EMEA", "APAC"]},
        silent=("read as a value",),
    ),
    Case(
        "na_beside_numbers_with_na",
        table("x,w,y", lambda i: f"{number(i)},{'NA' if i % 6 == 0 else i},{('NA', 'b', 'c')[i % 3]}"),
        target="y",
        aside=16,
        notes=("'NA' of y (16 rows) is read as missing", "--set 'literal=[y]'"),
    ),
    Case(
        "a_few_na",
        table("x,y", lambda i: f"{number(i)},{'NA' if i in (7, 21, 33) else label(i)}"),
        target="y",
        aside=3,
        notes=("'NA' of y (3 rows) is read as missing",),
        answer={"prediction": "no"},
    ),
    Case(
        "a_few_na_that_are_a_class",
        table("x,y", lambda i: f"{9 if i % 8 == 7 else i % 2},{'none' if i % 8 == 7 else label(i)}"),
        target="y",
        sets=("literal=[y]",),
        used=48,
        cells={"y": ["no", "yes", "no", "yes", "no", "yes", "no", "none"]},
    ),
    Case(
        "a_shop_called_null",
        table("day,shop,y", lambda i: f"{day(i // 2)},{('null', 'city')[i % 2]},{100 * (i % 2) + i % 7}", count=140),
        target="y",
        sets=("task.kind=forecasting", "task.series=shop", "task.horizon=2"),
        task="forecasting",
        used=140,
        notes=("'null' of shop (70 rows) is read as a value",),
        cells={"shop": ["null", "city"]},
    ),
    Case(
        "an_input_called_none",
        table("x,y", lambda i: f"{('none', 'a', 'b')[i % 3]},{('low', 'mid', 'high')[i % 3]}"),
        target="y",
        kinds={"x": "category"},
        notes=("'none' of x (16 rows) is read as a value",),
        cells={"x": ["none", "a", "b"]},
        answer={"prediction": "low"},
    ),
    Case(
        "an_input_with_gaps_by_another_mark",
        table("x,y", lambda i: f"{('?', 'a', 'b')[i % 3]},{('low', 'mid', 'high')[i % 3]}"),
        target="y",
        kinds={"x": "category"},
        silent=("read as a value", "read as missing"),
        cells={"x": [None, "a", "b"]},
    ),
    Case(
        "folders_called_none_and_null",
        folders("none", "null", "nan"),
        model="cnn",
        sets=("model.width=4", "train.epochs=12"),
        task="classification",
        used=48,
        notes=("by its source",),
        answer={"prediction": "nan"},
    ),
    Case(
        "a_class_called_none",
        folders("none", "cat", words=True),
        sets=("model.kind=cnn", "model.width=4", "train.epochs=12"),
        task="classification",
        used=32,
        answer={"prediction": "none"},
    ),
    Case(
        "rows_in_memory_called_none",
        rows("None", "NA", "x"),
        target="y",
        task="classification",
        used=48,
        cells={"y": ["None", "NA", "x"]},
        answer={"prediction": "None"},
    ),
    Case("a_frame_with_null", frame(("null", "a", "b")), target="y", used=48, answer={"prediction": "null"}),
    Case(
        "parquet_with_na",
        parquet({"x": [*range(3)] * 16, "shop": ["NA", "B", "C"] * 16, "y": ["none", "few", "many"] * 16}),
        target="y",
        used=48,
        kinds={"shop": "category"},
        silent=("read as",),
        cells={"shop": ["NA", "B", "C"], "y": ["none", "few", "many"]},
        answer={"prediction": "none"},
    ),
    Case(
        "parquet_of_numbers_as_text_with_na",
        parquet({"x": ["NA", *map(str, range(1, 48))], "y": ["a"] * 24 + ["b"] * 24}),
        target="y",
        kinds={"x": "number"},
        cells={"x": [None, 1, 2]},
    ),
    Case(
        "json_with_null_and_null",
        text(
            "["
            + ",".join(
                f'{{"x": {i % 3}, "y": {["null", chr(34) + "null" + chr(34), chr(34) + "a" + chr(34)][i % 3]}}}'
                for i in range(48)
            )
            + "]",
            "data.json",
        ),
        target="y",
        aside=16,
        cells={"y": [None, "null", "a"]},
    ),
    Case(
        "npz_with_a_class_called_none",
        npz(x=X, y=np.array(["None", "a", "b"] * 16)),
        used=48,
        answer={"prediction": "None"},
    ),
    # codes and numbers that are classes
    Case(
        "codes_with_zeros",
        table("x,y", among("001", "002", "010")),
        target="y",
        task="classification",
        notes=("The task is classification of 'y'",),
        answer={"prediction": "001"},
    ),
    Case(
        "post_codes",
        table("x,y", among("01067", "10115", "80331")),
        target="y",
        task="classification",
        answer={"prediction": "01067"},
    ),
    Case(
        "post_codes_by_name",
        table("x,zip", among(20095, 10115, 80331)),
        target="zip",
        task="classification",
        answer={"prediction": 20095},
    ),
    Case(
        "grades",
        table("x,grade", among(3, 5, 7, 9)),
        target="grade",
        task="classification",
        notes=("Another: --task regression",),
        answer={"prediction": 3},
    ),
    Case("moods", table("x,y", among(-1, 0, 1)), target="y", task="classification", answer={"prediction": -1}),
    Case(
        "grades_that_are_amounts",
        table("x,grade", among(3, 5, 7, 9)),
        target="grade",
        sets=("task.kind=regression",),
        task="regression",
        silent=("The task is",),
    ),
    Case(
        "long_ids",
        table("x,y", among(9007199254740993, 9007199254740995, 9007199254740997)),
        target="y",
        task="classification",
        answer={"prediction": 9007199254740993},
    ),
    Case(
        "few_amounts",
        table("x,y", among(120, 180, 240, 310)),
        target="y",
        task="regression",
        notes=("The task is regression of 'y'",),
    ),
    Case(
        "many_labels_of_numbers",
        npz(x=np.repeat(np.arange(30.0), 6)[:, None] * [1, 1], y=np.repeat(np.arange(30), 6)),
        task="classification",
        used=180,
    ),
    Case(
        "folders_named_by_degrees",
        folders("0", "90", "180"),
        model="cnn",
        sets=("model.width=4", "train.epochs=12"),
        task="classification",
        used=48,
        notes=("by its source. Another: --task regression",),
        answer={"prediction": 0},
    ),
    Case(
        "labels_of_numbers_and_a_word",
        table("x,y", lambda i: f"{9 if i % 25 == 24 else i % 3},{'other' if i % 25 == 24 else 1 + i % 3}", count=200),
        target="y",
        task="classification",
        used=200,
        answer={"prediction": "1"},
    ),
    # spellings of one class
    Case(
        "spellings_of_yes",
        table("x,y", lambda i: f"{number(i)},{(' NO', 'Yes', 'no', 'yes ', 'No', ' YES')[i % 6]}"),
        target="y",
        task="classification",
        used=48,
        notes=("are spelled in several ways", "--set 'columns.y={kind: category, spellings: {}}'"),
        cells={"y": ["No", "Yes", "No", "Yes"]},
        answer={"prediction": "No"},
    ),
    Case(
        "series_in_two_spellings",
        table("day,shop,y", lambda i: f"{day(i // 2)},{('North', 'north')[i % 2]},{100 * (i % 2) + i % 7}", count=140),
        target="y",
        sets=("task.kind=forecasting", "task.series=shop", "task.horizon=2"),
        task="forecasting",
        used=140,
        silent=("several ways",),
        cells={"shop": ["North", "north"]},
    ),
    Case(
        "spellings_kept_apart",
        table("x,y", among("Co", "CO", "Ni")),
        target="y",
        sets=("columns.y={kind: category, spellings: {}}",),
        silent=("several ways",),
        cells={"y": ["Co", "CO", "Ni"]},
    ),
    Case(
        "capitals_that_differ_in_meaning",
        table("x,y", among("mW", "MW", "W")),
        target="y",
        silent=("several ways",),
        cells={"y": ["mW", "MW", "W"]},
    ),
    Case("small_and_large_letters", table("x,y", among("a", "A", "b")), target="y", cells={"y": ["a", "A", "b"]}),
    Case(
        "spellings_of_an_input",
        table("city,y", lambda i: f"{('Rome', 'Paris', 'rome', 'PARIS ')[i % 4]},{label(i)}"),
        target="y",
        kinds={"city": "category"},
        notes=("city: 'Rome', 'Paris' are spelled in several ways",),
        cells={"city": ["Rome", "Paris", "Rome", "Paris"]},
        answer={"prediction": "no"},
    ),
    Case(
        "spellings_of_true",
        table("x,y", lambda i: f"{('Yes', 'No', 'yes', 'NO', 'YES', 'no')[i % 6]},{label(i)}"),
        target="y",
        kinds={"x": "boolean"},
        cells={"x": [True, False, True, False]},
        answer={"prediction": "no"},
    ),
    Case(
        "labels_with_a_full_stop",
        table("x,y", among("<=50K", ">50K", "<=50K.", ">50K.")),
        target="y",
        cells={"y": ["<=50K", ">50K", "<=50K", ">50K"]},
    ),
    # several labels
    Case(
        "tags_between_commas",
        table("a,b,c,d,y", tagged(", ", '"')),
        target="y",
        task="multilabel",
        kinds={"y": "labels"},
        used=48,
        notes=("The task is multilabel of 'y'",),
        cells={"y": [sorted(tags(i)) for i in range(4)]},
    ),
    Case(
        "tags_between_blanks",
        table("a,b,c,d,y", tagged(" ")),
        target="y",
        task="multilabel",
        used=48,
        cells={"y": [sorted(tags(i)) for i in range(4)]},
    ),
    Case(
        "tags_as_python_writes_lists",
        table("a,b,c,d,y", lambda i: tagged("|")(i).rpartition(",")[0] + f',"{tags(i)}"'),
        target="y",
        task="multilabel",
        used=48,
        cells={"y": [sorted(tags(i)) for i in range(4)]},
    ),
    Case(
        "tags_in_several_spellings",
        table("x,y", lambda i: f"{i % 4},{('Red|blue', 'red', 'Blue|red|green', 'green')[i % 4]}"),
        target="y",
        task="multilabel",
        notes=("are spelled in several ways", "kind: labels"),
        cells={"y": [["Blue", "red"], ["red"], ["Blue", "green", "red"], ["green"]]},
    ),
    Case(
        "names_of_two_words",
        table("x,y", among("light blue", "dark blue", "light red")),
        target="y",
        task="classification",
        answer={"prediction": "light blue"},
    ),
    Case(
        "names_with_commas",
        table("x,y", among('"Paris, France"', '"Lyon, France"', '"Rome, Italy"')),
        target="y",
        task="classification",
        answer={"prediction": "Paris, France"},
    ),
    Case("a_matrix_of_labels", npz(x=MATRIX * 1.0, y=MATRIX), task="multilabel", used=48, kinds={"label": "labels"}),
    Case("a_matrix_of_one_label", npz(x=X, y=np.eye(3)[np.arange(48) % 3]), task="classification", used=48),
    # settings of networks and tasks without their names
    Case(
        "a_setting_of_the_network_for_images",
        folders("a", "b"),
        sets=("model.width=4", "train.epochs=2"),
        task="classification",
    ),
    Case(
        "a_setting_that_the_network_for_images_has_not",
        folders("a", "b"),
        sets=("model.token_width=4",),
        error=("model.token_width: unknown setting", "the network is cnn", "--model fnn"),
    ),
    Case(
        "a_setting_of_the_task",
        table("x,y", among("a", "b", "c")),
        target="y",
        sets=("task.focal=2",),
        task="classification",
    ),
]
