"""The commands of SMTP and LMTP, read from their lines (RFC 5321 section 4.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

import attrs

from mailplat.mail.address import PATH, POSTMASTER, Address
from mailplat.mail.envelope import Body, Envelope, Recipient
from mailplat.mail.errors import (
    BadAddress,
    BadParameter,
    BadSender,
    MessageTooLarge,
    NotAscii,
    NotOffered,
    UnknownCommand,
    UnknownMechanism,
    UnknownParameter,
)
from mailplat.wire.sasl import initial_response

# What a peer may say.


@attrs.frozen
class Hello:
    """EHLO, HELO or LHLO, and what the peer calls itself."""

    verb: bytes
    name: str


@attrs.frozen
class Mail:
    """MAIL: a transaction begins; the envelope has no recipients yet."""

    envelope: Envelope


@attrs.frozen
class Rcpt:
    """RCPT: one more recipient."""

    recipient: Recipient


@attrs.frozen
class Data:
    """DATA: the content comes next."""


@attrs.frozen
class Rset:
    """RSET: the transaction, if any, is given up."""


@attrs.frozen
class Noop:
    """NOOP, whatever its argument."""


@attrs.frozen
class Quit:
    """QUIT: the peer wants to leave."""


@attrs.frozen
class Verify:
    """VRFY: is there such a mailbox?"""

    name: bytes


@attrs.frozen
class Help:
    """HELP, whatever its argument."""


@attrs.frozen
class StartTls:
    """STARTTLS (RFC 3207)."""


@attrs.frozen
class Auth:
    """AUTH: a login begins (RFC 4954); ``initial`` is None where there was no response yet."""

    mechanism: str
    initial: bytes | None = None


Command: TypeAlias = (
    Hello | Mail | Rcpt | Data | Rset | Noop | Quit | Verify | Help | StartTls | Auth
)


@attrs.frozen
class Offer:
    """What a server says of itself to the peers of one portal (RFC 5321 section 4.1.1.1).

    ``size`` is the largest message in octets; ``mechanisms`` are those of AUTH.
    """

    hostname: str
    size: int
    lmtp: bool = False
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the answer to EHLO and LHLO."""
        return (
            self.hostname,
            "PIPELINING",
            f"SIZE {self.size}",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            *(["STARTTLS"] if self.starttls else []),
            *([f"AUTH {' '.join(self.mechanisms)}"] if self.mechanisms else []),
            *([] if self.lmtp else ["HELP"]),
        )


# Reading a line.  No pattern can backtrack: what a part takes it keeps.

