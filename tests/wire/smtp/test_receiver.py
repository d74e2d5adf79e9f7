"""What the engine makes of a conversation, however it is cut and whatever is said."""

import tracemalloc
from collections.abc import Sequence

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail import errors
from mailplat.mail.errors import MailError
from mailplat.mail.limits import Limits
from mailplat.testing.cuts import same_however_cut
from mailplat.testing.growth import in_linear_time
from mailplat.wire.engine import After
from mailplat.wire.smtp.commands import Auth, Data, Hello, Mail, Offer, Quit, Rcpt, StartTls
from mailplat.wire.smtp.data import Body, EndOfData
from mailplat.wire.smtp.receiver import Event, Mistake, Receiver, Response
from mailplat.wire.smtp.reply import (
    GO_AHEAD,
    GOODBYE,
    LOGGED_IN,
    OK,
    READY_FOR_TLS,
    Reply,
)

OFFER = Offer("mx.example.org", 1000, starttls=True, mechanisms=("PLAIN", "LOGIN"))
LMTP = Offer("mx.example.org", 1000, lmtp=True)
SMALL = Limits(
    smtp_line=64, smtp_line_logged_in=128, sasl_line=256, data_line=64, recipients=2,
    recipients_logged_in=3, errors=4, errors_logged_in=6, junk_commands=3, junk_commands_logged_in=5,
)  # fmt: skip
GREETING = Reply.of(220, "mx.example.org")


def reply_to(event: Event) -> Reply | None:
    """Answer as a session would that accepts everything but what says ``bad``."""
    match event:
        case Body():
            return None
        case Mistake(error, moment):
            return Reply.refusing(error, moment)
        case Rcpt(recipient) if "bad" in recipient.address.local:
            return Reply.refusing(errors.NoSuchAddress(""))
        case Data():
            return GO_AHEAD
        case EndOfData(failure) if failure:
            return Reply.refusing(failure)
        case Auth(_, None):
            return Reply.challenge(b"name")
        case Auth(_, said) | Response(said):
            return LOGGED_IN if said == b"good" else Reply.refusing(errors.LoginFailed(""))
        case StartTls():
            return READY_FOR_TLS
        case Quit():
            return GOODBYE
        case _:
            return OK


@attrs.define
class Talk:
    """A receiver, its answers so far, and what came out of it."""

    engine: Receiver = attrs.field(factory=lambda: Receiver(OFFER, SMALL))
    codes: list[int] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    content: bytes = b""
    seen: int = 0
    whole: list[bytes] = attrs.field(factory=list)
    """The messages that have ended well; of others it says nothing how much was told."""

    def hear(self, octets: bytes) -> list[int]:
        """Return the codes of the answers to these octets."""
        before = len(self.codes)
        if not self.engine.greeted:
            self.say(GREETING)
            before += 1
        if self.engine.after is After.GO_ON:
            self.engine.receive(octets)
        while self.engine.after is After.GO_ON and (event := self.engine.next_event()):
            if isinstance(event, Body):
                self.content += event.octets
            else:
                if isinstance(event, EndOfData):
                    self.whole += [] if event.failure else [self.content[self.seen :]]
                    self.seen = len(self.content)
                self.events.append(event)
                reply = reply_to(event)
                assert reply
                self.say(reply)
        return self.codes[before:]

    def say(self, reply: Reply) -> None:
        octets = self.engine.send(reply)
        self.codes.append(int(octets[:3]))

    @property
    def outcome(self) -> tuple[list[int], list[Event], list[bytes], After]:
        return self.codes, self.events, self.whole, self.engine.after


def talk(*groups: bytes, offer: Offer = OFFER, limits: Limits = SMALL) -> Talk:
    talk = Talk(Receiver(offer, limits))
    for group in groups:
        talk.hear(group)
    return talk


HELLO = b"EHLO client\r\n"
ENVELOPE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
DATA = b"DATA\r\n"
MESSAGE = b"Subject: a\r\n\r\nb\r\n.\r\n"


# However it is cut.

