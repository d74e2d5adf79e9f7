"""Sends each day's reports of TLS to the domains that asked for them (RFC 8460)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailplat.delivery.ways.sessions import Sessions
from mailplat.delivery.ways.ways import addressees_of
from mailplat.files import Disk
from mailplat.interfaces import IQueue, IResolver, ISigner, WallClock
from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress
from mailplat.mail.compose import Letter, Occasion
from mailplat.mail.content import Content, Octets, join, whole
from mailplat.mail.errors import MailError
from mailplat.mail.header import Header
from mailplat.mail.queued import Posting
from mailplat.trust.tlsrpt import (
    MEDIA_TYPE,
    AppliedPolicy,
    Counts,
    Report,
    Reporter,
    report_letter,
)
from mailplat.workers import Workers

FILE = "tls-sessions.json"  # in the state folder
FLOW = "reports"
AN_HOUR = 3600.0
LATEST = 4 * AN_HOUR  # behind a day's end, by which reports are spread (section 4.1)


class Web(Protocol):
    """What `mailplat.delivery.ways.fetching.Fetcher` does."""

    def post(self, url: str, media_type: str, octets: bytes) -> Awaitable[None]:
        """Hand octets to a web server; raises `MailError` unless it takes them."""


@attrs.define(eq=False, kw_only=True)
class Reports:
    """Looks hour by hour for days that are over, and reports them ``delay`` seconds later.

    What has been counted is kept in a file hour by hour; a crash may lose that
    much.  A report that was begun when we went down is made again, and the queue
    knows by its key that it has it.  One that nobody takes is not tried again:
    tomorrow's comes anyway.
    """

    log = Logger()

    sessions: Sessions
    reporter: Reporter
    author: Address
    hostname: str
    file: Path
    delay: float
    resolver: IResolver
    web: Web
    clock: IReactorTime
    wall: WallClock
    disk: Disk
    workers: Workers
    queue: IQueue | None = None
    signer: ISigner | None = None
    _hourly: LoopingCall = attrs.field(init=False)
    _ended: Deferred[Any] = attrs.field(factory=lambda: succeed(None), init=False)

    @_hourly.default
    def _not_begun(self) -> LoopingCall:
        hourly = LoopingCall(self.look)
        hourly.clock = self.clock
        return hourly

    async def prepare(self) -> None:
        """Read what was counted before, and begin to look."""
        try:
            self.sessions.take(await self.workers.files.ask(_read, self.file))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
            self.log.warn("{file}: {problem}", file=str(self.file), problem=str(problem))
        self._ended = self._hourly.start(AN_HOUR, now=False)
        self._ended.addErrback(self._leave)

    async def finish(self) -> None:
        """Look no more, and keep what has been counted."""
        if self._hourly.running:
            self._hourly.stop()
        await self._keep()

    def _leave(self, failure: Failure) -> None:
        self.log.failure("no reports of TLS are sent any more", failure)

    async def look(self) -> None:
        """Report the days that are over, and keep what has been counted."""
        for day in self.sessions.past():
            end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
            if self.wall.seconds() >= end.timestamp() + self.delay:
                await self._report(day)
        await self._keep()

    async def _keep(self) -> None:
        octets = json.dumps(self.sessions.rows).encode()
        try:
            await self.workers.files.ask(self.disk.replace, self.file, octets)
        except MailError as problem:
            self.log.warn("{file}: {problem}", file=str(self.file), problem=str(problem))

    # One day.

    async def _report(self, day: date) -> None:
        tally = self.sessions.days.pop(day)
        for domain, counts in tally.counts.items():
            for number, uri in enumerate(await addressees_of(self.resolver, domain)):
                try:
                    await self._send(self._made(day, domain, counts), uri, number)
                except MailError as problem:
                    self.log.warn(
                        "{uri} got no report for {domain}: {problem}",
                        uri=uri,
                        domain=domain,
                        problem=str(problem),
                    )

    def _made(self, day: date, domain: str, counts: Mapping[AppliedPolicy, Counts]) -> Report:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        name = f"{self.hostname}/{domain}/{day}".encode()
        return Report(
            reporter=self.reporter,
            domain=domain,
            begin=begin,
            end=begin + timedelta(days=1, seconds=-1),
            unique=blake2b(name, digest_size=8).hexdigest(),
            counts=counts,
        )

    async def _send(self, report: Report, uri: str, number: int) -> None:
        scheme, _, rest = uri.partition(":")
        if scheme.lower() == "https":
            await self.web.post(uri, MEDIA_TYPE, report.octets)
        elif self.queue is not None:
            to = Address.parse(unquote(rest.partition("?")[0]))
            now = datetime.fromtimestamp(self.wall.seconds(), UTC)
            occasion = Occasion(
                author=NamedAddress.of(self.author),
                hostname=self.hostname,
                now=now,
                unique=f"{report.unique}{number}",
            )
            letter = await report_letter(report, to, occasion)
            key = f"tlsrpt/{report.unique}/{number}"
            content = await self._signed(letter)
            name = f"{int(now.timestamp() * 1000):011x}{report.unique[:8]}{number:02x}"
            await self.queue.enqueue(
                Posting(
                    key=key,
                    id=name,
                    envelope=letter.envelope,
                    content=content,
                    arrived=now,
                    flow=FLOW,
                )
            )

    async def _signed(self, letter: Letter) -> Content:
        """Return the letter with our signature on it, which it has to have (section 3)."""
        domain = self.signer.domain_for(self.author.domain) if self.signer else ""
        if self.signer is None or not domain:
            return letter.content
        octets = await whole(letter.content)
        header = Header.parse(octets)
        fields = await self.signer.signed(domain, header, Octets(octets))
        return join(Octets(b"".join(fields)), Octets(octets))


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        octets = file.read_bytes()
    except FileNotFoundError:
        return []
    rows = json.loads(octets)
    return [row for row in rows if isinstance(row, dict)]
