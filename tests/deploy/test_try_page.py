"""The page of `/` for a browser: a form made of what a bundle takes, whatever its task is."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lamina.deploy.predictor import Predictor
from lamina.deploy.server import app
from service_tools import send

BUNDLES = sorted((Path(__file__).parents[1] / "bundles").glob("*.lamina"))
INPUTS = ("input", "select", "textarea")


def get(api: Any, place: str, **options: Any) -> Any:
    return send(api, (("GET", place), options))[0]


class Form(HTMLParser):
    """The inputs, names and texts of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.inputs, self.labels, self.cells, self.settings = list[dict[str, Any]](), set[str](), set[str](), set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own: dict[str, Any] = dict(attrs)
        if tag in INPUTS and own.get("type") != "checkbox":
            self.inputs.append(own)
        if tag == "label":
            self.labels.add(own.get("for", ""))
        self.cells |= {own["data-cell"]} if "data-cell" in own else set()
        self.settings |= {own["name"]} if "data-setting" in own else set()


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.stem)
def test_each_column_and_each_setting_has_an_input_with_a_label_and_nothing_is_from_elsewhere(path):
    predictor = Predictor(path)
    api = app(predictor)
    reply = get(api, "/", headers={"accept": "text/html"})
    form, paths = Form(reply.text), get(api, "/openapi.json").json()["paths"]
    for operation in (one for one in predictor.operations if f"/{one.name}" in paths):
        body = paths[f"/{operation.name}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        if operation.rows == "none":
            assert form.settings >= set(body["properties"])
        elif operation.rows == "each":
            assert form.cells >= set(body["oneOf"][0]["properties"]["rows"]["items"]["properties"])
            assert form.settings >= set(body["oneOf"][0]["properties"]) - {"rows"}
    assert all(one.get("id") in form.labels or "aria-label" in one for one in form.inputs)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "://" not in reply.text
    assert reply.text == get(api, "/try").text


def test_a_page_asks_for_a_token_where_the_server_does(predictor):
    password = {"accept": "text/html", "authorization": "Bearer opensesame"}
    hidden = '<div id="token-row" hidden>'
    assert hidden in get(app(predictor), "/", headers=password).text
    assert hidden not in get(app(predictor, token="opensesame"), "/", headers=password).text


def test_who_is_no_browser_gets_the_index_as_json(api):
    assert get(api, "/").json()["links"]["try"] == "/try"
