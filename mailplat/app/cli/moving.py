"""The commands that move mail in and out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from mailplat.app.asking import Channel, Speak
from mailplat.app.cli.commands import as_json, fail, on_a_house, password_of, password_stdin
from mailplat.app.cli.places import Office
from mailplat.app.cli.progress import Progress
from mailplat.app.cli.words import counted
from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import proper_name
from mailplat.moving.imap import ImapFailed, ImapSource, Server
from mailplat.moving.sending import Sending, Tally
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import Unreadable, opened
from mailplat.moving.writing import FORMS, NotWritten, Writing, Written


@click.command("import")
@click.argument("account")
@click.argument("source")
@click.option(
    "--into",
    default="",
    metavar="MAILBOX",
    help="Where the messages of a single file go, and above what mailboxes come.",
)
@click.option(
    "--anew",
    default="",
    metavar="NAME",
    help="Let everything come in once more, as an import of another name.",
)
@click.option("--exclude", multiple=True, metavar="MAILBOX", help="IMAP: not this one.")
@click.option(
    "--connections",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="IMAP: how many at the same time.",
)
@click.option("--insecure", is_flag=True, help="IMAP: take any certificate, or none.")
@password_stdin
@as_json
@on_a_house
def import_mail(
    office: Office,
    account: str,
    source: str,
    into: str,
    anew: str,
    exclude: tuple[str, ...],
    connections: int,
    insecure: bool,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Take the mail of SOURCE into ACCOUNT, and what is there already not again.

    SOURCE is an mbox, a message, a maildir, a folder of any of these, or a zip or tar of
    them; or imaps://user@host or imap+starttls://user@host, for all that an account on
    another server has.  Who was interrupted says the same command again.
    """
    progress = Progress("taken in", as_json)
    passed_over = [0]
    try:
        if "://" in source:
            server = Server.parse(source, insecure)
            password = password_of(password_stdin, confirm=False)
            speak = _from_server(
                progress, ImapSource(server, password, connections, frozenset(exclude)), anew
            )
        else:
            mailbox = proper_name(into) if into else ""
            speak = _from_files(progress, Path(source), mailbox, anew, passed_over)
        tally = office.converse("mail.import", speak, name=account)
    except (Unreadable, ImapFailed, NotPermitted) as problem:
        fail(str(problem))
    finally:
        progress.close()
    say_tally(tally, passed_over[-1], as_json)


def _from_files(
    progress: Progress, path: Path, into: str, anew: str, passed_over: list[int]
) -> Speak[Tally]:
    def speak(channel: Channel) -> Tally:
        with opened(path) as tree:
            files = FileSource(tree, into)
            boxes = files.boxes()

            def tell(tally: Tally) -> None:
                share = tally.octets / files.total if files.total else None
                progress.show(tally.found, tally.octets, share)

            tally = Sending(channel, tell, anew).send(boxes, files.letters())
            passed_over.append(files.passed_over)
            return tally

    return speak


def _from_server(progress: Progress, source: ImapSource, anew: str) -> Speak[Tally]:
    def speak(channel: Channel) -> Tally:
        account = attrs.evolve(source)  # which may be begun anew

        def tell(tally: Tally) -> None:
            share = tally.found / account.total if account.total else None
            progress.show(tally.found, tally.octets, share)

        sending = Sending(channel, tell, anew)
        try:
            return sending.send(account.boxes(), account.letters(sending.knows))
        finally:
            account.close()

    return speak


def say_tally(tally: Tally, passed_over: int, as_json: bool) -> None:
    """Say what has come in; end with a failure where something was left out."""
    if as_json:
        said: dict[str, Any] = {**attrs.asdict(tally), "passed_over": passed_over}
        click.echo(json.dumps(said, indent=2))
    else:
        words = f"{counted(tally.added, 'message has', 'messages have')} come in"
        words += f", {counted(tally.known, 'was', 'were')} there already"
        if passed_over:
            words += f"; {counted(passed_over, 'file is', 'files are')} no mail"
        click.echo(words)
        _say_left_out(tally.left_out, tally.named)
    if tally.left_out:
        sys.exit(1)


def _say_left_out(count: int, named: Sequence[Mapping[str, str]]) -> None:
    for one in named:
        click.echo(f"left out: {one['place']}: {one['why']}", err=True)
    if count > len(named):
        click.echo(f"left out: {count} in all", err=True)


@click.command("export")
@click.argument("account")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMS)),
    default="mbox",
    show_default=True,
    help="One file for each mailbox, a Maildir++, or a folder of messages for each.",
)
@click.option("--mailbox", "mailboxes", multiple=True, help="Only this one, or these.")
@as_json
@on_a_house
def export_mail(
    office: Office,
    account: str,
    target: Path,
    form: str,
    mailboxes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the mail of ACCOUNT into the folder TARGET.

    Who was interrupted says the same command again; so does who wants what has come since.
    """
    progress = Progress("written", as_json)

    def tell(report: Written) -> None:
        share = report.messages / report.total if report.total else None
        progress.show(report.messages, report.octets, share)

    def speak(channel: Channel) -> Written:
        return Writing(channel, target, form, account, tell).write(mailboxes)

    try:
        report = office.converse("mail.export", speak, name=account)
    except NotWritten as problem:
        fail(str(problem))
    finally:
        progress.close()
    keywords = sorted(report.keywords_left_out)
    if as_json:
        said = {**attrs.asdict(report), "keywords_left_out": keywords}
        click.echo(json.dumps(said, indent=2))
    else:
        boxes = counted(report.mailboxes, "mailbox", "mailboxes")
        click.echo(f"{counted(report.messages, 'message')} of {boxes} in {target}")
        if keywords:
            words = f"a maildir has no room for the keywords {', '.join(keywords)}"
            click.echo(words, err=True)
        _say_left_out(report.left_out, report.named)
    if report.left_out:
        sys.exit(1)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@as_json
@on_a_house
def migrate(office: Office, source: str, target: str, as_json: bool) -> None:
    """Bring the store TO up to date with the store FROM: instances of `[store.NAME]`.

    Mail keeps its numbers, flags and dates, and what was written is read again and
    compared.  Say it while the server runs, and once more when it has stopped.
    """
    progress = Progress("the same in both", as_json)

    def speak(channel: Channel) -> dict[str, Any]:
        while True:
            told, _ = channel.ask({"do": "go on"})
            progress.show(told["messages"], told["octets"], None)
            if told["done"]:
                return told

    try:
        told = office.converse("store.migrate", speak, source=source, target=target)
    finally:
        progress.close()
    if as_json:
        del told["done"], told["account"]
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(
            f"{counted(told['messages'], 'message')} of {counted(told['accounts'], 'account')}"
            f" in both: {told['written']} written, {told['removed']} removed"
        )
        _say_left_out(told["left_out"], told["named"])
    if told["left_out"]:
        sys.exit(1)
