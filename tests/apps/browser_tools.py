"""Apps in a real browser: a command that serves one, and Debian's Chromium by Playwright to look at it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
LAMINA = Path(sys.executable).with_name("lamina")
WIDTHS, SCHEMES = (1280, 400), ("light", "dark")

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="no browser to look with: apt-get install chromium, pip install 'lamina[browser]'",
)


@contextmanager
def app(*words: Any) -> Iterator[str]:
    """The address of an app while its command runs, which then ends on SIGTERM without a word."""
    command = [str(LAMINA), *map(str, words), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield next(word for word in line.split() if word.startswith("http://")).rstrip(".")
        process.terminate()
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, whose pages are `browser.new_page(...)`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def looks(browser: Any, url: str) -> Iterator[tuple[Any, str]]:
    """A page in every look, and what the look is called; afterwards nothing may have come from elsewhere, and no script
    have failed.
    """
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            addresses, faults = list[str](), list[str]()
            page.on("request", lambda request, addresses=addresses: addresses.append(request.url))
            page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
            yield page, f"{width}-{scheme}"
            local = (url, "data:", "blob:", url.replace("http", "ws"))
            assert [address for address in addresses if not address.startswith(local)] == []
            assert faults == []
            page.close()


def check_page(page: Any, path: Path) -> None:
    """Take an image of a page, which shows no exception and is not wider than its window."""
    whole(page, path)
    assert page.locator('[data-testid="stException"]').count() == 0, path.stem
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], path.stem


def settle(page: Any) -> None:
    """Wait until the script has run and the page is drawn."""
    page.wait_for_selector(".lamina-title", timeout=60_000)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=60_000)
    page.wait_for_timeout(300)


def whole(page: Any, path: Path) -> None:
    """An image of all of the page, however long it is."""
    height = page.evaluate("document.querySelector('[data-testid=\"stMain\"]').scrollHeight")
    size = page.viewport_size
    page.set_viewport_size({"width": size["width"], "height": min(max(size["height"], height + 20), 6000)})
    page.wait_for_timeout(400)
    page.screenshot(path=str(path))
    page.set_viewport_size(size)
