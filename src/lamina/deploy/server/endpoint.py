"""One operation of a bundle where it is served: bodies become rows or a request, and answers become replies.

All of it runs in the one thread that works, see `worker`.
"""

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

import numpy as np
import pyarrow as pa
from pydantic import ValidationError

from lamina.config import DataError, parse
from lamina.data.arrays import json_rows
from lamina.deploy.predictor import Predictor
from lamina.deploy.request_settings import kind_of
from lamina.deploy.server.cells import CellParser
from lamina.deploy.server.content_types import FORM, Body, ContentTypes, Message, Reply, Write, media_type
from lamina.deploy.server.json_reader import describe, dump_json, load_json
from lamina.deploy.server.limits import Limits, RequestError
from lamina.deploy.server.metrics import ModelMetrics
from lamina.deploy.server.multipart import FormReader
from lamina.deploy.server.request_files import RequestFiles
from lamina.deploy.server.request_rows import RequestRows, RowReader
from lamina.deploy.server.service_time import ServiceTime
from lamina.schema import Row
from lamina.task import CSV, EVENTS, JSON, Answers, Operation, Request, TooMuch

FEW = 4096  # rows that are worked on at once without a table; more are answered in pieces, within bounds
Item = TypeVar("Item")


class Query(NamedTuple):
    """What one body asks: rows, where the operation takes some, and settings; and how its answers are written."""

    rows: RequestRows | None
    request: Request
    write: Write