_DOMAIN = rb"(?:\[[^\]<>\s]*+\]|[A-Za-z0-9.\-]++)"
_ROUTE = rb"(?:(?:@" + _DOMAIN + rb",)*+@" + _DOMAIN + rb":(?!>))?+"
_PATH = rb"<" + _ROUTE + rb'((?:[^"<>\s]++|"(?:[^"\\]|\\.)*+")*+)>(?: +(.*+))?+'
_MAIL = re.compile(rb"MAIL +FROM: *" + _PATH, re.IGNORECASE | re.DOTALL)
_RCPT = re.compile(rb"RCPT +TO: *" + _PATH, re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(rb"([A-Za-z0-9][A-Za-z0-9\-]*+)(?:=([!-<>-~]++))?+")
_XTEXT = re.compile(rb"(?:[!-*,-<>-~]|\+[0-9A-F]{2})++")
_NAME = re.compile(
    rb"[!-~\x80-\xff](?:[ -~\x80-\xff]{0,253}[!-~\x80-\xff])?"
)  # as peers say it
_VERB = re.compile(rb"([A-Za-z0-9]++)(?: ++(.*+))?+", re.DOTALL)

SIZE_DIGITS = 20  # RFC 1870 section 3
_BODIES = {b"7BIT": Body.SEVEN_BIT, b"8BITMIME": Body.EIGHT_BIT}


def read(line: bytes, offer: Offer, *, extended: bool) -> Command:
    """Return the command that a line holds; raises `MailError` if it holds none.

    ``extended`` says whether the peer has begun with EHLO or LHLO, without which
    no parameters are taken.
    """
    verb = line[:4].upper()
    if verb == b"RCPT":
        return _read_rcpt(line)
    if verb == b"MAIL":
        return _read_mail(line, offer if extended else None)
    match = _VERB.fullmatch(line.rstrip(b" "))
    reader = match and _READERS.get(match[1].upper())
    if not match or not reader:
        raise UnknownCommand(f"no command: {line[:16]!r}")
    return reader(match[1].upper(), match[2] or b"", offer)


def _read_mail(line: bytes, offer: Offer | None) -> Mail:
    match = _MAIL.fullmatch(line)
    if not match:
        raise BadSender("no reverse-path") if b":" in line else BadParameter("no FROM:")
    path, rest = match.groups()
    try:
        sender = _address(path) if path else None
    except BadAddress as problem:
        raise BadSender(str(problem)) from None
    if not rest:
        return Mail(Envelope(sender))
    body, size = _mail_parameters(_parameters(rest), offer)
    return Mail(Envelope(sender, body=body, declared_size=size))


def _read_rcpt(line: bytes) -> Rcpt:
    match = _RCPT.fullmatch(line)
    if not match:
        raise BadAddress("no forward-path") if b":" in line else BadParameter("no TO:")
    path, rest = match.groups()
    address = POSTMASTER if path.lower() == b"postmaster" else _address(path)
    for name in _parameters(rest) if rest else ():
        raise UnknownParameter(f"RCPT {name[:64]!r}")
    return Rcpt(Recipient(address))


@lru_cache(4096)
def _address(path: bytes) -> Address:
    """Read an address; most are those of people who get mail all day."""
    if len(path) > PATH - 2:
        raise BadAddress(f"a path of {len(path) + 2} octets")
    if not path.isascii():
        raise NotAscii(f"{path!r}")
    return Address.in_path(path.decode("ascii"))


def _parameters(octets: bytes) -> Mapping[bytes, bytes | None]:
    """Return ESMTP parameters by name, in capitals (RFC 5321 section 4.1.2)."""
    found: dict[bytes, bytes | None] = {}
    for word in filter(None, octets.split(b" ")):
        match = _PARAMETER.fullmatch(word)
        if not match:
            raise BadParameter(f"no parameter: {word[:64]!r}")
        name, value = match[1].upper(), match[2]
        if name in found:
            raise BadParameter(f"{name!r} twice")
        found[name] = value
    return found


def _mail_parameters(
    parameters: Mapping[bytes, bytes | None], offer: Offer | None
) -> tuple[Body, int | None]:
    body, size = Body.SEVEN_BIT, None
    for name, value in parameters.items():
        if name == b"SIZE" and offer:
            size = _size(value or b"", offer.size)
        elif name == b"BODY" and offer:
            body = _body(value or b"")
        elif name == b"AUTH" and offer and offer.mechanisms:
            if not value or not _XTEXT.fullmatch(value):
                raise BadParameter("AUTH is no xtext")
        else:
            raise UnknownParameter(f"MAIL {name[:64]!r}")
    return body, size


def _size(value: bytes, limit: int) -> int:
    if not value.isdigit() or len(value) > SIZE_DIGITS:
        raise BadParameter(f"SIZE={value[:64]!r}")
    size = int(value)
    if size > limit:
        raise MessageTooLarge(f"{size} octets announced, {limit} taken")
    return size


def _body(value: bytes) -> Body:
    body = _BODIES.get(value.upper())
    if not body:
        raise BadParameter(f"BODY={value[:64]!r}")
    return body


def _read_hello(verb: bytes, argument: bytes, offer: Offer) -> Hello:
    if (verb == b"LHLO") is not offer.lmtp:
        raise UnknownCommand(f"{verb!r} here")  # RFC 2033 section 4.1
    if not _NAME.fullmatch(argument):
        raise BadParameter("no name in the greeting")
    return Hello(verb, argument.decode("ascii", "replace"))


def _read_auth(verb: bytes, argument: bytes, offer: Offer) -> Auth:
    name, _, initial = argument.partition(b" ")
    mechanism = name.upper().decode("ascii", "replace")
    if not mechanism:
        raise BadParameter("AUTH of no mechanism")
    if offer.mechanisms and mechanism not in offer.mechanisms:
        raise UnknownMechanism(mechanism[:32])
    return Auth(mechanism, initial_response(initial.strip(b" ") or None))


def _read_verify(verb: bytes, argument: bytes, offer: Offer) -> Verify:
    if not argument:
        raise BadParameter("VRFY of nothing")
    return Verify(argument)


def _refuse(verb: bytes, argument: bytes, offer: Offer) -> Command:
    raise NotOffered(f"{verb!r}")


def _alone(command: Command) -> Callable[[bytes, bytes, Offer], Command]:
    def reader(verb: bytes, argument: bytes, offer: Offer) -> Command:
        if argument:
            raise BadParameter(f"{verb!r} takes no argument")
        return command

    return reader


def _with_anything(command: Command) -> Callable[[bytes, bytes, Offer], Command]:
    return lambda verb, argument, offer: command


_READERS: dict[bytes, Callable[[bytes, bytes, Offer], Command]] = {
    b"EHLO": _read_hello,
    b"HELO": _read_hello,
    b"LHLO": _read_hello,
    b"DATA": _alone(Data()),
    b"RSET": _alone(Rset()),
    b"NOOP": _with_anything(Noop()),
    b"QUIT": _alone(Quit()),
    b"VRFY": _read_verify,
    b"EXPN": _refuse,
    b"HELP": _with_anything(Help()),
    b"STARTTLS": _alone(StartTls()),
    b"AUTH": _read_auth,
}
