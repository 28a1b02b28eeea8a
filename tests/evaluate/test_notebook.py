"""What a notebook shows of a model, its scores and its training: run by a kernel, and read as HTML."""

import html
from html.parser import HTMLParser
from pathlib import Path

import nbclient
import nbformat
import pytest

import lamina
from conftest import SMALL, customers
from lamina import estimator
from lamina.evaluate import live_curves, notebook

HOSTILE = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>"
BOOKS = sorted((Path(__file__).parents[2] / "docs" / "notebooks").glob("*.ipynb"))
TAGS = {
    "style", "div", "p", "b", "span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "pre", "code",
    "ul", "li", "svg", "text", "path",
}  # fmt: skip
CELLS = [
    "import lamina\nfrom conftest import SMALL, customers",
    "model = lamina.fit(customers(120), 'left', recipe={'model': SMALL, 'train': {'epochs': 6}})",
    "model",
    "model.result",
    "model.evaluate(customers(40, seed=1))",
]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and what a reader sees."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.text = set[str](), set[str](), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def outputs():
    """The outputs of each cell, by a kernel of its own."""
    cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    book = nbformat.v4.new_notebook(cells=cells)
    place = {"metadata": {"path": str(Path(__file__).parent.parent)}}
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3", resources=place).execute()
    return [cell.outputs for cell in book.cells]


def test_training_in_a_notebook_is_one_display_with_curves_and_a_text_beside(outputs):
    (display,) = outputs[1]
    page = Tags(display.data["text/html"])
    assert display.output_type == "display_data"
    assert display.data["text/html"].count("<svg") == 2
    assert page.tags <= {*TAGS, "polyline", "circle"}
    assert all(word in page.text for word in ("84 to train", "Training fnn", "validation", "epoch 1", "Evaluated"))
    assert display.data["text/plain"].startswith("120 rows: 84 to train")


def test_a_model_a_result_and_scores_are_tables_in_a_notebook(outputs):
    assert outputs[0] == []
    words = [
        ("classification of 'left' by fnn", "logistic regression", "6 columns", "model.predict(rows)", "lamina serve"),
        ("accuracy", "logistic regression", "Report:"),
        ("accuracy", "ROC AUC", "value"),
    ]
    for (output,), texts in zip(outputs[2:], words, strict=True):
        page = Tags(output.data["text/html"])
        assert output.output_type == "execute_result"
        assert page.tags <= TAGS
        assert all(word in page.text for word in texts), page.text


def test_names_of_columns_and_classes_are_text_and_never_markup(tmp_path):
    rows = [{HOSTILE: row["months"], "plan": row["plan"], HOSTILE + "?": row["left"]} for row in customers(80)]
    model = lamina.fit(rows, HOSTILE + "?", recipe={"model": SMALL, "train": {"epochs": 1}}, out=tmp_path / "run")
    curves = live_curves.Curves()
    curves.add({"at": "collect", "used": 1, "train": 1, "validation": 0, "test": 0, "skipped": 0, "notes": [HOSTILE]})
    curves.add(
        {"at": "epoch", "epoch": 1, "loss": float("nan"), "validation_loss": 1.0, "score": 1.0, "score_name": HOSTILE,
         "seconds": 1.0, "left": 0.0}
    )  # fmt: skip
    for value in (model, model.result, estimator.Scores({HOSTILE: 1.0}), curves):
        page = Tags(value._repr_html_())
        assert page.tags <= {*TAGS, "polyline", "circle"}
        assert not {"onerror", "src", "href"} & page.attributes


def test_colours_are_those_of_the_page_around():
    assert "color: inherit" in notebook.STYLE
    assert "#" not in notebook.STYLE


def test_outside_of_a_notebook_rows_pass_and_nothing_is_shown(capsys):
    assert list(live_curves.show(iter([{"at": "collect"}]))) == [{"at": "collect"}]
    assert capsys.readouterr() == ("", "")


def test_a_model_of_any_task_says_how_it_is_used(months_bundle, numbers_bundle):
    for path in (months_bundle, numbers_bundle):
        model = lamina.load(path)
        page = Tags(model._repr_html_())
        assert all(f"model.{name}(" in page.text for name in model.operations if name == "predict")
        assert "<th scope='col'>network</th>" in model._repr_html_()


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_documentation_runs_from_the_frame_to_an_answer_of_the_server(path, tmp_path):
    book = nbformat.read(path, 4)
    assert not any(cell.get("outputs") for cell in book.cells), "kept without outputs, which are made anew"
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=200, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type in ("stream", "error")], "no warnings, no errors"
    pages = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    report = (tmp_path / "runs" / "churn" / "report.html").read_text("utf-8")
    assert sum("lamina-card" in page for page in pages) == 5
    assert html.escape(report) in pages[-1]
    same_weights, url, served, same_answer = (output.data["text/plain"] for output in outputs[-4:])
    assert "True" in same_weights
    assert url.startswith("'http://127.0.0.1:")
    assert "probabilities" in served
    assert same_answer == "True"
