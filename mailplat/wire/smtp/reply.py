"""Replies of SMTP and LMTP, as octets (RFC 5321 section 4.2, RFC 2034, 3463)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs

from mailplat.mail.status import Status
from mailplat.wire.replies import Moment, status_of, text_for, words_for
from mailplat.wire.sasl import challenge


@attrs.frozen
class Reply:
    """One answer: the code that decides what happens next, and all its octets."""

    code: int
    octets: bytes

    @classmethod
    def of(cls, code: int, text: str, status: Status | None = None) -> Self:
        """Return a reply of one line, with its enhanced status where it has one."""
        enhanced = f"{status} " if status else ""
        return cls(code, f"{code} {enhanced}{text}\r\n".encode("ascii", "replace"))

    @classmethod
    def of_lines(cls, code: int, lines: Sequence[str]) -> Self:
        """Return a reply of several lines."""
        text = "".join(f"{code}-{line}\r\n" for line in lines[:-1])
        return cls(code, f"{text}{code} {lines[-1]}\r\n".encode("ascii", "replace"))

    @classmethod
    def refusing(cls, error: Exception, moment: Moment = Moment.COMMAND) -> Self:
        """Return what a peer hears of an error."""
        code = words_for(error).smtp_at(moment)
        greeting = moment is Moment.CONNECT  # which has no enhanced status (RFC 2034)
        return cls.of(code, text_for(error), None if greeting else status_of(error))

    @classmethod
    def challenge(cls, octets: bytes) -> Self:
        """Return the server's turn in a login (RFC 4954 section 4)."""
        return cls(334, b"334 " + challenge(octets) + b"\r\n")

    @classmethod
    def each(cls, replies: Sequence[Reply]) -> Self:
        """Return LMTP's answers after the final dot, one a recipient (RFC 2033 section 4.2).

        Its code is that of a success if there is any.
        """
        code = min(reply.code for reply in replies)
        return cls(code, b"".join(reply.octets for reply in replies))

    @property
    def is_success(self) -> bool:
        """Whether what the peer asked for has been done."""
        return 200 <= self.code < 300


OK = Reply.of(250, "Ok", Status(2, 0, 0))
SENDER_OK = Reply.of(250, "Sender ok", Status(2, 1, 0))
RECIPIENT_OK = Reply.of(250, "Recipient ok", Status(2, 1, 5))
GO_AHEAD = Reply.of(354, "Go ahead, end with a lone dot")
GOODBYE = Reply.of(221, "Goodbye", Status(2, 0, 0))
READY_FOR_TLS = Reply.of(220, "Ready to start TLS", Status(2, 0, 0))
LOGGED_IN = Reply.of(235, "Logged in", Status(2, 7, 0))
PERHAPS = Reply.of(252, "Perhaps; send a message and see", Status(2, 5, 0))
SEE_THE_RFC = Reply.of(214, "See RFC 5321 for what may be said here", Status(2, 0, 0))
