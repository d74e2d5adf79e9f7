from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.errors import (
    BadParameter,
    BareLineEnd,
    LineTooLong,
    MailError,
    UnknownCommand,
)
from mailplat.mail.limits import Limits
from mailplat.testing.cuts import same_however_cut
from mailplat.wire import pop3
from mailplat.wire.engine import After
from mailplat.wire.pop3 import (
    Auth,
    Capa,
    Challenge,
    Command,
    Dele,
    Err,
    Lang,
    List,
    Listing,
    Message,
    Noop,
    Ok,
    Pass,
    Pop3Engine,
    Quit,
    Retr,
    Rset,
    SaslLine,
    Stat,
    Stls,
    Tail,
    Top,
    TopCut,
    Transfer,
    Uidl,
    User,
    Utf8,
    Wrong,
)

LIMITS = Limits(pop3_line=40, sasl_line=60)


def events(engine: Pop3Engine) -> list[Command]:
    found = []
    while (event := engine.next_event()) is not None:
        found.append(event)
    return found


def parse(line: bytes, limits: Limits = LIMITS) -> Command:
    engine = Pop3Engine(limits)
    engine.receive(line + b"\r\n")
    [event] = events(engine)
    assert engine.held == 0
    return event


# Commands ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"CAPA", Capa()),
        (b"capa", Capa()),
        (b"USER fred", User(b"fred")),
        (b"USER fred smith", User(b"fred smith")),
        (b"PASS open sesame ", Pass(b"open sesame ")),
        (b"PASS  two", Pass(b" two")),
        (b"PASS p\xc3\xa4ss", Pass("päss".encode())),
        (b"AUTH plain", Auth("PLAIN", None)),
        (b"AUTH PLAIN =", Auth("PLAIN", b"=")),
        (b"AUTH SCRAM-SHA-256 bixh", Auth("SCRAM-SHA-256", b"bixh")),
        (b"STLS", Stls()),
        (b"UTF8", Utf8()),
        (b"LANG", Lang(None)),
        (b"LANG de", Lang("de")),
        (b"LANG *", Lang("*")),
        (b"LANG en-boont", Lang("en-boont")),
        (b"STAT", Stat()),
        (b"LIST", List(None)),
        (b"LIST 2", List(2)),
        (b"UIDL", Uidl(None)),
        (b"UIDL 0002", Uidl(2)),
        (b"RETR 1", Retr(1)),
        (b"RETR 4294967295", Retr(4294967295)),
        (b"TOP 1 0", Top(1, 0)),
        (b"TOP 12 34", Top(12, 34)),
        (b"DELE 3", Dele(3)),
        (b"RSET", Rset()),
        (b"NOOP", Noop()),
        (b"QUIT", Quit()),
    ],
)
def test_commands_are_understood(line: bytes, event: Command) -> None:
    assert parse(line) == event


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"", UnknownCommand),
        (b" STAT", UnknownCommand),
        (b"APOP fred c4c9334bac560ecc", UnknownCommand),
        (b"XYZZY", UnknownCommand),
        (b"\xff\xfe", UnknownCommand),
        (b"GET / HTTP/1.1", UnknownCommand),
        (b"STAT 1", BadParameter),
        (b"NOOP x", BadParameter),
        (b"QUIT now", BadParameter),
        (b"LIST 0", BadParameter),
        (b"LIST -1", BadParameter),
        (b"LIST +1", BadParameter),
        (b"LIST 1 2", BadParameter),
        (b"LIST \xd9\xa1", BadParameter),
        (b"RETR", BadParameter),
        (b"RETR 0", BadParameter),
        (b"RETR 12345678901", BadParameter),
        (b"DELE one", BadParameter),
        (b"TOP 1", BadParameter),
        (b"TOP 1 -1", BadParameter),
        (b"TOP 1 2 3", BadParameter),
        (b"TOP 1  2", BadParameter),
        (b"UIDL 1_0", BadParameter),
        (b"USER", BadParameter),
        (b"PASS", BadParameter),
        (b"AUTH", BadParameter),
        (b"AUTH PL/IN", BadParameter),
        (b"LANG d\xc3\xa9", BadParameter),
        (b"LANG de fr", BadParameter),
        (b"STAT\nSTAT", BareLineEnd),
        (b"STAT\rSTAT", BareLineEnd),
        (b"USER fr\0d", BareLineEnd),
        (b"STAT\r", BareLineEnd),
    ],
)
def test_what_breaks_the_grammar_is_one_error(line: bytes, error: type[MailError]) -> None:
    event = parse(line)
    assert isinstance(event, Wrong)
    assert type(event.error) is error


