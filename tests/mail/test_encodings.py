"""Transfer encodings there and back, a chunk at a time, whatever the octets."""

from __future__ import annotations

from base64 import b64encode
from binascii import b2a_uu
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.encodings import (
    Base64Decoder,
    Base64Encoder,
    Codec,
    QuotedPrintableDecoder,
    QuotedPrintableEncoder,
    UuDecoder,
    decoded,
    decoder,
    decoding,
    is_known,
)
from mailplat.testing.cuts import same_however_cut
from mailplat.testing.growth import in_linear_time, repeated

CODECS = [
    Base64Decoder,
    Base64Encoder,
    QuotedPrintableDecoder,
    QuotedPrintableEncoder,
    UuDecoder,
]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.__name__)

TOKENS = [
    *(b"=", b" ", b"\t", b"\r", b"\n", b"\r\n", b"a", b"=41", b"=e4", b"=C3", b"=\r\n", b"= \r\n"),
    *(b"\xff", b"x" * 80, b" " * 998, b" " * 999, b" " * 1000, b"QUJD", b"Q", b"==", b"-", b"\0"),
    *(b"begin 644 x\n", b"end\n", b"#0V%T\n", b"M" + b"1" * 60 + b"\n", b"`\n", b"~"),
]  # fmt: skip
octets_of_all_kinds = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=5), max_size=9).map(
    b"".join
)


def through(codec: Callable[[], Codec], *pieces: bytes) -> bytes:
    made = codec()
    return b"".join([*map(made.feed, pieces), made.finish()])


def cut(codec: Callable[[], Codec]) -> Callable[[Sequence[bytes]], bytes]:
    return lambda pieces: through(codec, *pieces)


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (b"", b""),
        (b"aGVsbG8=", b"hello"),
        (b"aGVs\r\nbG8=\r\n", b"hello"),
        (b"aGVsbG8", b"hello"),
        (b"aGVsbG", b"hell"),
        (b"aGVsb", b"hel"),
        (b"aG!Vs*bG(8)=", b"hello"),
        (b"aGVsbG8=\r\nIHRoZXJl\r\n", b"hello there"),
        (b"QQ==QQ==QUJD", b"AAABC"),
        (b"====", b""),
        (b"A", b""),
        (b"\xff\x00 ", b""),
    ],
)
def test_base64_is_read_whatever_stands_between(written: bytes, octets: bytes) -> None:
    assert same_however_cut(written, cut(Base64Decoder)) == octets


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (b"", b""),
        (b"a=3Db", b"a=b"),
        (b"a=e4=C3=bc", b"a\xe4\xc3\xbc"),
        (b"soft=\r\nbreak", b"softbreak"),
        (b"soft=\nbreak", b"softbreak"),
        (b"soft= \t\r\nbreak", b"softbreak"),
        (b"trailing \t\r\nblanks  \nand more ", b"trailing\r\nblanks\nand more"),
        (b"kept=20\r\n", b"kept \r\n"),
        (b"=XY = =4", b"=XY = =4"),
        (b"==41", b"=A"),
        (b"a=\rb\r\n", b"a=\rb\r\n"),
        (b"end=", b"end"),
        (b"end=\r", b"end"),
        (b"under_score", b"under_score"),
        (b"8\xe4bit\0", b"8\xe4bit\0"),
        (b" " * 998 + b"\r\n", b"\r\n"),
        (b" " * 999 + b"\r\n", b" " * 999 + b"\r\n"),
        (b"=" + b" " * 5000 + b"\r\nx", b"=" + b" " * 5000 + b"\r\nx"),
    ],
)
def test_quoted_printable_is_read_as_advised(written: bytes, octets: bytes) -> None:
    if len(written) < 100:
        same_however_cut(written, cut(QuotedPrintableDecoder))
    assert through(QuotedPrintableDecoder, written) == octets
    halves = [written[at : at + 700] for at in range(0, len(written), 700)]
    assert through(QuotedPrintableDecoder, *halves) == octets


@pytest.mark.parametrize(
    ("octets", "written"),
    [
        (b"", b""),
        (b"plain\r\n", b"plain\r\n"),
        (b"a=b", b"a=3Db"),
        (b"\xc3\xa4\0\x7f", b"=C3=A4=00=7F"),
        (b"blank \r\ntab\t\r\nlast ", b"blank=20\r\ntab=09\r\nlast=20"),
        (b"two  ", b"two =20"),
        (b"bare\rand\nends\r", b"bare=0Dand=0Aends=0D"),
        (b"x" * 76 + b"\r\n", b"x" * 76 + b"\r\n"),
        (b"x" * 77, b"x" * 75 + b"=\r\nxx"),
        (b"x" * 74 + b"\xe4\xe4", b"x" * 74 + b"=\r\n=E4=E4"),
        (b"x" * 72 + b"\xe4\xe4", b"x" * 72 + b"=E4=\r\n=E4"),
    ],
)
def test_quoted_printable_is_written(octets: bytes, written: bytes) -> None:
    assert same_however_cut(octets, cut(QuotedPrintableEncoder)) == written


