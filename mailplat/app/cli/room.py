"""The commands about room: quotas, who takes how much, and what was deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from mailplat.app.cli.commands import as_json, on_a_house, say
from mailplat.app.cli.places import Office
from mailplat.app.cli.words import counted, taken

LIMIT = "an amount, `none`, or `house` for what the configuration says"


@click.command("quota")
@click.argument("address")
@click.option("--storage", default="", metavar="S", help=f"Octets, such as 5GiB: {LIMIT}.")
@click.option("--messages", default="", metavar="N", help=f"Messages: {LIMIT}.")
@as_json
@on_a_house
def quota(office: Office, address: str, storage: str, messages: str, as_json: bool) -> None:
    """Show how much room an account has, or give it limits of its own."""
    found: Mapping[str, Any] = office.call(
        "account.quota", name=address, storage=storage, messages=messages
    )
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for resource, words in taken(found).items():
        whose = "its own" if found[resource]["is_own"] else "the house's"
        limit = "" if found[resource]["limit"] is None else f" ({whose} limit)"
        click.echo(f"{resource:<8}  {words}{limit}")


@click.command("undelete")
@click.argument("address")
@click.option("--since", default="", help="Since when: a day, a moment, or such as `3 days`.")
@click.option("--mailbox", default="", help="Only what was in this mailbox.")
@click.option("--list", "only_list", is_flag=True, help="Only say what there is.")
@as_json
@on_a_house
def undelete(
    office: Office, address: str, since: str, mailbox: str, only_list: bool, as_json: bool
) -> None:
    """Bring back what was expunged in an account, as new mail in the mailbox it was in."""
    asked = {"name": address, "since": since, "mailbox": mailbox}
    if only_list:
        rows = office.call("account.expunged", **asked)
        columns = ["expunged", "mailbox", "size", "from", "subject"]
        say(rows, columns, as_json)
        return
    found = office.call("account.undelete", **asked)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    where = f" in {', '.join(found['mailboxes'])}" if found["messages"] else ""
    click.echo(f"{found['name']} has {counted(found['messages'], 'message')} back{where}")
