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

KEEP = 2


def write(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Save durably; on return the checkpoint is on disk whole, and older ones beyond two are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    final, aside = folder / f"step-{step:09d}", folder / f".writing-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    body = save({name: value.contiguous() for name, value in tensors.items()})
    text = json.dumps({**state, "tensors": hashlib.sha256(body).hexdigest()}).encode()
    _put(aside / "tensors.safetensors", body)
    _put(aside / "state.json", text)
    _put(aside / hashlib.sha256(text).hexdigest(), b"")
    _sync(aside)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    _sync(folder)
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[str]] | None:
    """The newest checkpoint that checks, with sentences about newer ones that did not; None when there is none."""
    notes = []
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            text = (path / "state.json").read_bytes()
            body = (path / "tensors.safetensors").read_bytes()
            state = json.loads(text)
            whole = (path / hashlib.sha256(text).hexdigest()).exists()
            if whole and hashlib.sha256(body).hexdigest() == state["tensors"]:
                return load(body), state, notes
            notes.append(f"{path.name} is damaged; going on from the checkpoint before it.")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            notes.append(f"{path.name} cannot be read ({error}); going on from the checkpoint before it.")
    if notes:
        notes[-1] = notes[-1].replace("going on from the checkpoint before it", "starting again from the first step")
        return {}, {}, notes
    return None


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