GROUPS = [
    HELLO, ENVELOPE, DATA, MESSAGE, b"NOOP\r\nRSET\r\n", b"RCPT TO:<bad@d>\r\n", b"HELO c\r\n",
    b"AUTH LOGIN\r\n", b"Z29vZA==\r\n", b"*\r\n", b"AUTH PLAIN Z29vZA==\r\n", b"x" * 70 + b"\r\n",
    b"NOOP\nQUIT\r\n", b"a\r.\r\nb\n.\r\n.\r\n", b"MAIL FROM:<\0>\r\n", b"y" * 300 + b"\r\nRSET\r\n",
    b"\xff\r\n", b"..\r\n" * 20 + b".\r\n", ENVELOPE + DATA, MESSAGE + ENVELOPE, b"QUIT\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(GROUPS), max_size=8), st.integers(0, 7))
@example([HELLO, ENVELOPE + DATA, MESSAGE + ENVELOPE, DATA, MESSAGE], 3)
@example([HELLO, ENVELOPE + DATA, b"x" * 70 + b"\r\n"], 2)
def test_cuts_do_not_matter(groups: list[bytes], at: int) -> None:
    """A group of commands is answered the same however it arrives (RFC 2920)."""
    if at >= len(groups):
        return

    def outcome(pieces: Sequence[bytes]) -> object:
        return talk(*groups[:at], *pieces, *groups[at + 1 :]).outcome

    same_however_cut(groups[at], outcome)


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_octets_at_all(pieces: list[bytes]) -> None:
    talk(HELLO, *pieces)
    talk(HELLO, ENVELOPE, DATA, *pieces)
    talk(HELLO, b"AUTH LOGIN\r\n", *pieces)


@pytest.mark.parametrize("octet", [b"x", b"\r", b"\n", b"\0", b".", b"\r\n", b" "])
@pytest.mark.parametrize("before", [[HELLO], [HELLO, ENVELOPE, DATA]], ids=len)
def test_a_torrent_of_octets_takes_linear_time(octet: bytes, before: list[bytes]) -> None:
    def torrent(count: int) -> list[bytes]:
        return [*before, *[octet * 1024] * count]

    in_linear_time(lambda groups: talk(*groups), torrent, 4000)


# What may be said when.


@pytest.mark.parametrize(
    ("groups", "codes"),
    [
        ([HELLO, ENVELOPE, DATA, MESSAGE, b"QUIT\r\n"], [250, 250, 250, 354, 250, 221]),
        ([HELLO, ENVELOPE + DATA, MESSAGE + ENVELOPE + DATA, MESSAGE],
         [250, 250, 250, 354, 250, 250, 250, 354, 250]),
        ([b"HELO c\r\n", ENVELOPE], [250, 250, 250]),
        ([ENVELOPE], [503, 503]),
        ([HELLO, b"RCPT TO:<c@d>\r\n"], [250, 503]),
        ([HELLO, DATA], [250, 503]),
        ([HELLO, b"MAIL FROM:<a@b>\r\nDATA\r\n"], [250, 250, 554]),
        ([HELLO, b"MAIL FROM:<a@b>\r\nRCPT TO:<bad@d>\r\nDATA\r\n"], [250, 250, 550, 554]),
        ([HELLO, b"MAIL FROM:<a@b>\r\nMAIL FROM:<a@b>\r\n"], [250, 250, 503]),
        ([HELLO, ENVELOPE, b"RSET\r\nMAIL FROM:<a@b>\r\n"], [250, 250, 250, 250, 250]),
        ([HELLO, ENVELOPE, HELLO, b"RCPT TO:<c@d>\r\n"], [250, 250, 250, 250, 503]),
        ([HELLO, ENVELOPE, DATA, MESSAGE, DATA], [250, 250, 250, 354, 250, 503]),
        ([b"HELO c\r\nMAIL FROM:<a@b> SIZE=1\r\n"], [503]),
        ([b"HELO c\r\n", b"MAIL FROM:<a@b> SIZE=1\r\n"], [250, 555]),
        ([b"AUTH PLAIN Z29vZA==\r\n"], [503]),
        ([HELLO, b"AUTH PLAIN Z29vZA==\r\nAUTH PLAIN Z29vZA==\r\n"], [250, 235, 503]),
        ([HELLO, b"AUTH LOGIN\r\n", b"Z29vZA==\r\n"], [250, 334, 235]),
        ([HELLO, b"AUTH LOGIN\r\n", b"YmFk\r\n", b"NOOP\r\n"], [250, 334, 535, 250]),
        ([HELLO, b"AUTH LOGIN\r\n", b"*\r\n", b"NOOP\r\n"], [250, 334, 501, 250]),
        ([HELLO, b"AUTH LOGIN\r\n", b"***\r\n", b"NOOP\r\n"], [250, 334, 501, 250]),
        ([HELLO, ENVELOPE, b"AUTH PLAIN Z29vZA==\r\n"], [250, 250, 250, 503]),
        ([HELLO, b"STARTTLS\r\n"], [250, 220]),
        ([HELLO, b"VRFY a\r\nEXPN a\r\nHELP\r\n"], [250, 250, 502, 250]),
    ],
)  # fmt: skip
def test_the_order_of_commands(groups: list[bytes], codes: list[int]) -> None:
    assert talk(*groups).codes == [220, *codes]


def test_lmtp_wants_a_recipient_before_data() -> None:
    """RFC 2033 section 4.2."""
    codes = talk(b"LHLO c\r\n", b"MAIL FROM:<>\r\nRCPT TO:<bad@d>\r\n", DATA, offer=LMTP).codes
    assert codes == [220, 250, 250, 550, 503]


@pytest.mark.parametrize("last", [HELLO, DATA, b"STARTTLS\r\n"])
def test_some_commands_must_be_the_last_of_their_group(last: bytes) -> None:
    conversation = talk(HELLO, ENVELOPE, last + b"NOOP\r\n")
    assert conversation.codes[-1] == 503
    assert conversation.engine.after is After.CLOSE


def test_octets_behind_starttls_close_the_connection() -> None:
    conversation = talk(HELLO, b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<x@y>\r\n")
    assert conversation.codes == [220, 250, 503]
    assert conversation.engine.after is After.CLOSE
    assert not any("injected" in repr(event) for event in conversation.events)


def test_starttls_is_handed_to_the_shell() -> None:
    assert talk(HELLO, b"STARTTLS\r\n").engine.after is After.START_TLS


def test_a_new_engine_behind_starttls_needs_no_greeting() -> None:
    engine = Receiver(OFFER, SMALL, greeted=True)
    engine.receive(ENVELOPE)
    event = engine.next_event()
    assert event == Mistake(errors.BadSequence(""))


def test_who_speaks_before_the_greeting_is_sent_away() -> None:
    engine = Receiver(OFFER, SMALL)
    engine.receive(HELLO)
    assert engine.send(GREETING).startswith(b"554 ")
    assert engine.after is After.CLOSE


def test_a_refused_greeting_closes() -> None:
    engine = Receiver(OFFER, SMALL)
    engine.send(Reply.of(421, "no"))
    assert engine.after is After.CLOSE


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"Host: mx\r\n"])
def test_http_is_sent_away(line: bytes) -> None:
    conversation = talk(line + b"MAIL FROM:<a@b>\r\n")
    assert conversation.codes == [220, 500]
    assert conversation.engine.after is After.CLOSE


