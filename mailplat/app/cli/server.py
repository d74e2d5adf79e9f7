"""The commands that ask how a server is, and what it did."""

from __future__ import annotations

import json
from collections.abc import Iterable

import click

from mailplat.app.cli.commands import Row, as_json, on_a_house, say
from mailplat.app.cli.places import Office


@click.command()
@as_json
@on_a_house
def status(office: Office, as_json: bool) -> None:
    """Say whether the server is up, where it listens and how many it serves."""
    found = {"configuration": str(office.file), **office.call("server.status")}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    say([{"key": key, "value": value} for key, value in _flat(found)], ["key", "value"], False)


def _flat(found: Row) -> Iterable[tuple[str, object]]:
    for key, value in found.items():
        if isinstance(value, dict):
            yield from ((f"{key} {name}", number) for name, number in value.items())
        else:
            yield key, value


@click.command()
@click.argument("message")
@as_json
@on_a_house
def explain(office: Office, message: str, as_json: bool) -> None:
    """Say what became of MESSAGE: an id of ours, a Message-ID, or an address."""
    found = office.call("message.explain", message=message)
    if as_json:
        click.echo(json.dumps([{k: v for k, v in one.items() if k != "text"} for one in found]))
    else:
        click.echo("\n".join(one["text"] for one in found), nl=False)
