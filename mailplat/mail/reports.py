"""Reports to a sender what became of a message: DSNs (RFC 3461, 3464, 6522, 6533)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from textwrap import wrap

import attrs

from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress
from mailplat.mail.charsets import is_utf8
from mailplat.mail.compose import Letter, Occasion, answer, subject_of
from mailplat.mail.content import Content
from mailplat.mail.deliverystatus import LONGEST_REPLY, Action, Fate, Host, delivery_status
from mailplat.mail.envelope import Body, Envelope, Return
from mailplat.mail.errors import MailError
from mailplat.mail.fields import one_line
from mailplat.mail.header import Header
from mailplat.mail.multipart import MimePart, message_part, multipart, octets_part, text_part
from mailplat.mail.reportwords import Language, language_for, languages_in
from mailplat.mail.structure import HEADER

MOST_RETURNED = 50_000  # octets of a message, or of its header, that a report has in it
WIDTH = 76  # columns of what is written for people


@attrs.frozen(kw_only=True)
class Reported:
    """The message that a report is about, and how it came here."""

    envelope: Envelope
    content: Content
    arrived: datetime | None = None
    origin: Host | None = None


def mail_system(domain: str) -> NamedAddress:
    """Return the author of reports: one who reads what is answered (RFC 3464 section 2)."""
    return NamedAddress.of(Address("postmaster", domain), "Mail delivery")


async def report(
    about: Reported, fates: Sequence[Fate], occasion: Occasion, languages: Sequence[str] = ()
) -> Letter | None:
    """Return the report that is due, or None if nobody is to hear of anything.

    A null reverse-path is never answered (RFC 3464 section 2).  ``languages``
    are those of the sender, as far as the house knows; what the message says
    comes behind them.  Raises `StoreFailed` if the message can't be read.
    """
    due = [fate for fate in fates if fate.is_due]
    sender = about.envelope.sender
    if not due or sender is None:
        return None
    if not sender.domain:
        sender = Address(sender.local, occasion.hostname)
    header = Header.parse(await about.content.read(0, min(about.content.size, HEADER)))
    language = language_for([*languages, *languages_in(header)])
    subtype, status = _status_part(about, due, occasion)
    parts = [
        text_part(_text(header, due, occasion, language), language=language.tag),
        status,
        await _returned_part(about, header, due),
    ]
    body = await multipart("report", parts, occasion.unique, {"report-type": subtype})
    return answer(sender, _subject(header, due, language), header, body, occasion)


def _worst(fates: Sequence[Fate]) -> Action:
    actions = {fate.action for fate in fates}
    return next(action for action in Action if action in actions)


# For people ------------------------------------------------------------------


def _subject(header: Header, fates: Sequence[Fate], language: Language) -> str:
    said = language.subjects[_worst(fates).value]
    subject = subject_of(header)
    return f"{said}: {subject}" if subject else said


def _text(header: Header, fates: Sequence[Fate], occasion: Occasion, language: Language) -> str:
    """Return what happened, in words for the sender."""
    blocks = [language.greeting.format(host=occasion.hostname)]
    for action in Action:
        concerned = [fate for fate in fates if fate.action is action]
        if concerned:
            blocks.append(language.openings[action.value])
            blocks += ("\n".join(_lines(fate, language)) for fate in concerned)
            blocks.append(language.closings.get(action.value, ""))
    about = _about(header, language)
    return "\n\n".join(filter(None, [*blocks, about, language.ending]))


def _about(header: Header, language: Language) -> str:
    said = [language.subject.format(subject=subject)] if (subject := subject_of(header)) else []
    date = one_line(header.body(b"Date").decode("ascii", "replace"), WIDTH)
    said += [language.sent.format(moment=date)] if date else []
    return "\n".join(said)


def _lines(fate: Fate, language: Language) -> Iterator[str]:
    """Yield what is to be said of one recipient."""
    original = fate.recipient.original
    yield "  " + one_line(original.address if original else fate.recipient.address.shown, WIDTH)
    if not fate.outcome.status.is_success:
        yield f"    {language.reason(fate.outcome.status)} ({fate.outcome.status})"
        yield from _quoted(_public(fate), language.said, fate.remote)
    if fate.action is Action.DELAYED and fate.retry_until:
        yield "    " + language.until.format(moment=_moment(fate.retry_until))


def _public(fate: Fate) -> str:
    """Return somebody's words that the sender may hear: another host's or a rule's."""
    error = fate.outcome.error
    return fate.reply or (error.public if isinstance(error, MailError) else "")


def _quoted(words: str, said: str, remote: Host | None) -> Iterator[str]:
    """Yield a stranger's words, so indented that nobody takes them for ours."""
    if not words:
        return
    host = one_line(remote.name or remote.address, WIDTH) if remote else ""
    if host:
        yield "    " + said.format(host=host)
    for line in wrap(one_line(words, LONGEST_REPLY), WIDTH - 6):
        yield "      " + line


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# For programs ----------------------------------------------------------------


def _status_part(
    about: Reported, fates: Sequence[Fate], occasion: Occasion
) -> tuple[str, MimePart]:
    """Return the part with the status, and its subtype, which names a report (RFC 6522)."""
    octets = delivery_status(
        about.envelope, fates, occasion.hostname, about.arrived, about.origin
    )
    subtype = "delivery-status" if octets.isascii() else "global-delivery-status"
    return subtype, octets_part(f"message/{subtype}", octets, eight_bit=True)


async def _returned_part(about: Reported, header: Header, fates: Sequence[Fate]) -> MimePart:
    """Return the message, if it was asked for, has failed and isn't large; else its header.

    A message that was cut could be read by nobody, so it is whole or not there
    (RFC 3461 section 4.3).
    """
    utf8 = about.envelope.smtputf8
    failed = any(fate.action is Action.FAILED for fate in fates)
    wanted = about.envelope.returns is Return.FULL and failed
    if wanted and about.content.size <= MOST_RETURNED:
        part = await message_part(about.content, utf8=utf8)
        if part.needs is not Body.BINARY:
            return part
    octets = b"".join(_up_to(MOST_RETURNED, header.lines))
    if utf8 and not octets.isascii() and is_utf8(octets):
        return octets_part("message/global-headers", octets, eight_bit=True)
    return octets_part("text/rfc822-headers", octets)


def _up_to(most: int, lines: Sequence[bytes]) -> Iterator[bytes]:
    """Yield lines as long as together they have no more octets than ``most``."""
    for line in lines:
        most -= len(line)
        if most < 0:
            return
        yield line