UU = b"begin 644 cat.txt\r\n#0V%T\r\n`\r\nend\r\n"


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (UU, b"Cat"),
        (UU.replace(b"\r\n", b"\n"), b"Cat"),
        (b"text before\r\n\r\n" + UU + b"#0V%T\r\n", b"Cat"),
        (UU[: UU.index(b"`")], b"Cat"),
        (UU[: UU.index(b"\r\n`")], b"Cat"),
        (UU.replace(b"#0V%T", b"#0V%Tx"), b"Cat"),
        (UU.replace(b"#0V%T", b"~\xff\xff\r\n#0V%T"), b"Cat"),
        (UU.replace(b"#0V%T", b"x" * 5000 + b"\r\n#0V%T"), b"Cat"),
        (b"begin x\r\n#0V%T\r\n", b""),
        (b"#0V%T\r\n", b""),
        (b"", b""),
    ],
)
def test_uuencode_is_read_as_far_as_it_goes(written: bytes, octets: bytes) -> None:
    assert through(UuDecoder, written) == octets
    assert through(UuDecoder, *(written[at : at + 1] for at in range(len(written)))) == octets


@given(st.sampled_from(CODECS), octets_of_all_kinds)
@example(QuotedPrintableDecoder, b"foo =")
@example(QuotedPrintableDecoder, b"a=b =\r \nc")
@example(QuotedPrintableDecoder, b"a  =  \r\n")
def test_cuts_do_not_matter(codec: Callable[[], Codec], octets: bytes) -> None:
    whole = through(codec, octets)
    assert through(codec, *(octets[at : at + 1] for at in range(len(octets)))) == whole
    for at in range(0, len(octets), max(1, len(octets) // 40)):
        assert through(codec, octets[:at], octets[at:]) == whole


@given(
    st.sampled_from(
        [(Base64Encoder, Base64Decoder), (QuotedPrintableEncoder, QuotedPrintableDecoder)]
    ),
    octets_of_all_kinds | st.binary(max_size=300),
)
def test_what_is_encoded_comes_back(pair, octets: bytes) -> None:
    encoder, reader = pair
    written = through(encoder, octets)
    assert through(reader, written) == octets
    assert written.isascii()
    assert max(map(len, written.split(b"\r\n"))) <= 76
    assert written.count(b"\r") == written.count(b"\n") == written.count(b"\r\n")


@given(st.binary(max_size=300))
def test_the_standard_library_reads_the_same(octets: bytes) -> None:
    assert decoded(b64encode(octets), b"base64") == octets
    lines = [b2a_uu(octets[at : at + 45]) for at in range(0, len(octets), 45)]
    assert decoded(b"begin 644 x\n" + b"".join(lines) + b"end\n", b"x-uuencode") == octets


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (b"base64", True),
        (b"BASE64", True),
        (b"Quoted-Printable", True),
        (b"8bit", True),
        (b"x-uuencode", True),
        (b"x-unheard-of", False),
        (b"", False),
    ],
)
def test_encodings_go_by_their_names(name: bytes, known: bool) -> None:
    assert is_known(name) is known
    assert (decoder(name) is not None) is known


def test_what_nobody_can_decode_stays_as_it_is() -> None:
    assert decoded(b"=41", b"x-unheard-of") == b"=41"
    assert decoded(b"=41", b"binary") == b"=41"
    assert decoded(b"QQ", b"base-64") == b"A"
    assert b"".join(decoding([b"Q", b"Q="], b"base64")) == b"A"
    assert b"".join(decoding([b"Q", b"Q="], b"none")) == b"QQ="


@every_codec
@pytest.mark.parametrize("unit", [*TOKENS, b"A=", b"a b=\r\n", b"#0V%T\n"])
def test_time_is_linear_and_little_is_held(codec: Callable[[], Codec], unit: bytes) -> None:
    def in_pieces(octets: bytes) -> None:
        through(codec, *(octets[at : at + 100] for at in range(0, len(octets), 100)))

    messages = repeated(unit, b"begin 644 x\n")
    in_linear_time(partial(through, codec), messages)
    in_linear_time(in_pieces, messages)
    made = codec()
    made.feed(messages(65536))
    assert all(
        len(getattr(made, name)) < 1100 for name in ("_held", "_line") if hasattr(made, name)
    )
