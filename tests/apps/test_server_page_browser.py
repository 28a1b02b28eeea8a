"""`/` of `lamina serve` in a real browser: a bundle of each task; light and dark, wide and narrow."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_tools import LAMINA, chromium, looks, needs_browser

import lamina
from lamina.preprocess.image import codec

pytestmark = [pytest.mark.slow, needs_browser]
BUNDLES = Path(__file__).parents[1] / "bundles"
NAMES = sorted(path.stem for path in BUNDLES.glob("*.lamina"))
TOKEN = "opensesame"


def path_of(name: str) -> Path:
    return BUNDLES / f"{name}.lamina"


@contextmanager
def served(name: str, *words: str) -> Iterator[str]:
    command = [str(LAMINA), "serve", str(path_of(name)), "--port", "0", "--json", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


def press(page: Any) -> str:
    """The answer of the form that is shown, which has no fault."""
    page.locator("section:not([hidden]) form button").click()
    page.locator("section:not([hidden]) [role=status]", has_text=re.compile("ms")).wait_for()
    assert page.locator("section:not([hidden]) .fault").inner_text() == ""
    return page.locator("section:not([hidden]) .answer").inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_answers_its_example_in_every_look(name, tmp_path):
    with served(name) as url, chromium() as browser:
        for page, look in looks(browser, url):
            page.goto(url)
            tabs = page.get_by_role("tab")
            for i in range(max(tabs.count(), 1)):
                if tabs.count():
                    tabs.nth(i).click()
                assert press(page) or page.locator("section:not([hidden]) .answer img").count()
                page.screenshot(path=str(tmp_path / f"{name}-{look}-{i}.png"), full_page=True)
                assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_row_is_changed_by_keyboard_and_curl_asks_the_same():
    with served("regression_fnn") as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        form = page.locator("#predict")
        form.get_by_label("area").fill("123.5")
        form.get_by_label("rooms").fill("")
        form.get_by_label("town").select_option(label="another value")
        form.get_by_label("another value").fill("atlan'tis")
        form.get_by_label("another value").press("Enter")
        page.locator("#predict .notes li", has_text="not know").wait_for()
        (answer,) = lamina.load(path_of("regression_fnn")).predict(
            [{"area": 123.5, "rooms": None, "town": "atlan'tis"}]
        )
        assert f"{answer['prediction']:,.0f}" in page.locator("#predict .answer").inner_text()
        line = page.locator("#predict .curl pre").text_content()
        reply = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)
        assert json.loads(reply.stdout)["predictions"][0]["prediction"] == pytest.approx(answer["prediction"])
        page.get_by_role("tab", name="Predict").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", name="Explain").get_attribute("aria-selected") == "true"


def test_an_image_is_uploaded_and_a_token_is_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMINA_TOKEN", TOKEN)
    body = codec.as_png(np.random.default_rng(1).integers(0, 256, (12, 12, 3)).astype(np.uint8))
    (tmp_path / "mine.png").write_bytes(body)
    with served("classification_pretrained") as url, chromium() as browser:
        page = browser.new_context(http_credentials={"username": "any", "password": TOKEN}).new_page()
        page.goto(url)
        page.locator("#predict form button").click()
        page.get_by_text("a token is needed").wait_for()
        page.get_by_label("Token of this server").fill(TOKEN)
        page.get_by_label("picture").set_input_files(tmp_path / "mine.png")
        page.get_by_text("mine.png", exact=True).wait_for()
        answer = press(page)
        model = lamina.load(path_of("classification_pretrained"))
        (expected,) = model.predict([{"picture": body}])
        assert expected["prediction"] in answer
        line = page.locator("#predict .curl pre").text_content()
        assert '-H "Authorization: Bearer $TOKEN"' in line
        command = ["bash", "-c", f"cd {tmp_path}; TOKEN={TOKEN}; {line}"]
        reply = subprocess.run(command, capture_output=True, check=True, text=True)
        assert json.loads(reply.stdout)["predictions"][0]["prediction"] == expected["prediction"]


def test_a_history_comes_from_a_file_and_what_is_wrong_is_a_sentence(tmp_path):
    model = lamina.load(path_of("forecasting_linear_known"))
    history = model.predictor.operations[0].example(model.predictor).payload
    lines = [";".join(history[0]), *(";".join(map(str, row.values())) for row in history)]
    (tmp_path / "history.csv").write_text("\n".join(lines))
    with served("forecasting_linear_known") as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.locator("#predict").get_by_label("or a file").set_input_files(tmp_path / "history.csv")
        page.wait_for_function("document.querySelector('[data-table]').value.includes(';')")
        answer = press(page)
        assert "2017-02-01" in answer
        assert page.locator(".chart path.band").get_attribute("d").count("L") > 4
        page.locator("#predict [data-table]").fill("nothing")
        page.locator("#predict form button").click()
        page.locator("#predict .fault", has_text=re.compile(r"\w+ .*\.")).wait_for()
        assert page.locator("#predict .answer").inner_text() == ""
