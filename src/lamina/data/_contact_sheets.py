"""Contact sheets that `lamina generate` writes beside images: told by name and mark, so that none is learned from."""

from pathlib import PurePosixPath

NAME = "sheet.png"
MARK = b"Source\0Lamina: "  # a text in front of the pixels of each PNG that Lamina makes
HEAD = 1024  # bytes in which it stands
REASON = "is a contact sheet of lamina generate, and no image by itself"


def has_name(place: PurePosixPath) -> bool:
    """Whether a file has the name of one; images that are made have numbers."""
    return place.name == NAME


def has_mark(head: bytes) -> bool:
    """Whether a file that begins like this was made by Lamina."""
    return MARK in head[:HEAD]
