"""Addresses and the sockets they become."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailplat.mail.transit import Peer
from mailplat.plugin import ConfigError
from mailplat.portals import listen
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.listen import open_listener


async def reaches(place: Peer) -> bool:
    family = (
        socket.AF_UNIX
        if place.path
        else socket.AF_INET6
        if ":" in place.host
        else socket.AF_INET
    )
    with socket.socket(family) as client:
        try:
            client.connect(place.path or (place.host, place.port))
        except OSError:
            return False
        return True


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("127.0.0.1:0", "127.0.0.1"),
        ("tcp:0:interface=127.0.0.1", "127.0.0.1"),
        ("[::1]:0", "::1"),
        ("tcp:0:interface=\\:\\:1", "::1"),
    ],
)
async def test_one_address(address: str, host: str) -> None:
    listener = open_listener(address)
    [place] = listener.places
    assert place.host == host
    assert place.port
    assert await reaches(place)
    await listener.close()
    assert not await reaches(place)


@pytest.mark.parametrize("address", ["0", "tcp:0"])
async def test_both_families(address: str) -> None:
    listener = open_listener(address)
    ipv4, ipv6 = listener.places
    assert (ipv4.host, ipv6.host) == ("0.0.0.0", "::")
    assert ipv4.port == ipv6.port
    await listener.close()


async def test_where_ipv6_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ipv4Only(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, *args, **kwargs)

    monkeypatch.setattr(listen.socket, "socket", Ipv4Only)
    listener = open_listener("0")
    [place] = listener.places
    assert place.host == "0.0.0.0"
    await listener.close()


async def test_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "door"
    listener = open_listener(f"unix:{path}:mode=600")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert listener.places == (Peer(path=str(path)),)
    with pytest.raises(ConfigError, match="another process"):
        open_listener(f"unix:{path}")
    await listener.close()
    assert not path.exists()


async def test_a_socket_that_the_dead_have_left(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    listener = open_listener(f"unix:{path}")
    assert await reaches(listener.places[0])
    await listener.close()
    path.write_text("not a socket")
    with pytest.raises(ConfigError):
        open_listener(f"unix:{path}")


async def test_a_port_that_is_taken() -> None:
    listener = open_listener("127.0.0.1:0")
    with pytest.raises(ConfigError, match=f"port {listener.places[0].port} is taken"):
        open_listener(f"127.0.0.1:{listener.places[0].port}")
    await listener.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_port_that_needs_privileges() -> None:
    program = (
        "import os; os.setgid(65534); os.setuid(65534)\n"
        "from mailplat.portals.listen import open_listener\n"
        "try: open_listener('127.0.0.1:1')\n"
        "except Exception as problem: print(problem)"
    )
    floor = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    if int(floor) < 2:
        pytest.skip("every port is free here")
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            program.replace("import os;", "import mailplat.portals.listen, os;", 1),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CAP_NET_BIND_SERVICE" in said.stdout


def test_an_address_that_nobody_has() -> None:
    with pytest.raises(ConfigError, match="no interface"):
        open_listener("192.0.2.77:0")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "smtp",
        "tcp:",
        "tcp:x",
        "25:x",
        "tcp:70000",
        "127.0.0.1:70000",
        "300.0.0.1:25",
        "unix",
        "unix:a:mode=9",
        "systemd:",
        "systemd:domain=INET",
        "tcp:25:host=::",
    ],
)
def test_addresses_that_make_no_sense(address: str) -> None:
    with pytest.raises(ConfigError, match="no address to listen at"):
        open_listener(address, {})


# What systemd passes.


def environment(count: int, names: str = "") -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two listening sockets at neighbouring descriptors, as systemd would pass them."""
    sockets = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]
    first = max(one.fileno() for one in sockets) + 50
    for number, one in enumerate(sockets):
        os.dup2(one.fileno(), first + number)
    monkeypatch.setattr(listen, "SYSTEMD_FIRST", first)
    yield [one.getsockname()[1] for one in sockets]
    for number, one in enumerate(sockets):
        os.close(first + number)
        one.close()


async def test_sockets_by_name(passed: list[int]) -> None:
    both = open_listener("systemd:name=smtp", environment(2, "smtp:smtp"))
    assert [place.port for place in both.places] == passed
    one = open_listener("systemd:name=lmtp", environment(2, "smtp:lmtp"))
    assert [place.port for place in one.places] == passed[1:]
    await both.close()
    assert await reaches(one.places[0])
    await one.close()


@pytest.mark.parametrize("address", ["systemd:index=1", "systemd:domain=INET:index=1"])
async def test_sockets_by_number(passed: list[int], address: str) -> None:
    listener = open_listener(address, environment(2))
    assert [place.port for place in listener.places] == passed[1:]
    await listener.close()


@pytest.mark.parametrize(
    "given", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, environment(2, "a:b"), environment(0)]
)
def test_sockets_that_systemd_did_not_pass(passed: list[int], given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="systemd passed no socket"):
        open_listener("systemd:name=smtp", given)


# Serving.


async def test_another_portal_behind_an_open_door(
    reactor: Any, doorkeeper: Doorkeeper, call: Any, toy: Any
) -> None:
    first, second = toy(reactor, doorkeeper), toy(reactor, doorkeeper)
    listener = open_listener("127.0.0.1:0")
    waiting = await call(listener.places[0])
    listener.serve(reactor, first)
    await waiting.until(b"hello\n")
    listener.serve(reactor, second)
    later = await call(listener.places[0])
    await later.until(b"hello\n")
    assert (first.sessions, second.sessions) == (1, 1)
    await listener.close()
    waiting.say(b"still there\n")
    assert await waiting.until(b"there\n")
    assert not await reaches(listener.places[0])


async def test_ipv4_in_ipv6_clothes(
    reactor: Any, call: Any, toy: Any, doorkeeper: Doorkeeper
) -> None:
    """A socket for both families, as systemd may pass, gives mapped addresses."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
        listener = listen.Listener("given", [both.dup()], None)
        listener._sockets[0].setblocking(False)
        portal = toy(reactor, doorkeeper)
        listener.serve(reactor, portal)
        client = await call(listener.places[0])
        await client.until(b"hello\n")
        [connection] = portal.connections
        assert connection.peer == Peer("127.0.0.1", client.port)
        await listener.close()
