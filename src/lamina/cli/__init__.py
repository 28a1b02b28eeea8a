"""The command line: `lamina`."""

from lamina.cli import apps, importing
from lamina.cli.commands import app, main

__all__ = ["app", "apps", "importing", "main"]
