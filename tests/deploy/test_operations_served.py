"""Whatever operations a bundle has are served and answered into files: rows joined, together or none, as they come."""

import asyncio
import json
import threading
import time
from dataclasses import replace

import httpx
import pyarrow as pa
import pytest
from pydantic import Field

from lamina.config import DataError
from lamina.data import arrays, files
from lamina.deploy import batch
from lamina.deploy.predictor import Predictor
from lamina.deploy.server import Limits, app
from lamina.task import EVENTS, Answers, Example, Operation, Request, TooMuch

PNG = b"\x89PNG and so on"
ROW = {"months": 3.0, "plan": "pro"}
ABSENT = "'charges', 'paperless', 'since', 'remark' are not there; read as missing in every row."


class Scale(Request):
    """How far numbers are stretched."""

    factor: float = Field(default=1.0, gt=0, description="what months are multiplied by")
    words: tuple[str, ...] = Field(default=(), description="what is said with them")
    loud: bool = Field(default=False, description="whether it is shouted")


class Countdown(Request):
    start: int = Field(default=3, ge=1, description="where to begin")


def scaled(session, rows, request):
    """Each row by itself."""
    months = [None if value is None else float(value) * request.factor for value in rows["months"].to_pylist()]
    words = [" ".join(request.words).upper() if request.loud else " ".join(request.words)] * rows.num_rows
    return Answers(pa.table({"scaled": pa.array(months, pa.float64()), "words": words}))


def total(session, rows, request):
    """The rows as one thing; the third is left out, and that is noted."""
    values = [value for i, value in enumerate(rows["months"].to_pylist()) if i != 2]
    show_skipped = ("1 rows were left out.",) if rows.num_rows > 2 else ()
    return Answers(pa.table({"total": [sum(values) * request.factor]}), show_skipped, (), "one sum")


def countdown(session, rows, request):
    """A number at a time; there are no more than a hundred, and fifty is a number that fails."""
    if request.start > 100:
        raise TooMuch("start: at most 100 (got more). Begin lower.")
    if request.start == 13:
        raise DataError("start: 13 brings bad luck. Take another one.")
    for number in range(request.start, 0, -1):
        if number == 50:
            raise RuntimeError("/srv/secret")
        yield Answers(pa.table({"number": [number]}))


def image(session, rows, request):
    """Bytes, and a note where there is no plan."""
    lacks = ("there is no plan.",) if None in rows["plan"].to_pylist() else ()
    return Answers(pa.table({"image": [PNG + str(v).encode() for v in rows["months"].to_pylist()]}), lacks)


def row_example(session):
    return Example([ROW], [{"example": True}])


SCALE = Operation("scale", "Months, stretched.", scaled, row_example, request=Scale)
TOTAL = Operation("total", "All months.", total, row_example, request=Scale, rows="together", takes=("text/csv",))
COUNT = Operation(
    "count", "Down to one.", countdown, lambda session: Example({"start": 2}, [{"number": 2}]), request=Countdown,
    rows="none", gives=EVENTS, items="numbers", facts={"unit": "s"},
)  # fmt: skip
DRAW = Operation("draw", "An image.", image, row_example, gives="image/png")


class Offering(Predictor):
    """A bundle with operations of its own."""

    def __init__(self, path, *operations):
        super().__init__(path)
        self._operations = operations

    @property
    def operations(self):
        return self._operations


@pytest.fixture(scope="module")
def predictor(churn_bundle):
    return Offering(churn_bundle, SCALE, TOTAL, COUNT, DRAW)


@pytest.fixture(scope="module")
def api(predictor):
    return app(predictor)


def send(api, *requests):
    """The replies to requests (path and options), all sent at the same time."""

    async def all_of_them():
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await asyncio.gather(*(client.post(path, **options) for path, options in requests))

    return asyncio.run(all_of_them())


def post(api, path, **options):
    return send(api, (path, options))[0]


def get(api, path):
    async def one():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(one())


def events(text):
    """The data of each event, by its name."""
    pairs = [block.rpartition("data: ") for block in text.split("\n\n") if block]
    return [(head.removeprefix("event: ").strip(), json.loads(data)) for head, _, data in pairs]


# settings


def test_settings_stand_beside_rows_or_in_the_url(api):
    body = {"rows": [ROW], "factor": 2.0}
    assert post(api, "/scale", json=body).json()["predictions"] == [{"scaled": 6.0, "words": ""}]
    url = "/scale?factor=4&words=so&words=much&loud=true&utm=ad"
    assert post(api, url, json={"rows": [ROW]}).json()["predictions"] == [{"scaled": 12.0, "words": "SO MUCH"}]
    assert post(api, url, json=body).json()["predictions"][0]["scaled"] == 6.0, "the body wins"


