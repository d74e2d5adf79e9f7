"""ID: who are you? (RFC 2971)"""

from __future__ import annotations

from typing import Self

import attrs

import mailplat
from mailplat.mail.errors import TooLarge
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State

MOST_FIELDS = 30
LONGEST_FIELD = 30  # octets of a name
LONGEST_VALUE = 1024
SHOWN = 100  # characters of a client's name in the log


@attrs.frozen
class Id(Command):
    name = b"ID"
    states = State.ANY
    fields: dict[str, str]

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        fields: dict[str, str] = {}
        if not cursor.skip_word(b"NIL"):
            items = cursor.list_items()
            for _ in items:
                name = cursor.string("the name of a field")
                cursor.space()
                value = cursor.nstring() or b""
                if len(name) > LONGEST_FIELD or len(value) > LONGEST_VALUE:
                    raise TooLarge("ID", public="a field is too long")
                if len(fields) >= MOST_FIELDS:
                    raise TooLarge("ID", public=f"over {MOST_FIELDS} fields")
                fields[_text(name).lower()] = _text(value)
        cursor.end()
        return cls(fields)

    async def run(self, session: Session) -> Ok:
        version = b' "version" "%b"' % mailplat.__version__.encode() if session.login else b""
        session.say(b'* ID ("name" "mailplat"%b)\r\n' % version)
        if session.visit:
            words = (self.fields.get("name", ""), self.fields.get("version", ""))
            session.visit.client = " ".join(filter(None, words))[:SHOWN]
        return Ok("Pleased to meet you")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")
