"""What the command does: open the bundle, then show the page."""

from pathlib import Path

from lamina.apps import launch
from lamina.apps.try_app.model import opened
from lamina.deploy.bundle import locate


def start(bundle: Path, host: str, port: int | None) -> None:
    """Show the page until Ctrl-C or SIGTERM. Errors: BundleError where the bundle is not sound, LaminaError for a port
    that is taken.
    """
    path = locate(bundle)
    opened(str(path))
    script = Path(__file__).with_name("main.py")
    launch.run(f"Trying {bundle}", script, [str(path)], host, port)
