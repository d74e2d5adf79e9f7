"""One session, as the log will tell of it."""

from __future__ import annotations

import attrs

from mailplat.mail.transit import Peer


@attrs.define
class Visit:
    """What a client did in its maildrop, for the log."""

    login: str
    peer: Peer
    messages: int  # that were there
    retrieved: int = 0
    retrieved_octets: int = 0
    deleted: int = 0
    deleted_octets: int = 0
    end: str = "left without QUIT"
