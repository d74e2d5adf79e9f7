"""Says what a host has to prove before it gets a domain's mail: by DANE, else by MTA-STS."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import UTC, datetime

import attrs
from zope.interface import implementer

from mailplat.delivery.relay.tls import named
from mailplat.delivery.ways.levels import Levels
from mailplat.delivery.ways.policies import StsPolicies
from mailplat.delivery.ways.sessions import Classify, Sessions, any_tls, for_web_names
from mailplat.delivery.ways.settings import WaySettings
from mailplat.interfaces import IResolver, IWayPolicies, WallClock
from mailplat.mail.dns import A, Aaaa, Tlsa, Txt
from mailplat.mail.errors import LookupFailed, MailError, WayNotProven
from mailplat.mail.hops import OPPORTUNISTIC, Exchange, Requirement, Session, Shown, Witness
from mailplat.trust import tlsrpt
from mailplat.trust.certificates import NotAuthentic
from mailplat.trust.dane import TlsaPolicy, text_of
from mailplat.trust.mtasts import Mode, StsPolicy
from mailplat.trust.tlsrpt import AppliedPolicy, FailureKind, PolicyType, ResultType

SMTP = 25  # the port of hosts that are told no other


@attrs.frozen
class Asked:
    """What a domain asks for; ``domain`` is empty unless it wants to hear how TLS went."""

    sts: StsPolicy | None = None
    domain: str = ""


@implementer(IWayPolicies)
class Ways:
    """Asks for what domains and hosts publish of themselves.

    Where a host has TLSA records, a policy of MTA-STS doesn't count (RFC 8461
    section 2).  A policy in testing asks for nothing.  With ``sessions`` it is
    counted how it went, for the domains that want reports; mail for these goes
    in transactions of its own.
    """

    def __init__(
        self,
        settings: WaySettings,
        resolver: IResolver,
        policies: StsPolicies,
        wall: WallClock,
        sessions: Sessions | None = None,
        levels: Levels | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._policies = policies
        self._wall = wall
        self._sessions = sessions
        self._levels = levels

    async def prepare(self) -> None:
        """Read what is remembered of other domains and hosts."""
        await self._policies.prepare()
        if self._levels:
            await self._levels.prepare()

    async def finish(self) -> None:
        """Ask web servers for nothing any more, and keep what is remembered."""
        self._policies.finish()
        if self._levels:
            await self._levels.finish()

    async def policy(self, domain: str) -> Hashable:
        if domain.startswith("["):
            return None
        sts = await self._policies.policy(domain) if self._settings.mta_sts else None
        reported = domain if self._sessions and await self._wants_reports(domain) else ""
        if sts is not None and sts.mode is not Mode.ENFORCE and not reported:
            sts = None
        return Asked(sts, reported) if sts or reported else None

    async def _wants_reports(self, domain: str) -> bool:
        return bool(await addressees_of(self._resolver, domain))

    async def requirement(self, policy: Hashable, exchange: Exchange) -> Requirement:
        requirement = await self._requirement(policy, exchange)
        if self._levels is None:
            return requirement
        witness = _both(self._levels.tell, requirement.witness)
        return attrs.evolve(requirement, witness=witness)

    async def _requirement(self, policy: Hashable, exchange: Exchange) -> Requirement:
        asked = policy if isinstance(policy, Asked) else Asked()
        if self._settings.dane and exchange.proven and not exchange.is_literal:
            for base in await self._bases(exchange):
                port = exchange.port or SMTP
                answer = await self._resolver.lookup(f"_{port}._tcp.{base}", Tlsa)
                if answer and answer.proven:
                    return self._by_dane(TlsaPolicy.of(answer.records), base, asked)
        if asked.sts is not None and asked.sts.mode is not Mode.NONE:
            return self._by_sts(asked.sts, exchange.name, asked)
        applied = AppliedPolicy(PolicyType.NONE, asked.domain)
        return attrs.evolve(OPPORTUNISTIC, witness=self._witness(applied, any_tls))

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

    def _by_dane(self, policy: TlsaPolicy, base: str, asked: Asked) -> Requirement:
        names = [base, *filter(None, [asked.domain])]

        def problem_of(shown: Shown) -> NotAuthentic | None:
            now = datetime.fromtimestamp(self._wall.seconds(), UTC)
            try:
                policy.check(shown.chain, names, now)
            except NotAuthentic as problem:
                return problem
            return None

        def judge(shown: Shown) -> str:
            return str(problem_of(shown) or "")

        def classify(shown: Shown) -> ResultType | None:
            problem = problem_of(shown)
            return problem.result if problem else None

        records = tuple(map(text_of, policy.published))
        applied = AppliedPolicy(PolicyType.TLSA, asked.domain, records, (base,))
        witness = self._witness(applied, classify)
        return Requirement(
            True, judge if policy.authenticates else None, base, "DANE", witness=witness
        )

    def _by_sts(self, policy: StsPolicy, host: str, asked: Asked) -> Requirement:
        applied = AppliedPolicy(PolicyType.STS, asked.domain, policy.lines, policy.hosts)
        enforces = policy.mode is Mode.ENFORCE
        if not policy.admits(host):
            if asked.domain and self._sessions:
                result = ResultType.VALIDATION_FAILURE
                told = FailureKind(
                    result=result, receiving_host=host, reason="not in the policy"
                )
                self._sessions.add(applied, told)
            if enforces:
                raise WayNotProven(f"{host} is no host of the domain's MTA-STS policy")
            return OPPORTUNISTIC
        witness = self._witness(applied, for_web_names(host))
        if not enforces:
            return attrs.evolve(OPPORTUNISTIC, witness=witness)
        return Requirement(True, named(host), source="MTA-STS", witness=witness)

    def _witness(self, applied: AppliedPolicy, classify: Classify) -> Witness | None:
        if self._sessions is None or not applied.domain:
            return None
        return self._sessions.witness(applied, classify)


def _both(first: Witness, second: Witness | None) -> Witness:
    if second is None:
        return first

    def tell(session: Session) -> None:
        first(session)
        second(session)

    return tell


async def addressees_of(resolver: IResolver, domain: str) -> tuple[str, ...]:
    """Return where a domain wants reports of TLS; nowhere if the DNS doesn't say."""
    try:
        answer = await resolver.lookup(tlsrpt.name_of(domain), Txt)
    except MailError:
        return ()
    return tlsrpt.addressees(record.octets for record in answer.records)
