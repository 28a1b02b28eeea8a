"""Text of the data in what people read of a bundle."""

from typing import Any


def markdown(value: Any) -> str:
    """Text on one line of a page that is shown as Markdown: neither tags, nor links, nor cells of a table."""
    line = " ".join(str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
    return line.replace("[", "\\[").replace("]", "\\]").replace("|", "\\|")
