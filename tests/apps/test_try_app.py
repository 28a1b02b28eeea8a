"""The page of `lamina app`, run without a browser: widgets out of what a bundle says, and every operation answered."""

import base64
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import lamina
import service_tools
from lamina.apps import try_app
from lamina.apps.try_app import series
from lamina.config import DataError
from lamina.evaluate.markup import number
from lamina.preprocess import Domain
from lamina.preprocess.image import codec

SCRIPT = Path(try_app.__file__).with_name("main.py")
BUNDLES = Path(__file__).parents[1] / "bundles"
ONE_OF_EACH_TASK = {path.stem.split("_")[0]: path for path in sorted(BUNDLES.glob("*.lamina"))}.values()
LAMINA = Path(sys.executable).with_name("lamina")

EVERYWHERE = """
import sys
for name in ("torch", "sklearn", "matplotlib", "onnx"):
    sys.modules[name] = None
from streamlit.testing.v1 import AppTest
for path in sys.argv[2:]:
    sys.argv[1:] = [path]
    page = AppTest.from_file(SCRIPT, default_timeout=60).run()
    print(path, [error.value for error in page.error], [one.message for one in page.exception])
""".replace("SCRIPT", repr(str(SCRIPT)))


def path_of(name: str) -> Path:
    return BUNDLES / f"{name}.lamina"


@pytest.fixture
def opened(monkeypatch):
    """Opens the page on a bundle, by its name among the stored ones or by its path."""

    def run(bundle: str | Path) -> AppTest:
        path = bundle if isinstance(bundle, Path) else path_of(bundle)
        monkeypatch.setattr(sys, "argv", ["main.py", str(path)])
        return AppTest.from_file(str(SCRIPT), default_timeout=60).run()

    return run


def text(page: AppTest) -> str:
    """All that the page says in HTML of its own."""
    assert not page.exception, page.exception
    return "\n".join(str(element.value) for element in page.get("html"))


def answers(page: AppTest) -> Any:
    """The table of answers, which comes before that of the bundle's columns, the last one."""
    assert not page.exception, page.exception
    assert [error.value for error in page.error] == []
    return page.dataframe[-2].value


def png(seed: int) -> bytes:
    return codec.as_png(np.random.default_rng(seed).integers(0, 256, (12, 12, 3)).astype(np.uint8))


# every bundle


def test_the_page_of_a_bundle_of_every_task_opens_where_nothing_is_that_trains():
    paths = list(map(str, ONE_OF_EACH_TASK))
    done = subprocess.run([sys.executable, "-c", EVERYWHERE, "", *paths], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"{path} [] []" for path in paths], done.stderr[-2000:]


def test_there_is_a_widget_for_each_column_by_what_it_is(opened):
    page = opened("classification_fnn")
    prep = lamina.load(path_of("classification_fnn")).predictor.prep
    sorts = {column.name: prep.domain(column.name).sort for column in prep.columns}
    assert set(sorts.values()) == {"number", "choice", "boolean", "date", "text"}
    widgets = {"number": "number_input", "choice": "selectbox", "boolean": "button_group", "date": "date_input"}
    for name, sort in sorts.items():
        kinds = [one.type for one in (*page.get(widgets.get(sort, "text_area")),) if one.key == f"cell {name}"]
        assert len(kinds) == 1, (name, sort)


def test_a_number_says_between_which_numbers_training_rows_were(opened):
    page = opened("regression_fnn")
    domain = lamina.load(path_of("regression_fnn")).predictor.prep.domain("area")
    assert domain.low < domain.middle < domain.high
    label = page.number_input(key="cell area").label
    assert f"{domain.low:,.6g} to {domain.high:,.6g}".replace(".", "\\.") in label


# one row


def test_the_answer_is_that_of_the_bundle_for_the_cells_that_were_chosen(opened):
    page, model = opened("regression_fnn"), lamina.load(path_of("regression_fnn"))
    before = text(page)
    page.number_input(key="cell area").set_value(123.5).run()
    row = {widget.key.removeprefix("cell "): widget.value for widget in (*page.number_input, *page.selectbox)}
    (answer,) = model.predict([row])
    assert row["area"] == 123.5
    assert text(page) != before
    assert number(answer["prediction"]) in text(page)
    assert f"between {number(answer['low'])} and" in text(page)


def test_probabilities_are_bars_and_the_label_stands_above_them(opened):
    page = opened("classification_fnn")
    assert 'class="lamina-answer"' in text(page)
    assert text(page).count('class="lamina-bar"') == 2


def test_an_image_is_shown_and_answered_once_it_is_there(opened):
    page, model = opened("classification_pretrained"), lamina.load(path_of("classification_pretrained"))
    (name,) = model.predictor.files
    assert "as soon as there is a file" in page.info[0].value
    page.file_uploader[0].set_value(("mine.png", png(1), "image/png")).run()
    (answer,) = model.predict([{name: png(1)}])
    assert "mine.png" in text(page)
    assert f'">{answer["prediction"]}</p>' in text(page)


