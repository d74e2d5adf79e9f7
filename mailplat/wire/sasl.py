"""Mechanisms as conversations, and how their words are framed (RFC 4422, 4616).

A mechanism is a generator: it yields `Challenge`s, is sent the responses, and
returns what was learnt.  `Exchange` runs one.  Mechanisms to come may yield
other questions than challenges, for whoever holds the keys; portals only ever
see challenges and the end.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Generator, Mapping
from typing import TypeAlias

import attrs

from mailplat.mail.errors import BadSyntax, LoginAborted, UnknownMechanism

LONGEST_NAME = 320  # octets; an address has no more (RFC 5321 section 4.5.3.1)


# Framing: what SMTP, POP3, IMAP and ManageSieve have in common.


def response(line: bytes) -> bytes:
    """Return the octets of a response line, whose length whoever cuts lines has bounded.

    Raises `LoginAborted` for ``*``, and `BadSyntax` for what is no base64.
    """
    if line == b"*":
        raise LoginAborted("the peer cancelled its login")
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error as problem:
        raise BadSyntax(f"no base64: {problem}") from None


def initial_response(word: bytes | None) -> bytes | None:
    """Return the octets of an initial response; ``=`` is an empty one, None that there is none.

    Raises as `response` does.
    """
    if word is None:
        return None
    return b"" if word == b"=" else response(word)


def challenge(octets: bytes) -> bytes:
    """Return a challenge as it is sent, without its line end."""
    return binascii.b2a_base64(octets, newline=False)


# Conversations.


@attrs.frozen
class Challenge:
    """What the mechanism says; the peer's response is sent back."""

    octets: bytes


@attrs.frozen
class Password:
    """A name and a password that is said to prove it; ``authzid`` is who to act as."""

    authcid: str
    password: bytes = attrs.field(repr=False)
    authzid: str = ""


Conversation: TypeAlias = Generator[Challenge, bytes, Password]


def plain() -> Conversation:
    """PLAIN: authorization identity, name and password in one response (RFC 4616)."""
    words = (yield Challenge(b"")).split(b"\0")
    if len(words) != 3:
        raise BadSyntax("PLAIN needs exactly two NULs")
    authzid, authcid, password = words
    return _password(authcid, password, authzid)


def login() -> Conversation:
    """LOGIN: name and password, each asked for; never standardised, widely spoken."""
    name = yield Challenge(b"Username:")
    password = yield Challenge(b"Password:")
    return _password(name, password, b"")


def _password(authcid: bytes, password: bytes, authzid: bytes) -> Password:
    if not authcid or not password:
        raise BadSyntax("an empty name or password")
    if b"\0" in authcid or b"\0" in password:
        raise BadSyntax("a NUL in a name or password")
    return Password(_name(authcid), password, _name(authzid))


def _name(octets: bytes) -> str:
    if len(octets) > LONGEST_NAME:
        raise BadSyntax(f"a name of {len(octets)} octets")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise BadSyntax("a name that is not UTF-8") from None


MECHANISMS: Mapping[str, Callable[[], Conversation]] = {"PLAIN": plain, "LOGIN": login}
"""The mechanisms by name, the ones to be preferred first."""


class Exchange:
    """One conversation under way.

    An initial response answers the first challenge, which then is not sent
    (RFC 4422 section 3).
    """

    __slots__ = ("_conversation", "_opening")

    def __init__(self, mechanism: str) -> None:
        """Raise `UnknownMechanism` for what is not in `MECHANISMS`."""
        if mechanism not in MECHANISMS:
            raise UnknownMechanism(mechanism[:20])
        self._conversation = MECHANISMS[mechanism]()
        self._opening: bytes | None = next(self._conversation).octets

    def step(self, octets: bytes | None) -> bytes | Password:
        """Return the next challenge, or what the peer's words came to.

        ``octets`` is the response, and at the first step the initial response
        or None.  Raises `BadSyntax` for words that make no sense.
        """
        opening, self._opening = self._opening, None
        if octets is None:
            if opening is None:
                raise BadSyntax("no response to a challenge")
            return opening
        try:
            return self._conversation.send(octets).octets
        except StopIteration as end:
            known: Password = end.value
            return known
