"""The commands that make a house and read its configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mailplat.app import newhouse
from mailplat.app.asking import OperationFailed
from mailplat.app.cli.commands import configuration_file, fail
from mailplat.app.cli.places import Office
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.wiring import examine, warnings_in


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--domain", required=True, help="The first domain whose mail is kept here.")
@click.option("--port-base", type=int, help="Listen on 127.0.0.1, at N + each standard port.")
@click.option(
    "--database",
    default="sqlite:mail.db",
    show_default=True,
    help="sqlite:FILE, or postgresql://NAME@HOST/DATABASE.",
)
@click.option(
    "--contents",
    default=newhouse.IN_DATABASE,
    show_default=True,
    help="Where the octets of messages lie: database, files, maildir, or a plugin's place.",
)
def init(
    folder: Path, domain: str, port_base: int | None, database: str, contents: str
) -> None:
    """Make a new house in FOLDER: configuration, state, certificate, postmaster."""
    house = newhouse.NewHouse(folder.absolute(), domain, port_base, contents=contents)
    password = newhouse.new_password()
    try:
        newhouse.make(house, database=database)
        office = Office(house.config)
        office.call("server.furnish", **house.first_account(password))
    except (newhouse.NotMade, BadConfiguration, OperationFailed) as problem:
        fail(str(problem))
    click.echo(newhouse.welcome(house, office.configuration, password))


@click.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Look for mistakes in the configuration, and for plugins that can't be imported."""
    registry = discover()
    file = configuration_file(context)
    problems = [
        f"{broken.source} can't be imported:\n{broken.traceback}" for broken in registry.broken
    ]
    configuration, mistakes = examine(file, registry)
    problems += map(str, mistakes)
    if configuration and not mistakes:
        for warning in warnings_in(configuration):
            click.echo(f"warning: {warning}", err=True)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"{file}: no mistakes")