def test_what_an_answer_hangs_on_is_shown_for_images_and_for_texts(opened):
    page = opened("classification_pretrained")
    page.file_uploader[0].set_value(("mine.png", png(1), "image/png")).run()
    page.button(key="explain").click().run()
    assert "what the network sees" in text(page)
    page = opened("multilabel_fnn_text")
    page.button(key="explain").click().run()
    assert '<p class="text"' in text(page)


def test_a_file_that_is_no_image_is_refused_in_a_sentence(opened):
    page = opened("classification_pretrained")
    page.file_uploader[0].set_value(("mine.png", b"GIF89a" + b"\0" * 40, "image/png")).run()
    assert not page.exception
    assert "rows\\[0\\]" in page.error[0].value


def test_a_series_is_pasted_and_a_word_in_it_is_refused_in_a_sentence(opened):
    page = opened("denoising_unet_series")
    (area,) = [area for area in page.text_area if area.key.startswith("cell ")]
    area.set_value(", ".join(str(x) for x in np.sin(np.arange(64) / 5).round(3))).run()
    assert not page.exception
    assert len(page.get("vega_lite_chart")) == 2  # as it was entered; before and after
    area.set_value("1, 2, three").run()
    assert "three" in page.error[0].value


# files of rows


def test_rows_of_a_file_are_answered_as_on_the_command_line(opened, tmp_path):
    rows = [{"area": 80 + i, "rooms": 3, "town": "north"} for i in range(30)]
    (tmp_path / "rows.csv").write_text(service_tools.as_csv(rows))
    page = opened("regression_fnn")
    page.button_group(key="how predict").set_value("Files").run()
    body = (tmp_path / "rows.csv").read_bytes()
    page.file_uploader[0].set_value([("rows.csv", body, "text/csv")]).run()
    table, model = answers(page), lamina.load(path_of("regression_fnn"))
    assert np.allclose(table["prediction"], [answer["prediction"] for answer in model.predict(rows)])
    assert list(table["area"]) == [row["area"] for row in rows]
    assert len(page.get("download_button")) == 1


def test_several_tables_are_one_and_what_is_wrong_names_files_as_they_were_called(opened):
    page = opened("regression_fnn")
    page.button_group(key="how predict").set_value("Files").run()
    body = b"area,rooms,town\n100,3,north\n90,2,south\n"
    page.file_uploader[0].set_value([("answers.csv", body, "text/csv"), ("answers.csv", body, "text/csv")]).run()
    assert len(answers(page)) == 4
    page.file_uploader[0].set_value([("mine.xlsx", b"no workbook", "application/octet-stream")]).run()
    assert page.error[0].value.startswith("mine\\.xlsx")
    page.file_uploader[0].set_value([("mine.csv", body + b"1,2\n", "text/csv")]).run()
    assert "1 row skipped, such as in mine\\.csv\\:4" in page.warning[0].value


def test_several_images_are_rows_of_a_file(opened):
    page = opened("classification_pretrained")
    page.button_group(key="how predict").set_value("Files").run()
    page.file_uploader[0].set_value([(f"{i}.png", png(i), "image/png") for i in range(3)]).run()
    assert len(answers(page)) == 3


def test_a_file_that_is_no_table_of_this_bundle_is_said_in_a_sentence(opened):
    page = opened("regression_fnn")
    page.button_group(key="how predict").set_value("Files").run()
    page.file_uploader[0].set_value([("rows.csv", b"colour,shape\nred,round\n", "text/csv")]).run()
    assert not page.exception
    assert "colour" in page.error[0].value


def test_answers_of_an_operation_with_an_own_way_into_files_are_taken_away_too(opened):
    page = opened("dimensionality_reduction_autoencoder_rows")
    page.button_group(key="operation").set_value("inverse_transform").run()
    page.button_group(key="how inverse_transform").set_value("Files").run()
    page.file_uploader[0].set_value([("points.csv", b"z1,z2\n0,0\n0.5,-0.5\n", "text/csv")]).run()
    assert list(answers(page)) == ["length", "width", "light", "warmth", "leaf"]


# rows that belong together, and requests without rows


def test_a_forecast_goes_on_from_the_history_with_its_interval(opened):
    page, model = opened("forecasting_linear_known"), lamina.load(path_of("forecasting_linear_known"))
    history = model.predictor.operations[0].example(model.predictor).payload
    table = answers(page)
    assert np.allclose(table["prediction"], [step["prediction"] for step in model.predict(history)])
    assert len(page.get("vega_lite_chart")) == 1
    page.button_group(key="rows").set_value("Paste").run()
    page.text_area(key="history text").set_value(service_tools.as_csv(history)).run()
    assert np.allclose(answers(page)["prediction"], table["prediction"])


