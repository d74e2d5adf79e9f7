"""Answers what the rooms ask of the DNS: each question once, and each answer kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from secrets import randbits
from typing import Any

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredSemaphore
from zope.interface import implementer

from mailplat.interfaces import INetwork, IResolver, R
from mailplat.mail.dns import Answer, Cname, ResourceRecord, name_of
from mailplat.mail.errors import LookupFailed, Overloaded
from mailplat.resolver.asking import NoAnswer, Server, ask
from mailplat.resolver.cache import Cache
from mailplat.resolver.servers import ResolverSettings, Servers
from mailplat.wire.dns import Code, Found, Question, Response

AT_ONCE = 200  # questions under way, each with a descriptor of its own
MOST_QUESTIONS = 10_000  # under way and waiting
ROUNDS = 2  # in which each server is asked that doesn't answer
MOST_ALIASES = 8  # one behind the other
LONGEST_KEPT = 86400.0  # seconds
LONGEST_NOTHING = 10800.0  # seconds that nothing is kept (RFC 2308 section 5)
FAILURE_KEPT = 5.0  # seconds (RFC 9520 section 3.2)


def _random_id() -> int:
    return randbits(16)


@attrs.define(eq=False)
class _Asking:
    """A question under way, and who waits for its answer."""

    waiters: list[Deferred[Any]] = attrs.field(factory=list)
    work: Deferred[Any] | None = None

    def left(self, waiter: Deferred[Any]) -> None:
        """Forget somebody who waits no more; with the last of them the question ends."""
        self.waiters.remove(waiter)
        if not self.waiters and self.work:
            self.work.cancel()


@implementer(IResolver)
class Resolver:
    """Asks the resolvers of the settings, which know the rest of the world."""

    def __init__(
        self,
        settings: ResolverSettings,
        network: INetwork,
        *,
        servers: Servers | None = None,
        new_id: Callable[[], int] = _random_id,
    ) -> None:
        self._network = network
        self._timeout = settings.timeout.total_seconds()
        self._patience = settings.patience.total_seconds()
        self._servers = servers or Servers(settings, network)
        self._new_id = new_id
        self._cache: Cache[Answer[Any] | str] = Cache(network, settings.cache)
        self._asking: dict[tuple[str, int], _Asking] = {}
        self._places = DeferredSemaphore(AT_ONCE)

    async def lookup(self, name: str, kind: type[R]) -> Answer[R]:
        name = name_of(name)
        if found := self._cache.find((name, kind.number)):
            known, seconds = found
            if isinstance(known, str):
                raise LookupFailed(known)
            answer: Answer[R] = attrs.evolve(known, ttl=seconds)
            return answer
        asked: Answer[R] = await self._asked(name, kind)
        return asked

    # Equal questions are asked once.

    def _asked(self, name: str, kind: type[ResourceRecord]) -> Deferred[Any]:
        key = (name, kind.number)
        asking = self._asking.get(key)
        if asking is None:
            if len(self._asking) >= MOST_QUESTIONS:
                raise Overloaded(f"{MOST_QUESTIONS} questions to the DNS wait for answers")
            asking = self._asking[key] = _Asking()
        waiter: Deferred[Any] = Deferred(asking.left)
        asking.waiters.append(waiter)
        if asking.work is None:
            asking.work = Deferred.fromCoroutine(self._find_in_time(name, kind))
            asking.work.addBoth(self._tell, key, asking)
        return waiter

    def _tell(self, outcome: object, key: tuple[str, int], asking: _Asking) -> None:
        if self._asking.get(key) is asking:
            del self._asking[key]
        waiters, asking.waiters = asking.waiters, []
        for waiter in waiters:
            waiter.callback(outcome)

    async def _find_in_time(self, name: str, kind: type[ResourceRecord]) -> Answer[Any]:
        key = (name, kind.number)
        try:
            finding = Deferred.fromCoroutine(self._find(name, kind))
            answer: Answer[Any] = await finding.addTimeout(self._patience, self._network)
        except defer.TimeoutError:
            detail = f"no answer about {name} within {self._patience:g} s"
        except LookupFailed as failure:
            detail = str(failure)
        else:
            self._cache.keep(key, answer, answer.ttl)
            return answer
        self._cache.keep(key, detail, FAILURE_KEPT)
        raise LookupFailed(detail)

    # Aliases.

    async def _find(self, name: str, kind: type[ResourceRecord]) -> Answer[Any]:
        """Ask, and ask on where an alias leads to what the answer doesn't say."""
        end, aliases, ttl, proven = name, 0, LONGEST_KEPT, True
        while True:
            response, server = await self._ask(end, kind)
            proven = proven and response.authentic and server.trusted
            way = _Way.through(response.records, end, kind)
            aliases += way.aliases
            if aliases > MOST_ALIASES:
                raise LookupFailed(f"{name} is an alias of an alias, over {MOST_ALIASES} times")
            ttl = min(ttl, way.ttl)
            end = way.end
            exists = response.code != Code.NO_SUCH_NAME
            if way.records:
                return Answer(end, way.records, ttl, proven)
            if response.negative_ttl is not None or not exists or not way.aliases:
                nothing = min(response.negative_ttl or 0, LONGEST_NOTHING)
                return Answer(end, (), min(ttl, nothing), proven, exists)

    # Servers.

    async def _ask(self, name: str, kind: type[ResourceRecord]) -> tuple[Response, Server]:
        """Return the first server's answer that has one to give; raises `LookupFailed`."""
        troubles: list[str] = []
        servers = self._servers()
        for _ in range(ROUNDS):
            silent = []
            for server in servers:
                try:
                    response = await self._ask_one(server, name, kind)
                except NoAnswer as problem:
                    silent.append(server)
                    self._servers.failed(server)
                    troubles.append(str(problem))
                    continue
                if response.code in (Code.NO_ERROR, Code.NO_SUCH_NAME):
                    return response, server
                troubles.append(f"{server} answers {_code(response.code)}")
            servers = silent
        raise LookupFailed(f"{name} {kind.__name__.upper()}: {'; '.join(troubles)}")

    async def _ask_one(self, server: Server, name: str, kind: type[ResourceRecord]) -> Response:
        place = await self._places.acquire()
        try:
            question = Question(self._new_id(), name, kind.number)
            return await ask(self._network, server, question, self._timeout)
        finally:
            place.release()


@attrs.frozen
class _Way:
    """Where the aliases in one answer lead to, and what is there."""

    end: str
    records: tuple[ResourceRecord, ...]
    ttl: float
    aliases: int

    @classmethod
    def through(cls, found: Sequence[Found], name: str, kind: type[ResourceRecord]) -> _Way:
        """Follow them from a name; what belongs to other names is passed over."""
        names = {one.name: one for one in found if isinstance(one.record, Cname)}
        ttl, aliases, end = LONGEST_KEPT, 0, name
        while kind is not Cname and aliases <= MOST_ALIASES and (alias := names.get(end)):
            assert isinstance(alias.record, Cname)
            ttl, aliases, end = min(ttl, alias.ttl), aliases + 1, alias.record.name
        here = [one for one in found if one.name == end and type(one.record) is kind]
        ttl = min([ttl, *(one.ttl for one in here)])
        return cls(end, tuple(dict.fromkeys(one.record for one in here)), ttl, aliases)


def _code(number: int) -> str:
    return Code(number).name if number in Code.__members__.values() else f"code {number}"