@pytest.mark.parametrize("verb", sorted(pop3._COMMANDS))
def test_case_does_not_matter(verb: bytes) -> None:
    upper, lower = parse(verb + b" 1"), parse(verb.lower() + b" 1")
    assert type(upper) is type(lower)


@pytest.mark.parametrize(
    ("length", "limit"), [(40, 40), (41, 40), (40000, 40), (60, 60), (61, 60), (60000, 60)]
)
def test_a_line_has_its_limit(length: int, limit: int) -> None:
    """The limit counts the CRLF; AUTH with its initial response has a larger one."""
    head = b"PASS " if limit == 40 else b"AUTH PLAIN "
    line = head + b"x" * (length - len(head) - 2)
    engine = Pop3Engine(LIMITS)
    engine.receive(line + b"\r\nNOOP\r\n")
    first, second = events(engine)
    assert isinstance(first, Wrong) == (length > limit)
    assert second == Noop()


def test_an_endless_line_ends_the_conversation() -> None:
    engine = Pop3Engine(LIMITS)
    seen: list[Command] = []
    for _ in range(1000):
        engine.receive(b"x" * 1000)
        seen += events(engine)
        assert engine.held < 2000
    [only] = seen
    assert isinstance(only, Wrong)
    assert isinstance(only.error, LineTooLong)
    engine.send(Err("Too long"))
    assert engine.after is After.CLOSE


# Replies ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "octets"),
    [
        (Ok("Ready"), b"+OK Ready\r\n"),
        (Ok(""), b"+OK\r\n"),
        (Err("No"), b"-ERR No\r\n"),
        (Err("Wait", "SYS/TEMP"), b"-ERR [SYS/TEMP] Wait\r\n"),
        (Err("", "IN-USE"), b"-ERR [IN-USE]\r\n"),
        (Ok("a\r\n+OK b\0"), b"+OK a  +OK b\r\n"),
        (Ok("Tschüss"), "+OK Tschüss\r\n".encode()),
        (Listing("2 messages", b"1 5\r\n2 7\r\n"), b"+OK 2 messages\r\n1 5\r\n2 7\r\n.\r\n"),
        (Listing("none", b""), b"+OK none\r\n.\r\n"),
        (Challenge(b""), b"+ \r\n"),
        (Challenge(b"Username:"), b"+ VXNlcm5hbWU6\r\n"),
        (Message("5 octets", b"a\r\nb\r\n"), b"+OK 5 octets\r\na\r\nb\r\n.\r\n"),
        (Tail(b"c\r\n.\r\n"), b"c\r\n.\r\n"),
        (Message("", b"."), b"+OK\r\n..\r\n.\r\n"),
        (Message("", b""), b"+OK\r\n.\r\n"),
    ],
)
def test_replies_are_said(reply: pop3.Reply, octets: bytes) -> None:
    engine = Pop3Engine(LIMITS)
    assert engine.send(reply) == octets
    assert engine.after is After.GO_ON


def test_no_first_line_is_longer_than_512_octets() -> None:
    said = Pop3Engine(LIMITS).send(Err("ü" * 600, "SYS/PERM"))
    assert 510 <= len(said) <= 512
    assert said.decode("utf-8").endswith("ü\r\n")


def test_a_challenge_makes_the_next_line_an_answer() -> None:
    engine = Pop3Engine(LIMITS)
    engine.receive(b"AUTH PLAIN\r\nQUIT\r\n")
    assert engine.next_event() == Auth("PLAIN", None)
    engine.send(Challenge(b""))
    assert engine.next_event() == SaslLine(b"QUIT")
    engine.send(Err("No", "AUTH"))
    engine.receive(b"*\r\n")
    assert isinstance(engine.next_event(), Wrong)


def test_an_answer_may_be_longer_than_a_command() -> None:
    engine = Pop3Engine(LIMITS)
    engine.send(Challenge(b""))
    engine.receive(b"x" * 58 + b"\r\n")
    assert engine.next_event() == SaslLine(b"x" * 58)


def test_stls_starts_tls() -> None:
    engine = Pop3Engine(LIMITS)
    engine.receive(b"STLS\r\n")
    assert engine.next_event() == Stls()
    assert engine.send(Ok("Begin", After.START_TLS)) == b"+OK Begin\r\n"
    assert engine.after is After.START_TLS


@pytest.mark.parametrize("behind", [b"U", b"CAPA\r\n", b"USER fred\r\nPASS secret\r\n"])
def test_nothing_may_stand_behind_stls(behind: bytes) -> None:
    engine = Pop3Engine(LIMITS)
    engine.receive(b"STLS\r\n" + behind)
    assert engine.next_event() == Stls()
    assert engine.send(Ok("Begin", After.START_TLS)).startswith(b"-ERR ")
    assert engine.after is After.CLOSE


