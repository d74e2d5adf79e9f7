"""``mailplat backup``, ``restore``, ``verify`` and ``upgrade``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from mailplat.app import config, upgrading
from mailplat.app.cli.commands import as_json, configuration_file, fail, on_a_house
from mailplat.app.cli.places import Office
from mailplat.app.control import OperationFailed
from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.restoring import check as check_backup
from mailplat.app.keeping.restoring import restore as put_back
from mailplat.app.lock import Locked
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.mail.errors import MailError
from mailplat.plugin import size_text

folder = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("target", type=folder)
@click.option("--keep", type=click.IntRange(1), help="Forget all but the newest N generations.")
@click.option("--without-journal", is_flag=True, help="Leave out what `explain` looks up.")
@click.option("--hurry", is_flag=True, help="Don't leave the server half of the disk's time.")
@as_json
@on_a_house
def backup(
    office: Office,
    target: Path,
    keep: int | None,
    without_journal: bool,
    hurry: bool,
    as_json: bool,
) -> None:
    """Keep the house as it is now in the folder TARGET, whether its server is up or down.

    What is in TARGET already is not copied again.
    """
    made = office.call(
        "house.backup",
        target=str(target.absolute()),
        keep=keep or 0,
        journal=not without_journal,
        hurry=hurry,
    )
    if as_json:
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(
            f"{made['generation']}: {made['files']} files, {_size(made['size'])},"
            f" of which {_size(made['copied'])} are new"
        )
    for damage in made["damaged"]:
        click.echo(f"damaged in the house itself: {damage}", err=True)
    for place in made["left_out"]:
        click.echo(f"not in the backup: what lies in [{place}]; keep it as well", err=True)
    if made["damaged"] or made["left_out"]:
        sys.exit(1)


@click.command()
@click.argument("target", type=folder)
@click.option("--generation", default="", metavar="G", help="Which one; else the newest.")
@click.option("--list", "is_list", is_flag=True, help="List the generations.")
@click.option("--check", "is_check", is_flag=True, help="Only see whether all of it is sound.")
@click.option("--into", type=folder, metavar="STATE", help="An empty state folder.")
@click.option(
    "--nothing-served",
    is_flag=True,
    help="No client saw mail that came after the backup: mailboxes keep their UIDVALIDITY.",
)
@click.option("--account", default="", metavar="A", help="Only put back this account's mail.")
@click.option("--mailbox", default="", metavar="M", help="With --account: only this mailbox.")
@click.option(
    "--below",
    default="Restored",
    show_default=True,
    metavar="M",
    help="With --account: the mailbox below which it is put.",
)
@as_json
@click.pass_context
def restore(context: click.Context, /, target: Path, as_json: bool, **chosen: Any) -> None:
    """Put back what TARGET holds: a whole house, or the mail of one account.

    A whole house is put into an empty state folder, the configured one or STATE, while no
    server runs.  One account's mail is added to it, below Restored/, while the server
    goes on.
    """
    if chosen["mailbox"] and not chosen["account"]:
        fail("--mailbox needs --account")
    try:
        result = _restored(context, Backup(target.absolute()), **chosen)
    except (MailError, OperationFailed, BadConfiguration, Locked, OSError) as problem:
        fail(str(problem))
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        for line in _lines(result):
            click.echo(line)
    if any(box["failed"] for box in result.get("mailboxes", ())):
        sys.exit(1)


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended without guessing.")
@as_json
@on_a_house
def verify(office: Office, repair: bool, as_json: bool) -> None:
    """Look for what is wrong with what is kept, beside a server or without one.

    The exit status is 0 where nothing is wrong, or nothing any more.  No message is ever
    removed.
    """
    found = office.call("house.verify", mend=repair)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for one in found["findings"]:
            click.echo(one["text"])
        if found["more"]:
            click.echo(f"and {found['more']} more")
        click.echo(
            f"{found['mended']} mended, {found['left']} left" if found["findings"] else "sound"
        )
    if found["left"]:
        sys.exit(1)


@click.command()
@click.option("--check", "is_check", is_flag=True, required=True, help="Say it, do nothing.")
@as_json
@click.pass_context
def upgrade(context: click.Context, /, is_check: bool, as_json: bool) -> None:
    """Say what this version would change when it starts: tables, and the configuration.

    A server of an earlier version may be running meanwhile.  The upgrade itself is done
    by the start.  The exit status is 1 where this version would not start.
    """
    found = upgrading.look(configuration_file(context), discover())
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
    else:
        click.echo("\n".join(found.lines()))
    if found.problems:
        sys.exit(1)


def _restored(
    context: click.Context,
    kept: Backup,
    *,
    generation: str,
    is_list: bool,
    is_check: bool,
    into: Path | None,
    nothing_served: bool,
    account: str,
    mailbox: str,
    below: str,
) -> dict[str, Any]:
    if is_list:
        if not kept.generations():
            fail(f"there is no backup in {kept.folder}")
        return {"generations": [_row(kept, name) for name in kept.generations()]}
    manifest = kept.manifest(generation)
    if is_check:
        check_backup(kept, manifest)
        return {"sound": manifest.generation}
    if account:
        found: dict[str, Any] = Office(configuration_file(context)).call(
            "house.restore",
            target=str(kept.folder),
            account=account,
            mailbox=mailbox,
            generation=manifest.generation,
            into=below,
        )
        return found
    state = into or config.state_of(configuration_file(context))
    if state is None:
        fail("the configuration names no state folder; --into says where")
    return put_back(kept, manifest, state.absolute(), nothing_served=nothing_served)


def _row(kept: Backup, name: str) -> dict[str, Any]:
    try:
        found = kept.manifest(name)
    except MailError as problem:
        return {"generation": name, "problem": str(problem)}
    return {"generation": name, "files": len(found.files), "size": found.size}


def _lines(result: dict[str, Any]) -> list[str]:
    if "generations" in result:
        return [
            f"{row['generation']}  {row.get('problem') or _size(row['size'])}"
            for row in result["generations"]
        ]
    if "sound" in result:
        return [f"{result['sound']} is sound"]
    if "mailboxes" in result:
        return [
            line
            for box in result["mailboxes"]
            for line in (f"{box['mailbox']}: {box['messages']} messages", *box["failed"])
        ]
    what = f"{result['files']} files, {_size(result['size'])}"
    return [
        f"{result['generation']} is in {result['state']}: {what}",
        f"The configuration and certificates of then are in {result['configuration']}.",
    ]


def _size(octets: int) -> str:
    return size_text(octets) if octets < 1024 else f"{octets / 2**20:.1f} MiB"
