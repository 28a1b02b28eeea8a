"""Folders of Hugging Face: found or fetched by name, and read as a network.

Nothing of a model is executed but transformers' own code: no remote code, no pickled weights.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lamina.config import RecipeError
from lamina.models.pretrained.onnx_graph import fault, first_line

FILES = ["*.json", "*/config.json", "*.safetensors", "*.safetensors.index.json"]
SECONDS = 5  # to wait for the hub


def import_transformers() -> Any:
    """The package transformers. Errors: RecipeError where it is not installed."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", str(SECONDS))
    try:
        import transformers
    except ImportError:
        raise RecipeError(
            [
                "model.name: needs transformers, which is not installed. pip install 'lamina[huggingface]', or name an "
                ".onnx file."
            ]
        ) from None
    return transformers


@contextlib.contextmanager
def quietly(transformers: Any) -> Iterator[None]:
    """Without progress bars and reports of loading, which are not for the user."""
    log = transformers.utils.logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def network(folder: Path, name: str, auto: str, unused: tuple[str, ...] = (), **options: str) -> Any:
    """The network of a folder by the class `auto` of transformers, such as AutoModel; it answers in evaluation mode.

    `unused`: how names of weights begin that may be absent. Errors: RecipeError.
    """
    transformers = import_transformers()
    with quietly(transformers):
        try:
            loaded, report = getattr(transformers, auto).from_pretrained(
                folder,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
                **options,
            )
        except Exception as error:  # transformers, safetensors and the tokenizers raise anything at all
            raise fault(name, f"cannot be read ({first_line(error)})", "Get a fresh copy of the folder") from None
    missing = [key for key in report["missing_keys"] if not key.startswith(unused)]
    if missing:
        reason = f"the weights lack {len(missing)} tensors, such as {min(missing)}"
        raise fault(name, reason, "Get a fresh copy of them")
    for norm in loaded.modules():
        if isinstance(norm, nn.LayerNorm) and norm.bias is None and norm.weight is not None:
            norm.bias = nn.Parameter(torch.zeros_like(norm.weight))  # which exporters would make up
    return loaded.eval()


def find(name: str) -> Path:
    """A folder that is there, else the cached copy of a name, else a download, which fails within seconds."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise fault(name, "the folder has no config.json", "Name the folder that `hf download` wrote")
        if not list(path.glob("*.safetensors")):
            raise fault(name, "the folder has no weights as .safetensors", "Get those; others are not opened")
        return path
    if name.startswith(("/", ".", "~")) or name.count("/") > 1 or path.exists():
        raise fault(name, "there is no such folder", "Name a folder with config.json, or a model on the hub")
    from huggingface_hub import constants, snapshot_download

    with contextlib.suppress(Exception):  # not there, or not all of it: the hub is asked next
        copy = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
        if (copy / "config.json").is_file() and list(copy.glob("*.safetensors")):
            return copy
    try:
        return Path(snapshot_download(name, allow_patterns=FILES, etag_timeout=SECONDS))
    except Exception as error:
        why = str(error).lower()
        if "401" in why or "404" in why or "repo id" in why:
            raise fault(name, "is not a folder, and the hub has no such model for you", "Check the name") from None
        raise fault(
            name,
            f"is not a folder, is not in {constants.HF_HUB_CACHE}, and the hub cannot be reached",
            f"On a connected machine: hf download {name} --local-dir DIR, then name DIR",
        ) from None


def settings(file: Path, name: str) -> dict[str, Any]:
    """The values of a JSON file. Errors: RecipeError where there are none."""
    try:
        values = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise fault(name, f"{file.name} cannot be read ({first_line(error)})", "Get a fresh copy of it") from None
    if not isinstance(values, dict):
        raise fault(name, f"{file.name} holds no settings", "Get a fresh copy of it")
    return values
