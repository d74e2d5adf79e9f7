"""What a command line means, and what is wrong with one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail import errors
from mailplat.mail.address import POSTMASTER, Address
from mailplat.mail.envelope import Body
from mailplat.mail.errors import MailError
from mailplat.testing.growth import in_linear_time, repeated
from mailplat.wire.smtp.commands import (
    Auth,
    Command,
    Data,
    Hello,
    Help,
    Mail,
    Noop,
    Offer,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Verify,
    read,
)

OFFER = Offer("mx.example.org", 1000, mechanisms=("PLAIN", "LOGIN"))
ALICE = Address("alice", "example.org")


def command(line: bytes, offer: Offer = OFFER) -> Command:
    return read(line, offer, extended=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"EHLO client.example", Hello(b"EHLO", "client.example")),
        (b"ehlo [127.0.0.1]", Hello(b"EHLO", "[127.0.0.1]")),
        (b"HELO my_pc", Hello(b"HELO", "my_pc")),
        (b"DATA", Data()),
        (b"data  ", Data()),
        (b"RSET", Rset()),
        (b"NOOP", Noop()),
        (b"NOOP anything \xff goes", Noop()),
        (b"QUIT", Quit()),
        (b"VRFY alice", Verify(b"alice")),
        (b"HELP", Help()),
        (b"HELP MAIL", Help()),
        (b"STARTTLS", StartTls()),
        (b"AUTH PLAIN", Auth("PLAIN")),
        (b"auth plain =", Auth("PLAIN", b"")),
        (b"AUTH PLAIN AGEAYg==", Auth("PLAIN", b"\0a\0b")),
    ],
)
def test_commands(line: bytes, expected: Command) -> None:
    assert command(line) == expected


@pytest.mark.parametrize(
    ("path", "sender"),
    [
        (b"<>", None),
        (b"<alice@example.org>", ALICE),
        (b"<alice@EXAMPLE.org.>", ALICE),
        (b" <alice@example.org>", ALICE),
        (b"<@a.example,@b.example:alice@example.org>", ALICE),
        (b"<@[IPv6:::1],@b:alice@example.org>", ALICE),
        (b'<"alice"@example.org>', ALICE),
        (b'<"a>b c"@example.org>', Address("a>b c", "example.org")),
        (b'<"a\\"b"@example.org>', Address('a"b', "example.org")),
        (b"<a@[192.0.2.1]>", Address("a", "[192.0.2.1]")),
        (b"<a@[IPv6:2001:DB8::1]>", Address("a", "[IPv6:2001:db8::1]")),
        (b"<a+tag/x=y@b>", Address("a+tag/x=y", "b")),
    ],
)
def test_reverse_paths(path: bytes, sender: Address | None) -> None:
    read = command(b"MAIL FROM:" + path)
    assert isinstance(read, Mail)
    assert read.envelope.sender == sender


@pytest.mark.parametrize("name", [b"postmaster", b"Postmaster", b"POSTMASTER"])
def test_postmaster_needs_no_domain(name: bytes) -> None:
    """RFC 5321 section 4.5.1."""
    read = command(b"RCPT TO:<" + name + b">")
    assert isinstance(read, Rcpt)
    assert read.recipient.address == POSTMASTER


def test_parameters_of_mail() -> None:
    read = command(b"mail from:<a@b> body=8bitmime SIZE=1000 AUTH=<> ".replace(b"<>", b"a+2B"))
    assert isinstance(read, Mail)
    assert read.envelope.body is Body.EIGHT_BIT
    assert read.envelope.declared_size == 1000


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", errors.UnknownCommand),
        (b" EHLO a", errors.UnknownCommand),
        (b"XYZZY", errors.UnknownCommand),
        (b"\xff\xfe", errors.UnknownCommand),
        (b"EHLOclient", errors.UnknownCommand),
        (b"LHLO client", errors.UnknownCommand),
        (b"EXPN staff", errors.NotOffered),
        (b"EHLO", errors.BadParameter),
        (b"EHLO " + b"a" * 256, errors.BadParameter),
        (b"DATA now", errors.BadParameter),
        (b"QUIT now", errors.BadParameter),
        (b"STARTTLS now", errors.BadParameter),
        (b"VRFY", errors.BadParameter),
        (b"AUTH", errors.BadParameter),
        (b"AUTH CRAM-MD5", errors.UnknownMechanism),
        (b"AUTH PLAIN ***", errors.BadSyntax),
        (b"AUTH PLAIN AGEAYg", errors.BadSyntax),
        (b"MAIL", errors.BadParameter),
        (b"MAIL FROM", errors.BadParameter),
        (b"MAIL <a@b>", errors.BadParameter),
        (b"MAIL FROM:a@b", errors.BadSender),
        (b"MAIL FROM:<a@b", errors.BadSender),
        (b"MAIL FROM:<a>", errors.BadSender),
        (b"MAIL FROM:<a@b>SIZE=1", errors.BadSender),
        (b"MAIL FROM:<a b@c>", errors.BadSender),
        (b"MAIL FROM:<a@b> <c@d>", errors.BadParameter),
        (b'MAIL FROM:<""@b>', errors.BadSender),
        (b"MAIL FROM:<@a:>", errors.BadSender),
        (b"MAIL FROM:<postmaster>", errors.BadSender),
        (b"MAIL FROM:<\xc3\xa9@b>", errors.NotAscii),
        (b"MAIL FROM:<a@b> SIZE=1001", errors.MessageTooLarge),
        (b"MAIL FROM:<a@b> SIZE=99999999999999999999", errors.MessageTooLarge),
        (b"MAIL FROM:<a@b> SIZE=999999999999999999999", errors.BadParameter),
        (b"MAIL FROM:<a@b> SIZE=-1", errors.BadParameter),
        (b"MAIL FROM:<a@b> SIZE", errors.BadParameter),
        (b"MAIL FROM:<a@b> SIZE=", errors.BadParameter),
        (b"MAIL FROM:<a@b> SIZE=1 size=1", errors.BadParameter),
        (b"MAIL FROM:<a@b> =1", errors.BadParameter),
        (b"MAIL FROM:<a@b> A=B=C", errors.BadParameter),
        (b"MAIL FROM:<a@b> A=\xff", errors.BadParameter),
        (b"MAIL FROM:<a@b>\tSIZE=1", errors.BadSender),
        (b"MAIL FROM:<a@b> BODY=BINARYMIME", errors.BadParameter),
        (b"MAIL FROM:<a@b> AUTH=+", errors.BadParameter),
        (b"MAIL FROM:<a@b> SMTPUTF8", errors.UnknownParameter),
        (b"MAIL FROM:<a@b> FOO=BAR", errors.UnknownParameter),
        (b"RCPT TO:<>", errors.BadAddress),
        (b"RCPT TO:<a>", errors.BadAddress),
        (b"RCPT TO:a@b", errors.BadAddress),
        (b"RCPT TO:<a@b> NOTIFY=NEVER", errors.UnknownParameter),
        (b"RCPT TO:<a@" + b"b." * 127 + b"c>", errors.BadAddress),
        (b"RCPT TO:<a@b..c>", errors.BadAddress),
        (b"RCPT TO:<@a:b@c:d@e>", errors.BadAddress),
        (b"RCPT TO:<a@[300.0.0.1]>", errors.BadAddress),
    ],
)
def test_refusals(line: bytes, error: type[MailError]) -> None:
    with pytest.raises(MailError) as refusal:
        command(line)
    assert type(refusal.value) is error


def test_without_ehlo_there_are_no_parameters() -> None:
    with pytest.raises(errors.UnknownParameter):
        read(b"MAIL FROM:<a@b> SIZE=1", OFFER, extended=False)


def test_lmtp_has_its_own_greeting() -> None:
    """RFC 2033 section 4.1."""
    lmtp = Offer("mx.example.org", 1000, lmtp=True)
    assert command(b"LHLO client", lmtp) == Hello(b"LHLO", "client")
    for verb in (b"EHLO", b"HELO"):
        with pytest.raises(errors.UnknownCommand):
            command(verb + b" client", lmtp)


def test_the_offer_is_what_ehlo_says() -> None:
    offer = Offer("mx.example.org", 1000, starttls=True, mechanisms=("PLAIN",))
    assert offer.lines == (
        "mx.example.org", "PIPELINING", "SIZE 1000", "8BITMIME", "ENHANCEDSTATUSCODES",
        "STARTTLS", "AUTH PLAIN", "HELP",
    )  # fmt: skip


pieces = st.sampled_from(
    [b"MAIL FROM:", b"RCPT TO:", b"AUTH PLAIN ", b"<", b">", b"@", b'"', b"\\", b":", b",", b" ",
     b"a", b"[", b"]", b".", b"=", b"SIZE=", b"\0", b"\xff", b"\r", b"\n"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=80), st.lists(pieces, max_size=40).map(b"".join)))
def test_any_line_is_a_command_or_a_mail_error(line: bytes) -> None:
    try:
        command(line)
    except MailError:
        pass


@pytest.mark.parametrize(
    ("start", "unit", "end"),
    [
        (b"MAIL FROM:<", b'"a"', b""),
        (b"MAIL FROM:<", b"a", b""),
        (b"MAIL FROM:<", b"@a,", b""),
        (b"MAIL FROM:<", b'"\\"', b""),
        (b"MAIL", b" ", b""),
        (b"MAIL FROM:", b" ", b""),
        (b"MAIL FROM:<>", b" ", b"\n"),
        (b"MAIL FROM:<a@b> ", b"A=", b""),
        (b"RCPT TO:<a@", b"b.", b">"),
        (b"NOOP", b" ", b"x" + b" " * 1000),
    ],
)
def test_long_lines_cost_linear_time(start: bytes, unit: bytes, end: bytes) -> None:
    def read(line: bytes) -> None:
        try:
            command(line)
        except MailError:
            pass

    in_linear_time(read, repeated(unit, start, end), 100_000)
