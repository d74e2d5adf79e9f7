"""Tells systemd how we are: readiness, reloads, and that we are alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


@attrs.define
class Notifier:
    """Sends datagrams to whoever started us, if they want any."""

    log = Logger()

    address: str = ""
    watchdog: float = 0.0  # seconds in which a sign of life is expected; 0: never
    _alive: LoopingCall | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Notifier:
        """Return the notifier that the service's environment asks for."""
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(environment.get("NOTIFY_SOCKET", ""), microseconds / 1e6 if for_us else 0.0)

    def ready(self, clock: IReactorTime) -> None:
        """Say that the doors are open, and from now on that we live."""
        self._send("READY=1")
        if self.watchdog and not self._alive:
            self._alive = LoopingCall(self._send, "WATCHDOG=1")
            self._alive.clock = clock
            self._alive.start(self.watchdog / 2)

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say goodbye."""
        self._send("STOPPING=1")
        if self._alive:
            self._alive.stop()
            self._alive = None

    def _send(self, text: str) -> None:
        if not self.address:
            return
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
                out.sendto(text.encode(), name)
        except OSError as problem:
            self.log.warn("systemd can't be told: {problem}", problem=str(problem))