def test_requests_of_several_settings_that_come_together_keep_their_own(api):
    factors = [1.0, 2.0, 1.0, 3.0, 2.0] * 8
    replies = send(api, *(("/scale", {"json": {"rows": [ROW], "factor": factor}}) for factor in factors))
    assert [reply.json()["predictions"][0]["scaled"] for reply in replies] == [3 * factor for factor in factors]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/scale", {"rows": [ROW], "factor": -1}, "factor: should be greater than 0"),
        ("/scale", {"rows": [ROW], "factr": 1}, "body: 'factr' does not belong beside rows or columns."),
        ("/scale?factor=much", {"rows": [ROW]}, "factor: "),
        ("/scale", {"rows": [ROW], "words": [1]}, "words."),
        ("/count", {"strt": 1}, "strt: unknown setting. Did you mean 'start'?"),
        ("/count", {"start": 13}, "start: 13 brings bad luck."),
        ("/count", [1], "body: must be an object (got a list). Send an object such as {"),
    ],
)
def test_a_setting_of_no_use_is_refused_with_a_sentence(api, path, body, sentence):
    reply = post(api, path, json=body)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(sentence)


# rows that are one thing


def test_rows_that_belong_together_get_one_answer_with_its_notes(api):
    body = {"rows": [{"months": 1}, {"months": 2}, {"months": 90}, {"months": 4}], "factor": 10.0}
    reply = post(api, "/total", json=body).json()
    assert reply["predictions"] == [{"total": 70.0}]
    assert reply["notes"] == ["1 rows were left out."]
    csv = post(api, "/total?factor=2", content="months\n1\n2\n", headers={"content-type": "text/csv"})
    assert csv.json()["predictions"] == [{"total": 6.0}]
    assert post(api, "/scale", content="months\n1\n", headers={"content-type": "text/csv"}).status_code == 415


# answers as they come


def test_answers_come_as_events_one_after_the_other(api, predictor):
    reply = post(api, "/count", json={"start": 3})
    assert reply.headers["content-type"].startswith(EVENTS)
    common = {"model": predictor.bundle.id, "unit": "s"}
    assert events(reply.text) == [("", {"numbers": [{"number": n}], **common}) for n in (3, 2, 1)]
    assert "lamina_rows_total 3" in get(app_counting(predictor), "/metrics").text


def app_counting(predictor):
    """A server of its own that has answered three rows."""
    own = app(predictor)
    post(own, "/count", json={"start": 3})
    return own


def test_a_stream_that_is_refused_does_not_begin_and_one_that_fails_says_so_and_ends(api):
    assert post(api, "/count", json={"start": 101}).status_code == 413
    *numbers, (name, fault) = events(post(api, "/count", json={"start": 52}).text)
    assert [value["numbers"] for _, value in numbers] == [[{"number": 52}], [{"number": 51}]]
    assert name == "error"
    assert set(fault) == {"error", "request_id"}
    assert "secret" not in fault["error"]


def test_a_stream_takes_turns_with_other_requests_and_ends_with_its_client(churn_bundle):
    result, closed, started = [], threading.Event(), threading.Event()

    def slow(session, rows, request):
        try:
            for number in range(10_000):
                started.set()
                time.sleep(0.01)
                result.append(number)
                yield Answers(pa.table({"number": [number]}))
        finally:
            closed.set()

    api = app(Offering(churn_bundle, replace(COUNT, answer=slow), SCALE))

    async def leave():
        body, chunks = json.dumps({}).encode(), []
        messages = asyncio.Queue()
        await messages.put({"type": "http.request", "body": body, "more_body": False})

        async def sent(message):
            chunks.append(message.get("body", b""))

        scope = {
            "type": "http", "method": "POST", "path": "/count", "raw_path": b"/count", "query_string": b"",
            "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http",
            "server": ("localhost", 80), "client": ("localhost", 1), "root_path": "", "asgi": {"version": "3.0"},
        }  # fmt: skip
        streaming = asyncio.create_task(api(scope, messages.get, sent))
        transport = httpx.ASGITransport(app=api)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await asyncio.to_thread(started.wait, 10)
            other = await client.post("/scale", json={"rows": [ROW]})
        assert not streaming.done()
        await messages.put({"type": "http.disconnect"})
        await asyncio.wait_for(streaming, 10)
        return other, chunks

    other, chunks = asyncio.run(leave())
    assert other.json()["predictions"][0]["scaled"] == 3.0
    assert b"data: " in b"".join(chunks)
    assert closed.wait(10)
    count = len(result)
    time.sleep(0.1)
    assert len(result) == count < 1000, "nobody listens, so nothing more is made"


