"""The commands of ``mailplat account``."""

from __future__ import annotations

import click

from mailplat.app.cli.commands import (
    Row,
    as_json,
    fail,
    on_a_house,
    password_of,
    password_stdin,
    say,
)
from mailplat.app.cli.places import Office
from mailplat.app.cli.room import quota
from mailplat.app.cli.words import taken
from mailplat.mail.address import Address
from mailplat.mail.errors import BadAddress


@click.group()
def account() -> None:
    """Who has mail here."""


@account.command("list")
@as_json
@on_a_house
def list_accounts(office: Office, as_json: bool) -> None:
    """List all accounts, with the room that they take."""
    rows = office.call("account.list")
    shown = rows if as_json else list(map(_account_shown, rows))
    say(shown, ["name", "enabled", "storage", "messages"], as_json)


def _account_shown(row: Row) -> Row:
    shown = {"name": row["name"], "enabled": "" if row["enabled"] else "disabled"}
    return shown | taken(row) if "storage" in row else shown


@account.command("add")
@click.argument("address")
@password_stdin
@on_a_house
def add_account(office: Office, address: str, password_stdin: bool) -> None:
    """Make an account that logs in as ADDRESS."""
    try:
        Address.parse(address)
    except BadAddress:
        fail(f"{address!r} is no address: NAME@DOMAIN")
    made = office.call("account.add", name=address, password=password_of(password_stdin))
    click.echo(f"{made['name']} has an account")


@account.command("passwd")
@click.argument("address")
@password_stdin
@on_a_house
def set_password(office: Office, address: str, password_stdin: bool) -> None:
    """Give an account another password; its sessions end."""
    changed = office.call("account.passwd", name=address, password=password_of(password_stdin))
    click.echo(f"{changed['name']} has a new password")


@account.command("disable")
@click.argument("address")
@on_a_house
def disable_account(office: Office, address: str) -> None:
    """Let an account neither log in nor receive; its mail stays."""
    click.echo(f"{office.call('account.disable', name=address)['name']} is disabled")


@account.command("enable")
@click.argument("address")
@on_a_house
def enable_account(office: Office, address: str) -> None:
    """Let a disabled account log in and receive again."""
    click.echo(f"{office.call('account.enable', name=address)['name']} is enabled")


@account.command("remove")
@click.argument("address")
@click.option(
    "--force", is_flag=True, help="Also the last account, or one that a postmaster leads to."
)
@on_a_house
def remove_account(office: Office, address: str, force: bool) -> None:
    """Remove an account with all its mail."""
    gone = office.call("account.remove", name=address, force=force)
    click.echo(f"{gone['name']} is gone, with its mail")


account.add_command(quota)
