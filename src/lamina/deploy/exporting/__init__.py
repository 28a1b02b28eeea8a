"""A bundle in the forms that others take: one file, a graph, a program of PyTorch, a container, a description.

A form is a module here with a function `write(bundle, path)`; it is imported when it is asked for.
"""

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from lamina.config import LaminaError
from lamina.deploy.bundle import locate, open_bundle, save
from lamina.resources import disk
from lamina.schema import Row


class Form(NamedTuple):
    """What an export is: how the name of its file ends (of a folder, it does not), and the module that writes it."""

    suffix: str
    module: str = ""  # none: `save` of bundles does it


FORMATS = {
    "lamina": Form(".lamina"),
    "onnx": Form(".onnx"),
    "openapi": Form(".json", "openapi"),
    "card": Form(".md", "model_card"),
    "torch": Form("", "torch_program"),
    "docker": Form("", "docker"),
}


def write(path: str | Path, output: Path, form: str | None = None, overwrite: bool = False) -> Row:
    """Write a bundle, or that of a run, in one of `FORMATS`; by the end of `output`'s name when `form` is left out.

    Errors: BundleError where the bundle is not sound or has not what the form needs; StorageError where it cannot be
    written; LaminaError that names the forms.
    """
    form = form or next((name for name, own in list(FORMATS.items())[:2] if own.suffix == output.suffix), None)
    if form is None:
        choices = ", ".join(FORMATS)
        raise LaminaError(f"-o: must end in .lamina or .onnx (got '{output}'). Or name one: --format {choices}.")
    if form not in FORMATS:
        raise LaminaError(f"--format: must be one of {', '.join(FORMATS)} (got '{form}').")
    suffix, module = FORMATS[form]
    if output.suffix != suffix and (suffix or output.suffix in {own.suffix for own in FORMATS.values()}):
        kind = f"a file named {suffix}" if suffix else "a folder"
        raise LaminaError(f"-o: {form} is {kind} (got '{output}'). Name one.")
    bundle = open_bundle(locate(path))
    if not module:
        save(bundle, output, overwrite)
    else:
        disk.refuse_existing(output, overwrite, folder=not suffix)
        disk.check_folder(output)
        new = disk.new_path if suffix else disk.new_folder
        with new(output, overwrite) as aside:
            import_module(f"{__name__}.{module}").write(bundle, aside)
    files = [output] if output.is_file() else [file for file in output.rglob("*") if file.is_file()]
    return {
        "output": str(output),
        "format": form,
        "bytes": sum(file.stat().st_size for file in files),
        "bundle": bundle.id,
    }
