"""What all commands are made of: options, the house that they are about, and what they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from mailplat.app.asking import OperationFailed
from mailplat.app.cli.places import NoConfiguration, Office, find_config
from mailplat.app.mistakes import BadConfiguration

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def fail(text: str) -> NoReturn:
    """End the command with a sentence on standard error."""
    click.echo(f"mailplat: {text}", err=True)
    sys.exit(1)


def say(rows: Sequence[Row], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max((len(row[n]) for row in table), default=0) for n in range(len(columns))]
    for row in table:
        click.echo(
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def configuration_file(context: click.Context) -> Path:
    """Return the configuration file that this command is about."""
    try:
        return find_config(context.find_root().obj)
    except NoConfiguration as problem:
        fail(f"{problem}; `mailplat init DIR --domain D` makes one")


def on_a_house(command: F) -> F:
    """Give a command the `Office` of the configured house, and say plainly what fails."""

    @click.pass_context
    @wraps(command)
    def run(context: click.Context, *args: Any, **kwargs: Any) -> None:
        office = Office(configuration_file(context))
        try:
            command(office, *args, **kwargs)
        except (BadConfiguration, OperationFailed) as problem:
            fail(str(problem))
        if office.has_changed and not context.find_root().obj and not office.is_here:
            click.echo(f"(in the house of {office.file})", err=True)

    return run  # type: ignore[return-value]


def password_of(from_stdin: bool, confirm: bool = True) -> str:
    """Return a password from standard input, or typed by whoever sits there.

    One that is new is typed twice.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n") or fail(
            "there is no password on standard input"
        )
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for a password; give it by --password-stdin")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    return typed


password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)