class Endpoint:
    """An operation with all that is needed to answer it over HTTP, made once."""

    def __init__(self, predictor: Predictor, operation: Operation, limits: Limits, metrics: ModelMetrics | None = None):
        self.predictor, self.operation, self.limits = predictor, operation, limits
        self.metrics = metrics or ModelMetrics()
        self.prep = prep = operation.prep(predictor)
        self.content_types = ContentTypes(operation, prep)
        self.example = operation.example(predictor)
        self.joins = operation.rows == "each" and operation.gives != EVENTS
        self.time, self.work = ServiceTime(self.joins), ServiceTime(self.joins)  # until an answer, and of work on it
        self._settings = tuple(operation.request.model_fields)
        self._plain_request = None if self._settings else operation.request()
        self._cells = CellParser(prep, operation.rows != "together")
        answer = predictor.spec.output.size if operation.rows == "each" else 0
        self.rows = RowReader(self._cells.columns, len(self._cells.columns) + answer, limits)
        self.files = RequestFiles(prep, limits)
        self._form = FormReader(prep, self.rows, self._settings)
        self._shape = f"Send an object such as {json.dumps(self.example.payload, ensure_ascii=False)[:200]}."
        self._facts = {"model": predictor.id}

    def replies(self, bodies: Sequence[Body]) -> list[Reply | Exception]:
        """Answer several bodies; each gets a reply or an exception of its own."""
        start = time.perf_counter()
        queries = [_attempt(lambda body=body: self.read(body)) for body in bodies]
        replies: list[Reply | Exception] = [q if isinstance(q, Exception) else RuntimeError() for q in queries]
        for places in self._groups(queries):
            group = [query for query in (queries[place] for place in places) if isinstance(query, Query)]
            for place, reply in zip(places, bisected(self._answer, group), strict=True):
                replies[place] = _refused(reply) if isinstance(reply, Exception) else reply
        self.metrics.add_replies(start)
        return replies

    def _groups(self, queries: Sequence[Query | Exception]) -> Iterable[list[int]]:
        """Places of requests that can be answered together: rows of one request each, and of the same settings."""
        places = [place for place, query in enumerate(queries) if isinstance(query, Query)]
        if not self.joins:
            return [[place] for place in places]
        if not self._settings:
            return self._parts(places, queries)
        groups: list[tuple[Request, list[int]]] = []
        for place in places:
            request = queries[place].request  # pyrefly: ignore[missing-attribute]
            group = next((members for other, members in groups if other == request), None)
            if group is None:
                groups.append((request, [place]))
            else:
                group.append(place)
        return [part for _, members in groups for part in self._parts(members, queries)]

    def _parts(self, places: Sequence[int], queries: Sequence[Query | Exception]) -> list[list[int]]:
        """Places in groups of no more rows than one request may have."""
        parts, room = list[list[int]](), -1
        for place in places:
            query = queries[place]
            count = query.rows.count if isinstance(query, Query) and query.rows else 0
            if count > room:
                parts.append([])
                room = self.rows.most
            parts[-1].append(place)
            room -= count
        return parts

    def stream(self, body: Body) -> Iterator[Reply]:
        """The pieces of an answer as they come. Errors: RequestError."""
        try:
            query = self.read(body)
            if query.rows is None:
                yield from map(self._reply, self.predictor.pieces(self.operation, None, query.request))
                return
            table, remarks = self._table(query.rows)
            sentences = tuple(self._notes(query.rows, remarks))
            for piece in self.predictor.pieces(self.operation, table, query.request):
                if piece.broken and self.operation.rows == "each":
                    raise self.files.refusal(query.rows, piece.broken[0])
                yield self._reply(piece._replace(notes=(*sentences, *piece.notes)))
                sentences = ()
        except Exception as error:
            raise _refused(error) from error

    # bodies in

    def read(self, body: Body) -> Query:
        """What a body asks; cells are not parsed yet. Errors: RequestError that names the place."""
        if self.operation.rows == "none":
            return Query(None, self._request(self._object(body), body.query), self._write)
        rows, write = body.read(body) if body.read else Message(self._read_rows(body), self._write)
        self.files.check(rows)
        rows = self._cells.check(rows, self.limits)
        if self._plain_request is not None:
            return Query(rows, self._plain_request, write)
        return Query(rows, self._request(rows.settings, body.query), write)

    def _read_rows(self, body: Body) -> RequestRows:
        media = media_type(body.content_type)
        if media == JSON:
            return self.files.from_base64(self.rows.from_json(body.content, self._settings))
        if media == CSV:
            return self.rows.from_csv(body.content)
        if media == FORM:
            rows = self._form.read(body.content, body.content_type)
            texts = {name: [value] for name, value in rows.settings.items()}
            return replace(rows, settings=from_texts(self.operation.request, texts, {}))
        return RequestRows({next(iter(self.files.kinds)): [bytes(body.content)]}, 1)

    def _object(self, body: Body) -> Mapping[str, Any]:
        """A request without rows, as a dict."""
        value = load_json(body.content, self.rows.most + 2, self.rows.too_many(), self._shape)
        if not isinstance(value, dict):
            raise RequestError(400, f"body: must be an object (got {describe(value)}). {self._shape}")
        return value

    def _request(self, settings: Mapping[str, Any], query: str) -> Request:
        """Settings of the body, over those of the URL, which are text and taken for what they say."""
        cls, faults = self.operation.request, list[str]()
        texts = {name: values for name, values in parse_qs(query).items() if name in self._settings}
        request = parse(cls, from_texts(cls, texts, settings), "", faults)
        if request is None:
            raise RequestError(400, f"{faults[0]} {self._shape if self.operation.rows == 'none' else ''}".rstrip())
        return request

    # answers out

    def _answer(self, queries: list[Query]) -> list[Reply | Exception]:
        if queries[0].rows is None:
            return [self._reply(self._whole(None, queries[0].request))]
        if self.operation.rows == "together":
            return [self._answer_together(queries[0].rows, queries[0].request)]
        messages = [Message(query.rows, query.write) for query in queries if query.rows]
        return self._answer_each(messages, queries[0].request)

    def _whole(self, table: pa.Table | None, request: Request) -> Answers:
        """All pieces of an answer in one."""
        start = time.perf_counter()
        pieces = list(self.predictor.pieces(self.operation, table, request))
        is_one = self.operation.rows == "together"
        self.metrics.add_batch(1 if is_one else sum(piece.table.num_rows for piece in pieces), start)
        if len(pieces) == 1:
            return pieces[0]
        table = pa.concat_tables([piece.table for piece in pieces])
        return Answers(table, sum((p.notes for p in pieces), ()), sum((p.broken for p in pieces), ()))

    def _answer_each(self, messages: list[Message], request: Request) -> list[Reply | Exception]:
        """One pass through the model for all, then a reply for each; those that have a short way take it together."""
        if self.operation.answer_inputs is None or sum(message.rows.count for message in messages) > FEW:
            return self._answer_table(messages, request)
        if (inputs := self._inputs(messages)) is not None:
            return self._answer_inputs(messages, inputs, request)
        short = [message for message in messages if len(messages) > 1 and self._inputs([message]) is not None]
        inputs = self._inputs(short) if short else None
        if inputs is None:
            return self._answer_table(messages, request)
        replies = dict(zip(map(id, short), self._answer_inputs(short, inputs, request), strict=True))
        long = [message for message in messages if id(message) not in replies]
        replies |= zip(map(id, long), self._answer_table(long, request), strict=True)
        return [replies[id(message)] for message in messages]

    def _inputs(self, messages: Sequence[Message]) -> dict[str, np.ndarray] | None:
        """What the network is fed, where it is had without a table."""
        return self._cells.encode([message.rows for message in messages])

    def _answer_inputs(
        self, messages: Sequence[Message], inputs: Mapping[str, np.ndarray], request: Request
    ) -> list[Reply | Exception]:
        """Of rows that are encoded already."""
        assert self.operation.answer_inputs is not None
        start = time.perf_counter()
        answers = self.operation.answer_inputs(self.predictor, inputs, request)
        self.metrics.add_batch(len(answers), start)
        replies, stop = list[Reply | Exception](), 0
        for rows, write in messages:
            start, stop = stop, stop + rows.count
            replies.append(write(answers[start:stop], self._notes(rows, ())))
        assert stop == len(answers)
        return replies

    def _answer_table(self, messages: Sequence[Message], request: Request) -> list[Reply | Exception]:
        """Of rows as they came; a cell of no use refuses its own request."""
        table, remarks = self._cells.parse([message.rows for message in messages])
        answers = self._whole(table, request)
        assert answers.table.num_rows == table.num_rows
        replies, stop = list[Reply | Exception](), 0
        for rows, write in messages:
            start, stop = stop, stop + rows.count
            if cell := next((cell for cell in answers.broken if start <= cell.row < stop), None):
                replies.append(self.files.refusal(rows, cell._replace(row=cell.row - start)))
                continue
            first, last = (bisect_left(remarks, row, key=lambda remark: remark.row) for row in (start, stop))
            own = remarks[first:last]
            sentences = (*self._notes(rows, own, start), *answers.notes)
            if fault := self._cells.fault(rows, own, start):
                replies.append(fault)
                continue
            part = Answers(answers.table.slice(start, rows.count), sentences)
            warnings = self._cells.warnings(rows, own, start)
            if self.operation.gives == JSON:
                replies.append(write(json_rows(part.table), sentences, warnings))
            else:
                replies.append(self._reply(part, warnings))
        return replies

    def _notes(self, rows: RequestRows, remarks: Sequence[Any], start: int = 0) -> list[str]:
        """What to say of the cells of a request, which is counted, too."""
        for one in remarks:
            self.metrics.issues[one.column.name, one.reading.kind] += 1
        if absent := self._cells.absent(rows):
            self.metrics.absent[absent] += rows.count
        return self._cells.notes(rows, remarks, start)

    def _answer_together(self, rows: RequestRows, request: Request) -> Reply:
        """The answer to rows that are one thing, such as a history."""
        table, remarks = self._table(rows)
        notes = self._notes(rows, remarks)
        answers = self._whole(table, request)
        return self._reply(answers._replace(notes=(*notes, *answers.notes)), self._cells.warnings(rows, remarks))

    def _table(self, rows: RequestRows) -> tuple[pa.Table, list[Any]]:
        """The columns that came, typed, and what could not be read."""
        table, remarks = self._cells.parse_together(rows)
        if fault := self._cells.fault(rows, remarks):
            self._notes(rows, remarks)  # counted
            raise fault
        return table.select([name for name in table.column_names if name in rows.values]), remarks

    def _reply(self, answers: Answers, warnings: Sequence[Row] = ()) -> Reply:
        """Strict JSON, in which NaN never leaves; or the bytes of the only cell."""
        operation, rows = self.operation, answers.table.num_rows
        if operation.gives in (JSON, EVENTS):
            reply = self._write(json_rows(answers.table), answers.notes, warnings)
            return reply._replace(body=b"data: %b\n\n" % reply.body) if operation.gives == EVENTS else reply
        if rows != 1:
            raise RequestError(400, f"rows: one {operation.gives} answers one row (got {rows:,}). Send one at a time.")
        headers = {"X-Notes": json.dumps(answers.notes)} if answers.notes else {}
        headers |= {"X-Warnings": json.dumps(warnings)} if warnings else {}
        return Reply(answers.table.column(0)[0].as_py(), 1, headers)

    def _write(self, rows: Sequence[Row], notes: Sequence[str], warnings: Sequence[Row] = ()) -> Reply:
        value: dict[str, Any] = {self.operation.items: rows, **self._facts}
        if notes:
            value["notes"] = notes
        if warnings:
            value["warnings"] = warnings
        return Reply(dump_json({**value, **self.operation.facts}), len(rows))


