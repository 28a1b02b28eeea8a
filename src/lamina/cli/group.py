"""Verbs that are not built in: what a bundle can be asked, found when its name is typed. Light, for a quick start."""

from importlib import import_module
from typing import Any

from typer.core import TyperGroup

MAIN = ("predict",)  # operations that have a built-in command, for help and where no bundle is named


class OperationGroup(TyperGroup):
    """Built-in commands, and a command for each operation of the bundle on the command line.

    Modules of tasks are imported only for a verb that is one of theirs, so that help comes at once.
    """

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        command = self._operation(args) if args else None
        return (args[0], command, args[1:]) if command else super().resolve_command(ctx, args)

    def _operation(self, args: list[str]) -> Any:
        """The command of an operation, or None."""
        name, *arguments = args
        if name.startswith("-") or (name in self.commands and name not in MAIN):
            return None
        return import_module("lamina.cli.operations").command(name.replace("-", "_"), arguments, self.commands)
