"""Knows the MTA-STS policies of domains, remembers them, and has them fetched (RFC 8461 section 5)."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.files import Disk
from mailplat.interfaces import IResolver, WallClock
from mailplat.mail.dns import Txt
from mailplat.mail.errors import MailError
from mailplat.trust.mtasts import (
    LARGEST_POLICY,
    RETRY,
    BadPolicy,
    KnownPolicy,
    StsPolicy,
    id_in,
    name_of,
)
from mailplat.workers import Workers

FOLDER = "mta-sts"  # in the state folder
MOST_KNOWN = 50_000  # policies that are remembered
MOST_FAILED = 10_000  # domains of which it is remembered that fetching failed


class Fetching(Protocol):
    """What `mailplat.delivery.ways.fetching.Fetcher` does."""

    def fetch(self, domain: str) -> Awaitable[StsPolicy]:
        """Return a domain's policy; raises `BadPolicy`."""


class StsPolicies:
    """The policies of other domains, each in a file of the state folder.

    A policy that is known counts until it has expired, whatever the DNS and the
    web server say: somebody between us may be making them say nothing.  One
    that has only grown old is fetched anew behind the message that asks for it.
    """

    log = Logger()

    def __init__(
        self,
        state: Path,
        resolver: IResolver,
        fetcher: Fetching,
        disk: Disk,
        workers: Workers,
        wall: WallClock,
    ) -> None:
        self._folder = state / FOLDER
        self._resolver = resolver
        self._fetcher = fetcher
        self._disk = disk
        self._workers = workers
        self._wall = wall
        self._known: dict[str, KnownPolicy] = {}
        self._failed: dict[str, float] = {}  # when fetching the first one failed
        self._waiting: dict[str, list[Deferred[None]]] = {}  # for what is being fetched
        self._fetching: dict[str, Deferred[None]] = {}

    async def prepare(self) -> None:
        """Read what is remembered; what has expired is forgotten."""
        now = self._wall.seconds()
        self._known = await self._workers.files.ask(_read, self._disk, self._folder, now)

    def finish(self) -> None:
        """Fetch nothing any more."""
        for fetching in list(self._fetching.values()):
            fetching.cancel()

    async def policy(self, domain: str) -> StsPolicy | None:
        """Return the policy that counts for a domain now; None if it has none."""
        now = self._wall.seconds()
        known = self._known.get(domain)
        if known and not known.is_fresh(now):
            known = None
        named = await self._named(domain)
        if known is None:
            if named and now - self._failed.get(domain, -RETRY) >= RETRY:
                await self._renew(domain, named)
        elif known.should_be_fetched(named, now):
            renewing = self._renew(domain, named)
            if named != known.id:
                await renewing
        known = self._known.get(domain)
        return known.policy if known and known.is_fresh(now) else None

    async def _named(self, domain: str) -> str:
        """Return the id that the DNS names; empty where it names none, or says nothing."""
        try:
            answer = await self._resolver.lookup(name_of(domain), Txt)
        except MailError:
            return ""
        return id_in(record.octets for record in answer.records)

    def _renew(self, domain: str, named: str) -> Deferred[None]:
        """Have a policy fetched, once for all who wait; who gives up stops none of them."""
        fetched: Deferred[None] = Deferred()
        waiting = self._waiting.get(domain)
        if waiting is not None:
            waiting.append(fetched)
            return fetched
        self._waiting[domain] = [fetched]
        fetching = Deferred.fromCoroutine(self._fetch(domain, named))
        self._fetching[domain] = fetching
        fetching.addErrback(self._stop, domain)
        fetching.addCallback(self._tell, domain)
        return fetched

    def _stop(self, failure: Failure, domain: str) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("fetching the policy of {domain}", failure, domain=domain)

    def _tell(self, _nothing: None, domain: str) -> None:
        self._fetching.pop(domain, None)
        for fetched in self._waiting.pop(domain):
            if not fetched.called:
                fetched.callback(None)

    async def _fetch(self, domain: str, named: str) -> None:
        try:
            policy = await self._fetcher.fetch(domain)
        except BadPolicy as problem:
            self.log.warn(
                "no policy of {domain}, which says that it has one: {problem}",
                domain=domain,
                problem=str(problem),
            )
            self._note_failure(domain)
            return
        self._failed.pop(domain, None)
        now = self._wall.seconds()
        known = KnownPolicy(policy, named, now)
        self._known.pop(domain, None)
        self._known[domain] = known
        try:
            await self._workers.files.ask(_write, self._disk, self._folder, domain, known)
            while len(self._known) > MOST_KNOWN:
                oldest = next(iter(self._known))
                del self._known[oldest]
                file = self._folder / _file_name(oldest)
                await self._workers.files.ask(self._disk.unlink, file)
        except MailError as problem:  # it counts all the same, until the next start
            self.log.warn("a policy is not remembered: {problem}", problem=str(problem))

    def _note_failure(self, domain: str) -> None:
        now = self._wall.seconds()
        if known := self._known.get(domain):
            self._known[domain] = known.after_failure(now)
            return
        self._failed.pop(domain, None)
        self._failed[domain] = now
        if len(self._failed) > MOST_FAILED:
            del self._failed[next(iter(self._failed))]


# In a thread -----------------------------------------------------------------


def _file_name(domain: str) -> str:
    """Return what a domain's file is called; its name itself may be too long for one."""
    return f"{sha256(domain.encode()).hexdigest()[:40]}.json"


def _write(disk: Disk, folder: Path, domain: str, known: KnownPolicy) -> None:
    disk.make_folder(folder)
    octets = json.dumps({"domain": domain, **known.row}).encode()
    disk.replace(folder / _file_name(domain), octets)


def _read(disk: Disk, folder: Path, now: float) -> dict[str, KnownPolicy]:
    found: list[tuple[str, KnownPolicy]] = []
    for file in folder.glob("*.json"):
        try:
            with file.open("rb") as opened:
                row = json.loads(opened.read(4 * LARGEST_POLICY))
            known = KnownPolicy.of(row)
            domain = row["domain"]
        except (OSError, ValueError, KeyError, TypeError):  # BadPolicy is a ValueError
            disk.unlink(file)
            continue
        if known.is_fresh(now):
            found.append((domain, known))
        else:
            disk.unlink(file)
    found.sort(key=lambda pair: pair[1].fetched)
    return dict(found[-MOST_KNOWN:])
