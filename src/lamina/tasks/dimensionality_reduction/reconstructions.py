"""What stands at coordinates, as parts of the report: ways between labels, a grid of the map, samples, what is lost."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lamina import privacy
from lamina.evaluate import series_gallery
from lamina.evaluate.images.thumbnails import figure, grid, shot, under
from lamina.evaluate.markup import escape, number, section, table
from lamina.evaluate.series_gallery import Line
from lamina.experiment import Finding, Section
from lamina.preprocess.image.codec import as_png
from lamina.tasks.dimensionality_reduction import coordinates, relations

USUAL = 8  # rows random_lead at random
WAYS, STEPS = 8, 12  # ways between two points, and images on each
SIDE = 16  # images of a grid in a line
SHARES = (0.02, 0.98)  # of the points, between which a grid lies
SAMPLES, ACROSS = 64, 16
WIDEST = 980  # pixels of a sheet
COLUMNS = 12  # of a table in the report
FEWEST = 0.01  # share of an error that is worth a word


def images_of(session: Any, target: np.ndarray) -> np.ndarray:
    """Evaluated rows (rows, numbers) as images (rows, height, width, channels) uint8."""
    shape = tuple(n or 1 for n in coordinates.feed(session).shape)
    return coordinates.images(target.reshape(-1, *shape))


def sections(finding: Finding) -> Iterator[Section]:
    """What coordinates become, by what rows are."""
    sort = coordinates.sort(finding.session)
    title = "What coordinates become"
    parts = {"images": _images, "series": _series, "rows": _rows}[sort](finding)
    yield Section("decoded", title, "comparison", section(title, "decoded", *parts))


def _images(finding: Finding) -> Iterator[str]:
    session, latent = finding.session, finding.evaluation.answers["latent"]
    if latent.shape[1] == 2:
        low, high = np.quantile(latent, SHARES, axis=0)
        across, up = (np.linspace(a, b, SIDE) for a, b in zip(low, high, strict=True))
        points = np.stack(np.meshgrid(across, up[::-1]), axis=-1).reshape(-1, 2)
        lead = "Images that stand at even steps across the map, each in its place."
        yield under("All over the map", lead, _sheet(_decode(session, points), SIDE))
    ways = _ways(finding)
    if len(ways):
        lead = "Each line goes from the middle of one group of test rows to that of another, in even steps."
        lines = _decode(session, ways.reshape(-1, latent.shape[1]))
        yield under("From one to another", lead, _sheet(lines, STEPS))
    if "elbo" in finding.evaluation.answers:
        points = np.random.default_rng(0).standard_normal((SAMPLES, latent.shape[1]))
        lead = "Images at points drawn from the normal distribution, to which the network presses codes; not picked."
        yield under("Samples", lead, _sheet(_decode(session, points), ACROSS))


def _ways(finding: Finding) -> np.ndarray:
    """(ways, steps, dimensions): between the means of the test rows of two labels, or of two parts of all rows."""
    evaluation = finding.evaluation
    latent, codes = evaluation.answers["latent"].astype(np.float64), evaluation.answers.get("label")
    if codes is None:
        first = (latent - latent.mean(0)) @ np.linalg.svd(latent - latent.mean(0), full_matrices=False)[2][0]
        codes = np.argsort(np.argsort(first)) * min(WAYS + 1, len(latent) // privacy.MIN_ROWS) // len(latent)
    counts = np.bincount(codes[codes >= 0])
    groups = np.flatnonzero(counts >= privacy.MIN_ROWS)[: WAYS + 1]
    means = np.array([latent[codes == group].mean(0) for group in groups.tolist()])
    shares = np.linspace(0, 1, STEPS)[:, None]
    ways = [a + shares * (b - a) for a, b in zip(means, np.roll(means, -1, axis=0), strict=True)]
    return np.array(ways[: WAYS if len(ways) > 2 else len(ways) - 1])


def _decode(session: Any, points: np.ndarray) -> np.ndarray:
    return coordinates.images(coordinates.decode(session, points))


def _sheet(images: np.ndarray, across: int) -> str:
    """One image of images side by side, a pixel apart."""
    rows, height, width, channels = images.shape
    lines = -(-rows // across)
    padded = np.full((lines * across, height + 1, width + 1, channels), 255, np.uint8)
    padded[:rows, :height, :width] = images
    sheet = padded.reshape(lines, across, height + 1, width + 1, channels).swapaxes(1, 2)
    sheet = sheet.reshape(lines * (height + 1), across * (width + 1), channels)[:-1, :-1]
    zoom = max(1, min(4, WIDEST // sheet.shape[1]))
    size = f'width="{zoom * sheet.shape[1]}" height="{zoom * sheet.shape[0]}"'
    body = base64.b64encode(as_png(sheet)).decode()
    return f'<img class="sheet" {size} alt="{rows} images" src="data:image/png;base64,{body}">'


def _rows(finding: Finding) -> Iterator[str]:
    """Rows along each coordinate."""
    session, names = finding.session, coordinates.names(finding.session)
    columns = [place.name for place in session.task.state.layout.columns][:COLUMNS]
    for name, rows in zip(names, relations.along(session, finding.evaluation.answers["latent"]), strict=False):
        yield under(f"Along {name}", _along_lead(name), _cells(rows.select(columns)))


def _along_lead(name: str) -> str:
    return f"Rows at five places of {name}, from low to high, where all other coordinates are at their middle."


def _cells(rows: pa.Table) -> str:
    cells = [[escape(cell, 40) for cell in row.values()] for row in rows.to_pylist()]
    numeric = [i for i, field in enumerate(rows.schema) if pa.types.is_integer(field.type) or
               pa.types.is_floating(field.type)]  # fmt: skip
    return table([escape(name, 40) for name in rows.column_names], cells, numeric)


def _series(finding: Finding) -> Iterator[str]:
    """Series along each coordinate, from light to dark."""
    session, latent = finding.session, finding.evaluation.answers["latent"]
    names, figures = coordinates.names(session), list[str]()
    for name, rows in zip(names, relations.along(session, latent), strict=False):
        series = [_first_channel(cell) for cell in rows.column(0).to_pylist()]
        lines = [Line(one, "var(--accent)", 1.6, 0.25 + 0.75 * i / len(series)) for i, one in enumerate(series)]
        drawing = series_gallery.drawing(lines, series_gallery.value_limits(series), f"series along {name}")
        figures.append(figure([drawing], f"<b>{name}</b>, from low (light) to high"))
    lead = (
        "Series at five places of each coordinate, where all others are at their middle; of several channels the first."
    )
    yield under("Along each coordinate", lead, grid(figures, "wide"))


def _first_channel(cell: Sequence[Any]) -> np.ndarray:
    values = np.array(cell, np.float64)
    return values if values.ndim == 1 else values[:, 0]


def reconstruction_errors(finding: Finding, worst: np.ndarray) -> str:
    """Test rows and what their coordinates become; of a table, which columns are lost."""
    sort = coordinates.sort(finding.session)
    if sort == "rows":
        return _column_errors(finding, worst)
    usual = np.random.default_rng(0).permutation(len(finding.evaluation.target))[:USUAL]
    key = "" if sort == "images" else " Orange is the latter; standardised."
    lead = f"The {len(worst)} test {sort} with the largest error, and what their coordinates become.{key}"
    random_lead = f"Some test {sort} random_lead at random.{key}"
    return under("The worst", lead, _pairs(finding, worst)) + under(
        "As they usually are", random_lead, _pairs(finding, usual)
    )


def _pairs(finding: Finding, places: np.ndarray) -> str:
    """Images or series with what their coordinates become."""
    session, evaluation = finding.session, finding.evaluation
    back = coordinates.decode(session, evaluation.answers["latent"][places])
    target, has_images = evaluation.target[places], coordinates.sort(session) == "images"
    rows = images_of(session, target) if has_images else target.reshape(-1, *back.shape[1:])
    figures = []
    for i, place in enumerate(places.tolist()):
        row, error = int(evaluation.details.places[place]) + 1, number(float(evaluation.answers["error"][place]))
        words = f'<span class="path">test row {row:,}, error {error}</span>'
        if has_images:
            shots = [shot(rows[i], "as it is"), shot(coordinates.images(back[i]), "by its coordinates")]
            figures.append(figure(shots, words, "two"))
        else:
            figures.append(figure([_lines(rows[i][:, 0], back[i][:, 0])], words))
    return grid(figures, "wide")


def _lines(series: np.ndarray, back: np.ndarray) -> str:
    lines = [Line(series, "var(--ink)", 1.5), Line(np.where(np.isnan(series), np.nan, back), "var(--warm)")]
    limits = series_gallery.value_limits([line.values for line in lines])
    return series_gallery.drawing(lines, limits, "a series and its reconstruction")


def _column_errors(finding: Finding, places: np.ndarray) -> str:
    """For each row the columns that make most of its error; no cells, which are of one row alone."""
    session, evaluation = finding.session, finding.evaluation
    layout, at = session.task.state.layout, 0
    back = coordinates.decode(session, evaluation.answers["latent"][places])
    squares = (evaluation.target[places] - back) ** 2
    shares = list[np.ndarray]()
    for place in layout.columns:
        shares.append(squares[:, at : at + place.width].sum(1) / np.maximum(squares.sum(1), 1e-12))
        at += place.width
    lines = list[list[str]]()
    for place, parts in zip(places.tolist(), np.stack(shares, axis=1), strict=True):
        most = [i for i in np.argsort(-parts, kind="stable")[:3].tolist() if parts[i] > FEWEST]
        names = ", ".join(f"{escape(layout.columns[i].name, 40)} {parts[i]:.0%}" for i in most)
        error = number(float(evaluation.answers["error"][place]))
        lines.append([f"{int(evaluation.details.places[place]) + 1:,}", error, names])
    lead = f"The {len(lines)} test rows with the largest error, and the columns that make most of it."
    return under("The worst", lead, table(("test row", "error", "of that, by column"), lines, (0, 1)))
