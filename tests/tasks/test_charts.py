"""What an operation says of its drawing is about columns that its answers have."""

from pathlib import Path

import pytest

import lamina

BUNDLES = sorted((Path(__file__).parents[1] / "bundles").glob("*.lamina"))


def columns(answers: list[dict], prefix: str = "") -> set[str]:
    """Names of columns and, with dots, of what stands inside of them."""
    names = set[str]()
    for name, value in answers[0].items():
        names |= {prefix + name} | (columns([value], f"{prefix}{name}.") if isinstance(value, dict) else set())
    return names


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_the_lines_of_a_drawing_are_columns_of_the_answers(path):
    predictor = lamina.load(path).predictor
    for operation in predictor.operations:
        if operation.chart is None:
            continue
        example, chart = operation.example(predictor), operation.chart(predictor)
        present = columns(example.answers)
        assert {end for line in chart.lines for end in (line.value, line.low, line.high) if end} <= present
        assert {chart.group} <= {"", *present}
        assert {line.source for line in chart.lines} <= {"", *example.payload[0]}
