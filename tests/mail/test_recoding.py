"""A message is made fit for a host that takes less, and says the same as before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.encodings import decoded
from mailplat.mail.layout import Kind
from mailplat.mail.recoding import (
    Change,
    Level,
    Plan,
    Recoder,
    Survey,
    Surveyed,
    Traits,
    plan,
)
from mailplat.mail.structure import scan
from mailplat.testing.corpus import samples
from mailplat.testing.cuts import same_however_cut


def surveyed(message: bytes, pieces: Sequence[bytes] | None = None) -> Surveyed:
    survey = Survey(scan(message).layout)
    for piece in [message] if pieces is None else pieces:
        survey.feed(piece)
    return survey.finish()


def planned(message: bytes, level: Level = Level.SEVEN) -> Plan:
    return plan(scan(message), surveyed(message), level)


def recoded(message: bytes, level: Level = Level.SEVEN) -> bytes:
    """Write the message anew, cut in every way."""
    structure, changes = scan(message), planned(message, level).changes

    def written(pieces: Sequence[bytes]) -> bytes:
        recoder = Recoder(structure, changes)
        return b"".join([*map(recoder.feed, pieces), recoder.finish()])

    return same_however_cut(message, written) if len(message) < 1000 else written([message])


TEXT = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"


@pytest.mark.parametrize(
    ("body", "traits"),
    [
        (b"", Traits(Level.SEVEN, 0)),
        (b"plain\r\n", Traits(Level.SEVEN, 0)),
        (b"no end", Traits(Level.SEVEN, 0)),
        (b"\xc3\xa4\r\n", Traits(Level.EIGHT, 2)),
        (b"x" * 998 + b"\r\n", Traits(Level.SEVEN, 0)),
        (b"x" * 998, Traits(Level.SEVEN, 0)),
        (b"x" * 999 + b"\r\n", Traits(Level.BINARY, 0)),
        (b"x" * 999, Traits(Level.BINARY, 0)),
        (b"\xe4" * 999, Traits(Level.BINARY, 999)),
        (b"a\0b", Traits(Level.BINARY, 0, has_lines=False)),
        (b"a\rb", Traits(Level.BINARY, 0, has_lines=False)),
        (b"a\nb", Traits(Level.BINARY, 0, has_lines=False)),
        (b"a\r", Traits(Level.BINARY, 0, has_lines=False)),
        (b"a\r\r\n", Traits(Level.BINARY, 0, has_lines=False)),
        (b"\n\xe4", Traits(Level.BINARY, 1, has_lines=False)),
    ],
)
def test_octets_are_looked_at(body: bytes, traits: Traits) -> None:
    message = b"A: b\r\n\r\n" + body
    assert surveyed(message).parts == (traits,)
    for size in (1, 7, 300):
        pieces = [message[at : at + size] for at in range(0, len(message), size)]
        assert surveyed(message, pieces).parts == (traits,)


def test_what_is_in_no_part_is_looked_at_too() -> None:
    multipart = (
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n%b\r\n--x\r\n\r\none\r\n--x--\r\n%b"
    )
    assert surveyed(multipart % (b"pre", b"epi")).outside is Level.SEVEN
    assert surveyed(multipart % (b"pre", b"\xe4pi")).outside is Level.EIGHT
    assert surveyed(b"Subject: \xe4\r\n\r\n").outside is Level.EIGHT


@pytest.mark.parametrize(
    ("message", "written"),
    [
        (TEXT + b"\r\nplain\r\n", TEXT + b"\r\nplain\r\n"),
        (
            TEXT + b"Content-Transfer-Encoding: 8bit\r\nX: y\r\n\r\nsome gr\xc3\xbcn text, no more\r\n",
            TEXT + b"Content-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\nsome gr=C3=BCn text, no more\r\n",
        ),
        (
            TEXT + b"\r\n\xd0\xbf\xd1\x80\xd0\xb8\r\n",
            TEXT + b"Content-Transfer-Encoding: base64\r\n\r\n0L/RgNC4DQo=\r\n",
        ),
        (
            TEXT + b"Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n",
            TEXT + b"Content-Transfer-Encoding: 7bit\r\n\r\nplain\r\n",
        ),
        (
            b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\na\0\r",
            b"MIME-Version: 1.0\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nYQAN\r\n",
        ),
        (
            b"Subject: old\r\n\r\nwhat character set is this gr\xfcn in?\r\n",
            b"Subject: old\r\nContent-Type: text/plain; charset=unknown-8bit\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nwhat character set is this gr=FCn in?\r\n",
        ),
        (  # it said that it was encoded, and still had such octets
            TEXT + b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db gr\xc3\xbcn\r\n",
            TEXT + b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db gr=C3=BCn\r\n",
        ),
        (
            TEXT + b"Content-Transfer-Encoding: base64\r\n\r\nQQ\xe4==\r\n",
            TEXT + b"Content-Transfer-Encoding: base64\r\n\r\nQQ==\r\n",
        ),
    ],
)  # fmt: skip
def test_single_parts_are_written_in_seven_bits(message: bytes, written: bytes) -> None:
    assert recoded(message) == written


NESTED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"preamble\r\n--x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nthe lawn is gr\xc3\xbcn\r\n--x\r\n"
    b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + TEXT +
    b"\r\nthe sky is not gr\xc3\xbcn\r\n--x\r\nContent-Type: a/b\r\n\r\nuntouched\r\n--x--\r\nepilogue\r\n"
)  # fmt: skip


def test_multiparts_and_messages_are_labelled_anew() -> None:
    assert planned(NESTED) == Plan(
        (
            Change(0, b"7bit", is_encoded=False),
            Change(1, b"quoted-printable", is_encoded=True),
            Change(2, b"7bit", is_encoded=False),
            Change(3, b"quoted-printable", is_encoded=True),
        )
    )
    written = recoded(NESTED)
    assert written.isascii()
    assert written.count(b"7bit") == written.count(b"quoted-printable") == 2
    assert written.endswith(
        b"\r\n--x\r\nContent-Type: a/b\r\n\r\nuntouched\r\n--x--\r\nepilogue\r\n"
    )


def test_only_binary_changes_for_a_host_with_8bitmime() -> None:
    assert planned(NESTED, Level.EIGHT).changes == ()
    assert planned(NESTED, Level.BINARY).changes == ()
    long_line = TEXT + b"\r\n" + b"the gr\xc3\xbcn and the blue " * 100 + b"\r\n"
    assert planned(long_line, Level.EIGHT).changes == (Change(0, b"quoted-printable", True),)


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: gr\xc3\xbcn\r\n\r\nplain\r\n",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\ngr\xc3\xbcn\r\n--x--\r\n",
        b"Content-Type: message/partial; id=x\r\n\r\ngr\xc3\xbcn\r\n",
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n\xe4\r\n",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-unheard-of\r\n\r\n\xe4\r\n",
    ],
)
def test_what_may_not_be_encoded_is_said(message: bytes) -> None:
    assert not planned(message).is_possible
    assert planned(message, Level.EIGHT).is_possible


def test_a_signature_that_breaks_is_said() -> None:
    signed = b"Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\n%b\r\n--x--\r\n"
    assert planned(signed % b"gr\xc3\xbcn").breaks_signature
    assert not planned(signed % b"plain").breaks_signature


def contents(message: bytes) -> list[tuple[str, bytes]]:
    """Return type and decoded body of every part that has none in it."""
    structure = scan(message)
    return [
        (entity.media_type.name, decoded(message[part.body : part.end], entity.encoding))
        for part, entity in zip(structure.layout.parts, structure.entities, strict=True)
        if part.kind in (Kind.OTHER, Kind.TEXT)
    ]


BODIES = st.lists(
    st.sampled_from([b"\r\n", b"gr\xc3\xbcn", b"text ", b"=", b"\0", b"\r", b"\n", b"x" * 999]), max_size=9
).map(b"".join)  # fmt: skip


@given(
    BODIES,
    st.sampled_from([b"text/html", b"image/x", b"text/plain; charset=x"]),
    st.sampled_from(list(Level)),
)
def test_the_content_stays_the_same(body: bytes, type_: bytes, level: Level) -> None:
    message = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=zzz\r\n\r\n--zzz\r\nContent-Type: "
        + type_ + b"\r\n\r\n" + body + b"\r\n--zzz\r\n\r\nplain\r\n--zzz--\r\n"
    )  # fmt: skip
    written = recoded(message, level)
    assert contents(written) == contents(message)
    found = surveyed(written)
    assert max(traits.level for traits in found.parts) <= level
    if not planned(message, level).changes:
        assert written == message


def test_a_corpus_stays_the_same() -> None:
    for sample in samples(300):
        message = sample.octets
        plan = planned(message)
        written = recoded(message)
        if plan.is_possible:
            assert written.isascii()
        if not plan.changes:
            assert written == message
        if sample.oddities.isdisjoint({"odd encoding", "encoded message"}) and b"\n" in message:
            before, after = contents(message), contents(written)
            assert [name for name, _ in before] == [name for name, _ in after]


def test_a_message_that_ends_too_early_is_written_as_far_as_it_goes() -> None:
    recoder = Recoder(scan(NESTED), planned(NESTED).changes)
    written = recoder.feed(NESTED[:300]) + recoder.finish()
    assert written.startswith(b"MIME-Version: 1.0\r\n")
    assert Recoder(scan(NESTED), ()).finish() == b""
