"""Opens the sockets that portals listen at, and keeps them while portals change.

An address is written in one of these ways:

``25``, ``tcp:25``                     that port, of both address families
``127.0.0.1:2525``, ``[::1]:2525``     one address
``tcp:25:interface=192.0.2.1``         the same, as Twisted writes it
``unix:/run/lmtp.sock:mode=660``       a UNIX socket
``systemd:name=smtp``                  every socket of that name that systemd passed
``systemd:index=0``                    one of the sockets that systemd passed
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import DeferredList, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IProtocolFactory,
    IReactorSocket,
)
from zope.interface import implementer

from mailplat.mail.transit import Peer
from mailplat.plugin import ConfigError

BACKLOG = 1024
SYSTEMD_FIRST = 3  # the first descriptor that systemd passes, sd_listen_fds(3)

_COLON = re.compile(r"(?<!\\):")
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<ipv4>[0-9.]+)):(?P<port>\d{1,5})")


@implementer(IProtocolFactory)
class _Front:
    """What the reactor knows; whoever stands behind it may be exchanged."""

    def __init__(self, behind: IProtocolFactory) -> None:
        self.behind = behind

    def buildProtocol(self, addr: IAddress) -> IProtocol | None:
        return self.behind.buildProtocol(addr)

    def doStart(self) -> None:
        """Nothing to start: portals are told by the application."""

    def doStop(self) -> None:
        """Nothing to stop."""


class Listener:
    """The open sockets of one address; connections queue from now on.

    Nobody is accepted before `serve` is first called.  Calling it again puts
    another portal behind the same sockets.
    """

    def __init__(self, address: str, sockets: list[socket.socket], owned: Path | None) -> None:
        self.address = address  # as the configuration writes it
        self._sockets = sockets
        self._owned = owned  # the file of a UNIX socket that we made
        self._front: _Front | None = None
        self._ports: list[IListeningPort] = []
        self.places = tuple(map(_place, sockets))  # where it really listens

    def serve(self, reactor: IReactorSocket, factory: IProtocolFactory) -> None:
        """Let ``factory`` answer from now on."""
        if self._front:
            self._front.behind = factory
            return
        self._front = _Front(factory)
        front: Any = self._front
        mode = stat.S_IMODE(self._owned.stat().st_mode) if self._owned else 0
        for one in self._sockets:
            port = reactor.adoptStreamPort(one.fileno(), one.family, front)
            self._ports.append(port)
        if self._owned:
            self._owned.chmod(mode)  # Twisted has just let everybody in

    async def close(self) -> None:
        """Accept nobody any more and close the sockets; sessions go on."""
        ports, self._ports = self._ports, []
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])
        for one in self._sockets:
            one.close()
        if self._owned:
            self._owned.unlink(missing_ok=True)


def _place(one: socket.socket) -> Peer:
    name = one.getsockname()
    return Peer(path=name) if isinstance(name, str) else Peer(*name[:2])


NO_ADDRESS = (
    "no address to listen at; such are 25, 127.0.0.1:2525, [::1]:2525, "
    "unix:/run/lmtp.sock and systemd:name=smtp"
)


@attrs.frozen
class Wanted:
    """An address as it was written, understood.

    It is a TCP port at ``host`` or, if that is empty, at every address of both
    families; or the UNIX socket ``path``; or what systemd passed by ``passed``.
    """

    text: str
    port: int = 0
    host: str = ""
    path: Path | None = None
    mode: int = 0o660
    passed: tuple[str, str] | None = None

    def is_at_odds_with(self, other: Wanted) -> bool:
        """Say whether the two can't be open at the same time."""
        if self.path or other.path or self.passed or other.passed:
            return self.path == other.path and self.passed == other.passed
        if not self.port or self.port != other.port:
            return False
        return self.host == other.host or any(
            _covers(wide, narrow)
            for wide, narrow in ((self.host, other.host), (other.host, self.host))
        )

    @property
    def is_foreign(self) -> bool:
        """Whether no interface of this machine has that address now."""
        if not self.host:
            return False
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((self.host, 0))
        except OSError as problem:
            return problem.errno == errno.EADDRNOTAVAIL
        return False


def _covers(wide: str, narrow: str) -> bool:
    """Say whether who listens at ``wide`` leaves no room at ``narrow``, at the same port."""
    if not wide:
        return True
    everywhere = {"0.0.0.0": 4, "::": 6}  # noqa: S104 - compared, not bound
    return bool(narrow) and everywhere.get(wide) == ip_address(narrow).version


def read_address(address: str) -> Wanted:
    """Understand an address; raises `ValueError` if it is none."""
    words = [word.replace("\\:", ":") for word in _COLON.split(address)]
    kind, rest = words[0], words[1:]
    if kind.isdecimal() and not rest:
        kind, rest = "tcp", words
    try:
        if literal := _HOST_PORT.fullmatch(address):
            host = literal["ipv6"] or literal["ipv4"]
            return Wanted(address, _port(literal["port"]), str(ip_address(host)))
        return _READERS[kind](address, rest)
    except (KeyError, IndexError, ValueError):
        raise ValueError(f"{address!r} is {NO_ADDRESS}") from None


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError(text)
    return number


