"""What can go wrong with mail; every kind carries its RFC 3463 status."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from mailplat.mail.status import Status

E = TypeVar("E")


class MailError(Exception):
    """A refusal or failure that some peer has to hear about.

    ``detail`` is for the log and may name hosts and paths; what the peer hears
    is chosen in `mailplat.wire.replies` and never quotes it.  ``public`` is for
    the few cases in which somebody else's words must reach the sender.
    """

    status: ClassVar[Status] = Status(4, 3, 0)

    def __init__(self, detail: str, *, public: str = "") -> None:
        super().__init__(detail)
        self.public = public


def bare(error: E) -> E:
    """Return an error without its traceback and causes: what to keep of one that is over.

    A traceback keeps every frame that the error came through, and with them
    whatever was at hand there, until garbage is collected.  What is no error
    stays as it is.
    """
    if isinstance(error, BaseException):
        error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


# What the peer said.


class BadSyntax(MailError):
    """The peer broke the grammar; saying it again will not help."""

    status = Status(5, 5, 2)


class LineTooLong(BadSyntax):
    """A line passed its limit (RFC 5321 section 4.5.3.1)."""


class BareLineEnd(BadSyntax):
    """A CR or LF stood outside CRLF (RFC 5321 section 2.3.8)."""


class UnknownCommand(MailError):
    """The peer asked for something this protocol or server does not have."""

    status = Status(5, 5, 1)


class NotOffered(UnknownCommand):
    """The command is known, and this server does not offer it (RFC 5321 section 4.2.4)."""


class BadSequence(MailError):
    """A command came when its turn had not come (RFC 5321 section 4.1.4)."""

    status = Status(5, 5, 1)


class BadParameter(MailError):
    """A command's argument or parameter makes no sense here."""

    status = Status(5, 5, 4)


class UnknownParameter(BadParameter):
    """A MAIL or RCPT parameter that was never announced (RFC 5321 section 4.1.1.11)."""


class TooManyErrors(MailError):
    """The peer has made so many mistakes that we stop listening."""

    status = Status(4, 7, 0)


class TooSlow(MailError):
    """The peer let its time run out (RFC 5321 section 4.5.3.2)."""

    status = Status(4, 4, 2)


# Who the peer is.


class LoginRequired(MailError):
    """Only those who have logged in may do this (RFC 4954 section 6)."""

    status = Status(5, 7, 0)


class LoginFailed(MailError):
    """Name and proof do not belong together, whichever of the two is wrong (RFC 4954)."""

    status = Status(5, 7, 8)


class LoginUnavailable(MailError):
    """Nobody can say now whether the login is right (RFC 4954)."""

    status = Status(4, 7, 0)


class LoginAborted(MailError):
    """The peer gave up in the middle of its login (RFC 4954 section 4)."""

    status = Status(5, 7, 0)


class LoginTooSoon(MailError):
    """The account's last login is not long enough ago (RFC 2449 section 8.1.1)."""

    status = Status(4, 7, 0)


class UnknownMechanism(MailError):
    """A SASL mechanism that was never announced (RFC 4954 section 4)."""

    status = Status(5, 5, 4)


class EncryptionRequired(MailError):
    """This may only be said under TLS (RFC 3207, 4954)."""

    status = Status(5, 7, 11)


class ProofRequired(MailError):
    """The message may go only by ways that are proven, and the next host has none (RFC 8689)."""

    status = Status(5, 7, 30)


class TlsUnavailable(MailError):
    """TLS can't be started for a passing reason (RFC 3207 section 4)."""

    status = Status(4, 7, 0)


# Envelope.


class BadAddress(MailError):
    """An address that breaks the grammar (RFC 5321 section 4.1.2)."""

    status = Status(5, 1, 3)


class BadSender(BadAddress):
    """A reverse-path that breaks the grammar."""

    status = Status(5, 1, 7)


class NoSuchAddress(MailError):
    """A local domain has nobody of that name."""

    status = Status(5, 1, 1)


class AccountDisabled(MailError):
    """The recipient's account exists and takes no mail."""

    status = Status(5, 2, 1)


class RelayingDenied(MailError):
    """The recipient isn't here, and the sender may not use us to reach it."""

    status = Status(5, 7, 1)


class NoRoute(MailError):
    """The recipient isn't here, and this installation sends nothing elsewhere."""

    status = Status(5, 4, 4)


class NoSuchDomain(MailError):
    """The DNS says that there is no such domain, or can't have any of that name."""

    status = Status(5, 1, 2)


