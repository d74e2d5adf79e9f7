"""``mailplat backup`` and ``mailplat verify``, which ask a server or do it themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mailplat.app.cli.commands import as_json, on_a_house
from mailplat.app.cli.places import Office
from mailplat.app.cli.progress import Progress, following
from mailplat.app.cli.words import counted

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

    What is in TARGET already is not copied again.  One that was interrupted is no backup,
    and the next goes on with what it has kept.
    """
    made = office.converse(
        "house.backup",
        following(Progress("kept", as_json, "file"), "files"),
        target=str(target.absolute()),
        keep=keep or 0,
        journal=not without_journal,
        hurry=hurry,
    )
    if as_json:
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(
            f"{made['generation']}: {counted(made['files'], 'file')},"
            f" {size_shown(made['size'])}, of which {size_shown(made['copied'])} are new"
        )
    for damage in made["damaged"]:
        click.echo(f"damaged in the house itself: {damage}", err=True)
    for place in made["left_out"]:
        click.echo(f"not in the backup: what lies in [{place}]; keep it as well", err=True)
    if made["damaged"] or made["left_out"]:
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


def size_shown(octets: int) -> str:
    """Return how much it is, as people read it."""
    return f"{octets} B" if octets < 1024 else f"{octets / 2**20:.1f} MiB"
