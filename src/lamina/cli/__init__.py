"""The command line: `lamina`."""

from lamina.cli import apps, catalogue, exporting, importing, inspecting
from lamina.cli.commands import app, main

__all__ = ["app", "apps", "catalogue", "exporting", "importing", "inspecting", "main"]