def test_content_that_was_not_asked_for_is_not_taken_for_commands() -> None:
    """It came after DATA, and before its refusal."""
    engine = Receiver(OFFER, SMALL, greeted=True)
    for octets in (HELLO, ENVELOPE, DATA):
        engine.receive(octets)
        while event := engine.next_event():
            if isinstance(event, Data):
                engine.receive(b"MAIL FROM:<hidden@x>\r\n")
                engine.send(Reply.refusing(errors.NotNow("")))
                break
            engine.send(OK)
    assert engine.after is After.CLOSE
    assert engine.next_event() is None


def test_content_may_come_while_the_session_thinks_about_data() -> None:
    engine = Receiver(OFFER, SMALL, greeted=True)
    for octets in (HELLO, ENVELOPE):
        engine.receive(octets)
        while engine.next_event():
            engine.send(OK)
    engine.receive(DATA)
    assert engine.next_event() == Data()
    engine.receive(MESSAGE + b"QUIT\r\n")
    engine.send(GO_AHEAD)
    assert engine.next_event() == Body(b"Subject: a\r\n\r\nb\r\n")
    assert engine.next_event() == EndOfData()
    engine.send(OK)
    assert engine.next_event() == Quit()


def test_held_counts_what_is_not_yet_understood() -> None:
    engine = Receiver(OFFER, SMALL, greeted=True)
    engine.receive(b"NOOP\r\nNOO")
    assert engine.held == 9
    engine.next_event()
    assert engine.held == 3
    engine.send(OK)
    engine.receive(b"P\r\n" + ENVELOPE)
    while engine.next_event():
        engine.send(OK)
    assert engine.held == 0