def _read_tcp(address: str, words: list[str]) -> Wanted:
    host = _options(words[1:], {"interface"}).get("interface")
    return Wanted(address, _port(words[0]), str(ip_address(host)) if host else "")


def _read_unix(address: str, words: list[str]) -> Wanted:
    options = _options(words[1:], {"mode"})
    if not words[0]:
        raise ValueError(address)
    return Wanted(address, path=Path(words[0]), mode=int(options.get("mode", "660"), 8))


def _read_systemd(address: str, words: list[str]) -> Wanted:
    options = _options(words, {"name", "index", "domain"})
    if "index" in options:
        return Wanted(address, passed=("index", str(int(options["index"]))))
    return Wanted(address, passed=("name", options["name"]))


_READERS = {
    "tcp": _read_tcp,
    "unix": _read_unix,
    "systemd": _read_systemd,
}


def open_listener(address: str, environment: Mapping[str, str] = os.environ) -> Listener:
    """Open the sockets of an address.

    Raises `ConfigError` for an address that can't be understood or had.
    """
    try:
        wanted = read_address(address)
    except ValueError as problem:
        raise ConfigError(str(problem)) from None
    if wanted.path:
        return Listener(address, [_unix(wanted.path, wanted.mode)], wanted.path)
    if wanted.passed:
        return Listener(address, _of_systemd(address, *wanted.passed, environment), None)
    return Listener(address, _tcp(address, wanted.port, wanted.host), None)


def _of_systemd(
    address: str, key: str, value: str, environment: Mapping[str, str]
) -> list[socket.socket]:
    passed = _passed_by_systemd(environment)
    if key == "index":
        chosen = [number for number, _name in passed][int(value) :][:1]
    else:
        chosen = [number for number, name in passed if name == value]
    if not chosen:
        names = ", ".join(name for _number, name in passed) or "none"
        raise ConfigError(
            f"systemd passed no socket for {address!r} (it passed: {names}); "
            "the .socket unit must be there, with that FileDescriptorName"
        )
    sockets = [socket.socket(fileno=os.dup(number)) for number in chosen]
    for one in sockets:
        one.setblocking(False)
    return sockets


def _options(words: list[str], known: set[str]) -> dict[str, str]:
    options = dict(word.split("=", 1) for word in words)
    if not options.keys() <= known:
        raise ValueError(words)
    return options


def _passed_by_systemd(environment: Mapping[str, str]) -> list[tuple[int, str]]:
    """Return descriptors and names (sd_listen_fds(3)); none if they are for another process."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(environment.get("LISTEN_FDS", "0"))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (count - len(names))
    return [(SYSTEMD_FIRST + number, names[number]) for number in range(count)]


def _tcp(address: str, port: int, host: str) -> list[socket.socket]:
    """Open a port at one address, or at all of both families as far as they are there."""
    if host:
        return [_bound(address, host, port)]
    for _ in range(10):
        ipv4 = _bound(address, "0.0.0.0", port)  # noqa: S104 - a mail server answers everybody
        try:
            return [ipv4, _bound(address, "::", ipv4.getsockname()[1])]
        except _NoSuchFamily:
            return [ipv4]
        except ConfigError:
            ipv4.close()
            if port:
                raise
    raise ConfigError(f"{address!r}: no port is free in both address families")


class _NoSuchFamily(ConfigError):
    """This machine has no IPv6."""


def _bound(address: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
    try:
        made = socket.socket(family)
    except OSError as problem:
        raise _NoSuchFamily(f"{address!r}: {problem.strerror}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as problem:
        made.close()
        if problem.errno == errno.EADDRNOTAVAIL and host == "::":
            raise _NoSuchFamily(f"{address!r}: {problem.strerror}") from None
        raise ConfigError(f"can't listen at {address!r}: {_advice(problem, port)}") from None
    made.setblocking(False)
    return made


def _advice(problem: OSError, port: int) -> str:
    match problem.errno:
        case errno.EADDRINUSE:
            return (
                f"port {port} is taken; another mail server may be running "
                f"(`ss -ltnp 'sport = :{port}'` names it), or two portals want the same port"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"port {port} needs privileges; start as root, give the service "
                "CAP_NET_BIND_SERVICE, let systemd pass the socket, or take a port above 1023"
            )
        case errno.EADDRNOTAVAIL:
            return "no interface of this machine has that address"
    return problem.strerror or str(problem)


def _unix(path: Path, mode: int) -> socket.socket:
    """Make a UNIX socket, in place of one that a dead process has left."""
    made = socket.socket(socket.AF_UNIX)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            _remove_if_dead(path)
        made.bind(str(path))
        path.chmod(mode)
        made.listen(BACKLOG)
    except OSError as problem:
        made.close()
        reason = problem.strerror or str(problem)
        raise ConfigError(f"can't listen at unix:{path}: {reason}") from None
    made.setblocking(False)
    return made


def _remove_if_dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "another process listens there")
