"""``mailplat describe`` and ``mailplat plugin``: components, their keys and their promises."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from mailplat.app import manual
from mailplat.app.cli.commands import Row, as_json, configuration_file, fail, say
from mailplat.app.cli.verify import NotVerified, verify
from mailplat.app.registry import Registry, UnknownComponent, discover, importable_from


@click.command()
@click.argument("component", required=False)
@as_json
def describe(component: str | None, as_json: bool) -> None:
    """Print the keys of a COMPONENT or table, their defaults and manual; else what there is."""
    registry = discover()
    importable_from(Path.cwd())
    if component is None:
        say(_component_rows(registry), ["provides", "name", "source"], as_json)
        return
    try:
        found = manual.describe(registry, component)
    except UnknownComponent as problem:
        fail(str(problem))
    if as_json:
        click.echo(json.dumps([entry.as_dict() for entry in found], indent=2))
    else:
        click.echo("\n\n".join(entry.as_text() for entry in found))


@click.group()
def plugin() -> None:
    """Components, whoever brings them."""


@plugin.command("list")
@as_json
def list_plugins(as_json: bool) -> None:
    """List all components with what brings them."""
    registry = discover()
    say(_component_rows(registry), ["provides", "name", "source"], as_json)
    for clash in registry.clashes():
        click.echo(clash, err=True)
    for broken in registry.broken:
        click.echo(f"{broken.source} can't be imported; `mailplat check` says why", err=True)
    if registry.clashes() or registry.broken:
        sys.exit(1)


@plugin.command("verify")
@click.argument("instance")
@click.option(
    "--sample",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A part that an extractor is tried on.",
)
@click.option("--type", "media_type", default="", help="The sample's media type.")
@as_json
@click.pass_context
def verify_plugin(
    context: click.Context, instance: str, sample: Path | None, media_type: str, as_json: bool
) -> None:
    """Hold an INSTANCE of the configuration, such as store.main, to its contracts.

    Its tests run in houses of their own, on empty state folders.
    """
    try:
        found = verify(configuration_file(context), instance, sample, media_type)
    except NotVerified as problem:
        fail(str(problem))
    if as_json:
        click.echo(json.dumps(list(found.tests), indent=2))
    else:
        words = ("kept", "broken", "left out")
        rows = [{**one, **{w: f"{one[w]} {w}" for w in words}} for one in found.contracts]
        say(rows, ["contract", *words], False)
        for row in [*found.broken, *found.left_out]:
            click.echo(f"\n{row['outcome']}: {row['contract']} {row['test']}\n{row['problem']}")
    if found.broken:
        sys.exit(1)


def _component_rows(registry: Registry) -> list[Row]:
    return [
        {
            "provides": [interface.__name__ for interface in known.component.provides],
            "name": known.component.name,
            "source": known.source,
        }
        for known in registry.components
    ]
