"""The commands of ``mailplat dkim``: keys that sign mail, and their records in the DNS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from mailplat.app.cli.commands import as_json, on_a_house, say
from mailplat.app.cli.places import Office
from mailplat.trust.keys import Algorithm

COLUMNS = ["domain", "selector", "algorithm", "bits", "phase", "since", "removable"]
RECORD = ["name", "type", "value"]

Row = Mapping[str, Any]

bits = click.option(
    "--bits", type=int, default=2048, show_default=True, help="How long a key of RSA is."
)


@click.group("dkim")
def dkim() -> None:
    """Keys that sign mail by DKIM, and their records in the DNS."""


@dkim.command("list")
@click.argument("domain", required=False, default="")
@as_json
@on_a_house
def list_keys(office: Office, domain: str, as_json: bool) -> None:
    """List all keys, or those of DOMAIN: which wait, sign, or may be removed and when."""
    say(office.call("dkim.list", domain=domain), COLUMNS, as_json)


@dkim.command("add")
@click.argument("domain")
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    type=click.Choice([algorithm.value for algorithm in Algorithm]),
    help="Only a key for this one; else one for each.",
)
@click.option("--selector", default="", help="The key's name in the DNS; for one key only.")
@bits
@as_json
@on_a_house
def add_keys(
    office: Office,
    domain: str,
    algorithms: Sequence[str],
    selector: str,
    bits: int,
    as_json: bool,
) -> None:
    """Make keys for DOMAIN, and print the records to publish; they don't sign yet."""
    words = {"domain": domain, "algorithms": list(algorithms), "selector": selector}
    _print(office.call("dkim.add", **words, bits=bits), domain, as_json)


@dkim.command("rotate")
@click.argument("domain")
@click.option(
    "--published", is_flag=True, help="The records can be looked up: sign with the new keys."
)
@bits
@as_json
@on_a_house
def rotate_keys(office: Office, domain: str, published: bool, bits: int, as_json: bool) -> None:
    """Make the keys of DOMAIN that are to follow, then sign with them.

    First without --published: it prints what to publish, and the old keys go on
    signing.  Once the records can be looked up everywhere, with it: the new keys
    sign, and it prints when the records of the old ones may go.
    """
    rows = office.call("dkim.rotate", domain=domain, published=published, bits=bits)
    _print(rows, domain, as_json)


@dkim.command("dns")
@click.argument("domain", required=False, default="")
@as_json
@on_a_house
def records(office: Office, domain: str, as_json: bool) -> None:
    """Print the records that are to stand in the DNS for all keys, or those of DOMAIN."""
    say(office.call("dkim.dns", domain=domain), [*RECORD, "phase"], as_json)


@dkim.command("remove")
@click.argument("domain")
@click.argument("selector")
@on_a_house
def remove_key(office: Office, domain: str, selector: str) -> None:
    """Forget the key SELECTOR of DOMAIN, which doesn't sign."""
    gone = office.call("dkim.remove", domain=domain, selector=selector)
    record = "so may its record be"
    if gone["removable"]:
        record = f"let its record stand until {gone['removable']}, for mail that is under way"
    click.echo(f"{gone['selector']} of {gone['domain']} is gone; {record}")


def _print(rows: Sequence[Row], domain: str, as_json: bool) -> None:
    """Print records under what to do about them."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    phases = {phase: [row for row in rows if row["phase"] == phase] for phase in _TO_DO}
    for phase, words in _TO_DO.items():
        for number, row in enumerate(phases[phase]):
            if not number:
                click.echo(words.format(domain=domain, removable=row["removable"]))
            click.echo(f"  {row['name']} {row['type']} {row['value']}")


_TO_DO = {
    "waiting": "Publish, and once it can be looked up everywhere,"
    " `mailplat dkim rotate {domain} --published`:",
    "signing": "Signs from now on:",
    "retired": "Signs no more; let it stand until {removable},"
    " then take it away and `mailplat dkim remove` the key:",
}
