"""The one place that writes: beside the final name, synced, then made visible by one rename.

A reader never sees half of what was written, what fails leaves nothing behind, and what is there already is replaced
only where that was asked for. What an operating system has against it becomes a sentence: a `StorageError`.
"""

import contextlib
import errno
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lamina.config import LaminaError

OTHER = "Name another place."
FULL = "Make room there, or name another place."
REASONS = {
    errno.ENOSPC: ("the disk is full", FULL),
    errno.EDQUOT: ("the quota of the disk is used up", FULL),
    errno.EFBIG: ("the file is larger than it may be here", "Raise the limit (ulimit -f), or name another place."),
    errno.EROFS: ("the disk may only be read", OTHER),
    errno.EACCES: ("you may not write there", "Change the permissions, or name another place."),
    errno.EPERM: ("you may not write there", "Change the permissions, or name another place."),
    errno.ENAMETOOLONG: ("the name is too long", "Name a shorter one."),
    errno.EIO: ("the disk has a fault", "Look after the disk, or name another place."),
    errno.EISDIR: ("that is a folder", "Name a file in it."),
    errno.ENOTDIR: ("a folder on the way there is a file", OTHER),
    errno.EEXIST: ("a folder on the way there is a file", OTHER),
    errno.EMFILE: ("too many files are open", "Raise the limit: ulimit -n 4096."),
    errno.ENFILE: ("too many files are open on this machine", "Close some programs."),
    errno.EBUSY: ("it is in use", OTHER),
}
FAULTS_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}  # they can come from nothing else
LONGEST = 100  # bytes of a name that a temporary one begins with
TEMPORARY = re.compile(r"\.(\d+)-[0-9a-f]{8}(-old)?\.writing$")


class StorageError(LaminaError):
    """Something cannot be written; what was there before is as it was. `reason`: in the operating system's words."""

    def __init__(self, text: str, reason: str = ""):
        self.reason = reason
        super().__init__(text)


def _fault(error: OSError, path: Path | str, size: int) -> StorageError:
    return StorageError(sentence(error, path, size), error.strerror or str(error))


def sentence(error: OSError, path: Path | str, size: int = 0) -> str:
    """What an operating system has against a file, as a sentence; `size`: the bytes that are needed, where known."""
    reason, cure = REASONS.get(error.errno or 0, (error.strerror or str(error), OTHER))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needs = f"{amount(size)} needed, " if size else ""
        reason += f" ({needs}{amount(free(path))} free)" if isinstance(path, Path) else ""
    return f"{path}: cannot be written, {reason}. {cure}"


