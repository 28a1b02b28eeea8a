"""The command line: `lamina`."""

from lamina.cli import apps, exporting, importing, inspecting
from lamina.cli.commands import app, main

__all__ = ["app", "apps", "exporting", "importing", "inspecting", "main"]
