"""A house in memory around SMTP sessions: real pipeline, delivery and store, no socket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.task import Clock
from zope.interface import implementer

from mailplat.delivery.local import LocalDelivery, LocalSettings
from mailplat.files import Disk, Spool
from mailplat.interfaces import IDeliveryAgent, IDirectory
from mailplat.mail.content import Content
from mailplat.mail.errors import AccountDisabled, NotNow, OverQuota, Refused
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Outcome, UidSet, Wanted
from mailplat.mail.people import AccountId
from mailplat.mail.transit import KEEP, Job, Peer, Stage, Verdict
from mailplat.pipeline.filters.loops import LoopGuard, LoopGuardSettings
from mailplat.pipeline.judge import Judge
from mailplat.pipeline.pipeline import Pipeline
from mailplat.pipeline.policies.recipients import Recipients
from mailplat.pipeline.policies.relaying import Relaying
from mailplat.pipeline.policies.senders import Senders
from mailplat.portals.connection import Secured
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.login import Logins, LoginSettings
from mailplat.portals.smtp.session import Desk, SmtpSession
from mailplat.store.memory import MemoryStore
from mailplat.testing.dialogues import Line, Player
from mailplat.testing.fakes import FakeBus
from mailplat.testing.transits import FakeDirectory
from mailplat.testing.workers import workers_at_once
from mailplat.wire.smtp.receiver import Receiver
from mailplat.wire.smtp.reply import Reply

PASSWORD = b"secret"
TLS = Secured("TLSv1.3", "TLS_AES_256_GCM_SHA384")
ERRORS = {error.__name__: error for error in (OverQuota, AccountDisabled, NotNow, Refused)}


@implementer(IDirectory, ICredentialsChecker)
class People(FakeDirectory):
    """Everyone's password is ``secret``."""

    credentialInterfaces = (IUsernamePassword,)

    async def requestAvatarId(self, credentials: Any) -> bytes:
        name: bytes = credentials.username
        if credentials.password != PASSWORD or not await self.account(name.decode()):
            raise UnauthorizedLogin
        return name


class Hasty(Clock):
    """A clock on which whoever waits has waited already."""

    def callLater(self, delay: float, call: Any, *args: object, **words: object) -> Any:
        made = super().callLater(delay, call, *args, **words)
        self.advance(delay)
        return made


@attrs.define
class Objector:
    """A policy or filter that says the same at its stages."""

    verdict: Verdict
    stages: Sequence[Stage] = ()

    async def judge(self, *question: object) -> Verdict:
        return self.verdict


@implementer(IDeliveryAgent)
@attrs.define
class Obstacles:
    """Delivers to everyone but those for whom there is an error."""

    agent: IDeliveryAgent
    errors: Mapping[str, Exception] = attrs.field(factory=dict)

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        outcomes = list(await self.agent.attempt(job))
        for at, recipient in enumerate(job.envelope.recipients):
            error = self.errors.get(recipient.address.key)
            if error:
                outcomes[at] = Outcome(error.status, "made to fail", error)
        return outcomes