# answers that are no JSON


def test_an_answer_may_be_the_bytes_of_a_file(api):
    reply = post(api, "/draw", json={"rows": [ROW]})
    assert (reply.content, reply.headers["content-type"]) == (PNG + b"3.0", "image/png")
    assert json.loads(reply.headers["x-notes"]) == [ABSENT]
    noted = post(api, "/draw", json={"rows": [{"months": 3, "shoe": 1}]})
    assert json.loads(noted.headers["x-notes"])[0] == "'shoe' is not a column of this model; not used."
    many = post(api, "/draw", json={"rows": [ROW, ROW]})
    assert many.status_code == 400
    assert many.json()["error"] == "rows: one image/png answers one row (got 2). Send one at a time."


# what it says of itself


def test_every_operation_is_described_and_its_example_works(api):
    about = get(api, "/schema").json()
    assert [one["path"] for one in about["operations"]] == [
        f"POST /{name}" for name in ("scale", "total", "count", "draw")
    ]
    paths = get(api, "/openapi.json").json()["paths"]
    for name in ("scale", "total"):
        content = paths[f"/{name}"]["post"]["requestBody"]["content"]["application/json"]
        assert "factor" in content["schema"]["oneOf"][0]["properties"]
        for one in content["examples"].values():
            assert post(api, f"/{name}", json=one["value"]).status_code == 200
    assert "text/event-stream" in paths["/count"]["post"]["responses"]["200"]["content"]
    assert "image/png" in paths["/draw"]["post"]["responses"]["200"]["content"]
    assert (
        "There is POST /scale, POST /total, POST /count, POST /draw, GET /schema and GET /docs."
        in (get(api, "/nothing").json()["error"])
    )


def test_an_operation_that_is_not_for_strangers_has_no_route(churn_bundle):
    api = app(Offering(churn_bundle, replace(TOTAL, faces=frozenset({"python"})), SCALE))
    assert post(api, "/total", json={"rows": [ROW]}).status_code == 404
    assert [one["path"] for one in get(api, "/schema").json()["operations"]] == ["POST /scale"]


# files


def test_any_operation_answers_files(predictor, tmp_path):
    (tmp_path / "rows.csv").write_text("id,months,plan\n" + "".join(f"{i},{i}.0,pro\n" for i in range(5)))
    source = files.Config(path=str(tmp_path / "rows.csv"))
    each = batch.run(predictor, "scale", source, None, tmp_path / "each.jsonl", ["id"])
    assert each == {"output": str(tmp_path / "each.jsonl"), "rows": 5, "skipped": 0, "notes": [ABSENT]}
    lines = [json.loads(line) for line in (tmp_path / "each.jsonl").read_text().splitlines()]
    assert list(lines[0]) == ["id", "scaled", "words"]
    streamed = batch.run(predictor, "count", None, Countdown(start=4), tmp_path / "count.jsonl")
    assert streamed["rows"] == 4
    assert (tmp_path / "count.jsonl").read_text().splitlines() == [f'{{"number": {n}}}' for n in (4, 3, 2, 1)]
    drawing = batch.run(predictor, "draw", source, None, tmp_path / "drawn")
    assert drawing["rows"] == 5
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir()) == [f"{n:06}.png" for n in range(1, 6)]
    with pytest.raises(DataError, match="start: 13"):
        batch.run(predictor, "count", None, Countdown(start=13), tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


def test_python_gets_an_answer_or_its_pieces(predictor):
    assert predictor.ask("scale", [ROW], factor=2.0)[0]["scaled"] == 6.0
    assert [piece["number"] for piece in (row for rows in predictor.ask("count", start=2) for row in plain(rows))] == [
        2,
        1,
    ]


def plain(rows):
    return rows.to_pylist() if isinstance(rows, pa.Table) else arrays.json_rows(arrays.table(rows))


def test_limits_of_a_server_are_told_with_their_names(predictor):
    limits = get(app(predictor, Limits(rows=7)), "/schema").json()["limits"]
    assert limits["rows"] == 7
    assert {"samples", "attempts", "file", "file_units", "request_units"} <= limits.keys()
