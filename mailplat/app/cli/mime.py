"""The commands of ``mailplat mime``: media types, and what files are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from mailplat.app.cli.commands import as_json, fail, on_a_house, say
from mailplat.app.cli.places import Office
from mailplat.mail.limits import MIB
from mailplat.mail.mimetypes import Origin

LOOKED_AT = 16 * MIB  # octets of a file

COLUMNS = ["type", "extensions", "origin", "place", "handler"]
BY = {
    "declared": "{type}, by what is declared",
    "name": "{type}, by its name",
    "content": "{type}, by its content",
    "nothing": "{type}, for nothing says what it is",
}


@click.group("mime")
def media_types() -> None:
    """Media types: which there are, and what files are."""


@media_types.command("list")
@click.option(
    "--origin",
    type=click.Choice([origin.value for origin in Origin]),
    help="Only those that come from there.",
)
@as_json
@on_a_house
def list_types(office: Office, origin: str | None, as_json: bool) -> None:
    """List all media types with their extensions, and who says so."""
    say(office.call("mime.list", origin=origin or ""), COLUMNS, as_json)


@media_types.command("show")
@click.argument("name")
@as_json
@on_a_house
def show_type(office: Office, name: str, as_json: bool) -> None:
    """Show a type, or the types that an extension may stand for; the first one counts."""
    say(office.call("mime.show", name=name), COLUMNS, as_json)


@media_types.command("add")
@click.argument("name", metavar="TYPE")
@click.argument("extensions", nargs=-1, required=True)
@on_a_house
def add_type(office: Office, name: str, extensions: tuple[str, ...]) -> None:
    """Add a TYPE of your own, or EXTENSIONS of one; they count before all others."""
    added = office.call("mime.add", name=name, extensions=list(extensions))
    click.echo(f"{added['type']} has {', '.join(added['extensions'])}")


@media_types.command("remove")
@click.argument("name", metavar="TYPE")
@click.argument("extensions", nargs=-1)
@on_a_house
def remove_type(office: Office, name: str, extensions: tuple[str, ...]) -> None:
    """Forget a TYPE that was added, or only some of its EXTENSIONS."""
    left = office.call("mime.remove", name=name, extensions=list(extensions))
    rest = ", ".join(left["extensions"])
    click.echo(f"{left['type']} has {rest} now" if rest else f"{left['type']} is gone")


@media_types.command("guess")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--declared", default="", metavar="TYPE", help="What the sender calls it.")
@as_json
@on_a_house
def guess(office: Office, file: Path, declared: str, as_json: bool) -> None:
    """Say what FILE would be as an attachment, and by what that is known."""
    from mailplat.sniffing import sniffed  # reads its table of signatures

    try:
        with file.open("rb") as opened:
            octets = opened.read(LOOKED_AT)
    except OSError as problem:
        fail(f"{file} can't be read: {problem.strerror}")
    content = sniffed(octets) or ""
    found = office.call("mime.guess", name=file.name, declared=declared, sniffed=content)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(BY[found["by"]].format_map(found))