class SmtpHouse:
    """Example.org's mail, with alice and bob, and one portal."""

    def __init__(self, spool: Path, **terms: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_795_000_000)
        self.bus = FakeBus()
        self.directory = People()
        self.store = MemoryStore(self.bus, self.clock)
        self.limits: Limits = terms.pop("limits", Limits())
        self.terms = terms
        self.numbers = itertools.count()
        self.policies: list[object] = [
            Recipients(self.directory), Relaying(self.directory), Senders(self.directory),
        ]  # fmt: skip
        self.filters: list[object] = [LoopGuard(LoopGuardSettings())]
        self.agent = Obstacles(
            LocalDelivery(LocalSettings(), self.directory, self.store, Hasty())
        )
        self.workers = workers_at_once()
        self.doorkeeper = Doorkeeper(self.limits, self.clock)
        self.logins = Logins(
            LoginSettings(login_without_tls="loopback"),
            self.directory, self.bus, Hasty(), self.doorkeeper,
        )  # fmt: skip
        self.spool = Spool(
            spool, self.workers.files.ask, Disk(), in_memory=self.limits.spool_above
        )
        self.spool.prepare()

    def desk(self) -> Desk:
        lmtp = self.terms.get("lmtp", False)
        terms = {"login": "off", "lmtp": False, "starttls": True} | self.terms
        return Desk(
            portal="mx",
            hostname="mx.example.org",
            greeting=Reply.of(220, f"mx.example.org {'LMTP' if lmtp else 'ESMTP'} mailplat"),
            pipeline=Pipeline(
                [self._judge(one) for one in self.policies],
                [self._judge(one) for one in self.filters],
                self.directory, self.agent, self.bus, self.clock, self.clock, self.limits,
            ),
            logins=self.logins,
            spool=self.spool,
            limits=self.limits,
            seconds=self.clock.seconds,
            random=lambda count: next(self.numbers).to_bytes(count),
            crowded=lambda: self.doorkeeper.crowded,
            **terms,
        )  # fmt: skip

    def _judge(self, component: object) -> Judge:
        return Judge(type(component).__name__, component, self.clock, self.workers)

    def player(self, *, implicit: bool = False, peer: Peer | None = None) -> Player:
        """Return somebody who speaks for a client."""
        desk = self.desk()

        def connect(line: Line) -> tuple[Receiver, SmtpSession]:
            offer = desk.offer(line)
            greeted = bool(line.secured) and not implicit
            return Receiver(offer, desk.limits, greeted=greeted), SmtpSession(desk, line, offer)

        return Player(connect, peer=peer or Peer("192.0.2.1", 4000), tls=TLS, implicit=implicit)

    async def messages(self, address: str) -> list[bytes]:
        """Return what an account has got."""
        account = await self.store.open(AccountId(f"id of {address}"))
        [inbox] = [box for box in await account.mailboxes() if box.name == "INBOX"]
        found = []
        async with account.records(
            inbox.id, UidSet.of(*range(1, 1000)), Wanted.CONTENT
        ) as cursor:
            while batch := await cursor.next_batch():
                for record in batch.records():
                    content: Content = await account.content(record)
                    found.append(await content.read(0, content.size))
        return found


MakeHouse = Callable[..., SmtpHouse]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    return lambda **terms: SmtpHouse(tmp_path / "spool", **terms)


@pytest.fixture
def house(make_house: MakeHouse) -> SmtpHouse:
    return make_house()


PORTALS: dict[str, dict[str, object]] = {
    "mx": {},
    "submission": {"login": "required"},
    "lmtp": {"lmtp": True, "starttls": False},
    "without tls": {"starttls": False},
}


@pytest.fixture
def house_of(make_house: MakeHouse) -> Callable[..., SmtpHouse]:
    """Makes the house that a dialogue's settings ask for."""

    def make(settings: Sequence[tuple[str, str]]) -> SmtpHouse:
        given = dict(settings)
        limits = dict(word.split("=") for word in given.get("limits", "").split())
        house = make_house(
            **PORTALS[given.get("portal", "mx")],
            limits=Limits(**{name: int(value) for name, value in limits.items()}),
        )
        for name, value in settings:
            if name == "policy":
                stage, disposition = value.split()
                house.policies.insert(0, Objector(VERDICTS[disposition], [Stage(stage)]))
            elif name == "filter":
                house.filters.insert(0, Objector(VERDICTS[value]))
            elif name == "delivery":
                house.agent.errors = {
                    address: ERRORS[error]("made to fail")
                    for address, error in (word.split("=") for word in value.split())
                }
        return house

    return make


VERDICTS = {
    "keeps": KEEP,
    "accepts": Verdict.accept(),
    "junks": Verdict.junk(),
    "holds": Verdict.hold(NotNow("held")),
    "defers": Verdict.defer(),
    "rejects": Verdict.reject(Refused("rejected", public="no thanks")),
    "discards": Verdict.discard(),
}
