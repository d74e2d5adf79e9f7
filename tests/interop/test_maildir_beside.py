"""Mutt and Courier's programs at work in maildirs that we serve at the same time."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from mailplat.files import Disk
from mailplat.interfaces import House
from mailplat.mail.mailbox import ANSWERED, FLAGGED, INBOX, SEEN, Mailbox, UidSet
from mailplat.plugin import Instance
from mailplat.sql import SqliteDatabase
from mailplat.store.contents.maildir.names import Lexicon, split
from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.contracts.accounts import ALICE, add, flags, named, numbered, octets
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.workers import Workers

SCREEN = struct.pack("HHHH", 24, 80, 0, 0)  # lines and columns of mutt's terminal
BESIDE = 15  # messages that we append meanwhile
PATIENCE = 60  # seconds for which a program may show nothing
MUTTRC = """
set mbox_type=Maildir folder="{root}" spoolfile="{root}" record="{root}/.Sent" copy=yes
set move=no delete=yes quit=yes confirmappend=no confirmcreate=no wait_key=no sleep_time=0
set beep=no mark_old=no sendmail="/bin/true" from=alice@example.org crypt_use_gpgme=no
"""


@attrs.define
class Served:
    """A store, and the maildir of its one account."""

    store: Any
    root: Path
    workers: Workers

    def begin(self, function: Callable[..., Any], *args: Any, **words: Any) -> Deferred[Any]:
        """Do something in a thread."""
        return Deferred.fromCoroutine(self.workers.run(function, *args, **words))

    async def subjects(self, box: Mailbox) -> dict[str, tuple[int, set[str]]]:
        """Return UIDs and flags by subjects; each is there once, and as files say it."""
        account = await self.store.open(ALICE)
        names = await flags(account, box.id)
        texts = [
            re.findall(rb"Subject: (.*?)\r\n", one)[0].decode()
            for one in await octets(account, box.id)
        ]
        assert len(set(texts)) == len(texts)
        async with self.store.showing.quiet(ALICE):
            assert sorted(map(sorted, names.values())) == sorted(self.flags_of(box.name))
        return {
            text: (uid, set(names[uid])) for text, uid in zip(texts, sorted(names), strict=True)
        }

    def flags_of(self, name: str) -> list[list[str]]:
        """Return the flags of each file of a mailbox."""
        folder = self.root if name == INBOX else self.root / f".{name}"
        files = [path.name for part in ("new", "cur") for path in (folder / part).iterdir()]
        return [sorted(Lexicon().flags(split(file)[1])) for file in files]


@async_yield_fixture
async def served(tmp_path: Path, reactor: Any) -> AsyncIterator[Served]:
    workers = Workers(reactor)
    database = SqliteDatabase(tmp_path / "mail.db", reactor)
    await database.open()
    house = House("mail.example.org", tmp_path)
    place = Maildirs(MaildirSettings(), house, workers, Disk(), database, reactor)
    await place.prepare()
    settings = IndexedStoreSettings(contents=Instance("maildir"))
    store = IndexedStore(settings, database, FakeBus(), reactor, reactor, place)
    await store.prepare()
    yield Served(store, tmp_path / "maildir/id/alice", workers)
    store.finish()
    await workers.stop()
    place.finish()
    await database.close()


def type_into(command: list[str], home: Path) -> None:
    """Run a program of the terminal to its end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, SCREEN)
    environment = {"TERM": "xterm", "HOME": str(home), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as child:
        os.close(theirs)
        try:
            while select.select([ours], [], [], PATIENCE)[0] and os.read(ours, 65536):
                pass
        except OSError:  # it has closed its end
            pass
        else:
            child.kill()
        assert child.wait() == 0
    os.close(ours)


async def test_nothing_that_mutt_does_is_missed_or_spoilt(
    served: Served, real: Callable[[str, str], str], tmp_path: Path
) -> None:
    mutt = real("mutt", "mutt")
    account = await served.store.open(ALICE)
    inbox = await named(account, INBOX)
    kept, sent = await account.create("Kept"), await account.create("Sent")
    there = [numbered(number) for number in range(60)]
    uids = [one.uid for one in await account.append(inbox.id, there)]
    async with served.store.showing.quiet(ALICE):
        (tmp_path / "muttrc").write_text(MUTTRC.format(root=served.root))
    start = [mutt, "-n", "-F", str(tmp_path / "muttrc")]
    for n in range(5):  # mutt works at the first 30, we at the others
        keys = "".join(
            (
                f'<tag-pattern>~s "^{n}$"<enter><tag-prefix><flag-message><untag-pattern>~A<enter>',
                f'<tag-pattern>~s "^{10 + n}$"<enter><tag-prefix><save-message>+.Kept<enter>',
                f'<delete-pattern>~s "^{20 + n}$"<enter>',
                f'<tag-pattern>~s "^{5 + n}$"<enter><tag-prefix><set-flag>r',
                "<quit>"
                * BESIDE
                * 2,  # which mutt doesn't do when something has come just then
            )
        )
        command = [*start, "-f", str(served.root), "-e", f"push '{keys}'"]
        at_work = served.begin(type_into, command, tmp_path)
        letter = [*start, "-s", f"sent {n}", "bob@example.org"]
        written = served.begin(subprocess.run, letter, input=b"hello\n", check=True)
        await account.flag(inbox.id, UidSet.of(uids[30 + n]), add(SEEN, FLAGGED))
        await account.expunge(inbox.id, UidSet.of(uids[40 + n]))
        await account.move(inbox.id, UidSet.of(uids[50 + n]), kept.id)
        for _ in range(BESIDE):
            uids += [one.uid for one in await account.append(inbox.id, [numbered(len(uids))])]
            await account.flag(inbox.id, UidSet.of(uids[-1]), add(ANSWERED))
        await at_work
        await written
    found = await served.subjects(inbox)
    gone = {*range(10, 15), *range(20, 25), *range(40, 45), *range(50, 55)}
    expected = {number: set[str]() for number in range(len(uids)) if number not in gone}
    for numbers, names in (
        (range(5), {FLAGGED}),
        (range(5, 10), {ANSWERED, SEEN}),  # mutt has read what it has answered
        (range(30, 35), {SEEN, FLAGGED}),
        (range(60, len(uids)), {ANSWERED}),
    ):
        expected.update(dict.fromkeys(numbers, names))
    assert found == {str(n): (uids[n], names) for n, names in expected.items()}
    assert (await served.subjects(kept)).keys() == {
        str(number) for number in (*range(10, 15), *range(50, 55))
    }
    assert (await served.subjects(sent)).keys() == {f"sent {n}" for n in range(5)}


async def test_what_couriers_programs_deliver_comes_in_once(
    served: Served, real: Callable[[str, str], str], tmp_path: Path
) -> None:
    deliverquota = real("/usr/sbin/deliverquota", "maildrop")
    account = await served.store.open(ALICE)
    inbox = await named(account, INBOX)
    rules = tmp_path / "mailfilter"
    rules.write_text(f'to "{served.root}/"\n')
    rules.chmod(0o600)
    commands = {
        "quota": [deliverquota, str(served.root), "100000000S"],
        "drop": [real("maildrop", "maildrop"), str(rules)],
    }

    def deliver(name: str) -> None:
        for number in range(20):
            letter = f"Subject: {name} {number}\n\nhello\n".encode()
            subprocess.run(commands[name], input=letter, check=True, cwd=tmp_path)

    async with served.store.showing.quiet(ALICE):
        at_work = [served.begin(deliver, name) for name in commands]
    uids: list[int] = []
    for _ in range(2 * BESIDE):
        uids += [one.uid for one in await account.append(inbox.id, [numbered(len(uids))])]
    for one in at_work:
        await one
    found = await served.subjects(inbox)
    ours = {str(number): uid for number, uid in enumerate(uids)}
    assert {text: uid for text, (uid, _) in found.items() if text in ours} == ours
    assert found.keys() - ours.keys() == {
        f"{name} {number}" for name in commands for number in range(20)
    }
