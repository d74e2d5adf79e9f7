"""The lock, the alarm for what holds the reactor, and words for systemd."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs

from mailplat.app.holdups import HoldUps
from mailplat.app.lock import Lock, Locked, NoStateFolder
from mailplat.app.systemd import Notifier


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    state = tmp_path / "a/state"
    with pytest.raises(NoStateFolder, match="is its disk mounted"):
        Lock.take(state)
    assert not state.parent.exists()
    state.mkdir(parents=True)
    first = Lock.take(state)
    with pytest.raises(Locked, match=f"by another process, whose id is {os.getpid()}$"):
        Lock.take(state)
    first.release()
    second = Lock.take(state)
    assert second.boot != first.boot
    second.release()


def hold_the_reactor() -> None:
    time.sleep(0.2)


async def test_what_holds_the_reactor_is_named(reactor: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    watch = HoldUps(reactor)
    watch.start()
    try:
        with capturedLogs() as events:
            await deferLater(reactor, 0.1, hold_the_reactor)
            await deferLater(reactor, 0.1)
    finally:
        watch.stop()
        signal.signal(signal.SIGALRM, before)
    [event] = [event for event in events if "where" in event]
    assert event["where"].startswith("hold_the_reactor (")
    assert 150 < event["milliseconds"] < 1000


async def test_an_idle_reactor_is_no_hold_up(reactor: Any) -> None:
    watch = HoldUps(reactor)
    watch.start()
    with capturedLogs() as events:
        await deferLater(reactor, 0.3)
    watch.stop()
    assert not [event for event in events if "where" in event]


@pytest.mark.parametrize(
    ("work", "fewest", "most"),
    [((0.0, 1), 15, 25), ((0.0, 5), 350, 450), ((0.003, 0), 350, 450)],
)
def test_an_idle_server_is_left_to_sleep(
    work: tuple[float, int], fewest: int, most: int
) -> None:
    """It wakes up twice a second after a second of quiet, and forty times while it works."""
    clock, ticks = Clock(), 0

    def usage() -> tuple[float, int]:
        nonlocal ticks
        ticks += 1
        return work[0] * ticks, work[1] * ticks

    before = signal.getsignal(signal.SIGALRM)
    watch = HoldUps(clock, usage)
    watch.start()
    try:
        clock.pump([0.025] * 48)
        ticks_of_the_first_second, ticks = ticks, 0
        clock.pump([0.025] * 400)
    finally:
        watch.stop()
        signal.signal(signal.SIGALRM, before)
    assert ticks_of_the_first_second >= 40
    assert fewest <= ticks <= most
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("abstract", [True, False])
def test_systemd_hears_of_us(tmp_path: Path, abstract: bool) -> None:
    name = f"\0{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name)
        systemd.setblocking(False)
        clock = Clock()
        environment = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "2000000"}
        notifier = Notifier.of(environment)
        notifier.ready(clock)
        assert [systemd.recv(99), systemd.recv(99)] == [b"READY=1", b"WATCHDOG=1"]
        clock.advance(1)
        assert systemd.recv(99) == b"WATCHDOG=1"
        notifier.ready(clock)
        assert systemd.recv(99) == b"READY=1"
        notifier.stopping()
        assert systemd.recv(99) == b"STOPPING=1"
        assert not clock.getDelayedCalls()


def test_the_unit_suits_the_systemd_of_debian_12() -> None:
    """``notify-reload`` came with systemd 253, a version later."""
    unit = Path(__file__).parents[2] / "etc/systemd/mailplat.service"
    lines = unit.read_text().splitlines()
    assert "Type=notify" in lines
    assert "ExecReload=/bin/kill -HUP $MAINPID" in lines


def test_without_systemd_nothing_is_said() -> None:
    clock = Clock()
    Notifier.of({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).ready(clock)
    assert not clock.getDelayedCalls()
    Notifier("/no/such/socket").ready(clock)
