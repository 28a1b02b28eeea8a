"""`lamina app` in a real browser: a table, an image, a forecast and a generator; light and dark, wide and narrow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_tools import app, check_page, chromium, looks, needs_browser, settle

import lamina
from lamina.evaluate.markup import number
from lamina.preprocess.image import codec

pytestmark = [pytest.mark.slow, needs_browser]
BUNDLES = Path(__file__).parents[1] / "bundles"


def path_of(name: str) -> Path:
    return BUNDLES / f"{name}.lamina"


def look(name: str, ask: Callable[[Any], None], folder: Path) -> Any:
    """Open the page of a bundle in every look, ask something, and take an image; nothing comes from elsewhere, nothing
    is wider than the page, no script fails. The text of the last page.
    """
    with app("app", path_of(name)) as url, chromium() as browser:
        for page, own in looks(browser, url):
            page.goto(url)
            settle(page)
            ask(page)
            settle(page)
            check_page(page, folder / f"{name}-{own}.png")
            text = page.inner_text('[data-testid="stMain"]')
    return text


def test_a_row_of_a_table_is_changed_and_answered_anew(tmp_path):
    def ask(page: Any) -> None:
        field = page.get_by_role("spinbutton", name="area")
        field.fill("123.5")
        field.press("Enter")
        settle(page)
        rooms = page.get_by_role("spinbutton", name="rooms")
        rooms.fill("")
        rooms.press("Enter")
        settle(page)
        town = page.get_by_role("combobox", name="town")
        town.fill("atlantis")
        town.press("Enter")

    text = look("regression_fnn", ask, tmp_path)
    (answer,) = lamina.load(path_of("regression_fnn")).predict([{"area": 123.5, "town": "atlantis", "rooms": None}])
    assert "atlantis" in text and "not know" in text
    assert number(answer["prediction"]) in text


def test_an_image_is_uploaded_seen_and_explained(tmp_path):
    body = codec.as_png(np.random.default_rng(1).integers(0, 256, (12, 12, 3)).astype(np.uint8))
    (tmp_path / "mine.png").write_bytes(body)

    def ask(page: Any) -> None:
        page.set_input_files('input[type="file"]', tmp_path / "mine.png")
        page.wait_for_selector(".lamina-answer", timeout=30_000)
        settle(page)
        page.get_by_role("button", name="Explain the prediction").click()
        page.wait_for_selector("text=what the network sees", timeout=30_000)

    text = look("classification_pretrained", ask, tmp_path)
    model = lamina.load(path_of("classification_pretrained"))
    (answer,) = model.predict([{model.predictor.files[0]: body}])
    assert str(answer["prediction"]) in text


def test_a_forecast_is_drawn_after_its_history_and_goes_on_from_a_file(tmp_path):
    model = lamina.load(path_of("forecasting_linear_known"))
    history = model.predictor.operations[0].example(model.predictor).payload
    names = list(history[0])
    lines = [",".join(names), *(",".join(str(row[name]) for name in names) for row in history[:-3])]
    (tmp_path / "history.csv").write_text("\n".join(lines))

    def ask(page: Any) -> None:
        page.wait_for_selector('[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg')
        page.get_by_role("radio", name="Files").click()
        settle(page)
        page.set_input_files('input[type="file"]', tmp_path / "history.csv")
        page.wait_for_selector('[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg')

    text = look("forecasting_linear_known", ask, tmp_path)
    assert "the last value was kept" in text


def test_a_generator_makes_images_of_a_class_and_they_can_be_downloaded(tmp_path):
    def ask(page: Any) -> None:
        count = page.get_by_role("spinbutton", name="count")
        count.fill("12")
        count.press("Enter")
        settle(page)
        page.get_by_role("button", name="Generate", exact=True).click()
        page.wait_for_selector(".lamina-gallery img >> nth=11", timeout=30_000)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download as a zip").click()
        assert Path(download.value.path()).read_bytes().startswith(b"PK")

    assert "seed 1" in look("generation_gan_images", ask, tmp_path)


def test_a_text_is_written_into_the_page(tmp_path):
    def ask(page: Any) -> None:
        page.get_by_role("button", name="Generate", exact=True).click()
        page.wait_for_selector(".lamina-text p", timeout=30_000)

    model = lamina.load(path_of("language_modelling_gru_names"))
    assert model.generate().split()[0] in look("language_modelling_gru_names", ask, tmp_path)


def test_a_file_of_rows_is_answered_and_its_answers_are_downloaded(tmp_path):
    rows = [{"area": 80 + i, "rooms": 3, "town": "north"} for i in range(30)]
    (tmp_path / "rows.csv").write_text("area,rooms,town\n" + "".join(f"{r['area']},3,north\n" for r in rows))
    answers = lamina.load(path_of("regression_fnn")).predict(rows)

    def ask(page: Any) -> None:
        page.get_by_role("radio", name="Files").click()
        settle(page)
        page.set_input_files('input[type="file"]', tmp_path / "rows.csv")
        page.wait_for_selector("text=30 predictions", timeout=30_000)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the predictions").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert len(lines) == 31
        assert float(lines[1].split(",")[-3]) == pytest.approx(answers[0]["prediction"])

    look("regression_fnn", ask, tmp_path)
