"""Says what a host has to prove before it gets a domain's mail: by DANE, else by MTA-STS."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime

from zope.interface import implementer

from mailplat.delivery.relay.tls import named
from mailplat.delivery.ways.fetching import Fetcher
from mailplat.delivery.ways.policies import StsPolicies
from mailplat.delivery.ways.settings import WaySettings
from mailplat.files import Disk
from mailplat.interfaces import House, INetwork, IResolver, IWayPolicies, WallClock
from mailplat.mail.dns import A, Aaaa, Tlsa
from mailplat.mail.errors import LookupFailed, WayNotProven
from mailplat.mail.hops import OPPORTUNISTIC, Exchange, Requirement, Shown
from mailplat.trust.certificates import NotAuthentic
from mailplat.trust.dane import TlsaPolicy
from mailplat.trust.mtasts import Mode, StsPolicy
from mailplat.workers import Workers

SMTP = 25  # the port of hosts that are told no other


def made(
    settings: WaySettings,
    house: House,
    network: INetwork,
    resolver: IResolver,
    disk: Disk,
    workers: Workers,
    wall: WallClock,
) -> Ways:
    """Make what the house asks; raises `ConfigError`."""
    fetcher = Fetcher(network, resolver, settings.trust)
    policies = StsPolicies(house.state, resolver, fetcher, disk, workers, wall)
    return Ways(settings, resolver, policies, wall)


@implementer(IWayPolicies)
class Ways:
    """Asks for what domains and hosts publish of themselves.

    Where a host has TLSA records, a policy of MTA-STS doesn't count (RFC 8461
    section 2).  A policy in testing asks for nothing.
    """

    def __init__(
        self,
        settings: WaySettings,
        resolver: IResolver,
        policies: StsPolicies,
        wall: WallClock,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._policies = policies
        self._wall = wall

    async def prepare(self) -> None:
        """Read what is remembered of other domains."""
        await self._policies.prepare()

    async def policy(self, domain: str) -> Hashable:
        if not self._settings.mta_sts or domain.startswith("["):
            return None
        policy = await self._policies.policy(domain)
        return policy if policy and policy.mode is Mode.ENFORCE else None

    async def requirement(self, policy: Hashable, exchange: Exchange) -> Requirement:
        if self._settings.dane and exchange.proven and not exchange.is_literal:
            for base in await self._bases(exchange):
                port = exchange.port or SMTP
                answer = await self._resolver.lookup(f"_{port}._tcp.{base}", Tlsa)
                if answer and answer.proven:
                    return self._by_dane(TlsaPolicy.of(answer.records), base)
        if isinstance(policy, StsPolicy):
            return _by_sts(policy, exchange.name)
        return OPPORTUNISTIC

    async def _bases(self, exchange: Exchange) -> list[str]:
        """Return the names at which there may be TLSA records, the first that has some counts.

        None where the host's addresses aren't proven: then nobody is asked for
        TLSA records, which some servers can't answer for (RFC 7672 section 2.2).
        """
        names: list[str] = []
        failure: LookupFailed | None = None
        for kind in (A, Aaaa):
            try:
                answer = await self._resolver.lookup(exchange.name, kind)
            except LookupFailed as problem:
                failure = problem
                continue
            if not answer.proven:
                return []
            names.append(answer.name)
        if not names and failure:
            raise failure
        return list(dict.fromkeys((*names, exchange.name)))

    def _by_dane(self, policy: TlsaPolicy, base: str) -> Requirement:
        def judge(shown: Shown) -> str:
            now = datetime.fromtimestamp(self._wall.seconds(), UTC)
            try:
                policy.check(shown.chain, [base], now)
            except NotAuthentic as problem:
                return str(problem)
            return ""

        return Requirement(True, judge if policy.authenticates else None, base, "DANE")


def _by_sts(policy: StsPolicy, host: str) -> Requirement:
    if not policy.admits(host):
        raise WayNotProven(f"{host} is no host of the domain's MTA-STS policy")
    return Requirement(True, named(host), source="MTA-STS")
