"""The commands of ``mailplat alias`` and ``mailplat domain``."""

from __future__ import annotations

import click

from mailplat.app.cli.commands import as_json, on_a_house, say
from mailplat.app.cli.places import Office


@click.group()
def alias() -> None:
    """Addresses that lead to others."""


@alias.command("list")
@as_json
@on_a_house
def list_aliases(office: Office, as_json: bool) -> None:
    """List all aliases."""
    say(office.call("alias.list"), ["source", "targets"], as_json)


@alias.command("add")
@click.argument("source")
@click.argument("targets", nargs=-1, required=True)
@on_a_house
def add_alias(office: Office, source: str, targets: tuple[str, ...]) -> None:
    """Make SOURCE lead to TARGETS; @domain catches all the rest of a domain."""
    made = office.call("alias.add", source=source, targets=list(targets))
    click.echo(f"{made['source']} leads to {', '.join(made['targets'])}")


@alias.command("remove")
@click.argument("source")
@on_a_house
def remove_alias(office: Office, source: str) -> None:
    """Forget an alias."""
    click.echo(f"{office.call('alias.remove', source=source)['source']} leads nowhere now")


@click.group()
def domain() -> None:
    """Domains whose mail is kept here."""


@domain.command("list")
@as_json
@on_a_house
def list_domains(office: Office, as_json: bool) -> None:
    """List all domains."""
    say(office.call("domain.list"), ["name"], as_json)


@domain.command("add")
@click.argument("name")
@click.option(
    "--postmaster",
    default="",
    help="Where postmaster@ and abuse@ it lead; else to the postmaster of the first domain.",
)
@on_a_house
def add_domain(office: Office, name: str, postmaster: str) -> None:
    """Take mail for a domain."""
    added = office.call("domain.add", name=name, postmaster=postmaster)
    click.echo(
        f"mail for {added['name']} is kept here now, its postmaster is "
        f"{added['postmaster']}; `mailplat domain dns` shows its records"
    )


@domain.command("remove")
@click.argument("name")
@on_a_house
def remove_domain(office: Office, name: str) -> None:
    """Take no more mail for a domain that has no accounts, and no aliases into it."""
    click.echo(f"{office.call('domain.remove', name=name)['name']} is none of ours now")


@domain.command("dns")
@click.argument("name")
@as_json
@on_a_house
def dns_of_domain(office: Office, name: str, as_json: bool) -> None:
    """Print the records to publish for a domain whose mail is kept here."""
    say(office.call("domain.dns", name=name), ["name", "type", "value"], as_json)
