"""What the command does: go into the folder, show the pages, and say at the end what goes on without them."""

import os
from pathlib import Path

from lamina.apps import launch
from lamina.apps.studio import ledger, processes, service
from lamina.config import LaminaError
from lamina.resources import disk


def start(folder: Path, port: int | None) -> None:
    """Show the pages on this machine alone, until Ctrl-C or SIGTERM. Errors: LaminaError for a port that is taken, or
    where the folder cannot be used.
    """
    if folder.exists() and not folder.is_dir():
        raise LaminaError(f"{folder}: is no folder. Name one for data and runs, such as the current one: lamina studio")
    disk.make_folder(folder)
    with disk.guard(folder):
        os.chdir(folder)
    import lamina.apps.studio.analysis  # noqa: F401  (where what trains is not installed, that is said now)

    launch.run(f"Studio of {Path.cwd()}", Path(__file__).with_name("main.py"), port=port)
    for one in ledger.entries():
        for what, number in (("training", one.process), ("its service", processes.holder(service.lock(one)))):
            if number:
                print(f"{one.name}: {what} goes on (process {number}). Stop it with: kill {number}", flush=True)
