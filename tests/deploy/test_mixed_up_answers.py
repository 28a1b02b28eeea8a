"""No answer reaches another request, whoever hangs up in between."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from conftest import houses
from lamina.deploy.predictor import Predictor
from service_tools import ServerProcess

ROWS = 500
HEAD = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class Client:
    """Asks for one row after another, and hangs up now and then: before the body ends, or before the answer is here."""

    def __init__(self, port: int, bodies: list[bytes], seed: int):
        self.port, self.bodies, self.draw = port, bodies, random.Random(seed)
        self.answers = list[tuple[int, float]]()
        self.cancels = 0

    async def ask(self, count: int) -> None:
        writer = None
        for _ in range(count):
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            row, fate = self.draw.randrange(len(self.bodies)), self.draw.random()
            body = self.bodies[row]
            writer.write(HEAD.format(len(body)).encode() + (body[: len(body) // 2] if fate < 0.05 else body))
            if fate < 0.15:
                await asyncio.sleep(self.draw.random() / 500)
                writer.close()
                writer, self.cancels = None, self.cancels + 1
                continue
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            reply = json.loads(await reader.readexactly(length))
            assert head[9:12] == b"200", reply
            self.answers.append((row, reply["predictions"][0]["prediction"]))
        if writer is not None:
            writer.close()


@pytest.mark.parametrize("count", [1_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_no_answer_reaches_another_request(numbers_bundle: Path, count: int):
    rows = [{name: value for name, value in row.items() if name != "price"} for row in houses(ROWS, seed=9)]
    expected = [answer["prediction"] for answer in Predictor(numbers_bundle).predict(rows)]
    assert len({round(value, 3) for value in expected}) > 0.9 * ROWS, "rows have answers of their own"
    bodies = [json.dumps({"rows": [row]}).encode() for row in rows]
    with ServerProcess(numbers_bundle) as server:
        clients = [Client(server.port, bodies, seed) for seed in range(20)]

        async def together() -> None:
            await asyncio.gather(*(client.ask(count // len(clients)) for client in clients))

        asyncio.run(together())
    answers = [answer for client in clients for answer in client.answers]
    assert len(answers) + sum(client.cancels for client in clients) == count
    assert sum(client.cancels for client in clients) > 0.1 * count
    assert all(value == pytest.approx(expected[row], rel=1e-6) for row, value in answers)
