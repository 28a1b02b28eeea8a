"""A request in one piece is answered past the layers of HTTP; what it gets is what it would get through them."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamina import Predictor
from service_tools import ServerProcess

JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def port(predictor: Predictor) -> Iterator[int]:
    with ServerProcess(Path(predictor.bundle.path)) as server:
        yield server.port


def request(body: str, *fields: str, path: str = "/predict") -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body.encode())}", *fields]
    return "\r\n".join([*head, "", body]).encode()


def answer(connection: socket.socket) -> tuple[int, dict[str, str], str]:
    """The next answer on a connection: status, headers without what changes, body."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    fields = dict(line.decode().strip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
    body = file.read(int(fields["content-length"])).decode()
    own = fields.pop("x-request-id")
    return status, {name: value for name, value in fields.items() if name != "date"}, body.replace(own, "<id>")


def ask(port: int, *pieces: bytes) -> tuple[int, dict[str, str], str]:
    """The answer to a request that is sent in such pieces."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.02)
        return answer(connection)


CASES = {
    "a row": ('{"rows": [{"months": 3, "plan": "plus"}]}', [JSON], "/predict"),
    "columns, one unknown": ('{"columns": {"months": [3, null], "color": ["red", "blue"]}}', [JSON], "/predict"),
    "a cell of no number": ('{"rows": [{"months": "lots"}]}', [JSON], "/predict"),
    "CSV": ("months,plan\n3,plus\n", ["content-type:text/csv; charset=utf-8"], "/predict"),
    "no JSON": ('{"rows": [', [JSON], "/predict"),
    "no row": ('{"rows": []}', [JSON], "/predict"),
    "a nested cell": ('{"rows": [{"months": {"a": 1}}]}', [JSON], "/predict"),
    "a query": ('{"rows": [{"months": 3}]}', [JSON], "/predict?threshold=0.5&x=%20"),
    "another type": ("<a/>", ["Content-Type: text/xml"], "/predict"),
    "no type": ('{"rows": [{"months": 3}]}', [], "/predict"),
    "a compressed body": ('{"rows": [{"months": 3}]}', [JSON, "Content-Encoding: gzip"], "/predict"),
    "no such path": ("{}", [JSON], "/nothing"),
    "an id of its own": ('{"rows": [{"months": 3}]}', [JSON, "X-Request-ID: mine<b>"], "/predict"),
    "another host": ('{"rows": [{"months": 3}]}', [JSON, "Host: example.com"], "/predict"),
    "the last of a connection": ('{"rows": [{"months": 3}]}', [JSON, "Connection: close"], "/predict"),
    "a foreign page": ('{"rows": [{"months": 3}]}', [JSON, "Origin: https://a.example", "Accept: */*"], "/predict"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_plain_request_gets_what_it_gets_on_the_way_of_all_others(port, case):
    body, fields, path = CASES[case]
    plain, other = request(body, *fields, path=path), request(body, *fields, "TE: trailers", path=path)
    end = other.index(b"\r\n\r\n") + 4
    whole = ask(port, plain)
    assert whole == ask(port, other) == ask(port, plain)  # the last has a head that came before
    assert whole[0] in (404, 415) or whole == ask(port, other[:end], other[end:])  # these do not wait for the body


def test_a_chosen_id_is_given_back_and_others_are_never_the_same(port):
    body, ids = '{"rows": [{"months": 3}]}', set[str]()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        for own in ("mine", "yours"):
            connection.sendall(request(body, JSON, f"X-Request-ID: {own}"))
            assert f"x-request-id: {own}\r\n".encode() in connection.recv(1 << 16)
        for _ in range(50):
            connection.sendall(request(body, JSON))
            ids |= set(re.findall(r"x-request-id: (\w+)", connection.recv(1 << 16).decode()))
    assert len(ids) == 50


def test_what_comes_before_an_answer_waits_for_it(port):
    bodies = [json.dumps({"rows": [{"months": i}]}) for i in range(20)]
    single = [ask(port, request(body, JSON)) for body in bodies]
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = connection.makefile("rb")
        for body in bodies:
            connection.sendall(request(body, JSON))
        for _, fields, body in single:
            while not (line := file.readline()).startswith(b"content-length"):
                assert line
            assert line.split()[1].decode() == fields["content-length"]
            while file.readline() != b"\r\n":
                pass
            assert file.read(len(body)).decode() == body


def test_what_is_no_http_behind_a_request_is_told_so_after_its_answer(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request('{"rows": [{"months": 3}]}', JSON))
        first = connection.recv(1 << 16)
        connection.sendall(b"POST nonsense\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200") and connection.recv(1 << 16).startswith(b"HTTP/1.1 400")
