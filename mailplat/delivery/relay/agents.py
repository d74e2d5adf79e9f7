"""The agents that carry mail to other hosts: by MX, to a smarthost, by LMTP."""

from __future__ import annotations

from collections.abc import Coroutine, Hashable, Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from random import SystemRandom
from typing import Annotated, Any, Literal, Self, TypeVar

import attrs
from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, Field, model_validator
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.delivery.relay.carrier import Carrier, Manner
from mailplat.delivery.relay.dialling import Source
from mailplat.delivery.relay.exchanges import Shuffle, exchanges_of, in_turn
from mailplat.delivery.relay.fitting import Parcel
from mailplat.delivery.relay.line import PATIENCE
from mailplat.delivery.relay.pool import Pool
from mailplat.delivery.relay.tls import named, new_context
from mailplat.interfaces import (
    House,
    IDeliveryAgent,
    INetwork,
    IResolver,
    IWayPolicies,
    WallClock,
)
from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress, MailError
from mailplat.mail.hops import UNIX, Exchange, Requirement
from mailplat.mail.mailbox import Outcome
from mailplat.mail.transit import Job
from mailplat.plugin import Duration, Location, Secret, Settings
from mailplat.wire.smtp.sender import Awaited, Credentials

_shuffle = SystemRandom().shuffle
T = TypeVar("T")
Port = Annotated[int, Ge(1), Le(65535)]


def _network(text: str) -> str:
    ip_network(text)
    return text


def _address(text: str) -> str:
    return str(ip_address(text)) if text else ""


def _endpoint(text: str) -> str:
    host_and_port(text, 25)
    return text


def _endpoint_or_path(text: str) -> str:
    if text.startswith(UNIX):
        if not text.removeprefix(UNIX).startswith("/"):
            raise ValueError("expected an absolute path behind unix:")
        return text
    return _endpoint(text)


def host_and_port(text: str, port: int) -> tuple[str, int]:
    """Return a host, by name or as an address literal, and its port; raises `ValueError`.

    ``text`` is a name or an address, with a port behind a colon where it is another
    than ``port``; an IPv6 address then stands in brackets.
    """
    host, colon, number = text.rpartition(":")
    if not colon or "]" in number or (":" in host and not host.endswith("]")):
        host, number = text, str(port)
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError("expected a host such as mail.example.org or 192.0.2.1:587")
    bare = host.removeprefix("[").removesuffix("]")
    if len(host) - len(bare) == 1:
        raise ValueError(f"expected both brackets or none: {host}")
    try:
        address = ip_address(bare)
    except ValueError:
        try:
            return domain_of(host), int(number)
        except BadAddress:
            raise ValueError(f"expected the name of a host or an address: {host}") from None
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]", int(number)


class OutwardSettings(Settings):
    """What all agents have that connect to other hosts."""

    hostname: str = Field(
        "", description="What to greet hosts with; left out, the server's own name."
    )
    source: Annotated[str, AfterValidator(_address)] = Field(
        "", description="The IPv4 address to connect from; left out, the system's choice."
    )
    source_ipv6: Annotated[str, AfterValidator(_address)] = Field(
        "", description="The same for IPv6."
    )
    connect_timeout: Annotated[Duration, Gt(timedelta(0))] = Field(
        timedelta(seconds=30), description="How long an address may take to answer."
    )
    keep: Duration = Field(
        timedelta(seconds=5),
        description="How long a connection waits for the next message to its host.",
    )
    trust: Location | None = Field(
        None,
        description="A file of certificates, in PEM, whose owners may vouch for hosts; left "
        "out, those that the system trusts.",
    )


class RelaySettings(OutwardSettings):
    """Keys of ``[agents.NAME] use = "relay"``."""

    port: Port = Field(25, description="Where other hosts take mail.")
    tls: Literal["may", "must", "off"] = Field(
        "may",
        description="Whether mail goes under TLS where a host offers it, never without, or "
        "never under it. DANE and MTA-STS may ask for more.",
    )
    own_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        (),
        description="Networks of loopback addresses that names of other hosts may lead to, "
        "for trying out; all others are this server, to which no mail is sent.",
    )


