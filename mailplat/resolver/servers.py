"""Which resolvers are asked, and in which order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import attrs
from annotated_types import Ge, Gt
from pydantic import AfterValidator, Field
from twisted.internet.interfaces import IReactorTime

from mailplat.plugin import Duration, Settings
from mailplat.resolver.asking import Server

SYSTEM = Path("/etc/resolv.conf")
LOOK_EVERY = 30.0  # seconds between two looks at that file
MOST_SERVERS = 3  # that are taken from it, as the C library does
LONGEST_FILE = 65536  # octets of it that are read
_NAMESERVER = re.compile(r"^nameserver[ \t]++([0-9A-Fa-f:.]++)", re.MULTILINE)


def _endpoint(text: str) -> str:
    endpoint(text)
    return text


def endpoint(text: str) -> tuple[str, int]:
    """Return address and port of a resolver; raises `ValueError`."""
    try:  # an address alone, whose colons mean no port
        return str(ip_address(text)), 53
    except ValueError:
        pass
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError('expected an address such as "127.0.0.1" or "[::1]:5353"')
    return str(ip_address(bare)), int(port)


class ResolverSettings(Settings):
    """Keys of ``[resolver]``: who answers our questions to the DNS."""

    servers: tuple[Annotated[str, AfterValidator(_endpoint)], ...] = Field(
        (),
        description=(
            'Resolvers to ask, in this order, such as "127.0.0.1" or "[::1]:5353"; left '
            "out, those of /etc/resolv.conf."
        ),
    )
    proof: Literal["loopback", "always", "never"] = Field(
        "loopback",
        description=(
            "Whose word counts that DNSSEC has proved an answer: that of resolvers on "
            "this machine, of all of them, since nobody can change what they say on its "
            "way, or of none. DANE needs a resolver that validates."
        ),
    )
    timeout: Annotated[Duration, Gt(timedelta(0))] = Field(
        timedelta(seconds=3), description="How long one of them may take."
    )
    patience: Annotated[Duration, Gt(timedelta(0))] = Field(
        timedelta(seconds=20), description="How long a question may take in all."
    )
    cache: Annotated[int, Ge(0)] = Field(
        20_000, description="How many answers are kept, each as long as it says."
    )


@attrs.define
class Servers:
    """The resolvers of the settings or of the system, the one that answered last first."""

    settings: ResolverSettings
    clock: IReactorTime
    system: Path = SYSTEM
    _known: list[Server] = attrs.field(factory=list, init=False)
    _look_at: float = attrs.field(default=float("-inf"), init=False)
    _seen: object = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._known = [self._server(*endpoint(text)) for text in self.settings.servers]

    def __call__(self) -> Sequence[Server]:
        """Return them in the order in which to ask."""
        if not self.settings.servers and self.clock.seconds() >= self._look_at:
            self._look_at = self.clock.seconds() + LOOK_EVERY
            self._look()
        return tuple(self._known)

    def failed(self, server: Server) -> None:
        """Ask it last from now on: it did not answer."""
        if server in self._known:
            self._known.remove(server)
            self._known.append(server)

    def _server(self, host: str, port: int) -> Server:
        proof = self.settings.proof
        trusted = proof == "always" or (proof == "loopback" and ip_address(host).is_loopback)
        return Server(host, port, trusted)

    def _look(self) -> None:
        try:
            stat = self.system.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if seen == self._seen:
                return
            with self.system.open(encoding="utf-8", errors="replace") as file:
                text = file.read(LONGEST_FILE)
        except OSError:
            text, seen = "", None  # which means a resolver on this machine (resolv.conf(5))
        self._seen = seen
        self._known = [self._server(host, 53) for host in _addresses(text)[:MOST_SERVERS]]


def _addresses(text: str) -> list[str]:
    found = []
    for address in _NAMESERVER.findall(text):
        try:
            found.append(str(ip_address(address)))
        except ValueError:
            continue
    return found or ["127.0.0.1"]