class NoMailTaken(MailError):
    """The domain says that it takes no mail at all (RFC 7505)."""

    status = Status(5, 1, 10)


class LookupFailed(MailError):
    """The DNS gave no answer; it may give one later."""

    status = Status(4, 4, 3)


class SenderNotAllowed(MailError):
    """This login may not use this reverse-path."""

    status = Status(5, 7, 1)


class TooManyRecipients(MailError):
    """The transaction is full; the rest may come in another (RFC 5321 section 4.5.3.1.10)."""

    status = Status(4, 5, 3)


class NoValidRecipients(MailError):
    """Content was offered for a transaction without any accepted recipient."""

    status = Status(5, 5, 1)


class NotAscii(MailError):
    """Octets over 127 where the extension for them was not agreed (RFC 6531)."""

    status = Status(5, 6, 7)


# Content.


class MessageTooLarge(MailError):
    """The message is, or says it will be, larger than we take (RFC 1870)."""

    status = Status(5, 3, 4)


class BodyNotTaken(MailError):
    """The next host takes no such octets, and they can't be written as others (RFC 6152)."""

    status = Status(5, 6, 3)


class HeaderTooLarge(MailError):
    """The header block has too many octets or fields."""

    status = Status(5, 6, 0)


class HostUnreachable(MailError):
    """The next host can't be reached now."""

    status = Status(4, 4, 1)


class WayNotProven(MailError):
    """The next host doesn't prove what it has to before it gets mail (RFC 7672, 8461)."""

    status = Status(4, 7, 5)


class LeadsToUs(MailError):
    """The best host for the domain is this one, which knows nothing of it (RFC 5321 5.1)."""

    status = Status(5, 4, 6)


class BadContent(MailError):
    """The message's content breaks a rule that can't be overlooked."""

    status = Status(5, 6, 0)


class RoutingLoop(MailError):
    """The message has passed through too many hosts (RFC 5321 section 6.3)."""

    status = Status(5, 4, 6)


class Refused(MailError):
    """A policy or filter does not want this message."""

    status = Status(5, 7, 1)


class NotNow(MailError):
    """A policy or filter wants to be asked again later."""

    status = Status(4, 7, 1)


# The house itself.


class Overloaded(MailError):
    """More waits than can be done; nothing was begun."""

    status = Status(4, 3, 2)


class TooManyConnections(Overloaded):
    """The peer, or everyone together, holds too many connections."""

    status = Status(4, 7, 0)


class ShuttingDown(MailError):
    """The server is closing its doors."""

    status = Status(4, 3, 2)


class StoreFailed(MailError):
    """What keeps mail could not do it; nothing was kept."""

    status = Status(4, 3, 0)


class DiskFull(MailError):
    """There is no room for the message on our disk."""

    status = Status(4, 3, 1)


class OutOfTime(MailError):
    """One of our own parts took longer than it may."""

    status = Status(4, 3, 0)


class Unsupported(MailError):
    """The configured component can't do this."""

    status = Status(5, 3, 3)


# Mailboxes and accounts.


class OverQuota(MailError):
    """The recipient's account is full; the sender may try again later."""

    status = Status(4, 2, 2)


class LongOverQuota(OverQuota):
    """The recipient's account has been full for so long that waiting makes no sense."""

    status = Status(5, 2, 2)


class NoSuchAccount(MailError):
    """There is no account of that name or identity."""

    status = Status(5, 1, 1)


class NoSuchMailbox(MailError):
    """The account has no mailbox of that name or identity."""

    status = Status(5, 2, 0)


class NoSuchMessage(MailError):
    """The mailbox has no message of that number, or no longer."""

    status = Status(5, 2, 0)


class AlreadyExists(MailError):
    """Something of that name is there already."""

    status = Status(5, 2, 0)


class NoSuchScript(MailError):
    """The account has no Sieve script of that name (RFC 5804)."""

    status = Status(5, 2, 0)


class TooMany(MailError):
    """There would be more scripts, annotations or sharers than an account may have."""

    status = Status(5, 2, 2)


class TooLarge(MailError):
    """A script or annotation has more octets than one may have."""

    status = Status(5, 2, 3)


class NotPermitted(MailError):
    """The rules of mailboxes forbid it (INBOX can't be removed, for one)."""

    status = Status(5, 7, 1)


class InUse(MailError):
    """Another session holds the mailbox for itself (RFC 2449 section 8.1.1)."""

    status = Status(4, 2, 0)
