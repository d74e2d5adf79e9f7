"""ENABLE: the client knows extensions that change what it is told (RFC 5161)."""

from __future__ import annotations

from typing import Self

import attrs

from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State

KNOWN = {"CONDSTORE": "CONDSTORE", "QRESYNC": "QRESYNC", "IMAP4REV2": "IMAP4rev2"}
"""What can be enabled: as it is compared, and as it is written."""


@attrs.frozen
class Enable(Command):
    name = b"ENABLE"
    states = State.LOGGED_IN
    names: tuple[str, ...]

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        names: list[str] = []
        while not names or not cursor.is_at_end:
            cursor.space()
            names.append(cursor.word("a capability").decode("ascii"))
        return cls(tuple(names))

    async def run(self, session: Session) -> Ok:
        """Enable what is known, and say what was not enabled before."""
        before = session.enabled
        without = {name.upper() for name in session.rules.without}
        session.enable(*(name for name in self.names if name in KNOWN and name not in without))
        new = [KNOWN[name] for name in KNOWN if name in session.enabled - before]
        session.say(" ".join(["* ENABLED", *new]).encode() + b"\r\n")
        return Ok("So be it")
