"""The command ``mailplat``: what an operator says to a house."""

from __future__ import annotations

from pathlib import Path

import click

import mailplat
from mailplat.app.cli.elsewhere import Elsewhere
from mailplat.app.cli.places import WHERE_ELSE

__all__ = ["main"]

COMMANDS = {
    "account": ("accounts:account", "Who has mail here."),
    "alias": ("addresses:alias", "Addresses that lead to others."),
    "backup": ("keeping:backup", "Keep the house as it is now in a folder."),
    "check": ("house:check", "Look for mistakes in the configuration and its plugins."),
    "describe": ("plugins:describe", "Print the keys of the configuration, and their manual."),
    "dkim": ("dkim:dkim", "Keys that sign mail by DKIM, and their records in the DNS."),
    "domain": ("addresses:domain", "Domains whose mail is kept here."),
    "explain": ("server:explain", "Say what became of a message."),
    "export": ("moving:export_mail", "Write the mail of an account into a folder."),
    "import": ("moving:import_mail", "Take mail from files or another server into an account."),
    "init": ("house:init", "Make a new house."),
    "mime": ("mime:media_types", "Media types: which there are, and what files are."),
    "plugin": ("plugins:plugin", "Components, whoever brings them."),
    "queue": ("queue:queue", "Messages that wait to be delivered."),
    "restore": ("restoring:restore", "Put back a backup, or the mail of one account."),
    "route": ("queue:route", "Say which way mail for an address would go."),
    "status": ("server:status", "Say whether the server is up, and how many it serves."),
    "store": ("holdings:store", "Where mail is kept."),
    "undelete": ("room:undelete", "Bring back what was expunged in an account."),
    "upgrade": ("restoring:upgrade", "Say what this version would change when it starts."),
    "verify": ("keeping:verify", "Look for what is wrong with what is kept."),
}
"""Where each command stands below this package, and what it does in a few words."""


@click.group(
    cls=Elsewhere,
    commands_elsewhere=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
