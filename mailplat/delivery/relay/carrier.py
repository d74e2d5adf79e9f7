"""Brings a message to the first of some hosts that can be spoken to."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias, cast

import attrs
from OpenSSL import SSL
from twisted.internet.interfaces import IAddress

from mailplat.delivery.relay.dialling import Dialling, Source, connect_to_path
from mailplat.delivery.relay.exchanges import IPAddress, addresses_of, is_ours
from mailplat.delivery.relay.fitting import Parcel
from mailplat.delivery.relay.line import NO_HANDSHAKE, PATIENCE, Line
from mailplat.delivery.relay.pool import Pool
from mailplat.delivery.relay.tls import Client, named
from mailplat.interfaces import INetwork, IResolver, IWayPolicies
from mailplat.mail.errors import (
    HostUnreachable,
    LeadsToUs,
    MailError,
    ProofRequired,
    WayNotProven,
)
from mailplat.mail.hops import OPPORTUNISTIC, Exchange, Requirement, Session
from mailplat.mail.mailbox import Outcome
from mailplat.wire.smtp.sender import (
    TOO_MANY,
    Awaited,
    Carried,
    Credentials,
    Failed,
    Result,
    Sender,
)

MOST_RECIPIENTS = 100  # that every host takes at once (RFC 5321 section 4.5.3.1.8)
IPNetwork: TypeAlias = IPv4Network | IPv6Network


class NotReached(Exception):
    """A host could not be brought to take a transaction; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@attrs.frozen(kw_only=True)
class Manner:
    """How an agent speaks to its hosts.

    ``own`` are networks that count as other hosts' though they are ours; None says
    that wherever it is told to go is right.  ``must`` says that it speaks to no host
    without TLS.  ``timeout`` is for a connection, in seconds.
    """

    name: str
    port: int = 25
    lmtp: bool = False
    tls: bool = True
    must: bool = False
    implicit: bool = False
    own: tuple[IPNetwork, ...] | None = None
    credentials: Credentials | None = None
    source: Source = Source()
    timeout: float = 30.0
    patience: Mapping[Awaited, float] = attrs.field(factory=lambda: PATIENCE, eq=False)

    def may_dial(self, address: IPAddress) -> bool:
        """Whether an address can be another host's."""
        return self.own is None or not is_ours(address) or self._is_among_own(address)

    def is_us(self, line: Line) -> bool:
        """Whether a line that has been greeted leads back to ourselves."""
        if self.own is None:
            return False
        if line.engine.offered.name.lower() == self.name.lower():
            return True
        here, there = (
            _host(end) for end in (line.transport.getHost(), line.transport.getPeer())
        )
        return here == there and not self._is_among_own(line.address)

    def _is_among_own(self, address: IPAddress | None) -> bool:
        return address is not None and any(address in network for network in self.own or ())


def _host(end: IAddress) -> object:
    return getattr(end, "host", end)


