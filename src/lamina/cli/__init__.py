"""The command line: `lamina`."""

from lamina.cli import importing
from lamina.cli.commands import app, main

__all__ = ["app", "importing", "main"]
