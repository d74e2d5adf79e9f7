"""Appends with contents in files or maildirs, beside files that are written and synced.

And flags of many messages in a maildir, beside nothing but so many renames.

Each side runs in a process of its own: ``python -m benchmarks.contents SIDE FOLDER``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import attrs

from benchmarks.load import MESSAGE
from benchmarks.measure import Sample

T = TypeVar("T")

CALLERS = 16
MESSAGES = 4000
WARM = 400
FLAGGED_AT_ONCE = 10_000  # messages of a mailbox


def sample(side: str, folder: Path) -> Sample:
    """Measure a side in a new folder."""
    with TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, "-m", "benchmarks.contents", side, place]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Sample(**json.loads(done.stdout))


def letter(number: int) -> bytes:
    """Return a message with an identifier of its own."""
    return MESSAGE.replace(b"Message-ID: <", b"Message-ID: <%d." % number, 1)


@attrs.define
class Watch:
    """Measures what happens between `start` and `sample`."""

    times: list[float] = attrs.field(factory=list)
    _began: float = 0
    _cpu: float = 0

    def start(self) -> None:
        self.times.clear()
        self._began, self._cpu = time.monotonic(), _cpu()

    def sample(self) -> Sample:
        seconds, cpu = time.monotonic() - self._began, _cpu() - self._cpu
        times = sorted(self.times)
        return Sample(
            rate=len(times) / seconds,
            cpu_us=cpu * 1e6 / len(times),
            p50_ms=times[len(times) // 2] * 1e3,
            p99_ms=times[len(times) * 99 // 100] * 1e3,
            client_cpu_us=0,
        )


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# Files alone.


def bare(folder: Path) -> Sample:
    """Write, sync and link files by as many threads as there are callers."""
    watch = Watch()

    def keep(number: int) -> None:
        began = time.monotonic()
        path = folder / f"{number}.new"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, letter(number))
        os.fdatasync(handle)
        os.close(handle)
        os.link(path, folder / str(number))
        path.unlink()
        watch.times.append(time.monotonic() - began)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(keep, range(WARM)))
        watch.start()
        list(pool.map(keep, range(WARM, WARM + MESSAGES)))
    return watch.sample()


# Ours.


async def opened(folder: Path, reactor: Any, name: str) -> tuple[Any, Callable[[], Any]]:
    """Return a store with contents in a place of that name, and what closes it."""
    from mailplat.bus import Bus
    from mailplat.files import Disk
    from mailplat.interfaces import House
    from mailplat.plugin import Instance
    from mailplat.sql import SqliteDatabase
    from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
    from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
    from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
    from mailplat.workers import Workers

    workers = Workers(reactor)
    database = SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    house = House("mail.example.org", folder)
    contents: Any = ContentFiles(ContentFilesSettings(), house, workers, Disk())
    if name == "maildir":
        contents = Maildirs(MaildirSettings(), house, workers, Disk(), database, reactor)
    await contents.prepare()
    settings = IndexedStoreSettings(contents=Instance(name))
    store = IndexedStore(settings, database, Bus(reactor), reactor, reactor, contents)
    await store.prepare()

    async def close() -> None:
        store.finish()
        await workers.stop()
        await database.close()

    return store, close


async def append(folder: Path, reactor: Any, name: str) -> Sample:
    """Append to as many accounts as there are callers, one message after the other.

    Of maildirs the clock stops when every message has its name.
    """
    from twisted.internet.defer import Deferred

    from mailplat.interfaces import IAccount
    from mailplat.mail.people import AccountId
    from mailplat.testing.fakes import new_message

    store, close = await opened(folder, reactor, name)
    accounts = [await store.open(AccountId(f"a{n}")) for n in range(CALLERS)]
    messages = [new_message(letter(n)) for n in range(WARM + MESSAGES)]
    watch = Watch()

    async def call(account: IAccount, share: list[Any]) -> None:
        [inbox] = await account.mailboxes()
        for message in share:
            began = time.monotonic()
            await account.append(inbox.id, [message])
            watch.times.append(time.monotonic() - began)

    async def call_all(some: list[Any]) -> None:
        work = [
            Deferred.fromCoroutine(call(account, some[n::CALLERS]))
            for n, account in enumerate(accounts)
        ]
        for one in work:
            await one

    await call_all(messages[:WARM])
    watch.start()
    await call_all(messages[WARM:])
    for account in accounts:
        await shown(store, account.id)
    taken = watch.sample()
    await close()
    return taken


async def shown(store: Any, account: Any) -> None:
    """Wait until all is shown."""
    if store.showing:
        async with store.showing.quiet(account):
            pass


async def flag(folder: Path, reactor: Any) -> Sample:
    """Flag all messages of a mailbox, and show it, again and again."""
    from mailplat.mail.mailbox import FLAGGED, Change, FlagChange, UidSet
    from mailplat.mail.people import AccountId
    from mailplat.testing.fakes import new_message

    store, close = await opened(folder, reactor, "maildir")
    account = await store.open(AccountId("a"))
    [inbox] = await account.mailboxes()
    for start in range(0, FLAGGED_AT_ONCE, 100):
        messages = [new_message(letter(n)) for n in range(start, start + 100)]
        await account.append(inbox.id, messages)
    await shown(store, account.id)
    watch = Watch()
    watch.start()
    for change in (Change.ADD, Change.REMOVE) * 3:
        began = time.monotonic()
        what = FlagChange(change, frozenset([FLAGGED]))
        await account.flag(inbox.id, UidSet.all(), what)
        await shown(store, account.id)
        watch.times += [time.monotonic() - began] * FLAGGED_AT_ONCE
    taken = watch.sample()
    await close()
    return taken


def renames(folder: Path) -> Sample:
    """Give so many files other names, and sync their folder, again and again."""
    for number in range(FLAGGED_AT_ONCE):
        (folder / f"{number}:2,").touch()
    watch = Watch()
    watch.start()
    for old, new in ((":2,", ":2,F"), (":2,F", ":2,")) * 3:
        began = time.monotonic()
        for number in range(FLAGGED_AT_ONCE):
            os.rename(f"{folder}/{number}{old}", f"{folder}/{number}{new}")
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        watch.times += [time.monotonic() - began] * FLAGGED_AT_ONCE
    return watch.sample()


def as_server(work: Callable[[Path, Any], Awaitable[T]], folder: Path) -> T:
    """Do it in a process that is set up as the server is."""
    import gc

    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    from mailplat.app.service import GARBAGE, SWITCH_INTERVAL

    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(*GARBAGE)
    taken: list[T] = []

    async def run(reactor: Any) -> None:
        taken.append(await work(folder, reactor))

    def begin(reactor: Any) -> Awaitable[None]:
        return Deferred.fromCoroutine(run(reactor))

    try:
        react(begin)
    except SystemExit:
        pass
    return taken[0]


SIDES: dict[str, Callable[[Path], Sample]] = {
    "bare": bare,
    "files": partial(as_server, partial(append, name="files")),
    "maildir": partial(as_server, partial(append, name="maildir")),
    "renames": renames,
    "flags": partial(as_server, flag),
}

if __name__ == "__main__":
    print(json.dumps(attrs.asdict(SIDES[sys.argv[1]](Path(sys.argv[2])))))
