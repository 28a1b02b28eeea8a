"""The command line: `lamina`."""

from lamina.cli.commands import app, main

__all__ = ["app", "main"]