def from_texts(cls: type[Request], texts: Mapping[str, list[str]], others: Mapping[str, Any]) -> Row:
    """Settings out of texts, of which a list may have several, beside others; as plain values. Errors: RequestError."""
    if not texts:
        return dict(others)
    fields = cls.model_fields
    values = {name: words if kind_of(fields[name].annotation).multiple else words[-1] for name, words in texts.items()}
    try:
        request = cls.model_validate({**values, **others}, strict=False)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise RequestError(400, f"{place}: {fault['msg'].removeprefix('Input ')}.") from None
    return {**request.model_dump(mode="json", include=set(texts)), **others}


def bisected(answer: Callable[[list[Item]], list[Reply | Exception]], items: list[Item]) -> list[Reply | Exception]:
    """Answer all at once. If that fails, the one at fault is found by halving, and fails alone."""
    try:
        results = answer(items)
        assert len(results) == len(items)
        return results
    except TooMuch as error:  # one of them takes too long, which should not be tried with others again
        return [error] if len(items) == 1 else [reply for item in items for reply in bisected(answer, [item])]
    except Exception as error:
        if len(items) == 1:
            return [error]
        half = len(items) // 2
        return [*bisected(answer, items[:half]), *bisected(answer, items[half:])]


def _attempt(read: Callable[[], Query]) -> Query | Exception:
    try:
        return read()
    except Exception as error:  # handed to the one request it belongs to
        return error


def _refused(error: Exception) -> Exception:
    """An error as its sender may know it: what was asked is its fault, anything else the server's."""
    if isinstance(error, TooMuch):
        return RequestError(413, str(error))
    return RequestError(400, str(error)) if isinstance(error, DataError) else error
