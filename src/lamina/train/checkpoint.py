"""Checkpoints that survive a kill at any moment: written aside, synced, made visible by one rename.

A checkpoint is a directory `step-<n>` of `tensors.safetensors` and `state.json`, with the hash of the tensors in
the state and the hash of the state in the name of a third, empty file. A directory that does not check is not a
checkpoint: the one before it is used, and that is said.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lamina.config import TrainingError

ASIDE = ".writing"  # what a killed process may leave behind begins with this


def write(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Save durably; on return the checkpoint is on disk whole, beside the one before it and nothing else.

    Raises `TrainingError` when the disk is full or cannot be written; what was there before stays as it was.
    """
    body = save({name: value.contiguous() for name, value in tensors.items()})
    text = json.dumps({**state, "tensors": hashlib.sha256(body).hexdigest()}).encode()
    final, aside, old = folder / f"step-{step:09d}", folder / ASIDE, folder / f"{ASIDE}-old"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove(aside, old)
        aside.mkdir()
        _put(aside / "tensors.safetensors", body)
        _put(aside / "state.json", text)
        _put(aside / hashlib.sha256(text).hexdigest(), b"")
        _sync(aside)
        if final.exists():
            final.rename(old)
        aside.rename(final)
        _sync(folder)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        need = f"{len(body) / 1e6:,.0f} MB are needed"
        raise TrainingError(
            f"{folder}: a checkpoint cannot be written ({error.strerror}; {need}). Make room and go on with --resume."
        ) from None
    # later steps are leftovers that did not check, or they would have been gone on from
    before = max((p for p in folder.glob("step-*") if p.name < final.name), default=final)
    _remove(old, *(p for p in folder.glob("step-*") if p not in (final, before)))
    return final


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
    """The newest checkpoint that checks, with sentences about newer ones that did not; None when there is none."""
    notes = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            text = (path / "state.json").read_bytes()
            body = (path / "tensors.safetensors").read_bytes()
            state = json.loads(text) if (path / hashlib.sha256(text).hexdigest()).exists() else {}
            if state.get("tensors") == hashlib.sha256(body).hexdigest():
                return load(body), state, notes
            notes.append(f"{path.name} is damaged; going on from the checkpoint before it.")
        except (OSError, ValueError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            notes.append(f"{path.name} cannot be read ({reason}); going on from the checkpoint before it.")
    if notes:
        notes[-1] = notes[-1].replace("going on from the checkpoint before it", "starting again from the first step")
        return {}, {}, notes
    return None


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _put(path: Path, body: bytes) -> None:
    with open(path, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
