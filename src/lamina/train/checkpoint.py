"""Checkpoints that survive a kill at any moment: written aside, synced, made visible by one rename.

A checkpoint is a directory `step-<n>` of `tensors.safetensors` and `state.json`, with the hash of the tensors in
the state and the hash of the state in the name of a third, empty file. A directory that does not check is not a
checkpoint: the one before it is used, and that is said.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lamina.config import TrainingError
from lamina.resources import disk


def write(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Save durably; on return the checkpoint is on disk whole, beside the one before it and nothing else.

    Raises `TrainingError` when the disk is full or cannot be written; what was there before stays as it was.
    """
    body = save({name: value.contiguous() for name, value in tensors.items()})
    text = json.dumps({**state, "tensors": hashlib.sha256(body).hexdigest()}).encode()
    final = folder / f"step-{step:09d}"
    try:
        with disk.new_path(final, size=len(body), folder=True) as aside:
            aside.mkdir()
            (aside / "tensors.safetensors").write_bytes(body)
            (aside / "state.json").write_bytes(text)
            (aside / hashlib.sha256(text).hexdigest()).touch()
    except disk.StorageError as error:
        need = f"{len(body) / 1e6:,.0f} MB are needed, {disk.amount(disk.free(folder))} are free"
        raise TrainingError(
            f"{folder}: a checkpoint cannot be written ({error.reason}; {need}). Make room and go on with --resume."
        ) from None
    # later steps are leftovers that did not check, or they would have been gone on from
    before = max((p for p in folder.glob("step-*") if p.name < final.name), default=final)
    disk.remove(*(p for p in (*folder.glob("step-*"), *folder.glob(".*")) if p not in (final, before)))
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
