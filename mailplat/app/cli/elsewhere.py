"""Groups of commands that are imported when they are asked for.

To import a whole house takes a second; whoever asks a running server how it is, or what
commands there are, needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class Elsewhere(click.Group):
    """A group that knows where commands stand, and what to say of them in a list.

    ``commands_elsewhere`` has for each name ``module:attribute``, the module below this
    package, and a few words.
    """

    def __init__(
        self, *args: Any, commands_elsewhere: Mapping[str, tuple[str, str]], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.commands_elsewhere = commands_elsewhere

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.commands_elsewhere})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.commands_elsewhere[cmd_name][0].partition(":")
        command = getattr(import_module(f"{__package__}.{module}"), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self._words(ctx, name)) for name in self.list_commands(ctx)]
            )

    def _words(self, context: click.Context, name: str) -> str:
        if name in self.commands_elsewhere:
            return self.commands_elsewhere[name][1]
        command = self.get_command(context, name)
        return command.get_short_help_str() if command else ""
