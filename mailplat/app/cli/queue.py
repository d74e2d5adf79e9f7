"""The commands about the queue and its routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from mailplat.app.cli.commands import as_json, fail, on_a_house, say
from mailplat.app.cli.places import Office
from mailplat.app.cli.words import counted, octets_text
from mailplat.journal.explain import harmless
from mailplat.mail.queued import Standing

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]

STANDINGS = [one.value for one in Standing if not one.is_final]


def filters(command: F) -> F:
    """Give a command what messages are chosen by."""
    for option in (
        click.option(
            "--older", "older_than", metavar="T", help="Only older than, such as `2 h`."
        ),
        click.option(
            "--standing", type=click.Choice(STANDINGS), help="Only with a recipient like that."
        ),
        click.option("--domain", "destination", help="Only with a recipient at that domain."),
        click.option("--to", "recipient", help="Only with that recipient."),
        click.option("--from", "sender", help="Only with that reverse-path."),
        click.argument("ids", nargs=-1, metavar="[MESSAGE]..."),
    ):
        command = option(command)
    return command


every = click.option("--all", "everything", is_flag=True, help="All messages that there are.")


def _chosen(conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in conditions.items() if value}


def _meant(everything: bool, conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return what messages are meant; nobody means all by saying nothing."""
    chosen = _chosen(conditions)
    if not chosen and not everything:
        fail("which messages? name them, choose by options, or say --all")
    return chosen


@click.group()
def queue() -> None:
    """Messages that wait to be delivered."""


@queue.command("list")
@filters
@click.option("--most", default=1000, show_default=True, help="How many are told.")
@as_json
@on_a_house
def list_messages(office: Office, most: int, as_json: bool, **conditions: Any) -> None:
    """List messages with their recipients, in the order of their coming."""
    rows = office.call("queue.list", chosen={**_chosen(conditions), "most": most})
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [_line(row, one) for row in rows for one in row["recipients"]]
    say(shown, ["id", "age", "size", "from", "to", "standing", "next", "why"], False)


def _line(row: Row, one: Row) -> Row:
    return {
        "id": row["id"],
        "age": _age(row["arrived"]),
        "size": octets_text(row["size"]),
        "from": harmless(row["sender"]) or "<>",
        "to": harmless(one["address"]),
        "standing": one["standing"],
        "next": _moment(one["due"]) if one["due"] else "",
        "why": harmless(row["held"] or f"{one['status']} {one['detail']}".strip()),
    }


def _age(arrived: float) -> str:
    seconds = max(0, int(datetime.now(UTC).timestamp() - arrived))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


@queue.command("show")
@click.argument("message")
@as_json
@on_a_house
def show(office: Office, message: str, as_json: bool) -> None:
    """Show a MESSAGE with its header; `mailplat explain` tells what was tried."""
    row = office.call("queue.show", message=message)
    if as_json:
        click.echo(json.dumps(row, indent=2))
        return
    facts = {
        "from": row["sender"] or "<>",
        "login": row["login"],
        "arrived": _moment(row["arrived"]),
        "size": octets_text(row["size"]),
        "held": row["held"],
    }
    say(
        [{"key": k, "value": harmless(v)} for k, v in facts.items() if v],
        ["key", "value"],
        False,
    )
    click.echo()
    recipients = [
        {**one, **_line(row, one), "by": one["agent"], "tried": one["attempts"]}
        for one in row["recipients"]
    ]
    say(recipients, ["to", "standing", "by", "tried", "next", "why"], False)
    click.echo()
    click.echo("\n".join(map(harmless, row["header"].splitlines())))


@queue.command("hold")
@filters
@every
@click.option("--why", default="", help="Why, for whoever looks at it later.")
@on_a_house
def hold(office: Office, everything: bool, why: str, **conditions: Any) -> None:
    """Try messages no more until they are released."""
    done = office.call("queue.hold", chosen=_meant(everything, conditions), why=why)
    click.echo(counted(done["messages"], "message is held", "messages are held"))


@queue.command("release")
@filters
@every
@on_a_house
def release(office: Office, everything: bool, **conditions: Any) -> None:
    """Let messages go that are held or undeliverable, as if they came now."""
    done = office.call("queue.release", chosen=_meant(everything, conditions))
    click.echo(counted(done["messages"], "message goes on", "messages go on"))


@queue.command("retry")
@filters
@every
@on_a_house
def retry(office: Office, everything: bool, **conditions: Any) -> None:
    """Try messages now that wait for a moment."""
    done = office.call("queue.retry", chosen=_meant(everything, conditions))
    click.echo(counted(done["attempts"], "attempt comes now", "attempts come now"))


@queue.command("reroute")
@filters
@every
@on_a_house
def reroute(office: Office, everything: bool, **conditions: Any) -> None:
    """Ask the routes anew for messages that came before these were changed."""
    done = office.call("queue.reroute", chosen=_meant(everything, conditions))
    click.echo(
        counted(done["recipients"], "recipient goes another way", "recipients go another way")
    )


@queue.command("remove")
@filters
@every
@click.option("--report", is_flag=True, help="Tell the senders, where that may be done.")
@on_a_house
def remove(office: Office, everything: bool, report: bool, **conditions: Any) -> None:
    """Give messages up; what is being tried just now may arrive."""
    chosen = _meant(everything, conditions)
    done = office.call("queue.remove", chosen=chosen, report=report)
    click.echo(counted(done["messages"], "message is gone", "messages are gone"))


@queue.command("stats")
@as_json
@on_a_house
def stats(office: Office, as_json: bool) -> None:
    """Say how much there is in the queue, and for whom."""
    found = office.call("queue.stats")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    oldest = found["oldest"]
    lines: dict[str, object] = {
        "messages": found["messages"],
        "size": octets_text(found["octets"]),
        "oldest": f"{_age(oldest)} ago" if oldest else "",
        **found["by_standing"],
        "cut short by crashes": found["doubtful"] or "",
    }
    shown = [{"key": key, "value": value} for key, value in lines.items() if value != ""]
    say(shown, ["key", "value"], False)
    if found["destinations"]:
        click.echo()
        say(found["destinations"], ["agent", "destination", "messages"], False)


@click.command("route")
@click.argument("address")
@click.option("--from", "sender", default="", help="The reverse-path; else the null one.")
@click.option("--login", default="", help="Who has logged in.")
@click.option("--size", default=0, help="How many octets the message has.")
@as_json
@on_a_house
def route(
    office: Office, address: str, sender: str, login: str, size: int, as_json: bool
) -> None:
    """Say which way mail for an ADDRESS would go, and why; nothing is sent."""
    rows = office.call("queue.route", address=address, sender=sender, login=login, size=size)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        by = f"by {row['agent']}" if row["agent"] else "nowhere: it would be refused"
        end = f" to {row['end']}" if row.get("end") else ""
        held = f"; held: {row['hold']}" if row["hold"] else ""
        click.echo(harmless(f"{row['address']}: {by}{end}, since {row['reason']}{held}"))
