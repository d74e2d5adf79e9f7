"""Says which way each recipient's copy goes: the first route that fits."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from mailplat.interfaces import IDirectory, IRoutes
from mailplat.mail.address import Address
from mailplat.mail.queued import Question, Routed
from mailplat.queue.settings import RouteSettings

LOCAL, HOLD, FAIL, KNOWN, NOWHERE = "local", "hold", "fail", "known", ""
"""Ways that need no route: to mailboxes here, and to no agent at all."""

WITHOUT_AGENT = (HOLD, FAIL, KNOWN, NOWHERE)


@implementer(IRoutes)
class Routes:
    """What is local goes to the agent ``local``; for the rest the routes are asked in order."""

    def __init__(self, routes: Sequence[RouteSettings], directory: IDirectory) -> None:
        self._routes = routes
        self._directory = directory

    async def route(self, question: Question, may_hold: bool = True) -> Routed:
        address = question.recipient
        if not address.domain or await self._directory.domain(address.domain):
            reason = f"{address.domain or 'a postmaster without a domain'} is local"
            return Routed(agent=LOCAL, destination=address.domain, reason=reason)
        return self._beyond(question, may_hold)

    def _beyond(self, question: Question, may_hold: bool) -> Routed:
        domain = question.recipient.domain
        for number, route in enumerate(self._routes, 1):
            if (route.agent != HOLD or may_hold) and fits(route, question):
                return Routed(
                    agent=route.agent,
                    destination=domain,
                    reason=f"route {number}: {described(route)}",
                    hold=(route.reason or f"route {number} says so")
                    if route.agent == HOLD
                    else "",
                )
        reason = "no route leads there" if self._routes else "there are no routes"
        return Routed(agent=NOWHERE, destination=domain, reason=reason)

    def reason_of_failure(self, question: Question) -> str:
        """Return what the route that fails a recipient has to say to the sender."""
        failing = (r for r in self._routes if r.agent == FAIL and fits(r, question))
        return next((route.reason for route in failing), "")


def fits(route: RouteSettings, question: Question) -> bool:
    """Say whether all conditions of a route hold."""
    if not any(matches(one, question.recipient) for one in route.match):
        return False
    if not any(matches(one, question.sender) for one in route.sender):
        return False
    if route.login and question.login not in route.login:
        return False
    if route.larger_than is not None and question.size <= route.larger_than:
        return False
    return route.smaller_than is None or question.size < route.smaller_than


def matches(pattern: str, address: Address | None) -> bool:
    """Say whether a pattern means an address, or the null reverse-path (None)."""
    if pattern == "*":
        return True
    if address is None or pattern == "<>":
        return address is None and pattern == "<>"
    local, _, domain = pattern.rpartition("@")
    if local and local != address.key.rpartition("@")[0]:
        return False
    if domain.startswith("*."):
        return address.domain.endswith(domain[1:])
    return address.domain == domain


def described(route: RouteSettings) -> str:
    """Return a route's conditions in the words of the configuration."""
    said = [f"match {_listed(route.match)}"]
    if route.sender != ("*",):
        said.append(f"sender {_listed(route.sender)}")
    if route.login:
        said.append(f"login {_listed(route.login)}")
    if route.larger_than is not None:
        said.append(f"larger than {route.larger_than} octets")
    if route.smaller_than is not None:
        said.append(f"smaller than {route.smaller_than} octets")
    return f"{', '.join(said)}: {route.agent}"


def _listed(names: Sequence[str]) -> str:
    return " or ".join(names)