# Cuts -------------------------------------------------------------------------

WORDS = [
    b"STAT", b"AUTH ", b"RETR", b" ", b"1", b"\r\n", b"\r", b"\n", b"\0", b"x" * 19, b"x" * 70,
]  # fmt: skip
streams = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)


def understood(pieces: Sequence[bytes]) -> list[object]:
    engine = Pop3Engine(LIMITS)
    seen: list[object] = []
    for piece in pieces:
        engine.receive(piece)
        seen += [type(e.error) if isinstance(e, Wrong) else e for e in events(engine)]
    return seen


@given(streams)
@example(b"USER fred\r\nPASS secret\r\nSTAT\r\nQUIT\r\n")
@example(b"x" * 38 + b"\r\n")
@example(b"x" * 39 + b"\r\n")
def test_cuts_do_not_matter(stream: bytes) -> None:
    same_however_cut(stream, understood)


@given(st.binary(max_size=300))
def test_any_octets_give_one_event_a_line(stream: bytes) -> None:
    """Nothing raises, nothing is lost and nothing is invented."""
    assert len(understood([stream, b"\r\n"])) == (stream + b"\r\n").count(b"\r\n")


# A message on its way out ------------------------------------------------------


def as_read(octets: bytes) -> bytes:
    """Read a multi-line reply as RFC 1939 section 3 tells the client to."""
    first, _, rest = octets.partition(b"\r\n")
    assert first.startswith(b"+OK")
    lines = rest.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert b"." not in lines[:-2]
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])


def transferred(pieces: Sequence[bytes]) -> bytes:
    transfer = Transfer("")
    return b"".join(map(transfer.feed, pieces)) + transfer.end()


bodies = st.lists(st.sampled_from([b"a", b".", b"\r\n", b"..", b"\r\n."]), max_size=9).map(
    b"".join
)


@given(bodies)
@example(b".\r\n")
@example(b"a\r\n.\r\n+OK mine")
def test_a_message_arrives_as_it_was(body: bytes) -> None:
    said = same_however_cut(body, transferred)
    assert as_read(said) == (body if body.endswith(b"\r\n") or not body else body + b"\r\n")


@given(st.lists(st.sampled_from([b"a", b".", b"\r", b"\n", b"\r\n"]), max_size=9).map(b"".join))
@example(b"\n.\r\n+OK mine\r\n")
def test_nobody_who_ends_lines_at_a_bare_lf_sees_the_end_too_early(body: bytes) -> None:
    said = same_however_cut(body, transferred)
    lines = said.split(b"\n")
    assert [line.rstrip(b"\r") for line in lines].count(b".") == 1
    assert said.endswith(b"\r\n.\r\n")


def topped(lines: int, pieces: Sequence[bytes]) -> bytes:
    cut = TopCut(lines)
    return b"".join(map(cut.feed, pieces)) + cut.end()


@pytest.mark.parametrize(
    ("lines", "top"),
    [
        (0, b"S: x\r\n\r\n"),
        (1, b"S: x\r\n\r\none\r\n"),
        (2, b"S: x\r\n\r\none\r\n\r\n"),
        (3, b"S: x\r\n\r\none\r\n\r\nthree\r\n"),
        (4, b"S: x\r\n\r\none\r\n\r\nthree\r\nfour"),
        (9999999999, b"S: x\r\n\r\none\r\n\r\nthree\r\nfour"),
    ],
)
def test_top_ends_after_so_many_lines(lines: int, top: bytes) -> None:
    whole = b"S: x\r\n\r\none\r\n\r\nthree\r\nfour"
    assert same_however_cut(whole, lambda pieces: topped(lines, pieces)) == top


@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"]), max_size=9).map(b"".join),
    st.integers(0, 4),
)
def test_top_is_the_same_however_it_is_read(octets: bytes, lines: int) -> None:
    head, empty, body = octets.partition(b"\r\n\r\n")
    kept = body.split(b"\r\n")[:lines]
    wanted = head + empty + b"\r\n".join(kept) + (b"\r\n" if kept else b"")
    found = same_however_cut(octets, lambda pieces: topped(lines, pieces))
    assert found == (wanted if len(wanted) < len(octets) else octets)


def test_top_says_when_no_more_is_needed() -> None:
    cut = TopCut(1)
    assert not cut.done
    cut.feed(b"S: x\r\n\r\none")
    assert not cut.done
    assert cut.feed(b"\r\ntwo\r\n") == b"\r\n"
    assert cut.done
