"""What can be asked as a form of HTML: an input for each cell of a row, by its domain, and for each setting, by its
JSON schema. Everything that comes from the bundle is escaped.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import count
from typing import Any

from lamina.deploy.server.content_types import a, file_kinds, own_types
from lamina.deploy.server.endpoint import Endpoint
from lamina.deploy.server.openapi import as_csv, request_body
from lamina.preprocess import Domain, FileKind
from lamina.schema import Row
from lamina.task import CSV, JSON

MOST_CELLS, MOST_VALUES, LONG = 60, 200, 200  # cells of a row, values of a list, characters of a text of one line
WORDS = (("true", "yes"), ("false", "no"))


def form(endpoint: Endpoint) -> str:
    """All inputs of one operation."""
    keys = (f"{endpoint.operation.name}-{i}" for i in count())
    rows = "" if endpoint.operation.rows == "none" else _rows(endpoint, lambda: next(keys))
    return rows + _settings(endpoint, lambda: next(keys))


def is_table(endpoint: Endpoint) -> bool:
    """Whether rows are pasted as CSV: they are one thing together, and no column is files."""
    operation = endpoint.operation
    return operation.rows == "together" and CSV in own_types(operation, endpoint.prep)


# rows


def _rows(endpoint: Endpoint, key: Callable[[], str]) -> str:
    if is_table(endpoint):
        return _table(endpoint, key())
    prep, example = endpoint.prep, endpoint.example.payload[0]
    files = file_kinds(prep)
    parts = [_file(name, kind, key()) for name, kind in files.items()]
    columns = [column.name for column in prep.columns if column.name not in files]
    if len(columns) > MOST_CELLS:
        text = json.dumps({name: example.get(name) for name in columns}, indent=1, ensure_ascii=False)
        parts.append(_labelled(key(), f"A row of {len(columns):,} columns as JSON", _area("data-row", text, 14)))
    else:
        parts += [cell(name, prep.domain(name), example.get(name), key()) for name in columns]
    return f'<fieldset><legend>Row</legend><div class="cells">{"".join(parts)}</div></fieldset>'


def _table(endpoint: Endpoint, key: str) -> str:
    """Rows that are one thing: pasted, or a file."""
    pasted = _labelled(
        key,
        "Rows as CSV, names in the first line (an example)",
        _area("data-table", as_csv(endpoint.example.payload), 14),
    )
    return f"<fieldset><legend>Rows</legend>{pasted}{_reader(key)}</fieldset>"


def _reader(key: str) -> str:
    """What puts a file of text into the text area of a key."""
    return (
        f'<div class="wide"><label for="{key}-file">or a file</label>'
        f'<input type="file" id="{key}-file" data-into="{key}" accept=".csv,.txt,.tsv,text/*"></div>'
    )


def _file(name: str, kind: FileKind, key: str) -> str:
    sample = base64.b64encode(kind.sample()).decode()
    accept = ",".join((*kind.suffixes, *kind.media))
    attributes = f'type="file" accept="{escape(accept)}" data-cell="{escape(name)}" data-sort="file"'
    label = name if name == kind.noun else f"{name}: {a(kind.noun)}"
    box = _labelled(
        key, label, f'<input {attributes} data-sample="{sample}" data-file="{kind.file_name}">', kind.formats
    )
    return box.removesuffix("</div>") + '<div class="preview"></div></div>'


def cell(name: str, domain: Domain, example: Any, key: str) -> str:
    """The input of one cell, which may be left empty: then the cell is missing."""
    own = f'data-cell="{escape(name)}" data-sort="{domain.sort}"'
    match domain.sort:
        case "number":
            is_number = isinstance(example, int | float) and not isinstance(example, bool)
            value = example if is_number else domain.middle
            box = f'<input type="number" step="any" {own} value="{_text(value)}" placeholder="missing">'
        case "boolean":
            box = _select(own, WORDS, _text(example), "missing")
        case "choice" if len(domain.values) <= MOST_VALUES:
            box = _select(own, [(value, value) for value in domain.values], _text(example), "missing", other=True)
        case "choice":
            box = _suggesting(own, domain.values, _text(example), key)
        case "choices" if len(domain.values) <= MOST_CELLS:
            return _boxes(name, domain.values, example)
        case "date" | "datetime":
            kind = "date" if domain.sort == "date" else "datetime-local"
            box = f'<input type="{kind}" step="any" {own} value="{_moment(example, domain)}">'
        case "series":
            return _series(name, domain, example, key, own)
        case _:
            box = _area(own, _text(example), 3)
    return _labelled(key, name, box, _range(domain))


def _range(domain: Domain) -> str:
    """Between which training cells were."""
    if domain.low is None:
        return ""
    low, high = (end if isinstance(end, str) else f"{end:,.6g}" for end in (domain.low, domain.high))
    return f"{low} to {high}".replace("T", " ")


def _moment(example: Any, domain: Domain) -> str:
    try:
        moment = datetime.fromisoformat(str(example))
    except ValueError:
        return _text(domain.middle)
    return moment.strftime("%Y-%m-%d" if domain.sort == "date" else "%Y-%m-%dT%H:%M:%S")


def _series(name: str, domain: Domain, example: Any, key: str, own: str) -> str:
    """Numbers to paste, a line for each step where there are several channels, or a file of them."""
    many = domain.channels > 1
    steps = example if isinstance(example, list) else []
    if many and domain.channels_first:
        steps = list(zip(*steps, strict=False))
    text = "\n".join(", ".join(map(_text, step)) for step in steps) if many else ", ".join(map(_text, steps))
    hint = f"numbers, {'a line for each step, its channels' if many else 'with'} with commas between"
    hint = hint.replace("with with", "with")
    shape = f'data-channels="{domain.channels}" data-first="{_text(domain.channels_first)}"'
    return _labelled(key, name, _area(f"{own} {shape}", text, 5), hint) + _reader(key)


def _boxes(name: str, values: Sequence[str], example: Any) -> str:
    """Several of the known values."""
    selected = set(map(str, example)) if isinstance(example, list) else set()
    boxes = "".join(
        f'<label><input type="checkbox" value="{escape(v)}"{" checked" if v in selected else ""}>{escape(v)}</label>'
        for v in values
    )
    legend = f"<legend>{escape(name)}</legend>"
    return f'<fieldset class="boxes wide" data-cell="{escape(name)}" data-sort="choices">{legend}{boxes}</fieldset>'


# settings


def _settings(endpoint: Endpoint, key: Callable[[], str]) -> str:
    """The settings of an operation: those that most people set, and more on demand."""
    operation = endpoint.operation
    fields = operation.request.model_fields
    schema = operation.schema(endpoint.predictor) if operation.schema else operation.request.model_json_schema()
    properties: Mapping[str, Row] = {n: one for n, one in schema.get("properties", {}).items() if n in fields}
    example = request_body(endpoint)["content"][JSON].get("example", {}) if operation.rows == "none" else {}
    common, rare = list[str](), list[str]()
    for name, one in properties.items():
        default = one.get("default")
        is_common = default is not None or "examples" in one or len(properties) == 1
        (common if is_common else rare).append(setting(name, one, example.get(name, default), key()))
    more = (
        f'<details><summary>More settings</summary><div class="cells">{"".join(rare)}</div></details>' if rare else ""
    )
    if not common and not rare:
        return ""
    return f'<fieldset><legend>Settings</legend><div class="cells">{"".join(common)}</div>{more}</fieldset>'


def setting(name: str, schema: Row, default: Any, key: str) -> str:
    """The input of one setting; one that is left empty is not sent."""
    parts = [schema, *schema.get("anyOf", [])]
    kinds = {part.get("type") for part in parts} - {None, "null"}
    values, examples = next((p["enum"] for p in parts if "enum" in p), []), schema.get("examples", [])
    own = f'name="{escape(name)}" data-setting'
    if values or (examples and not isinstance(examples[0], list)):
        options = [(json.dumps(value), str(value)) for value in [*values, *examples][:1000]]
        box = _select(f'{own}="json"', options, json.dumps(default), "any")
    elif "array" in kinds and not kinds & {"string", "integer", "number"}:
        hint = "\n".join(map(str, next(iter(examples), [])))
        box = f'<textarea {own}="lines" rows="2" placeholder="{escape(hint)}" spellcheck="false"></textarea>'
    elif kinds == {"boolean"}:
        box = _select(f'{own}="json"', WORDS, json.dumps(default), "" if isinstance(default, bool) else "default")
    elif kinds and kinds <= {"integer", "number"}:
        low, high = (next((p[k] for p in parts for k in ks if k in p), "") for ks in (("minimum",), ("maximum",)))
        step = "1" if kinds == {"integer"} else "any"
        box = f'<input type="number" {own}="number" min="{low}" max="{high}" step="{step}" value="{_text(default)}">'
    elif isinstance(default, str) and schema.get("maxLength", LONG) >= LONG:
        box = _area(f'{own}="text"', default, 3)
    else:
        box = f'<input type="text" {own}="text" value="{_text(default)}">'
    return _labelled(key, name.replace("_", " "), box, schema.get("description", ""))


# pieces


def _labelled(key: str, label: str, box: str, hint: str = "") -> str:
    """An input with its name, and what to know of it."""
    about = f' aria-describedby="{key}-hint"' if hint else ""
    box = box.replace(" data-", f' id="{key}"{about} data-', 1)
    small = f'<small id="{key}-hint">{escape(hint)}</small>' if hint else ""
    wide = ' class="wide"' if "<textarea" in box else ""
    return f'<div{wide}><label for="{key}">{escape(label)}</label>{box}{small}</div>'


def _area(attributes: str, text: str, rows: int) -> str:
    return f'<textarea {attributes} rows="{rows}" spellcheck="false">\n{escape(text)}</textarea>'


def _select(
    attributes: str, options: Sequence[tuple[str, str]], selected: str, empty: str = "", other: bool = False
) -> str:
    """One of several values, none of them, or, with `other`, one that is typed."""
    first = [f'<option value="">{empty}</option>'] if empty else []
    inner = "".join(
        [
            *first,
            *(
                f'<option value="{escape(value)}"{" selected" if value == selected else ""}>{escape(word)}</option>'
                for value, word in options
            ),
        ]
    )
    more = '<option value="" data-other>another value</option>' if other else ""
    typed = '<input type="text" class="other" aria-label="another value" hidden>' if other else ""
    return f"<select {attributes}>{inner}{more}</select>{typed}"


def _suggesting(attributes: str, values: Sequence[str], value: str, key: str) -> str:
    """A text for which there are suggestions, where there are too many values to choose from."""
    options = "".join(f"<option>{escape(one)}</option>" for one in values[:MOST_VALUES])
    box = f'<input type="text" list="{key}-list" {attributes} value="{escape(value)}" placeholder="missing">'
    return f'{box}<datalist id="{key}-list">{options}</datalist>'


def _text(value: Any) -> str:
    """A value as an input holds it."""
    if value is None:
        return ""
    return (
        str(value).lower() if isinstance(value, bool) else f"{value:.10g}" if isinstance(value, float) else str(value)
    )
