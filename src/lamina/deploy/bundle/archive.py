"""The members of a bundle, in a directory or a zip: names first, then one after the other, never more than expected."""

import itertools
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lamina.config import BundleError
from lamina.deploy.bundle import plain_zip
from lamina.deploy.bundle.plain_zip import MOST
from lamina.deploy.bundle.strict_json import printable, rejection, strict_json

MANIFEST_BYTES = 1 << 18

LONGEST_PATH = 4096  # characters of one in a sentence
Read = Callable[[str, int], bytes]  # a member by name, which may have at most so many bytes


@contextmanager
def members(path: Path) -> Iterator[tuple[set[str], Read]]:
    """The names in a bundle and how to read one, bounded; nothing is read yet and nothing is ever extracted."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        cure = "Make one with: lamina train DATA --target COLUMN"
        reason = error.strerror if isinstance(error, OSError) else str(error)
        there = "cannot be opened" if isinstance(error, PermissionError) else "there is no such bundle"
        raise BundleError(printable(str(path), LONGEST_PATH), "", f"{there} ({reason})", cure) from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            yield _directory(handle, path.name)
        elif stat.S_ISREG(mode):
            with open(handle, "rb", closefd=False) as file:
                yield _archive(file, path.name)
        else:
            raise rejection(path.name, "", "is neither a directory nor a file")
    finally:
        os.close(handle)


def is_bundle(path: Path) -> bool:
    """Whether all that is at a path is a bundle, sound or not: what may be replaced by another."""
    try:
        with members(path) as (names, read):
            entries = strict_json(read("manifest.json", MANIFEST_BYTES), "manifest.json")["files"]
            return names <= {"manifest.json", *(entry["path"] for entry in entries)}
    except (BundleError, LookupError, TypeError):
        return False


def pack(file: Path, bodies: Mapping[str, bytes]) -> None:
    """Members by name as a stored (uncompressed) zip, the same bytes every time. Errors: BundleError above 4 GB."""
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
            for name, body in sorted(bodies.items()):
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), body)
    except zipfile.LargeZipFile:
        raise BundleError(file.name, "", "would be larger than 4 GB", "Copy the bundle directory instead.") from None


def _directory(folder: int, title: str) -> tuple[set[str], Read]:
    """A link, a sub-folder or a special file is refused before it is read."""
    with os.scandir(folder) as entries:
        names = {entry.name for entry in itertools.islice(entries, MOST + 1)}
    if len(names) > MOST:
        raise rejection(title, "", "is not a bundle: it holds too many files")

    def read(name: str, most: int) -> bytes:
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            raise rejection(name, "", f"is a link or cannot be opened ({error.strerror})") from None
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                raise rejection(name, "", "is not a plain file of its own", "Copy the bundle without links.")
            with open(handle, "rb", closefd=False) as file:
                return _at_most(name, most, info.st_size, file.read)
        finally:
            os.close(handle)

    return names, read


def _archive(file: BinaryIO, name: str) -> tuple[set[str], Read]:
    """A zip as `pack` writes it and no other; a file that is none is refused as damaged."""
    try:
        members = plain_zip.members(file)
    except (ValueError, struct.error) as error:
        raise rejection(name, "", f"is not a bundle ({error})") from None

    def read(name: str, most: int) -> bytes:
        member = members[name]
        try:
            return _at_most(name, most, member.size, lambda _: plain_zip.read(file, member))
        except (ValueError, OSError) as error:
            raise rejection(name, "", f"cannot be read ({error})") from None

    return set(members), read


def _at_most(name: str, most: int, size: int, read: Callable[[int], bytes]) -> bytes:
    if size > most:
        raise rejection(name, "", f"is larger than it may be ({size:,} bytes of {most:,})")
    try:
        body = read(size + 1)
    except MemoryError:
        raise rejection(name, "", f"does not fit in memory ({size:,} bytes)", "Open it on a larger machine.") from None
    if len(body) != size:
        raise rejection(name, "", "changed while it was read", "Try again.")
    return body
