"""One mail transaction as a client says it (RFC 5321 section 3.3, with its extensions)."""

from __future__ import annotations

import attrs

from mailplat.mail.address import Address
from mailplat.mail.envelope import Body, Envelope, Notify, Recipient
from mailplat.mail.errors import (
    BadParameter,
    BodyNotTaken,
    MailError,
    MessageTooLarge,
    NotAscii,
    ProofRequired,
    Unsupported,
)
from mailplat.mail.xtext import orcpt, xtext
from mailplat.wire.smtp.content import ChunkWriter, ContentWriter, DotWriter
from mailplat.wire.smtp.offered import Offered

CHUNKS_FROM = 256 * 1024  # octets of a message for which counting beats looking for dots
_NOTIFY = (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)


@attrs.frozen
class Transaction:
    """What is to be sent: an envelope, and what there is to know of its content.

    ``size`` is in octets.  ``needs_utf8`` says that the content's headers can't be
    had in ASCII; addresses say that themselves (RFC 6531).  ``seconds_left`` are
    those until it is to be delivered, where the sender has set a time (RFC 2852).
    """

    envelope: Envelope
    size: int
    body: Body = Body.SEVEN_BIT
    needs_utf8: bool = False
    seconds_left: int = 0

    def obstacle(
        self, offered: Offered, recipient: Recipient | None = None
    ) -> MailError | None:
        """Return why the server can't be given it, for everybody or for one recipient."""
        envelope, largest = self.envelope, offered.largest
        if recipient is not None:
            if not recipient.address.is_ascii and "SMTPUTF8" not in offered:
                return NotAscii(f"{recipient.address} where there is no SMTPUTF8")
            return None
        if largest is not None and self.size > largest:
            return MessageTooLarge(f"{self.size} octets where {largest} are taken")
        if self.body not in offered.bodies:
            return BodyNotTaken(f"{self.body.value} is not offered")
        if self._is_utf8_without_recipients and "SMTPUTF8" not in offered:
            return NotAscii("header or sender outside ASCII, and there is no SMTPUTF8")
        if envelope.requires_tls and "REQUIRETLS" not in offered:
            return ProofRequired("REQUIRETLS is not offered")
        late = envelope.deliver_by
        if late and late.returns and "DELIVERBY" not in offered:
            return Unsupported("it can't be returned from there if it is late")
        return None

    @property
    def _is_utf8_without_recipients(self) -> bool:
        sender = self.envelope.sender
        return self.needs_utf8 or not (sender is None or sender.is_ascii)

    def is_utf8(self, recipients: tuple[Recipient, ...]) -> bool:
        """Whether it has to be sent with SMTPUTF8."""
        return self._is_utf8_without_recipients or not all(
            recipient.address.is_ascii for recipient in recipients
        )

    def is_chunked(self, offered: Offered) -> bool:
        """Whether it goes by BDAT and not by DATA."""
        large = self.size >= CHUNKS_FROM
        return self.body is Body.BINARY or ("CHUNKING" in offered and large)

    def writer(self, offered: Offered) -> ContentWriter:
        """Return what makes the content into what is sent."""
        if self.is_chunked(offered):
            return ChunkWriter(binary=self.body is Body.BINARY)
        return DotWriter()

    # Commands.

    def mail(self, offered: Offered, *, utf8: bool) -> bytes:
        """Return the MAIL command with its parameters."""
        envelope = self.envelope
        words = [f"MAIL FROM:<{_path(envelope.sender)}>"]
        if "SIZE" in offered:
            words.append(f"SIZE={self.size}")
        if self.body is not Body.SEVEN_BIT:
            words.append(f"BODY={self.body.value}")
        if utf8:
            words.append("SMTPUTF8")
        if envelope.requires_tls:
            words.append("REQUIRETLS")
        if (late := envelope.deliver_by) and "DELIVERBY" in offered:
            mode = "R" if late.returns else "N"
            words.append(f"BY={self.seconds_left};{mode}{'T' * late.trace}")
        if envelope.priority and "MT-PRIORITY" in offered:
            words.append(f"MT-PRIORITY={envelope.priority}")
        if "DSN" in offered:
            words += [f"RET={envelope.returns.value}"] if envelope.returns else []
            words += _encoded("ENVID", envelope.envelope_id)
        return " ".join(words).encode() + b"\r\n"

    def rcpt(self, recipient: Recipient, offered: Offered, *, utf8: bool) -> bytes:
        """Return the RCPT command for one recipient."""
        words = [f"RCPT TO:<{_path(recipient.address)}>"]
        if "DSN" in offered:
            if recipient.notify is not None:
                names = [one.name or "" for one in _NOTIFY if one in recipient.notify]
                words.append(f"NOTIFY={','.join(names) or 'NEVER'}")
            words += _original(recipient, utf8=utf8)
        return " ".join(words).encode() + b"\r\n"


def _path(address: Address | None) -> str:
    return str(address) if address else ""


def _encoded(name: str, text: str) -> list[str]:
    try:
        return [f"{name}={xtext(text)}"] if text else []
    except BadParameter:
        return []


def _original(recipient: Recipient, *, utf8: bool) -> list[str]:
    try:
        return [f"ORCPT={orcpt(recipient.original, utf8=utf8)}"] if recipient.original else []
    except BadParameter:
        return []