class SmarthostSettings(OutwardSettings):
    """Keys of ``[agents.NAME] use = "smarthost"``."""

    hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_endpoint)], ...], Field(min_length=1)
    ] = Field(
        description="Who takes all mail, by name or address and maybe port; the second is "
        "tried where the first can't be reached."
    )
    tls: Literal["starttls", "implicit", "off"] = Field(
        "starttls",
        description="How TLS begins; `implicit` means port 465 where none is given, the "
        "others 587. Mail never goes without, unless this is `off`.",
    )
    verify: bool = Field(
        True, description="Whether the host's certificate has to be for its name, and trusted."
    )
    login: str = Field("", description="The name to log in by, if the host asks for one.")
    password: Secret | None = Field(
        None, description="Its password; or as `password_file` a file with it."
    )

    @model_validator(mode="after")
    def _keep_the_password_safe(self) -> Self:
        if bool(self.login) != bool(self.password):
            raise ValueError("expected both of login and password, or none")
        if self.login and self.tls == "off":
            raise ValueError(
                'expected no password that would be sent in the clear: tls = "off"'
            )
        return self


class LmtpSettings(OutwardSettings):
    """Keys of ``[agents.NAME] use = "lmtp"``."""

    host: Annotated[str, AfterValidator(_endpoint_or_path)] = Field(
        description="Who takes the mail, by name or address and maybe port, which else is "
        "24; or `unix:` and the path of a socket."
    )
    tls: Literal["may", "must", "off"] = Field(
        "may", description="Whether to use TLS where it is offered, always, or never."
    )


# Agents ----------------------------------------------------------------------


def _manner(
    settings: OutwardSettings, house: House, patience: Mapping[Awaited, float]
) -> Manner:
    return Manner(
        name=settings.hostname or house.hostname,
        source=Source(settings.source, settings.source_ipv6),
        timeout=settings.connect_timeout.total_seconds(),
        patience=patience,
    )


def _carrier(
    settings: OutwardSettings,
    manner: Manner,
    network: INetwork,
    resolver: IResolver,
    policies: IWayPolicies | None = None,
) -> Carrier:
    pool = Pool(network, settings.keep.total_seconds())
    return Carrier(network, resolver, manner, new_context(settings.trust), pool, policies)


@implementer(IWayPolicies)
@attrs.frozen
class Named:
    """Requires of every host that it is the one that it is called, if ``verify``."""

    verify: bool

    async def policy(self, domain: str) -> Hashable:
        return None

    async def requirement(self, policy: Hashable, exchange: Exchange) -> Requirement:
        name = exchange.name.strip("[]").removeprefix("IPv6:")
        judge = named(name) if self.verify else None
        return Requirement(True, judge, name, "the configuration", firm=True)


@implementer(IDeliveryAgent)
class _Carrying:
    """What all agents here share; `exchanges` are the hosts, where they are always the same."""

    log = Logger()

    def __init__(
        self, carrier: Carrier, wall: WallClock | None, exchanges: Sequence[Exchange] = ()
    ) -> None:
        self._carrier = carrier
        self._wall = wall
        self._exchanges = exchanges

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        """Carry a job; whatever is raised is a failure of all recipients."""
        parcel = Parcel(job.envelope, job.content, self._wall)
        count = len(job.envelope.recipients)
        if not count:
            return []
        try:
            await parcel.look()
            return await self._carry(parcel)
        except CancelledError:
            raise
        except MailError as error:
            return [Outcome.failed(error)] * count
        except Exception as error:  # noqa: BLE001 - failures are outcomes
            self.log.failure("carrying {id} failed", id=job.id)
            return [Outcome.failed(error)] * count

    async def finish(self) -> None:
        """Say goodbye to all hosts."""
        self._carrier.finish()

    async def _carry(self, parcel: Parcel) -> Sequence[Outcome]:
        return await self._carrier.carry(parcel, self._exchanges)


