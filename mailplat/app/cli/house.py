"""The commands that make a house and read its configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mailplat.app import config, newhouse
from mailplat.app.asking import OperationFailed
from mailplat.app.cli.commands import as_json, configuration_file, fail, on_a_house, say
from mailplat.app.cli.places import Office
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.wiring import mistakes_in, warnings_in
from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress


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
    try:
        configuration = config.read(file, registry)
        problems += map(str, mistakes_in(configuration))
        for warning in warnings_in(configuration):
            click.echo(f"warning: {warning}", err=True)
    except BadConfiguration as bad:
        problems += map(str, bad.mistakes)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"{file}: no mistakes")


@click.command("dns")
@click.argument("name")
@as_json
@on_a_house
def dns_of_domain(office: Office, name: str, as_json: bool) -> None:
    """Print the records to publish for a domain whose mail is kept here."""
    try:
        known = domain_of(name)
    except BadAddress as problem:
        fail(str(problem))
    if known not in [row["name"] for row in office.call("domain.list")]:
        fail(f"{name} is no domain of ours; `mailplat domain list` shows them")
    say(newhouse.dns_records(office.configuration, name), ["name", "type", "value"], as_json)
