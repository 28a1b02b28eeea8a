"""How to put a bundle to work: commands, requests and code to copy, made of what its task declares can be asked."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from lamina.schema import Row
from lamina.task import EVENTS, Operation, Session, Usage

ADDRESS = "http://127.0.0.1:8000"
EXPLAINED = "image"  # kind of the inputs that `lamina explain` covers, piece by piece


def of(session: Session, operation: Operation, bundle: str) -> Usage:
    """How an operation of the bundle at a path is used: as its task says, else by what it takes and where."""
    usage = (operation.usage or _DEFAULTS[operation.rows])(session, operation, bundle)
    faces = {"shell": "cli", "http": "http", "python": "python"}
    return usage._replace(**{field: "" for field, face in faces.items() if face not in operation.faces})


def example(session: Session, operation: Operation) -> Row:
    """What to send and what comes back, for programs; a file is its name, because its bytes say nothing to a reader."""
    payload, answers = operation.example(session)
    if operation.rows == "none":
        return {"request": payload}
    if operation.rows == "together":
        return {"rows": payload, "answer": answers}
    names = _file_names(session)
    return {"row": {**payload[0], **names}, "answer": answers[0] if answers else None, "images": list(names)}


def _each(session: Session, operation: Operation, bundle: str) -> Usage:
    """Rows of which each is answered by itself: a table, or a folder where all that is asked for are files."""
    one, files, path = example(session, operation), _file_names(session), shlex.quote(bundle)
    row = one["row"]
    only_files = bool(files) and files.keys() == row.keys()
    source = f"{session.prep.file_kind(next(iter(files))).plural}/" if only_files else "rows.csv"
    shell = f"lamina {operation.name} {path} {source} -o predictions.csv"
    inputs = session.prep.inputs
    image = next((files[c] for c, name in session.prep.file_inputs.items() if inputs[name].kind == EXPLAINED), None)
    if image is not None and operation is session.task.offered(session)[0]:
        shell += f"\nlamina explain {path} {image} -o why.png"
    return Usage(
        shell=shell,
        http=_form(row, files, operation) if files else _json({"rows": [row]}, operation),
        python=f"import lamina\n\nmodel = lamina.load({bundle!r})\nmodel.{operation.name}([{row!r}])",
        answer=_pretty(one["answer"]),
    )


def _together(session: Session, operation: Operation, bundle: str) -> Usage:
    """Rows that are one thing."""
    rows, answers = operation.example(session)
    return Usage(
        shell=f"lamina {operation.name} {shlex.quote(bundle)} rows.csv -o predictions.csv",
        http=_json({"rows": rows}, operation),
        python=f"import lamina\n\nmodel = lamina.load({bundle!r})\nmodel.{operation.name}({rows!r})",
        answer=_pretty(answers),
    )


def _none(session: Session, operation: Operation, bundle: str) -> Usage:
    """A request without rows: its settings are options of the command, fields of the body and keywords in Python."""
    settings: Mapping[str, Any] = operation.example(session).payload
    options = "".join(f" --{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in settings.items())
    keywords = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return Usage(
        shell=f"lamina {operation.name} {shlex.quote(bundle)}{options} -o predictions",
        http=_json(settings, operation),
        python=f"import lamina\n\nmodel = lamina.load({bundle!r})\nmodel.{operation.name}({keywords})",
    )


_DEFAULTS: dict[str, Callable[[Session, Operation, str], Usage]] = {
    "each": _each,
    "together": _together,
    "none": _none,
}


def _file_names(session: Session) -> dict[str, str]:
    """A file's name to write in place of the cell, for each column of files."""
    return {column: session.prep.file_kind(column).file_name for column in session.prep.file_inputs}


def _json(body: Any, operation: Operation) -> str:
    """A request with a body in JSON."""
    stream = "curl -sN" if operation.gives == EVENTS else "curl -s"
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"{stream} {ADDRESS}/{operation.name} -H 'Content-Type: application/json' -d {text}"


def _form(row: Mapping[str, Any], files: Mapping[str, str], operation: Operation) -> str:
    """A request for one row as a form, in which files go as they are."""
    fields = []
    for name, value in row.items():
        if name in files:
            fields.append(f"-F {shlex.quote(f'{name}=@{files[name]}')}")
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            plain = text[:1] not in ("@", "<") and ";" not in text  # which curl would read as files and types
            fields.append(f"{'-F' if plain else '--form-string'} {shlex.quote(f'{name}={text}')}")
    return f"curl -s {' '.join(fields)} {ADDRESS}/{operation.name}"


def _pretty(answer: Any) -> str:
    return "" if answer is None else json.dumps(answer, ensure_ascii=False, indent=2)
