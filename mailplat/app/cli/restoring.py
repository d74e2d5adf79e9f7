"""``mailplat restore`` and ``mailplat upgrade``."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailplat.app import config, upgrading
from mailplat.app.asking import OperationFailed
from mailplat.app.cli.commands import as_json, configuration_file, fail
from mailplat.app.cli.keeping import folder, size_shown
from mailplat.app.cli.places import Office
from mailplat.app.cli.progress import Progress, following
from mailplat.app.cli.words import counted
from mailplat.app.databases import file_of, target_of
from mailplat.app.keeping.manifest import Backup
from mailplat.app.keeping.restoring import check as check_backup
from mailplat.app.keeping.restoring import restore as put_back
from mailplat.app.keeping.tables import has_tables
from mailplat.app.lock import Locked
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.tables import DatabaseSettings
from mailplat.app.whereabouts import state_of
from mailplat.mail.errors import MailError

if TYPE_CHECKING:
    from mailplat.sql.postgres import Target


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
    server runs, and if it is on PostgreSQL into the configured database, empty as well.
    One account's mail is added to it, below Restored/, while the server goes on.
    """
    if chosen["mailbox"] and not chosen["account"]:
        fail("--mailbox needs --account")
    try:
        progress = Progress("put back", as_json, "message" if chosen["account"] else "file")
        result = _restored(context, Backup(target.absolute()), progress, **chosen)
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
    progress: Progress,
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
        found: dict[str, Any] = Office(configuration_file(context)).converse(
            "house.restore",
            following(progress, "messages"),
            target=str(kept.folder),
            account=account,
            mailbox=mailbox,
            generation=manifest.generation,
            into=below,
        )
        return found
    state = into or state_of(configuration_file(context))
    if state is None:
        fail("the configuration names no state folder; --into says where")
    target = _target(context) if has_tables(manifest) else None
    with closing(progress):
        return put_back(
            kept,
            manifest,
            state.absolute(),
            nothing_served=nothing_served,
            target=target,
            tell=progress.show,
        )


def _target(context: click.Context) -> Target | None:
    """Return the database on a server that the configuration names, if it names one."""
    configuration = config.read(configuration_file(context), discover())
    settings = configuration.table(DatabaseSettings)
    on_a_server = file_of(settings, configuration.house.state) is None
    return target_of(settings) if on_a_server else None


def _row(kept: Backup, name: str) -> dict[str, Any]:
    try:
        found = kept.manifest(name)
    except MailError as problem:
        return {"generation": name, "problem": str(problem)}
    return {"generation": name, "files": len(found.files), "size": found.size}


def _lines(result: dict[str, Any]) -> list[str]:
    if "generations" in result:
        return [
            f"{row['generation']}  {row.get('problem') or size_shown(row['size'])}"
            for row in result["generations"]
        ]
    if "sound" in result:
        return [f"{result['sound']} is sound"]
    if "mailboxes" in result:
        return [
            line
            for box in result["mailboxes"]
            for line in (f"{box['mailbox']}: {_added(box)}", *box["failed"])
        ]
    what = f"{counted(result['files'], 'file')}, {size_shown(result['size'])}"
    return [
        f"{result['generation']} is in {result['state']}: {what}",
        f"The configuration and certificates of then are in {result['configuration']}.",
    ]


def _added(box: dict[str, Any]) -> str:
    there = f", {counted(box['known'], 'was', 'were')} put there before" if box["known"] else ""
    return f"{counted(box['added'], 'message')} added{there}"
