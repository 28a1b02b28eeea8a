"""Inputs as plain as they come, which mean what they say and need no word."""

import numpy as np

from meaning.corpus import Case, day, label, number, table, text

CASES = [
    Case(
        "numbers_and_labels",
        table("x,y", lambda i: f"{number(i)},{label(i)}"),
        target="y",
        kinds={"x": "number", "y": "category"},
        task="classification",
        used=48,
        cells={"x": [1000.0, 1003.7], "y": ["no", "yes"]},
        answer={"prediction": "no"},
    ),
    Case(
        "numbers_to_a_number",
        table("x,y", lambda i: f"{i / 10},{20 + i / 5}"),
        target="y",
        task="regression",
        used=48,
        cells={"y": [20.0, 20.2]},
        answer={"prediction": (19, 30)},
    ),
    Case(
        "days_to_come",
        table("day,y", lambda i: f"{day(i)},{100 + i % 7}", count=70),
        target="y",
        sets=("task.kind=forecasting", "task.horizon=2"),
        task="forecasting",
        kinds={"day": "time"},
        used=70,
        answer={"day": "2023-03-12T00:00:00", "prediction": (95, 112)},
    ),
    Case(
        "rows_in_memory",
        lambda folder: [{"x": number(i), "y": label(i)} for i in range(48)],
        target="y",
        kinds={"x": "number", "y": "category"},
        task="classification",
    ),
    Case(
        "no_target",
        text("x,y\n1,2\n"),
        error=("--target",),
    ),
    Case(
        "arrays_of_numbers",
        lambda folder: np.array([[number(i), i % 2] for i in range(48)]),
        target="1",
        task="classification",
    ),
]