# Limits: at the limit, one above, far above.


def lines(count: int, line: bytes) -> list[int]:
    return talk(HELLO, line * count).codes[2:]


@pytest.mark.parametrize(
    ("line", "most", "code"),
    [(b"XYZZY\r\n", SMALL.errors, 500), (b"NOOP\r\n", SMALL.junk_commands - 1, 250)],
)
def test_too_many_mistakes_or_junk_commands_end_it(line: bytes, most: int, code: int) -> None:
    assert lines(most, line) == [code] * most
    assert lines(most + 1, line) == [code] * most + [421]
    assert lines(most * 1000, line) == [code] * most + [421]


def test_those_who_have_logged_in_may_err_more() -> None:
    codes = talk(HELLO, b"AUTH PLAIN Z29vZA==\r\n", b"XYZZY\r\n" * 1000).codes
    assert codes == [220, 250, 235, *[500] * SMALL.errors_logged_in, 421]


def test_an_accepted_message_makes_up_for_mistakes() -> None:
    """An unpunished client may go on for ever: one good message in four errors."""
    conversation = talk(HELLO)
    for _ in range(20):
        conversation.hear(b"XYZZY\r\n" * SMALL.errors + b"NOOP\r\n")
        conversation.hear(ENVELOPE + DATA)
        assert conversation.hear(MESSAGE) == [250]


def test_recipients_above_the_limit_may_be_sent_separately_but_not_without_end() -> None:
    limits = attrs.evolve(SMALL, deferrals=20)
    codes = talk(HELLO, b"MAIL FROM:<>\r\n" + b"RCPT TO:<a@b>\r\n" * 999, limits=limits).codes
    assert codes == [220, 250, 250] + [250] * 2 + [452] * (20 + 4) + [421]


@pytest.mark.parametrize(("above", "last"), [(20, 250), (24, 250), (25, 421)])
def test_what_is_accepted_is_no_mistake(above: int, last: int) -> None:
    limits = attrs.evolve(SMALL, deferrals=20)
    group = b"MAIL FROM:<>\r\n" + b"RCPT TO:<a@b>\r\n" * (2 + above)
    codes = talk(HELLO, group, DATA, MESSAGE, group, DATA, MESSAGE, limits=limits).codes
    assert codes[-1] == last


def test_transactions_that_are_given_up_are_junk() -> None:
    codes = talk(HELLO, b"MAIL FROM:<>\r\nRSET\r\n" * 50).codes
    assert codes[-1] == 421
    assert codes.count(250) <= 2 * SMALL.junk_commands + 2


@pytest.mark.parametrize("count", [2, 3, 1002])
def test_recipients_beyond_the_limit_may_come_later(count: int) -> None:
    """452 is no mistake of the peer, so it isn't counted as one (RFC 5321, 4.5.3.1.10)."""
    group = b"MAIL FROM:<>\r\n" + b"RCPT TO:<c@d>\r\n" * count + b"DATA\r\n"
    codes = talk(HELLO, group, MESSAGE).codes[3:]
    assert codes == [*[250] * 2, *[452] * (count - 2), 354, 250]


@pytest.mark.parametrize(
    ("length", "code"), [(64, 250), (65, 500), (300, 500), (64 * 1000, 500), (70_000, 500)]
)
def test_length_of_a_command_line(length: int, code: int) -> None:
    line = b"NOOP ".ljust(length - 2, b"x") + b"\r\n"
    conversation = talk(HELLO, line, b"NOOP\r\n")
    is_endless = length > 66_000
    assert conversation.codes[2:] == [code, *([] if is_endless else [250])]
    assert (conversation.engine.after is After.CLOSE) == is_endless


