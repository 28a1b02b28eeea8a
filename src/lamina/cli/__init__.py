"""The command line: `lamina`."""

from lamina.cli import apps, importing, inspecting
from lamina.cli.commands import app, main

__all__ = ["app", "apps", "importing", "inspecting", "main"]
