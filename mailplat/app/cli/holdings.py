"""The commands of ``mailplat store``: what there is, and whether it is sound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mailplat.app.cli.commands import as_json, on_a_house, say
from mailplat.app.cli.elsewhere import Elsewhere
from mailplat.app.cli.places import Office
from mailplat.app.cli.words import counted


@click.group(
    cls=Elsewhere,
    commands_elsewhere={
        "migrate": ("moving:migrate", "Bring one store up to date with another.")
    },
)
def store() -> None:
    """Where mail is kept."""


@store.command()
@click.option("--mailboxes", is_flag=True, help="One line for each mailbox, not each account.")
@as_json
@on_a_house
def usage(office: Office, mailboxes: bool, as_json: bool) -> None:
    """Print messages and octets by account, and what the places of contents hold."""
    found = office.call("store.usage")
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif mailboxes:
        say(found["mailboxes"], ["account", "mailbox", "messages", "octets"], False)
    else:
        say(_by_account(found["mailboxes"]), ["account", "messages", "octets"], False)
    if not as_json:
        for row in found["contents"]:
            click.echo(
                f"{row['place']}: {counted(row['contents'], 'content')},"
                f" {row['octets']} octets on the disk"
            )
        for row in found["expunged"]:
            click.echo(
                f"{row['account']}: {counted(row['messages'], 'expunged message')} kept,"
                f" {row['octets']} octets"
            )
        if found["database"]:
            click.echo(
                "database: {size} octets, {free} of them free".format(**found["database"])
            )


def _by_account(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = sums.setdefault(
            row["account"], {"account": row["account"], "messages": 0, "octets": 0}
        )
        one["messages"] += row["messages"]
        one["octets"] += row["octets"]
    return list(sums.values())
