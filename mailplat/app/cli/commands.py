"""The commands of ``mailplat``, each with its words for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

import mailplat
from mailplat.app import config, manual, newhouse
from mailplat.app.cli.places import WHERE_ELSE, NoConfiguration, Office, find_config
from mailplat.app.cli.verify import NotVerified, verify
from mailplat.app.cli.words import taken
from mailplat.app.control import OperationFailed
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import Registry, UnknownComponent, discover, importable_from
from mailplat.app.wiring import mistakes_in, warnings_in
from mailplat.mail.address import Address, domain_of
from mailplat.mail.errors import BadAddress

F = TypeVar("F", bound=Callable[..., Any])
Row = Mapping[str, Any]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def fail(text: str) -> NoReturn:
    """End the command with a sentence on standard error."""
    click.echo(f"mailplat: {text}", err=True)
    sys.exit(1)


def say(rows: Sequence[Row], columns: Sequence[str], as_json: bool) -> None:
    """Print rows as a table, or as JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max((len(row[n]) for row in table), default=0) for n in range(len(columns))]
    for row in table:
        click.echo(
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            ).rstrip()
        )


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The configuration file; else {WHERE_ELSE}.",
)
@click.version_option(mailplat.__version__, prog_name="mailplat")
@click.pass_context
def main(context: click.Context, config_file: Path | None) -> None:
    """Look after a mailplat house, whether its server is up, down or dying."""
    context.obj = config_file


def configuration_file(context: click.Context) -> Path:
    """Return the configuration file that this command is about."""
    try:
        return find_config(context.find_root().obj)
    except NoConfiguration as problem:
        fail(f"{problem}; `mailplat init DIR --domain D` makes one")


def on_a_house(command: F) -> F:
    """Give a command the `Office` of the configured house, and say plainly what fails."""

    @click.pass_context
    @wraps(command)
    def run(context: click.Context, *args: Any, **kwargs: Any) -> None:
        office = Office(configuration_file(context))
        try:
            command(office, *args, **kwargs)
        except (BadConfiguration, OperationFailed) as problem:
            fail(str(problem))
        if office.has_changed and not context.find_root().obj and not office.is_here:
            click.echo(f"(in the house of {office.file})", err=True)

    return run  # type: ignore[return-value]


# The house -------------------------------------------------------------------


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--domain", required=True, help="The first domain whose mail is kept here.")
@click.option("--port-base", type=int, help="Listen on 127.0.0.1, at N + each standard port.")
@click.option(
    "--database",
    default="sqlite:mail.db",
    show_default=True,
    help="sqlite:FILE, or postgresql://NAME@HOST/DATABASE.",
)
@click.option(
    "--contents",
    default=newhouse.IN_DATABASE,
    show_default=True,
    help="Where the octets of messages lie: database, files, maildir, or a plugin's place.",
)
def init(
    folder: Path, domain: str, port_base: int | None, database: str, contents: str
) -> None:
    """Make a new house in FOLDER: configuration, state, certificate, postmaster."""
    house = newhouse.NewHouse(folder.absolute(), domain, port_base, contents=contents)
    password = newhouse.new_password()
    try:
        newhouse.make(house, database=database)
        office = Office(house.config)
        office.call("server.furnish", **house.first_account(password))
    except (newhouse.NotMade, BadConfiguration, OperationFailed) as problem:
        fail(str(problem))
    click.echo(newhouse.welcome(house, office.configuration, password))


@main.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Look for mistakes in the configuration, and for plugins that can't be imported."""
    registry = discover()
    file = configuration_file(context)
    problems = [
        f"{broken.source} can't be imported:\n{broken.traceback}" for broken in registry.broken
    ]
    try:
        configuration = config.read(file, registry)
        problems += map(str, mistakes_in(configuration))
        for warning in warnings_in(configuration):
            click.echo(f"warning: {warning}", err=True)
    except BadConfiguration as bad:
        problems += map(str, bad.mistakes)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        sys.exit(1)
    click.echo(f"{file}: no mistakes")


@main.command()
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


@main.group()
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


@main.command()
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


# Accounts --------------------------------------------------------------------


@main.group()
def account() -> None:
    """Who has mail here."""


