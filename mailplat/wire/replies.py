"""The one table from the house's errors to what each protocol says."""

from __future__ import annotations

import enum
import re

import attrs

from mailplat.mail import errors
from mailplat.mail.errors import MailError
from mailplat.mail.status import Status

PUBLIC = 400  # octets of somebody else's words that reach the peer
_UNSAFE = re.compile(r"[^ -~]+")  # CR, LF, controls, and what only SMTPUTF8 may say


class Moment(enum.Enum):
    """When an error reaches an SMTP peer, where that changes the code."""

    CONNECT = "in place of the greeting"
    COMMAND = "after a command"
    LOGIN = "during AUTH"
    CONTENT = "after the final dot"


@attrs.frozen
class Words:
    """How the four protocols say one kind of error.

    ``smtp`` is the code after a command, ``imap`` a response code (RFC 5530),
    ``pop3`` an extended response code (RFC 2449, 3206) or none, where the mistake
    is the client's, ``jmap`` an error type (RFC 8620, 8621); ``text`` is for
    people and must fit behind each of them.
    """

    smtp: int
    imap: str
    pop3: str
    jmap: str
    text: str
    at: dict[Moment, int] = attrs.field(factory=dict)  # SMTP codes of other moments

    def smtp_at(self, moment: Moment) -> int:
        """Return the SMTP code for this moment."""
        if moment is Moment.CONNECT:  # RFC 5321 section 4.3.2 allows these two
            return 421 if self.smtp < 500 else 554
        if moment is Moment.LOGIN and 450 <= self.smtp < 500:  # RFC 4954 section 6
            return 454
        return self.at.get(moment, self.smtp)


