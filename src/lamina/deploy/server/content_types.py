"""What was sent, by its content type: JSON, a form with files, or one picture as it is. A picture is never a path."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lamina.deploy.server import multipart as _form
from lamina.deploy.server.limits import Limits, RequestError, shown
from lamina.deploy.server.request_rows import Question, admitted, read, read_csv
from lamina.preprocess import Broken, Preprocessor, wired

JSON, CSV, FORM, BYTES = "application/json", "text/csv", "multipart/form-data", "application/octet-stream"
BASE64 = "Send the bytes of a picture in base64; null means missing."
BROKEN = ("cut short", "cannot be decoded")  # a picture by its first bytes, and yet of no use
UNREADABLE = b"?"  # what `wired` gives for a cell that is no base64


@dataclass(frozen=True)
class Sent:
    """A body as it came, and the `Content-Type` it came with."""

    body: bytes | bytearray
    kind: str = JSON

    def __len__(self) -> int:
        return len(self.body)


def media(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def check_kind(kind: str, prep: Preprocessor, framed: bool = False) -> None:
    """Refuse a content type that this model does not take, before its body is read. One that forecasts takes CSV."""
    found, files = media(kind), prep.files
    if framed and found == CSV:
        return
    alone = len(files) == len(prep.used) == 1
    if found == JSON or (files and found == FORM) or (alone and (found == BYTES or found.startswith("image/"))):
        return
    if not files:
        cure = "Send JSON with the header Content-Type: application/json."
        if framed:
            cure = "Send JSON with that header, or CSV with Content-Type: text/csv."
        raise RequestError(415, f"Content-Type: must be application/json (got {shown(kind)}). {cure}")
    wanted = f"{JSON}, {FORM}, or image/png, image/jpeg ... for one picture" if alone else f"{JSON} or {FORM}"
    cure = f"Send a file with: curl -F {files[0].name}=@picture.jpg"
    raise RequestError(415, f"Content-Type: must be {wanted} (got {shown(kind)}). {cure}.")


def question(sent: Sent, prep: Preprocessor, limits: Limits) -> Question:
    """One request, whose cells are not parsed yet; pictures are bytes. Raises `RequestError`, naming the place."""
    kind = media(sent.kind)
    if kind == CSV:
        asked = read_csv(sent.body, limits)
    elif kind == JSON:
        asked = _from_base64(read(sent.body, limits), prep, limits)
    elif kind == FORM:
        asked = _form.read(sent.body, sent.kind, prep, limits)
    else:
        asked = Question({prep.files[0].name: [bytes(sent.body)]}, 1, True)
    area = 0
    for name in (column.name for column in prep.files):
        cells = asked.values.get(name, ())
        _check_sizes(name, cells, asked, limits)
        area += prep.area(name, cells)
    if asked.rows > 1 and area > limits.area:
        many = f"the pictures of a request have {area:,} pixels; at most {limits.area:,} are taken"
        raise RequestError(413, f"{many}. Send several requests.")
    return admitted(asked, prep, limits)


def refused(asked: Question, broken: Broken, prep: Preprocessor) -> RequestError:
    """Why a picture cannot be used: 413 for too many pixels, 400 for a broken one, 415 for what is none."""
    if broken.column not in {column.name for column in prep.files}:
        cure = "Send a list of numbers; null stands for a gap."
        return RequestError(400, f"{asked.spot(broken.column, broken.row)}: {broken.reason}. {cure}")
    status, cure = 415, "Send a PNG, JPEG, WebP, GIF, BMP or TIFF file."
    if "pixels" in broken.reason:
        status, cure = 413, "Send a smaller one."
    elif any(word in broken.reason for word in BROKEN):
        status, cure = 400, "Send the whole file."
    return RequestError(status, f"{asked.spot(broken.column, broken.row)}: {broken.reason}. {cure}")


def _from_base64(asked: Question, prep: Preprocessor, limits: Limits) -> Question:
    """The same question with the bytes of its pictures. Sizes are looked at before anything is decoded."""
    names = [column.name for column in prep.files if column.name in asked.values]
    for name in names:
        for row, cell in enumerate(asked.values[name]):
            if cell is not None and not isinstance(cell, str):
                got = {list: "a list", dict: "an object"}.get(type(cell), shown(cell))
                raise RequestError(400, f"{asked.spot(name, row)}: must be text in base64 (got {got}). {BASE64}")
            if cell is not None and len(cell) > limits.picture * 3 // 2 + 1000:  # base64 with its line breaks
                raise _too_large(asked.spot(name, row), limits)
    found = {n: cells.to_pylist() for n, cells in wired(prep.used, {n: asked.values[n] for n in names}).items()}
    for name, cells in found.items():
        if UNREADABLE in cells:
            row = cells.index(UNREADABLE)
            got = shown(asked.values[name][row])
            raise RequestError(400, f"{asked.spot(name, row)}: is not base64 (got {got}). {BASE64}")
    return replace(asked, values={**asked.values, **found})


def _check_sizes(name: str, cells: Sequence[bytes | None], asked: Question, limits: Limits) -> None:
    for row, cell in enumerate(cells):
        if cell is not None and len(cell) > limits.picture:
            raise _too_large(asked.spot(name, row), limits)
        if cell == b"":
            raise RequestError(400, f"{asked.spot(name, row)}: the file is empty. Send one that holds a picture.")


def _too_large(spot: str, limits: Limits) -> RequestError:
    return RequestError(413, f"{spot}: is larger than {limits.picture:,} bytes. Send a smaller picture.")
