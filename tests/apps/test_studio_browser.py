"""`lamina studio` in a real browser: from an upload to a service that answers; light and dark, wide and narrow."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_tools import app, check_page, chromium, looks, needs_browser, settle

from conftest import customers, write_csv
from lamina.apps.studio import processes

pytestmark = [pytest.mark.slow, needs_browser]

LONG = "train: {epochs: 1000, patience: 1000, checkpoint_every: 1s}\n"
SECONDS = 120_000  # milliseconds for what trains


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """A folder in which nothing is left running."""
    yield tmp_path / "home"
    for lock in (tmp_path / "home").glob("runs/*/.[ps]*"):
        if number := processes.holder(lock):
            processes.stop(number)


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    settle(page)


def choose(page: Any, name: str) -> None:
    """One of the parts of a page, such as its views."""
    page.locator('[data-testid="stButtonGroup"]').get_by_text(name, exact=True).click()
    settle(page)


def type_recipe(page: Any, text: str) -> None:
    area = page.get_by_role("textbox", name="Recipe as YAML")
    area.fill(text)
    area.press("Control+Enter")
    settle(page)


def curl(line: str) -> Any:
    """What the line answers that the page shows."""
    answer = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)
    return json.loads(answer.stdout)


def test_from_an_upload_to_a_service_that_answers(folder, tmp_path):
    rows = customers(300)
    file = write_csv(tmp_path / "customers.csv", rows)
    with app("studio", folder) as url, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        settle(page)
        page.locator('[data-testid="stFileUploader"] input').set_input_files(str(file))
        page.get_by_text("300 rows, 7 columns, 0 rows skipped").wait_for()
        press(page, "Choose what to learn")
        page.get_by_role("combobox", name="Target: the column to predict").click()
        page.get_by_role("option", name="left", exact=True).click()
        page.get_by_text("210 to train").wait_for()
        type_recipe(page, page.get_by_role("textbox", name="Recipe as YAML").input_value() + LONG)
        press(page, "Train")

        # it is stopped, found again by another page, and goes on
        page.get_by_text(re.compile(r"Epoch \d+, accuracy .* ETA")).wait_for(timeout=SECONDS)
        address = page.url
        assert address.endswith("/run?name=customers-1")
        press(page, "Stop training")
        page.get_by_text("train: stopped").wait_for(timeout=SECONDS)
        page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        settle(page)
        press(page, "Go on")
        page.reload()
        page.get_by_role("button", name="Download the bundle").wait_for(timeout=SECONDS)
        report = page.frame_locator("iframe").first
        report.get_by_text("Measured on 45 test rows").wait_for(timeout=30_000)

        # it is served, answers, and is stopped
        choose(page, "Serve it")
        press(page, "Start the service")
        page.get_by_text("Serving on http").wait_for(timeout=60_000)
        line = page.locator('[data-testid="stCode"]').first.inner_text()
        assert curl(line)["predictions"][0]["prediction"] in ("yes", "no")
        press(page, "Stop the service")
        page.get_by_role("button", name="Start the service").wait_for(timeout=60_000)
    rows_file = folder / "runs" / "customers-1" / "rows.jsonl"
    epochs = [json.loads(line)["epoch"] for line in rows_file.read_text().splitlines()]
    assert epochs == list(range(1, len(epochs) + 1))


def test_a_training_goes_on_without_the_studio_and_the_next_one_stops_it(folder):
    with app("studio", folder) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{url}/recipe?recipe=data: toy:churn%0Atarget: Churn%0A{LONG.strip()}&run=churn")
        settle(page)
        press(page, "Train")
        page.get_by_text(re.compile("Epoch")).wait_for(timeout=SECONDS)
    lock = folder / "runs" / "churn-1" / ".process"
    assert processes.holder(lock)
    with app("studio", folder) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(f"{url}/runs")
        settle(page)
        press(page, "Open the run")
        press(page, "Stop training")
        page.get_by_role("button", name="Go on").wait_for(timeout=SECONDS)
    assert processes.holder(lock) is None


def test_every_page_is_whole_in_every_look(folder, churn_run, tmp_path):
    shutil.copytree(churn_run.result["run"], folder / "runs" / "churn-1")
    with app("studio", folder) as url, chromium() as browser:
        for page, look in looks(browser, url):
            for name, visit in VISITS.items():
                visit(page, url)
                settle(page)
                check_page(page, tmp_path / f"{name}-{look}.png")


def toy_data(page: Any, url: str) -> None:
    page.goto(url)
    settle(page)
    choose(page, "Toy data")
    page.get_by_role("combobox", name="Toy data").click()
    page.get_by_role("option", name="digits").click()
    page.get_by_text("5,000 rows").wait_for()


VISITS = {
    "data": toy_data,
    "recipe": lambda page, url: page.goto(f"{url}/recipe?recipe=data: toy:churn%0Atarget: Churn&run=churn"),
    "columns": lambda page, url: choose(page, "Columns"),
    "network": lambda page, url: choose(page, "Network"),
    "training": lambda page, url: choose(page, "Training"),
    "split": lambda page, url: choose(page, "Data and split"),
    "fault": lambda page, url: page.goto(f"{url}/recipe?recipe=data: toy:churn%0Atarget: Chrun&run=churn"),
    "runs": lambda page, url: page.goto(f"{url}/runs"),
    "report": lambda page, url: page.goto(f"{url}/run?name=churn-1"),
    "curves": lambda page, url: choose(page, "Training"),
    "trial": lambda page, url: choose(page, "Try it"),
    "service": lambda page, url: choose(page, "Serve it"),
    "text": lambda page, url: choose(page, "Recipe"),
}