def test_rows_of_a_history_that_cannot_be_used_are_said_and_left_out(opened):
    model = lamina.load(path_of("forecasting_linear_known"))
    history = model.predictor.operations[0].example(model.predictor).payload
    page = opened("forecasting_linear_known")
    page.button_group(key="rows").set_value("Files").run()
    body = service_tools.as_csv([*history, {**history[0], "month": "sometime"}]).encode()
    page.file_uploader[0].set_value([("history.csv", body, "text/csv")]).run()
    assert len(answers(page)) == 6
    assert any("left out" in warning.value for warning in page.warning)


def test_each_of_several_series_and_targets_is_drawn(opened):
    page = opened("forecasting_gru_quantiles")
    assert len(page.get("vega_lite_chart")) == 2
    assert list(answers(page).columns[:3]) == ["shop", "time", "visits.prediction"]


def test_a_generator_shows_the_images_that_its_seed_makes(opened):
    page, model = opened("generation_gan_images"), lamina.load(path_of("generation_gan_images"))
    page.number_input(key="setting generate count").set_value(5)
    page.selectbox(key="setting generate label").set_value(model.predictor.task.classes[0])
    page.button(key="ask generate").click().run()
    assert text(page).count("<img src=") == 5
    first = model.predictor.ask("generate", count=5, label=model.predictor.task.classes[0])[0]
    body = text(page).split("data:image/png;base64,")[1].split('"')[0]
    assert np.array_equal(codec.pixels(base64.b64decode(body), 1 << 20)[0][:, :, ::-1], first)


def test_a_generator_of_rows_meets_conditions_and_refuses_those_it_does_not_know_in_a_sentence(opened):
    page = opened("generation_vae_rows")
    page.number_input(key="setting generate count").set_value(7)
    page.button(key="ask generate").click().run()
    assert len(answers(page)) == 7
    page.text_area(key="setting generate where").set_value("nonsense")
    page.button(key="ask generate").click().run()
    assert "where" in page.error[0].value


def test_a_text_is_written_as_the_bundle_writes_it(opened):
    page, model = opened("language_modelling_gru_names"), lamina.load(path_of("language_modelling_gru_names"))
    page.number_input(key="setting generate seed").set_value(3)
    page.button(key="ask generate").click().run()
    assert model.generate(seed=3).strip() in text(page)


def test_another_operation_is_chosen_and_has_its_own_rows(opened):
    page = opened("dimensionality_reduction_autoencoder_rows")
    page.button_group(key="operation").set_value("inverse_transform").run()
    assert not page.exception
    assert [error.value for error in page.error] == []
    names = [widget.key for widget in page.number_input]
    assert "cell z1" in names
    assert "lamina-even" in text(page)  # a row that is given back, of which no cell is more than another


# series as text


def test_a_series_is_read_with_gaps_a_header_and_channels():
    one, two = Domain("series"), Domain("series", channels=2)
    assert series.read("1, 2,, 4\n5", one) == [1.0, 2.0, None, 4.0, 5.0]
    assert series.read("value\n1\n2", one) == [1.0, 2.0]
    assert series.read("x;y\n1;2\n3;4", two) == [[1.0, 2.0], [3.0, 4.0]]
    assert series.read("1,2\n3,4", Domain("series", channels=2, channels_first=True)) == [[1.0, 3.0], [2.0, 4.0]]
    assert series.read("  ", one) is None
    with pytest.raises(DataError, match="line 1: must be numbers"):
        series.read("1, two", one)


def test_a_series_as_text_reads_back_as_it_was():
    for domain, values in (
        (Domain("series"), [1.5, None, 3.0]),
        (Domain("series", channels=2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        (Domain("series", channels=2, channels_first=True), [[1.0, 3.0, 5.0], [2.0, 4.0, 6.0]]),
    ):
        assert series.read(series.as_text(values, domain), domain) == values


# the command


def test_a_port_that_is_taken_and_a_bundle_that_is_none_are_said_in_a_sentence(tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        code, _, error = service_tools.command("app", path_of("regression_fnn"), "--port", busy.getsockname()[1])
    assert (code, "Choose another with --port" in error) == (1, True)
    code, _, error = service_tools.command("app", tmp_path / "nothing.lamina")
    assert code == 1 and "nothing.lamina" in error


def test_the_command_says_one_line_serves_on_this_machine_and_ends_on_sigterm():
    command = [str(LAMINA), "app", str(path_of("regression_fnn")), "--port", "0"]
    app = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = app.stdout.readline() if app.stdout else ""
        url = next(word for word in line.split() if word.startswith("http://127.0.0.1:")).rstrip(".")
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=30) as reply:
            assert reply.status == 200
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert b"<title>" in reply.read()
        app.send_signal(signal.SIGTERM)
        out, err = app.communicate(timeout=30)
        assert (app.returncode, out, err) == (0, "", "")
    finally:
        app.kill()
        app.communicate()
