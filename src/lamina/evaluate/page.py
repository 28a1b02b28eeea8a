"""The page: `report.json` for machines, one self-contained `report.html` for people."""

import base64
import hashlib
import html
import json
import math
import os
from collections.abc import Collection, Mapping
from datetime import date, datetime
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from lamina.evaluate import sections
from lamina.evaluate.sections import Page
from lamina.resources import disk


def write(folder: Path, page: Page) -> Path:
    """Write `report.json` and `report.html` into `folder` and return the path of the page.

    Parts of the report that are absent are left out. A number that is not finite is null in the JSON. Text
    of the report is escaped in the page; plots and sections are HTML made by this package and are placed as they are.
    """
    page = page._replace(report=plain(page.report))
    text = json.dumps(page.report, indent=1, ensure_ascii=False, allow_nan=False)
    path, html_text = folder / "report.html", render(page)
    disk.write_text(folder / "report.json", text + "\n")
    disk.write_text(path, html_text)
    return path


def render(page: Page) -> str:
    """One file of HTML that loads nothing from elsewhere."""
    title = " · ".join(str(page.report[key]) for key in ("name", "target") if page.report.get(key)) or "Report"
    scripts = dict.fromkeys(section.script for section in page.sections if section.script)
    return document(title, "\n".join(part for part in sections.render(page) if part), scripts)


def document(title: str, body: str, scripts: Collection[str] = ()) -> str:
    """The same for a title, plain, and a body that is HTML already; nothing but these `scripts` runs in it."""
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    sources = ["; img-src data:"] if "<img" in body else []
    sources += [f"; script-src {' '.join(map(_hash, scripts))}"] if scripts else []
    body += "".join(f"\n<script>{script}</script>" for script in scripts)
    return template.substitute(title=html.escape(title), body=body, sources="".join(sources))


def _hash(script: str) -> str:
    """A script as the security policy of a page names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def plain(value: Any) -> Any:
    """Strict JSON values; what is not finite becomes null."""
    match value:
        case Mapping():
            return {str(key): plain(inner) for key, inner in value.items()}
        case bool() | int() | None:
            return value
        case str():
            return str(value)
        case float():  # NumPy's float64 is one too
            return float(value) if math.isfinite(value) else None
        case bytes():
            return f"{len(value):,} bytes"
        case date() | datetime():
            return value.isoformat()
        case os.PathLike():
            return os.fspath(value)
        case list() | tuple() | set() | frozenset():
            return [plain(inner) for inner in value]
        case np.ndarray() | np.generic():
            return plain(value.tolist())
    return str(value)
