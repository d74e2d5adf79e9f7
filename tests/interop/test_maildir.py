"""Dovecot and we at the same maildir: it reads what we write, and we what it does."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from mailplat.files import Disk
from mailplat.interfaces import House
from mailplat.mail.mailbox import ANSWERED, FLAGGED, INBOX, SEEN, Mailbox, UidSet
from mailplat.mail.people import AccountId
from mailplat.plugin import Instance
from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import (
    ALICE,
    add,
    append,
    flags,
    named,
    numbered,
    octets,
)
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.testing.programs import NOBODY
from mailplat.testing.workers import ChildrenAtOnce, CrewAtOnce, ReactorAtOnce, database_at_once
from mailplat.workers import Workers

BOB = AccountId("bob")


@attrs.define
class Beside:
    """A store of ours, and a Dovecot, at the maildirs of one folder."""

    folder: Path
    doveadm: str
    store: Any = None
    database: Any = None
    place: Any = None

    async def start(self) -> None:
        reactor: Any = ReactorAtOnce()
        self.database = database_at_once(self.folder / "mail.db")
        await self.database.open()
        workers = Workers(reactor, crew=CrewAtOnce, children=ChildrenAtOnce)
        house = House("mail.example.org", self.folder)
        self.place = Maildirs(MaildirSettings(), house, workers, Disk(), self.database)
        await self.place.prepare()
        clock = Clock()
        clock.advance(1_700_000_000)
        settings = IndexedStoreSettings(contents=Instance("maildir"))
        self.store = IndexedStore(settings, self.database, FakeBus(), clock, clock, self.place)
        await self.store.prepare()
        (self.folder / "dovecot.conf").write_text(
            f"base_dir = {self.folder}/run\nstate_dir = {self.folder}/run\n"
            "log_path = /dev/stderr\nprotocols = imap\nssl = no\n"
            f"mail_location = maildir:{self.folder}/maildir/id/%u\n"
            f"mail_uid = {NOBODY}\nmail_gid = {NOBODY}\nfirst_valid_uid = {NOBODY}\n"
            "stats_writer_socket_path =\nnamespace inbox {\n inbox = yes\n separator = /\n}\n"
        )
        (self.folder / "run").mkdir()
        self.folder.chmod(0o755)

    async def stop(self) -> None:
        self.store.finish()
        self.place.finish()
        await self.database.close()

    def imap(self, *commands: str, who: AccountId = ALICE) -> str:
        """Let Dovecot's IMAP answer commands; it works as another user than we."""
        for path in [self.folder / "maildir", *(self.folder / "maildir").rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        said = "".join(f"{n} {command}\r\n" for n, command in enumerate(commands, 1))
        with subprocess.Popen(
            [self.doveadm, "-c", self.folder / "dovecot.conf", "exec", "imap"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"USER": who, "HOME": str(self.folder), "PATH": os.environ["PATH"]},
        ) as child:
            assert child.stdin
            assert child.stdout
            child.stdin.write(f"{said}0 LOGOUT\r\n".encode())
            child.stdin.flush()
            answer = child.stdout.read().decode()
        for n in range(len(commands)):
            assert f"\r\n{n + 1} OK" in answer or answer.startswith(f"{n + 1} OK"), answer
        assert "rror" not in answer, answer
        return answer

    def messages(self, folder: str, who: AccountId = ALICE) -> dict[str, tuple[int, set[str]]]:
        """Return UIDs and flags by subjects, as Dovecot sees them."""
        answer = self.imap(
            f'SELECT "{folder}"',
            "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])",
            who=who,
        )
        found = re.findall(
            r"FETCH \(UID (\d+) FLAGS \((.*?)\) BODY\[.*?\] \{\d+\}\r\nSubject: (.*?)\r\n",
            answer,
        )
        return {
            subject: (int(uid), set(names.split()) - {"\\Recent"})
            for uid, names, subject in found
        }


@pytest.fixture
def doveadm(real: Callable[[str, str], str]) -> str:
    """Skips in a fixture of its own: one that awaits could not be set up after that again."""
    found = real("doveadm", "dovecot-core")
    real("/usr/lib/dovecot/imap", "dovecot-imapd")
    if os.geteuid() != 0:
        pytest.skip("needs root, to be one user and Dovecot another")
    return found


@async_yield_fixture
async def beside(doveadm: str) -> AsyncIterator[Beside]:
    with TemporaryDirectory(prefix="mailplat-maildir.") as name:
        beside = Beside(Path(name), doveadm)
        await beside.start()
        yield beside
        await beside.stop()


async def subjects(account: Any, box: Mailbox) -> dict[str, tuple[int, set[str]]]:
    """Return UIDs and flags by subjects, as we see them."""
    names = await flags(account, box.id)
    texts = [
        re.findall(rb"Subject: (.*?)\r\n", one)[0].decode()
        for one in await octets(account, box.id)
    ]
    return {
        text: (uid, set(names[uid])) for text, uid in zip(texts, sorted(names), strict=True)
    }


async def test_dovecot_reads_what_we_write(beside: Beside) -> None:
    account = await beside.store.open(ALICE)
    inbox = await named(account, INBOX)
    box = await account.create("Entwürfe/v2")
    await account.append(
        inbox.id, [numbered(1, SEEN, "$Work"), numbered(2, FLAGGED, ANSWERED), numbered(3)]
    )
    await account.flag(inbox.id, UidSet.of(3), add("$Forwarded", "Later"))
    await account.move(inbox.id, UidSet.of(2), box.id, keep=True)
    await account.expunge(inbox.id, UidSet.of(2))
    answer = beside.imap('LIST "" "*"', "SELECT INBOX", "UID FETCH 1:* BODY.PEEK[]")
    assert "Entw&APw-rfe/v2" in answer
    for one in await octets(account, inbox.id):
        assert one.decode() in answer
    for theirs, ours in (("INBOX", inbox), ("Entw&APw-rfe/v2", box)):
        seen = {text: names for text, (_, names) in beside.messages(theirs).items()}
        expected = await subjects(account, ours)
        assert seen == {text: names for text, (_, names) in expected.items()}
        assert seen


async def test_nothing_that_dovecot_does_is_missed(beside: Beside) -> None:
    account = await beside.store.open(ALICE)
    inbox = await named(account, INBOX)
    await append(account, inbox.id, 6)
    before = await subjects(account, inbox)
    text = "Subject: theirs\r\n\r\nhello\r\n"
    beside.imap(
        "SELECT INBOX",
        r"UID STORE 1,2 +FLAGS (\Seen $Theirs)",
        r"UID STORE 3 FLAGS (\Deleted)",
        "CREATE Kept/2026",
        "UID MOVE 4 Kept/2026",
        f"APPEND INBOX (\\Flagged) {{{len(text)}+}}\r\n{text}",
    )
    beside.imap("SELECT INBOX", "EXPUNGE")
    account = await beside.store.open(ALICE)
    found = await subjects(account, inbox)
    kept = await subjects(account, await named(account, "Kept/2026"))
    assert {text: names for text, (_, names) in {**found, **kept}.items()} == {
        text: names
        for box in ("INBOX", "Kept/2026")
        for text, (_, names) in beside.messages(box).items()
    }
    assert found.pop("theirs") == (7, {FLAGGED})
    assert {text: uid for text, (uid, _) in found.items()}.items() <= {
        text: uid for text, (uid, _) in before.items()
    }.items()
    assert len(found) == 4
    assert len(kept) == 1
    beside.imap("RENAME Kept Other")
    account = await beside.store.open(ALICE)
    other = await named(account, "Other/2026")
    assert (await subjects(account, other)).keys() == kept.keys()
    beside.imap("DELETE Other/2026")
    account = await beside.store.open(ALICE)
    assert "Other/2026" not in [box.name for box in await account.mailboxes()]


async def test_numbers_that_dovecot_gave_are_taken_over(beside: Beside) -> None:
    (beside.folder / "maildir/id").mkdir()
    text = "Subject: %d\r\n\r\nhello\r\n"
    letters = [text % n for n in range(20)]
    beside.imap(
        *[f"APPEND INBOX (\\Seen $Old) {{{len(one)}+}}\r\n{one}" for one in letters],
        "CREATE Sent",
        f"APPEND Sent {{{len(text)}+}}\r\n{text}",
        "SUBSCRIBE Sent",
        "SELECT INBOX",
        r"UID STORE 2,5,11 +FLAGS (\Deleted)",
        who=BOB,
    )
    beside.imap("SELECT INBOX", "EXPUNGE", who=BOB)
    status = beside.imap("STATUS INBOX (UIDNEXT UIDVALIDITY MESSAGES)", who=BOB)
    theirs = beside.messages("INBOX", BOB)
    account = await beside.store.open(BOB)
    inbox = await named(account, INBOX)
    assert f"UIDNEXT {inbox.uid_next}" in status
    assert f"UIDVALIDITY {inbox.uid_validity}" in status
    assert await subjects(account, inbox) == theirs
    assert len(theirs) == 17
    assert (await named(account, "Sent")).messages == 1
    assert await account.subscriptions() == {"Sent"}
    assert beside.messages("INBOX", BOB) == theirs