class Relay(_Carrying):
    """Carries mail to the hosts that the DNS names for its recipients' domains.

    Recipients whose domains have the same hosts, and ask for the same of them,
    share a transaction.
    """

    def __init__(
        self,
        settings: RelaySettings,
        house: House,
        network: INetwork,
        resolver: IResolver,
        policies: IWayPolicies | None = None,
        wall: WallClock | None = None,
        *,
        patience: Mapping[Awaited, float] = PATIENCE,
        shuffle: Shuffle = _shuffle,
    ) -> None:
        own: list[IPv4Network | IPv6Network] = [ip_network(n) for n in settings.own_networks]
        manner = attrs.evolve(
            _manner(settings, house, patience),
            port=settings.port,
            tls=settings.tls != "off",
            must=settings.tls == "must",
            own=tuple(own),
        )
        super().__init__(_carrier(settings, manner, network, resolver, policies), wall)
        self._resolver = resolver
        self._policies = policies
        self._shuffle = shuffle
        self._name = manner.name

    async def _carry(self, parcel: Parcel) -> Sequence[Outcome]:
        recipients = parcel.envelope.recipients
        domains = list(dict.fromkeys(recipient.address.domain for recipient in recipients))
        ways = await _together([self._way(domain) for domain in domains])
        groups: dict[Way, list[str]] = {}
        failed: dict[str, Outcome] = {}
        for domain, way in zip(domains, ways, strict=True):
            if isinstance(way, Outcome):
                failed[domain] = way
            else:
                groups.setdefault(way, []).append(domain)
        sharing = [
            [n for n, one in enumerate(recipients) if one.address.domain in group]
            for group in groups.values()
        ]
        results = await _together(
            [
                self._go(parcel.for_some(numbers), way)
                for way, numbers in zip(groups, sharing, strict=True)
            ]
        )
        decided: dict[int, Outcome] = {}
        for numbers, outcomes in zip(sharing, results, strict=True):
            decided |= zip(numbers, outcomes, strict=True)
        return [
            decided[n] if n in decided else failed[one.address.domain]
            for n, one in enumerate(recipients)
        ]

    async def _way(self, domain: str) -> Way | Outcome:
        try:
            exchanges = await exchanges_of(self._resolver, domain, self._name.lower())
            policy = await self._policies.policy(domain) if self._policies else None
        except MailError as error:
            return Outcome.failed(error)
        return Way(exchanges, policy)

    async def _go(self, parcel: Parcel, way: Way) -> Sequence[Outcome]:
        exchanges = in_turn(way.exchanges, self._shuffle)
        return await self._carrier.carry(parcel, exchanges, way.policy)


@attrs.frozen
class Way:
    """Where a domain's mail goes, and what the domain asks of it."""

    exchanges: tuple[Exchange, ...]
    policy: Hashable = None


async def _together(things: Sequence[Coroutine[Deferred[Any], Any, T]]) -> list[T]:
    """Wait for several things at once, none of which raises."""
    if len(things) == 1:
        return [await things[0]]
    return await gatherResults([Deferred.fromCoroutine(thing) for thing in things])


class Smarthost(_Carrying):
    """Carries all mail to one host, or where it can't be reached to another, which sees to it."""

    def __init__(
        self,
        settings: SmarthostSettings,
        house: House,
        network: INetwork,
        resolver: IResolver,
        wall: WallClock | None = None,
        *,
        patience: Mapping[Awaited, float] = PATIENCE,
    ) -> None:
        credentials = None
        if settings.password:
            credentials = Credentials(settings.login, settings.password.reveal())
        manner = attrs.evolve(
            _manner(settings, house, patience),
            tls=settings.tls != "off",
            implicit=settings.tls == "implicit",
            credentials=credentials,
        )
        standard = 465 if settings.tls == "implicit" else 587
        policies = Named(settings.verify) if settings.tls != "off" else None
        super().__init__(
            _carrier(settings, manner, network, resolver, policies),
            wall,
            [_exchange(text, standard) for text in settings.hosts],
        )


class Lmtp(_Carrying):
    """Carries mail to a host that keeps it, which answers for each recipient (RFC 2033)."""

    def __init__(
        self,
        settings: LmtpSettings,
        house: House,
        network: INetwork,
        resolver: IResolver,
        wall: WallClock | None = None,
        *,
        patience: Mapping[Awaited, float] = PATIENCE,
    ) -> None:
        manner = attrs.evolve(
            _manner(settings, house, patience),
            lmtp=True,
            tls=settings.tls != "off",
            must=settings.tls == "must",
        )
        carrier = _carrier(settings, manner, network, resolver)
        super().__init__(carrier, wall, [_exchange(settings.host, 24)])

    async def attempt(self, job: Job) -> Sequence[Outcome]:
        arriving = attrs.evolve(job.envelope, deliver_by=None, requires_tls=False)
        job = attrs.evolve(job, envelope=arriving)  # its last hop needs no promises
        return await super().attempt(job)


def _exchange(text: str, standard: int) -> Exchange:
    if text.startswith(UNIX):
        return Exchange(text)
    host, port = host_and_port(text, standard)
    return Exchange(host, port=port)