@attrs.define(eq=False)
class Carrier:
    """Speaks to hosts in one manner, and keeps its connections for the next message."""

    network: INetwork
    resolver: IResolver
    manner: Manner
    context: SSL.Context
    pool: Pool
    policies: IWayPolicies | None = None

    async def carry(
        self, parcel: Parcel, exchanges: Sequence[Exchange], policy: Hashable = None
    ) -> Sequence[Outcome]:
        """Return one outcome a recipient: that of the first host that a transaction reached.

        Where none was, a failure for now outweighs one for good.
        """
        troubles: list[Outcome] = []
        for exchange in exchanges:
            try:
                requirement = await self._requirement(exchange, policy, parcel)
                return await self._carry_to(exchange, requirement, parcel)
            except LeadsToUs as error:  # and so does all that is no better (RFC 5321 5.1)
                troubles = troubles or [
                    attrs.evolve(Outcome.failed(error), remote=exchange.name)
                ]
                break
            except MailError as error:
                troubles.append(attrs.evolve(Outcome.failed(error), remote=exchange.name))
            except NotReached as failure:
                troubles.append(failure.outcome)
        passing = [trouble for trouble in troubles if trouble.status.is_transient]
        return [(passing or troubles)[-1]] * len(parcel.envelope.recipients)

    def finish(self) -> None:
        """Say goodbye to every host."""
        self.pool.clear()

    # What is required of a host.

    async def _requirement(
        self, exchange: Exchange, policy: Hashable, parcel: Parcel
    ) -> Requirement:
        requirement = OPPORTUNISTIC
        if self.policies is not None:
            requirement = await self.policies.requirement(policy, exchange)
        if parcel.envelope.requires_tls:  # RFC 8689 section 4.2.1
            if requirement.judge is not None:
                return attrs.evolve(requirement, tls=True)
            if not exchange.proven:
                raise ProofRequired(f"nothing proves that {exchange.name} is the right host")
            return Requirement(True, named(exchange.name), source="REQUIRETLS")
        waivable = requirement != OPPORTUNISTIC and not requirement.firm
        if waivable and await parcel.waives_tls():
            requirement = OPPORTUNISTIC
        if self.manner.must and not requirement.tls:
            return attrs.evolve(requirement, tls=True, source="the configuration")
        return requirement

    # A transaction.

    async def _carry_to(
        self, exchange: Exchange, requirement: Requirement, parcel: Parcel
    ) -> Sequence[Outcome]:
        key = (exchange.name, exchange.port, requirement)
        if line := self.pool.take(key):
            if requirement.objection(line.shown):
                line.close()
            else:
                outcomes = await self._use(line, parcel, key)
                if not isinstance(outcomes, Failed):
                    return outcomes
        line = await self._connect(exchange, requirement)
        outcomes = await self._use(line, parcel, key)
        if isinstance(outcomes, Failed):
            raise NotReached(outcomes.outcome)
        return outcomes

    async def _use(
        self, line: Line, parcel: Parcel, key: Hashable
    ) -> Sequence[Outcome] | Failed:
        """Send the message on a line, and keep it for the next one."""
        try:
            outcomes = await self._transact(line, parcel)
        except BaseException:
            line.abort()
            raise
        self.pool.give(key, line)
        return outcomes

    async def _transact(self, line: Line, parcel: Parcel) -> Sequence[Outcome] | Failed:
        """Send the message, in several transactions if the host takes few recipients at once.

        A failure says that none was begun: the line was of no more use.
        """
        everyone = parcel.envelope.recipients
        decided: dict[int, Outcome] = {}
        waiting = list(range(len(everyone)))
        while waiting:
            batch = _within(line.engine.offered.limits.get("RCPTDOMAINMAX"), waiting, parcel)
            recipients = tuple(everyone[number] for number in batch)
            transaction, content = await parcel.for_host(line.engine.offered, recipients)
            result = await line.send(transaction, content)
            if isinstance(result, Carried):
                decided |= zip(batch, result.outcomes, strict=True)
            elif not decided:
                return _failure(result)
            else:
                decided |= dict.fromkeys(waiting, _failure(result).outcome)
            rest = [n for n in waiting if n not in decided or decided[n].status == TOO_MANY]
            if line.engine.closing or len(rest) == len(waiting):
                late = Outcome(TOO_MANY, f"{line.engine.who} takes no more recipients now")
                decided = dict.fromkeys(waiting, late) | decided
                break
            waiting = rest
        return [decided[number] for number in range(len(everyone))]

    # A connection.

    async def _connect(self, exchange: Exchange, requirement: Requirement) -> Line:
        """Return a line to a host that has greeted us; raises `NotReached` and `MailError`."""
        if exchange.path:
            return await self._connect_here(exchange, requirement)
        known = await addresses_of(self.resolver, exchange)
        addresses = [address for address in known if self.manner.may_dial(address)]
        if not addresses:
            raise LeadsToUs(f"{exchange.name} is at {known[0]}, which is nobody else")
        with_tls = self.manner.tls
        while True:
            line = await self._dial(exchange, addresses)
            try:
                trouble = await self._begin(line, exchange, requirement, with_tls=with_tls)
            except BaseException:
                line.abort()
                raise
            if trouble is None:
                return line
            line.close()
            if trouble.status == NO_HANDSHAKE and line.shown is None and with_tls:
                with_tls = requirement.tls or self.manner.implicit
                if not with_tls:  # in the clear, which is better than not at all
                    addresses.sort(key=lambda address: address != line.address)
                    continue
            addresses = [address for address in addresses if address != line.address]
            if not addresses:
                raise NotReached(trouble)
            with_tls = self.manner.tls

    async def _connect_here(self, exchange: Exchange, requirement: Requirement) -> Line:
        """Return a line to a program on this machine, for which TLS would prove nothing."""
        manner = self.manner

        def make() -> Line:
            engine = Sender(manner.name, exchange.name, lmtp=manner.lmtp)
            return Line(engine, self.network, None, manner.patience)

        try:
            made = await connect_to_path(self.network, exchange.path, manner.timeout, make)
        except HostUnreachable as problem:
            raise HostUnreachable(f"{exchange.name}: {problem}") from None
        line = cast("Line", made)
        try:
            trouble = await self._begin(line, exchange, requirement, with_tls=manner.must)
        except BaseException:
            line.abort()
            raise
        if trouble is not None:
            line.close()
            raise NotReached(trouble)
        return line

    async def _dial(self, exchange: Exchange, addresses: Sequence[IPAddress]) -> Line:
        manner = self.manner

        def make(address: IPAddress) -> Line:
            where = str(address)
            engine = Sender(manner.name, exchange.name, lmtp=manner.lmtp, address=where)
            return Line(engine, self.network, address, manner.patience)

        port = exchange.port or manner.port
        dialling = Dialling(self.network, port, manner.source, manner.timeout, make)
        try:
            return cast("Line", await dialling.connect(addresses))
        except HostUnreachable as problem:
            raise HostUnreachable(f"{exchange.name} port {port}: {problem}") from None

    async def _begin(
        self, line: Line, exchange: Exchange, requirement: Requirement, *, with_tls: bool
    ) -> Outcome | None:
        """Bring a line so far that it takes transactions; return what is in the way, if so."""
        client = Client(self.context, requirement.name or exchange.name)
        engine = line.engine
        if self.manner.implicit and (failed := await line.start_tls(client, implicit=True)):
            return failed.outcome
        result = await line.ask(engine.greet)
        if isinstance(result, Failed):
            return result.outcome
        if self.manner.is_us(line):
            raise LeadsToUs(f"{engine.who} is us")
        if with_tls and line.shown is None and "STARTTLS" in engine.offered:
            if failed := await line.start_tls(client):
                _tell(requirement, exchange, line, failed.outcome.detail)
                return failed.outcome
            result = await line.ask(engine.hello)
        if with_tls:
            _tell(requirement, exchange, line)
        if not isinstance(result, Failed) and (problem := requirement.objection(line.shown)):
            return Outcome(WayNotProven.status, f"{engine.who}: {problem}", remote=engine.host)
        credentials = self.manner.credentials
        if not isinstance(result, Failed) and credentials:
            result = await line.ask(lambda: engine.login(credentials))
        return result.outcome if isinstance(result, Failed) else None


def _tell(requirement: Requirement, exchange: Exchange, line: Line, failure: str = "") -> None:
    if requirement.witness is None:
        return
    here, there = (_host(end) for end in (line.transport.getHost(), line.transport.getPeer()))
    greeting = line.engine.offered.name
    session = Session(exchange.name, greeting, str(here), str(there), line.shown, failure)
    requirement.witness(session)


def _failure(result: Result) -> Failed:
    assert isinstance(result, Failed)
    return result


def _within(most: int | None, waiting: Sequence[int], parcel: Parcel) -> Sequence[int]:
    """Return those that a transaction may have together.

    ``most`` is how many domains they may have (RFC 9422 section 5.3).
    """
    waiting = waiting[:MOST_RECIPIENTS]
    if most is None:
        return waiting
    domains = {number: parcel.envelope.recipients[number].address.domain for number in waiting}
    chosen = list(dict.fromkeys(domains.values()))[:most]
    return [number for number in waiting if domains[number] in chosen]