@pytest.mark.parametrize(("length", "code"), [(256, 535), (257, 500), (64_000, 500)])
def test_length_of_a_login(length: int, code: int) -> None:
    """RFC 4954 section 4 asks for 12,288 octets where commands have fewer."""
    line = b"AUTH PLAIN " + b"A" * 4 * ((length - 13) // 4)
    line = line.ljust(length - 2, b" ") + b"\r\n"
    assert talk(HELLO, line).codes[2:] == [code]


def test_the_length_of_a_login_may_be_raised() -> None:
    talk = Talk(Receiver(OFFER, Limits(sasl_line=30_000)))
    response = b"A" * 24_000 + b"\r\n"
    assert talk.hear(HELLO) == [250]
    assert talk.hear(b"AUTH PLAIN " + response) == [535]
    assert talk.hear(b"AUTH LOGIN\r\n") == [334]
    assert talk.hear(response) == [535]


@pytest.mark.parametrize(("size", "failure"), [(1000, None), (1001, "MessageTooLarge"),
                                               (1_000_000, "MessageTooLarge")])  # fmt: skip
def test_size_of_a_message(size: int, failure: str | None) -> None:
    """A message that is too large is read to its end and refused there."""
    body = (b"y" * 30 + b"\r\n") * ((size - 40) // 32)
    body += b"z" * (size - len(body) - 2) + b"\r\n"
    assert len(body) == size
    conversation = talk(HELLO, ENVELOPE, DATA, body + b".\r\nNOOP\r\n")
    assert conversation.codes[-2:] == [552 if failure else 250, 250]
    assert len(conversation.content) <= 1000


@pytest.mark.parametrize(
    ("spoilt", "failure"),
    [(b"x" * 100, errors.LineTooLong("")), (b"a\nb", errors.BareLineEnd(""))],
)
def test_a_spoilt_message_is_refused_at_its_real_end(spoilt: bytes, failure: MailError) -> None:
    forged = b"\r\nMAIL FROM:<forged@x>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
    conversation = talk(HELLO, ENVELOPE, DATA, spoilt + forged + b".\r\nQUIT\r\n")
    assert conversation.events[-2:] == [EndOfData(failure), Quit()]
    assert conversation.codes[-2:] == [500, 221]


def test_events_are_values() -> None:
    engine = Receiver(OFFER, SMALL, greeted=True)
    engine.receive(b"EHLO client\r\n")
    assert engine.next_event() == Hello(b"EHLO", "client")
    engine.send(OK)
    engine.receive(b"MAIL FROM:<>\r\n")
    event = engine.next_event()
    assert isinstance(event, Mail)
    assert event.envelope.sender is None


def in_content(offer: Offer) -> Receiver:
    """Return an engine to which a message is about to be said."""
    engine = Receiver(offer, Limits())
    engine.send(GREETING)
    for line in (b"EHLO client\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b>\r\n", b"DATA\r\n"):
        engine.receive(line)
        engine.send(reply_to(engine.next_event()))
    return engine


def test_small_pieces_that_nobody_asks_for_take_little_more_room_than_their_octets() -> None:
    engine = in_content(attrs.evolve(OFFER, size=1_000_000))
    pieces = [b"%d\r\n" % (number % 10) for number in range(20_000)]
    tracemalloc.start()
    try:
        for piece in pieces:
            engine.receive(piece)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * engine.held
    found = []
    while event := engine.next_event():
        assert isinstance(event, Body)
        found.append(event.octets)
    assert b"".join(found) == b"".join(pieces)[:-2]
    assert len(found) < 20


@pytest.mark.parametrize("size", [1, 7, 100, 4000])
def test_content_ends_a_session_at_twice_the_size_of_a_message(size: int) -> None:
    engine = in_content(OFFER)
    content = b"x" * 70 + b"\r\n"
    events: list[Event] = []
    for at in range(0, 3000, size):
        engine.receive((content * 60)[at : at + size])
        while event := engine.next_event():
            events.append(event)
            if isinstance(event, EndOfData):
                assert at < 2100
                reply = engine.send(Reply.refusing(event.failure or errors.MailError("")))
                assert reply.startswith(b"421 ")
                assert engine.after is After.CLOSE
    assert events[-1] == EndOfData(errors.MessageTooLarge(""))
    assert engine.held == 0
