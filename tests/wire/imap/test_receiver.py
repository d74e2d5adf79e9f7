"""Commands come out of the stream whole, contents piece by piece, and nothing else does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.errors import BadSyntax, LineTooLong, MailError, MessageTooLarge, TooLarge
from mailplat.mail.limits import Limits
from mailplat.testing.cuts import same_however_cut
from mailplat.wire.engine import After
from mailplat.wire.imap.receiver import (
    Announced,
    Done,
    Event,
    Mistake,
    Piece,
    Receiver,
    Response,
    Said,
)
from mailplat.wire.imap.reply import (
    BAD,
    NO,
    OK,
    Bye,
    Challenge,
    Effect,
    Expecting,
    GoOn,
    Tagged,
    Untagged,
)

SMALL = Limits(
    imap_line=40,
    imap_line_logged_in=60,
    imap_literals=30,
    imap_literals_logged_in=80,
    message_size=100,
    sasl_line=50,
)


def play(engine: Receiver, refuse: bool = False) -> tuple[list[object], bytes]:
    """Answer everything that is there; return the events, pieces joined, and what was said."""
    found: list[object] = []
    heard = b""
    while engine.after is After.GO_ON and (event := engine.next_event()) is not None:
        match event:
            case Piece(octets):
                if found and isinstance(found[-1], Piece):
                    octets = found.pop().octets + octets  # type: ignore[attr-defined]
                found.append(Piece(octets))
                continue
            case Announced(said, _, is_content):
                heard += engine.send(
                    Tagged(said.tag, NO, "Not wanted") if refuse and is_content else GoOn()
                )
            case Said(tag, b"IDLE"):
                heard += engine.send(GoOn(expecting=Expecting.DONE))
            case Said(tag, b"AUTHENTICATE"):
                heard += engine.send(Challenge(b""))
            case Said(tag, b"LOGIN"):
                heard += engine.send(Tagged(tag, OK, "In", effect=Effect.LOGGED_IN))
            case Said(tag, name):
                heard += engine.send(
                    Tagged(tag, OK if name not in (b"/", b"X") else BAD, "Done")
                )
            case Mistake(tag, error):
                heard += engine.send(Tagged.refusing(tag, error))
            case _:
                heard += engine.send(Tagged(b"x", OK, "Done"))
        found.append(event)
    return found, heard


def outcome(pieces: Sequence[bytes], refuse: bool = False) -> tuple[list[object], bytes, After]:
    engine = Receiver(SMALL)
    found: list[object] = []
    heard = b""
    for piece in pieces:
        engine.receive(piece)
        more, said = play(engine, refuse)
        if found and more and isinstance(found[-1], Piece) and isinstance(more[0], Piece):
            more[0] = Piece(found.pop().octets + more[0].octets)  # type: ignore[attr-defined]
        found += more
        heard += said
    return found, heard, engine.after


def events(stream: bytes, refuse: bool = False) -> tuple[list[object], bytes, After]:
    return same_however_cut(stream, lambda pieces: outcome(pieces, refuse))


def test_a_command() -> None:
    found, heard, _ = events(b"a1 noop\r\na2 UID\r\na3 uid fetch 1 x\r\n")
    said, bare, uid = found
    assert said == Said(b"a1", b"NOOP", b"a1 noop", 7)
    assert bare == Said(b"a2", b"UID", b"a2 UID", 6)
    assert uid == Said(b"a3", b"UID FETCH", b"a3 uid fetch 1 x", 12)
    assert uid.cursor.at == 12
    assert heard == b"a1 OK Done\r\na2 OK Done\r\na3 OK Done\r\n"


def test_literals_are_collected() -> None:
    stream = b"a SELECT {3}\r\nx\0\r {2+}\r\n{}\r\n"
    found, heard, _ = events(stream)
    announced, said = found
    assert announced == Announced(Said(b"a", b"SELECT", b"a SELECT {3}\r\n", 8), 3, False)
    assert said == Said(b"a", b"SELECT", stream[:-2], 8)
    assert heard == b"+ Go on\r\na OK Done\r\n"


LOGIN = b"a LOGIN u p\r\n"
LOGGED_IN = b"a OK In\r\n"


def test_contents_are_streamed() -> None:
    found, heard, _ = events(
        LOGIN + b"b APPEND {1+}\r\nx (\\Seen) {5}\r\na\r\nb)\r\nc noop\r\n"
    )
    _, announced, piece, said, noop = found
    assert isinstance(announced, Announced)
    assert (announced.size, announced.is_content, announced.is_binary) == (5, True, False)
    assert announced.said.octets == b"b APPEND {1+}\r\nx (\\Seen) "
    assert piece == Piece(b"a\r\nb)")
    assert said == Said(b"b", b"APPEND", b"b APPEND {1+}\r\nx (\\Seen) \0", 8)
    assert noop == Said(b"c", b"NOOP", b"c noop", 6)
    assert heard == LOGGED_IN + b"+ Go on\r\nb OK Done\r\nc OK Done\r\n"


def test_several_contents_in_one_command() -> None:
    found, heard, _ = events(LOGIN + b"b APPEND x {2+}\r\nab ~{0+}\r\n {1}\r\nc\r\n")
    assert [one.octets for one in found if isinstance(one, Piece)] == [b"ab", b"c"]
    assert found[-1] == Said(b"b", b"APPEND", b"b APPEND x \0 \0 \0", 8)
    assert [one.is_binary for one in found if isinstance(one, Announced)] == [
        False,
        True,
        False,
    ]
    assert heard == LOGGED_IN + b"+ Go on\r\nb OK Done\r\n"


def test_before_a_login_nothing_is_streamed() -> None:
    found, _, _ = events(b"b APPEND x {2+}\r\nab\r\n")
    assert found == [Said(b"b", b"APPEND", b"b APPEND x {2+}\r\nab", 8)]


def test_a_content_that_is_refused_before_it_comes() -> None:
    found, heard, _ = events(LOGIN + b"b APPEND x {5}\r\nc NOOP\r\n", refuse=True)
    assert [type(one) for one in found] == [Said, Announced, Said]
    assert heard == LOGGED_IN + b"b NO Not wanted\r\nc OK Done\r\n"


@pytest.mark.parametrize(
    "rest", [b"\r\n", b" {3+}\r\nd b\r\n", b" (x) {7+}\r\nb NOOP\n\r\n", b" {3}\r\n"]
)
def test_a_content_that_is_refused_and_comes_all_the_same(rest: bytes) -> None:
    stream = LOGIN + b"b APPEND x {5+}\r\nc X\r\n" + rest + b"c NOOP\r\n"
    found, heard, _ = events(stream, refuse=True)
    assert [type(one) for one in found] == [Said, Announced, Said]
    assert heard == LOGGED_IN + b"b NO Not wanted\r\nc OK Done\r\n"


def test_limits_of_lines() -> None:
    assert events(b"a " + b"x" * 36 + b"\r\n")[0] == [
        Said(b"a", b"X" * 36, b"a " + b"x" * 36, 38)
    ]
    long = b"a " + b"x" * 37 + b"\r\nb NOOP\r\n"
    found, heard, after = events(long)
    assert found[0] == Mistake(b"*", LineTooLong(""))
    assert heard == b"* BAD [TOOBIG] Line too long\r\nb OK Done\r\n"
    assert after is After.GO_ON
    found, heard, after = outcome([b"x" * 70000])
    assert after is After.CLOSE
    assert heard.startswith(b"* BYE [TOOBIG] Line too long\r\n")


def test_lines_may_be_longer_after_a_login() -> None:
    found, _, _ = events(LOGIN + b"a " + b"x" * 56 + b"\r\na " + b"x" * 57 + b"\r\n")
    assert [type(one) for one in found] == [Said, Said, Mistake]


@pytest.mark.parametrize("literal", [b"{17}", b"{17000}"])
def test_a_literal_above_the_limit_is_not_asked_for(literal: bytes) -> None:
    found, heard, after = events(b"a LOGIN " + literal + b"\r\nb NOOP\r\n")
    assert found[0] == Mistake(b"a", TooLarge(""))
    assert heard == b"a NO [TOOBIG] Too large: over 30 octets in one command\r\nb OK Done\r\n"
    assert after is After.GO_ON


def test_a_literal_above_the_limit_that_comes_all_the_same() -> None:
    found, heard, _ = events(b"a LOGIN {30+}\r\n" + b"b NOOP\r\n" * 3 + b"123456\r\nc NOOP\r\n")
    assert [type(one) for one in found] == [Mistake, Said]
    assert heard.endswith(b"c OK Done\r\n")
    _, heard, after = events(b"a LOGIN {101+}\r\nb NOOP\r\n")
    assert heard.startswith(b"* BYE [TOOBIG] ")
    assert after is After.CLOSE


def test_many_small_literals_count_together() -> None:
    found, _, _ = events(b"a LOGIN" + b" {1}\r\nx" * 3 + b"\r\n")
    assert isinstance(found[-1], Said | Mistake)
    found, _, _ = outcome([b"a LOGIN" + b" {1+}\r\nx" * 4000 + b"\r\n"])
    assert found[0] == Mistake(b"a", TooLarge(""))


def test_the_largest_message_and_one_octet_more() -> None:
    found, _, _ = outcome([LOGIN, b"b APPEND x {100}\r\n", b"y" * 100, b"\r\n"])
    assert isinstance(found[-1], Said)
    found, heard, after = outcome([LOGIN, b"b APPEND x {101}\r\n"])
    assert found[-1] == Mistake(b"b", MessageTooLarge(""))
    assert (heard, after) == (
        LOGGED_IN + b"b NO [TOOBIG] Message too large: over 100 octets\r\n",
        After.GO_ON,
    )


def test_a_login_in_several_turns() -> None:
    engine = Receiver(SMALL)
    engine.receive(b"a AUTHENTICATE PLAIN\r\n")
    assert isinstance(engine.next_event(), Said)
    assert engine.send(Challenge(b"what?")) == b"+ d2hhdD8=\r\n"
    engine.receive(b"x" * 48 + b"\r\nb NOOP\r\n")
    assert engine.next_event() == Response(b"x" * 48)
    assert engine.send(Tagged(b"a", NO, "Wrong", b"AUTHENTICATIONFAILED")) == (
        b"a NO [AUTHENTICATIONFAILED] Wrong\r\n"
    )
    assert isinstance(engine.next_event(), Said)


def test_idle_ends_with_done_and_nothing_else() -> None:
    found, heard, _ = events(b"a IDLE\r\ndone\r\nb IDLE\r\nc NOOP\r\nd NOOP\r\n")
    assert [type(one) for one in found] == [Said, Done, Said, Mistake, Said]
    assert b"expected DONE" in heard


def test_starttls_with_something_behind_it() -> None:
    engine = Receiver(SMALL)
    engine.receive(b"a STARTTLS\r\n")
    assert engine.next_event()
    assert engine.send(Tagged(b"a", OK, "Go", after=After.START_TLS)) == b"a OK Go\r\n"
    assert engine.after is After.START_TLS
    engine = Receiver(SMALL)
    engine.receive(b"a STARTTLS\r\nb CAPABILITY\r\n")
    assert engine.next_event()
    said = engine.send(Tagged(b"a", OK, "Go", after=After.START_TLS))
    assert said.startswith(b"* BYE ")
    assert engine.after is After.CLOSE


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"Host: x", b"POST /"])
def test_browsers_are_hung_up_on(line: bytes) -> None:
    _, heard, after = events(line + b"\r\na LOGOUT\r\n")
    assert after is After.CLOSE
    assert b"LOGOUT" not in heard


@pytest.mark.parametrize(
    ("line", "tag"), [(b"", b"*"), (b"a", b"a"), (b"+ x", b"*"), (b"a (", b"a"), (b" a", b"*")]
)
def test_what_is_no_command(line: bytes, tag: bytes) -> None:
    found, _, _ = events(line + b"\r\n")
    assert found == [Mistake(tag, BadSyntax(""))]


def test_nul_and_bare_line_ends_spoil_a_line_and_no_more() -> None:
    found, _, _ = events(b"a NOOP\0\r\nb NOOP\nc NOOP\r\nd NOOP\r\n")
    assert [type(one) for one in found] == [Mistake, Mistake, Said]


def test_words_are_made_safe() -> None:
    engine = Receiver(SMALL)
    assert engine.send(Bye("a\r\nb")) == b"* BYE a b\r\n"
    assert engine.send(Untagged(b"* OK x\r\n")) == b"* OK x\r\n"
    assert engine.send(Tagged(b"a", OK, "[x] y")) == b"a OK - [x] y\r\n"
    with pytest.raises(TypeError):
        engine.send(object())


WORDS = [
    *(b"a", b" ", b"\r\n", b"\r", b"\n", b"\0", b"{", b"}", b"{1}", b"{1+}", b"~{2+}", b"+"),
    *(b"{99999}", b"{99999+}", b"{99999999999999999999}", b"APPEND x ", b"b LOGIN\r\n", b"("),
    *(b"c IDLE\r\n", b"DONE\r\n", b"d AUTHENTICATE\r\n", b"GET / ", b"UID REPLACE 1 x "),
    b"x" * 61,
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join), st.booleans())
@example(LOGIN + b"b APPEND x {5+}\r\n12345 {5+}\r\n12345\r\n", True)
def test_cuts_do_not_matter(stream: bytes, refuse: bool) -> None:
    events(stream, refuse)


@given(st.lists(st.binary(max_size=20), max_size=10), st.booleans())
def test_arbitrary_octets(pieces: list[bytes], refuse: bool) -> None:
    found, heard, _ = outcome(pieces, refuse)
    assert heard.count(b"\r\n") >= len([e for e in found if not isinstance(e, Piece)]) // 2
    kinds: tuple[type, ...] = (*Event.__args__, MailError)  # type: ignore[attr-defined]
    assert all(isinstance(one, kinds) for one in found)