def amount(size: float) -> str:
    """Bytes as people write them."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def free(path: Path | str) -> int:
    """Bytes that are free where a file would be."""
    for folder in (Path(path), *Path(path).absolute().parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free
    return 0


@contextmanager
def guard(path: Path | str, size: int = 0) -> Iterator[None]:
    """Whatever an operating system has against what is done within is a `StorageError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise _fault(error, path, size) from None


def refuse_existing(path: Path, overwrite: bool = False, folder: bool = False) -> None:
    """Errors: StorageError where something is at `path` that may not be replaced. An empty folder may, by a `folder`;
    a folder never by a file, nor one that holds the current folder.
    """
    with guard(path):
        if not os.path.lexists(path) or (folder and path.is_dir() and not any(path.iterdir())):
            return
    cure = "replace it with --overwrite (overwrite=True in Python)."
    if path.is_dir() and not folder:
        raise StorageError(f"-o: {path} exists, and is a folder. Name a file.")
    if path.is_dir() and not overwrite:
        raise StorageError(f"-o: {path} is there already and not empty. Name a new folder. Or {cure}")
    if not overwrite:
        raise StorageError(f"-o: {path} exists. Choose another name, or {cure}")
    if path.is_dir() and Path.cwd().is_relative_to(path.resolve()):
        raise StorageError(f"-o: {path} holds the folder you are in, and is not replaced. {OTHER}")


def check_folder(path: Path) -> None:
    """Errors: StorageError where the folder that a file is to be in is not there."""
    if not path.parent.is_dir():
        raise StorageError(f"-o: {path} cannot be written, there is no folder {path.parent}. {OTHER}")


@contextmanager
def new_path(path: Path, overwrite: bool = True, size: int = 0, folder: bool = False) -> Iterator[Path]:
    """The temporary name of a file or `folder`, for whoever makes it by name; without it, none will be at `path`."""
    path = _target(path)
    _remove_leftovers(path)
    refuse_existing(path, overwrite, folder)
    aside = path.with_name(f"{_stem(path)}.{os.getpid()}-{uuid.uuid4().hex[:8]}.writing")
    parents = list[Path]()
    try:
        parents += _make_parents(path)
        yield aside
        if os.path.lexists(aside):
            refuse_existing(path, overwrite, folder)
            _sync(aside)
            _rename(aside, path)
            _sync_folder(path.parent)
            parents.clear()
    except OSError as error:
        remove(aside)
        if not _of_writing(error, aside, path):
            raise
        raise _fault(error, path, size) from None
    finally:
        remove(aside)
        for parent in reversed(parents):
            with contextlib.suppress(OSError):
                parent.rmdir()


@contextmanager
def new_file(path: Path, overwrite: bool = True, size: int = 0) -> Iterator[IO[bytes]]:
    """A file of bytes to write, which is at `path` once it is whole."""
    with new_path(path, overwrite, size) as aside, open(aside, "wb") as file:
        yield file


@contextmanager
def new_folder(path: Path, overwrite: bool = True) -> Iterator[Path]:
    """An empty folder to write files into, which is at `path` once all are written."""
    with new_path(path, overwrite, folder=True) as aside:
        aside.mkdir()
        yield aside


def write_bytes(path: Path, body: bytes, overwrite: bool = True) -> None:
    """One file, whole or not at all."""
    with new_file(path, overwrite, len(body)) as file:
        file.write(body)


def write_text(path: Path, text: str, overwrite: bool = True) -> None:
    """One file of text in UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8", "replace"), overwrite)


def append_text(path: Path, text: str) -> None:
    """Text at the end of a file, all of it or nothing."""
    body = text.encode()
    with guard(path, len(body)), open(path, "ab", buffering=0) as file:
        end = file.tell()
        try:
            if file.write(body) < len(body):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            if not end:
                path.unlink()
            raise


def make_folder(path: Path) -> None:
    """A folder with those above it, where there is none yet."""
    with guard(path):
        path.mkdir(parents=True, exist_ok=True)


def temporary_folder() -> Path:
    """A new folder among the temporary files of this machine."""
    with guard("a temporary folder ($TMPDIR)"):
        return Path(tempfile.mkdtemp(prefix="lamina-"))


def remove(*paths: Path) -> None:
    """Remove files, or folders with all in them, as far as that can be done."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """Where a link leads, which stays a link."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


def _of_writing(error: OSError, aside: Path, path: Path) -> bool:
    """Whether an error comes of what is written here, and not of what is read meanwhile."""
    if error.errno in FAULTS_OF_WRITING or aside.name in str(error):
        return True
    names = [Path(name).absolute() for name in (error.filename, error.filename2) if isinstance(name, str | Path)]
    return any(name in (path.absolute(), *path.absolute().parents) for name in names)


def _stem(path: Path) -> str:
    """How a temporary name begins: hidden, and never too long."""
    return "." + os.fsencode(path.name)[:LONGEST].decode("utf-8", "ignore")


def _make_parents(path: Path) -> list[Path]:
    """The folders above a file; those that were not there yet, the uppermost first."""
    new = [folder for folder in reversed(path.absolute().parents) if not folder.exists()]
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    return new


def _remove_leftovers(path: Path) -> None:
    """What processes left here that were killed while they wrote this; what they were about to replace comes back."""
    stem, folder = _stem(path), path.absolute().parent
    for other in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = TEMPORARY.search(other.name)
        if match and other.name[: match.start()] == stem and not _alive(int(match[1])):
            with guard(path):
                other.rename(path) if match[2] and not os.path.lexists(path) else remove(other)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _rename(aside: Path, path: Path) -> None:
    """Put a file or folder in the place of what is there, which comes back where that fails."""
    if not os.path.lexists(path) or not (aside.is_dir() or path.is_dir()):
        aside.rename(path)
        return
    old = aside.with_name(f"{aside.name.removesuffix('.writing')}-old.writing")
    path.rename(old)
    try:
        aside.rename(path)
    except OSError:
        old.rename(path)
        raise
    remove(old)


def _sync(path: Path) -> None:
    """Wait until a file, or a folder with all in it, is on the disk: a name must not come before its content."""
    for folder, _, names in os.walk(path) if path.is_dir() else ():
        for name in names:
            _sync_file(os.path.join(folder, name))
        _sync_folder(Path(folder))
    if not path.is_dir():
        _sync_file(os.fspath(path))


def _sync_file(name: str) -> None:
    with open(name, "rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """A folder's names on the disk, where the file system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