# fmt: off
WORDS: dict[type[Exception], Words] = {
    Exception: Words(451, "SERVERBUG", "SYS/TEMP", "serverFail", "Our mistake, try again later"),
    MailError: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Not possible now, try again later"),

    errors.BadSyntax: Words(500, "CLIENTBUG", "", "invalidArguments", "Syntax error",
                            {Moment.LOGIN: 501, Moment.CONTENT: 550}),
    errors.LineTooLong: Words(500, "TOOBIG", "", "invalidArguments", "Line too long",
                              {Moment.LOGIN: 500, Moment.CONTENT: 550}),
    errors.BareLineEnd: Words(500, "CLIENTBUG", "", "invalidArguments", "Lines end in CRLF, and in nothing else",
                              {Moment.CONTENT: 550}),
    errors.UnknownCommand: Words(500, "CLIENTBUG", "", "unknownMethod", "Unknown command"),
    errors.NotOffered: Words(502, "CANNOT", "SYS/PERM", "unknownMethod", "Not offered here"),
    errors.BadSequence: Words(503, "CLIENTBUG", "", "invalidArguments", "Not now: bad sequence of commands"),
    errors.BadParameter: Words(501, "CLIENTBUG", "", "invalidArguments", "Bad argument or parameter"),
    errors.UnknownParameter: Words(555, "CLIENTBUG", "", "invalidArguments", "Parameter not offered here"),
    errors.TooManyErrors: Words(421, "LIMIT", "SYS/TEMP", "rateLimit", "Too many mistakes, goodbye"),
    errors.TooSlow: Words(421, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Waited too long for you, goodbye"),

    errors.LoginRequired: Words(530, "NOPERM", "AUTH", "forbidden", "Log in first"),
    errors.LoginFailed: Words(535, "AUTHENTICATIONFAILED", "AUTH", "forbidden", "Wrong name or password"),
    errors.LoginUnavailable: Words(454, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Logins can't be checked now"),
    errors.LoginTooSoon: Words(454, "LIMIT", "LOGIN-DELAY", "rateLimit", "Too soon after the last login"),
    errors.LoginAborted: Words(501, "CLIENTBUG", "", "forbidden", "Login given up"),
    errors.UnknownMechanism: Words(504, "CANNOT", "", "forbidden", "Mechanism not offered here"),
    errors.EncryptionRequired: Words(530, "PRIVACYREQUIRED", "AUTH", "forbidden", "Start TLS first",
                                     {Moment.LOGIN: 538}),
    errors.ProofRequired: Words(550, "PRIVACYREQUIRED", "SYS/PERM", "forbidden", "No proven way leads there"),
    errors.TlsUnavailable: Words(454, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "TLS is not available now"),

    errors.BadAddress: Words(501, "CANNOT", "SYS/PERM", "invalidArguments", "Not an address"),
    errors.BadSender: Words(501, "CANNOT", "SYS/PERM", "invalidArguments", "Not a reverse-path"),
    errors.NoSuchAddress: Words(550, "NONEXISTENT", "SYS/PERM", "notFound", "No such address here"),
    errors.AccountDisabled: Words(550, "NOPERM", "SYS/PERM", "forbidden", "Account disabled"),
    errors.RelayingDenied: Words(550, "NOPERM", "SYS/PERM", "forbidden", "Relaying denied"),
    errors.NoRoute: Words(550, "CANNOT", "SYS/PERM", "forbidden", "Mail to that domain is not sent from here"),
    errors.NoSuchDomain: Words(550, "CANNOT", "SYS/PERM", "forbidden", "There is no such domain"),
    errors.NoMailTaken: Words(556, "CANNOT", "SYS/PERM", "forbidden", "That domain takes no mail"),
    errors.LookupFailed: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "The DNS does not answer, try again later"),
    errors.HostUnreachable: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "The next host can't be reached, try again later"),
    errors.WayNotProven: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "The way to the next host is not safe, try again later"),
    errors.LeadsToUs: Words(554, "CANNOT", "SYS/PERM", "forbidden", "That domain's mail leads back to us"),
    errors.SenderNotAllowed: Words(550, "NOPERM", "SYS/PERM", "forbiddenFrom", "That sender is not yours to use"),
    errors.TooManyRecipients: Words(452, "LIMIT", "SYS/TEMP", "tooManyRecipients", "Too many recipients, send the rest separately"),
    errors.NoValidRecipients: Words(554, "CANNOT", "SYS/PERM", "noRecipients", "No valid recipients"),
    errors.NotAscii: Words(553, "CANNOT", "UTF8", "invalidArguments", "Only ASCII is possible here",
                           {Moment.CONTENT: 554}),

    errors.MessageTooLarge: Words(552, "TOOBIG", "SYS/PERM", "tooLarge", "Message too large"),
    errors.BodyNotTaken: Words(554, "CANNOT", "SYS/PERM", "invalidEmail", "Such octets are not taken there"),
    errors.HeaderTooLarge: Words(554, "TOOBIG", "SYS/PERM", "tooLarge", "Header too large"),
    errors.BadContent: Words(554, "CANNOT", "SYS/PERM", "invalidEmail", "Message malformed"),
    errors.RoutingLoop: Words(554, "CANNOT", "SYS/PERM", "forbidden", "Routing loop"),
    errors.Refused: Words(550, "NOPERM", "SYS/PERM", "forbidden", "Not wanted here"),
    errors.NotNow: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Not now, try again later"),

    errors.Overloaded: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Too busy, try again later"),
    errors.TooManyConnections: Words(421, "LIMIT", "SYS/TEMP", "limit", "Too many connections"),
    errors.ShuttingDown: Words(421, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Closing down, come back soon"),
    errors.StoreFailed: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverFail", "Could not keep it, try again later"),
    errors.DiskFull: Words(452, "UNAVAILABLE", "SYS/TEMP", "serverFail", "No room now, try again later"),
    errors.OutOfTime: Words(451, "UNAVAILABLE", "SYS/TEMP", "serverUnavailable", "Took too long, try again later"),
    errors.Unsupported: Words(554, "CANNOT", "SYS/PERM", "forbidden", "Not supported here"),

    errors.OverQuota: Words(452, "OVERQUOTA", "SYS/TEMP", "overQuota", "Mailbox full"),
    errors.LongOverQuota: Words(552, "OVERQUOTA", "SYS/PERM", "overQuota", "Mailbox full, and nobody makes room"),
    errors.NoSuchAccount: Words(550, "NONEXISTENT", "SYS/PERM", "accountNotFound", "No such account"),
    errors.NoSuchMailbox: Words(550, "NONEXISTENT", "SYS/PERM", "notFound", "No such mailbox"),
    errors.NoSuchMessage: Words(550, "NONEXISTENT", "", "notFound", "No such message"),
    errors.NoSuchScript: Words(550, "NONEXISTENT", "SYS/PERM", "notFound", "No such script"),
    errors.TooMany: Words(552, "LIMIT", "SYS/PERM", "overQuota", "No more of these"),
    errors.TooLarge: Words(552, "TOOBIG", "SYS/PERM", "tooLarge", "Too large"),
    errors.AlreadyExists: Words(550, "ALREADYEXISTS", "SYS/PERM", "invalidProperties", "It is there already"),
    errors.NotPermitted: Words(550, "CANNOT", "SYS/PERM", "forbidden", "Not permitted"),
    errors.InUse: Words(450, "INUSE", "IN-USE", "serverUnavailable", "In use by another session"),
}
# fmt: on


def words_for(error: Exception) -> Words:
    """Return the words of the error's nearest ancestor in the table."""
    return next(WORDS[kind] for kind in type(error).__mro__ if kind in WORDS)


def status_of(error: Exception) -> Status:
    """Return the error's status; what is no `MailError` is our own mistake."""
    return error.status if isinstance(error, MailError) else MailError.status


def text_for(error: Exception) -> str:
    """Return what a person should read of the error: the table's text, then its public words.

    One line of printable ASCII, whatever was put into ``public``.
    """
    text = words_for(error).text
    if not isinstance(error, MailError) or not error.public:
        return text
    public = _UNSAFE.sub("?", " ".join(error.public.split()))[:PUBLIC]
    return f"{text}: {public}"
