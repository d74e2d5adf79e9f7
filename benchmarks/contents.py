"""Appends with contents in files, beside nothing but files that are written and synced.

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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs

from benchmarks.load import MESSAGE
from benchmarks.measure import Sample

CALLERS = 16
MESSAGES = 4000
WARM = 400


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


async def append(folder: Path, reactor: Any) -> Sample:
    """Append to as many accounts as there are callers, one message after the other."""
    from twisted.internet.defer import Deferred

    from mailplat.bus import Bus
    from mailplat.files import Disk
    from mailplat.interfaces import House, IAccount
    from mailplat.mail.people import AccountId
    from mailplat.plugin import Instance
    from mailplat.sql import SqliteDatabase
    from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
    from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
    from mailplat.testing.fakes import new_message
    from mailplat.workers import Workers

    workers = Workers(reactor)
    database = SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    house = House("mail.example.org", folder)
    contents = ContentFiles(ContentFilesSettings(), house, workers, Disk())
    await contents.prepare()
    settings = IndexedStoreSettings(contents=Instance("files"))
    store = IndexedStore(settings, database, Bus(reactor), reactor, reactor, contents)
    await store.prepare()
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
    taken = watch.sample()
    store.finish()
    await workers.stop()
    await database.close()
    return taken


def ours(folder: Path) -> Sample:
    """Append in a process that is set up as the server is."""
    import gc

    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    from mailplat.app.service import GARBAGE, SWITCH_INTERVAL

    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(*GARBAGE)
    taken: list[Sample] = []

    async def run(reactor: Any) -> None:
        taken.append(await append(folder, reactor))

    def begin(reactor: Any) -> Awaitable[None]:
        return Deferred.fromCoroutine(run(reactor))

    try:
        react(begin)
    except SystemExit:
        pass
    return taken[0]


SIDES: dict[str, Callable[[Path], Sample]] = {"bare": bare, "ours": ours}

if __name__ == "__main__":
    print(json.dumps(attrs.asdict(SIDES[sys.argv[1]](Path(sys.argv[2])))))