def password_of(from_stdin: bool, confirm: bool = True) -> str:
    """Return a password from standard input, or typed by whoever sits there.

    One that is new is typed twice.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n") or fail(
            "there is no password on standard input"
        )
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for a password; give it by --password-stdin")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=confirm)
    return typed


password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@account.command("list")
@as_json
@on_a_house
def list_accounts(office: Office, as_json: bool) -> None:
    """List all accounts, with the room that they take."""
    rows = office.call("account.list")
    shown = rows if as_json else list(map(_account_shown, rows))
    say(shown, ["name", "enabled", "storage", "messages"], as_json)


def _account_shown(row: Row) -> Row:
    shown = {"name": row["name"], "enabled": "" if row["enabled"] else "disabled"}
    return shown | taken(row) if "storage" in row else shown


@account.command("add")
@click.argument("address")
@password_stdin
@on_a_house
def add_account(office: Office, address: str, password_stdin: bool) -> None:
    """Make an account that logs in as ADDRESS."""
    try:
        Address.parse(address)
    except BadAddress:
        fail(f"{address!r} is no address: NAME@DOMAIN")
    made = office.call("account.add", name=address, password=password_of(password_stdin))
    click.echo(f"{made['name']} has an account")


@account.command("passwd")
@click.argument("address")
@password_stdin
@on_a_house
def set_password(office: Office, address: str, password_stdin: bool) -> None:
    """Give an account another password; its sessions end."""
    changed = office.call("account.passwd", name=address, password=password_of(password_stdin))
    click.echo(f"{changed['name']} has a new password")


@account.command("disable")
@click.argument("address")
@on_a_house
def disable_account(office: Office, address: str) -> None:
    """Let an account neither log in nor receive; its mail stays."""
    click.echo(f"{office.call('account.disable', name=address)['name']} is disabled")


@account.command("enable")
@click.argument("address")
@on_a_house
def enable_account(office: Office, address: str) -> None:
    """Let a disabled account log in and receive again."""
    click.echo(f"{office.call('account.enable', name=address)['name']} is enabled")


@account.command("remove")
@click.argument("address")
@click.option(
    "--force", is_flag=True, help="Also the last account, or one that a postmaster leads to."
)
@on_a_house
def remove_account(office: Office, address: str, force: bool) -> None:
    """Remove an account with all its mail."""
    gone = office.call("account.remove", name=address, force=force)
    click.echo(f"{gone['name']} is gone, with its mail")


# Messages --------------------------------------------------------------------


@main.command()
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


# Addresses -------------------------------------------------------------------


@main.group()
def alias() -> None:
    """Addresses that lead to others."""


@alias.command("list")
@as_json
@on_a_house
def list_aliases(office: Office, as_json: bool) -> None:
    """List all aliases."""
    say(office.call("alias.list"), ["source", "targets"], as_json)


@alias.command("add")
@click.argument("source")
@click.argument("targets", nargs=-1, required=True)
@on_a_house
def add_alias(office: Office, source: str, targets: tuple[str, ...]) -> None:
    """Make SOURCE lead to TARGETS; @domain catches all the rest of a domain."""
    made = office.call("alias.add", source=source, targets=list(targets))
    click.echo(f"{made['source']} leads to {', '.join(made['targets'])}")


@alias.command("remove")
@click.argument("source")
@on_a_house
def remove_alias(office: Office, source: str) -> None:
    """Forget an alias."""
    click.echo(f"{office.call('alias.remove', source=source)['source']} leads nowhere now")


@main.group()
def domain() -> None:
    """Domains whose mail is kept here."""


@domain.command("list")
@as_json
@on_a_house
def list_domains(office: Office, as_json: bool) -> None:
    """List all domains."""
    say(office.call("domain.list"), ["name"], as_json)


@domain.command("add")
@click.argument("name")
@click.option(
    "--postmaster",
    default="",
    help="Where postmaster@ and abuse@ it lead; else to the postmaster of the first domain.",
)
@on_a_house
def add_domain(office: Office, name: str, postmaster: str) -> None:
    """Take mail for a domain."""
    added = office.call("domain.add", name=name, postmaster=postmaster)
    click.echo(
        f"mail for {added['name']} is kept here now, its postmaster is "
        f"{added['postmaster']}; `mailplat domain dns` shows its records"
    )


@domain.command("remove")
@click.argument("name")
@on_a_house
def remove_domain(office: Office, name: str) -> None:
    """Take no more mail for a domain that has no accounts, and no aliases into it."""
    click.echo(f"{office.call('domain.remove', name=name)['name']} is none of ours now")


@domain.command("dns")
@click.argument("name")
@as_json
@on_a_house
def dns_of_domain(office: Office, name: str, as_json: bool) -> None:
    """Print the records to publish for a domain whose mail is kept here."""
    try:
        known = domain_of(name)
    except BadAddress as problem:
        fail(str(problem))
    if known not in [row["name"] for row in office.call("domain.list")]:
        fail(f"{name} is no domain of ours; `mailplat domain list` shows them")
    say(newhouse.dns_records(office.configuration, name), ["name", "type", "value"], as_json)
