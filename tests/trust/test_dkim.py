"""DKIM: the standards' own examples, what we sign, and what holds no longer."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Coroutine
from hashlib import sha256
from typing import Any, TypeVar, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailplat.mail.canonical import Canonicalization, Style
from mailplat.mail.content import Content, Joined, Octets
from mailplat.mail.header import Header
from mailplat.mail.signatures import body_hashes, body_start, signatures_of
from mailplat.testing.cuts import cuttings
from mailplat.trust.dkim import ALWAYS, BadSignature, check, names_to_sign, signed
from mailplat.trust.keys import Algorithm, BadKey, PublicKey, SigningKey, strings_of_record

T = TypeVar("T")
SIMPLE, RELAXED = Canonicalization
NOW = 1528637909.5
PLAIN = Style()
RSA = SigningKey.new("example.com", "one", Algorithm.RSA_SHA256, 1024)
ED25519 = SigningKey.new("example.com", "two", Algorithm.ED25519_SHA256)
RECORDS = {key.selector: key.record.encode() for key in (RSA, ED25519)}

BODY = b"Hi.\r\n\r\nWe lost the game.%b Are you hungry yet?\r\n\r\nJoe.\r\n"
FIELDS = (
    b"From: Joe SixPack <joe@football.example.com>\r\n"
    b"To: Suzie Q <suzie@shopping.example.net>\r\n"
    b"Subject: Is dinner ready?\r\n"
    b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
)
# RFC 8463 appendix A
RFC_8463 = (
    b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    b" subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    b" Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    b" date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    b" DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    b" dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
) + (FIELDS + b"\r\n" + BODY % b" ")
RFC_8463_RECORDS = {
    "brisbane": b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    "test": (
        b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
        b"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/b"
        b"yYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKr"
        b"M3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K"
        b"4w3QIDAQAB"
    ),
}
# RFC 6376 appendices A and C, with errata 3192 and 4926
RFC_6376 = (
    b"DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
    b"      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
    b"      h=Received : From : To : Subject : Date : Message-ID;\r\n"
    b"      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b"      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
    b"      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
    b"      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
    b"      4bmp/YzhwvcubU4=;\r\n"
    b"Received: from client1.football.example.com  [192.0.2.1]\r\n"
    b"      by submitserver.example.com with SUBMISSION;\r\n"
    b"      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n"
) + (FIELDS + b"\r\n" + BODY % b"")
RFC_6376_RECORDS = {
    "brisbane": (
        b"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7"
        b"/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto"
        b"/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
    )
}


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits."""
    waiting = Deferred.fromCoroutine(coroutine)
    if isinstance(waiting.result, Failure):
        waiting.result.raiseException()
    return cast("T", waiting.result)


def problems(
    octets: bytes, records: dict[str, bytes] = RECORDS, now: float = NOW
) -> dict[str, str]:
    """Return of each signature, by its selector, why it doesn't hold; empty if it does."""
    header, content = Header.parse(octets), Octets(octets)
    signatures = signatures_of(header)
    hashes = at_once(body_hashes(content, at_once(body_start(header, content)), signatures))
    found = {}
    for signature in signatures:
        try:
            check(signature, header, hashes[signature][0], records[signature.selector], now)
            found[signature.selector] = ""
        except BadSignature as problem:
            found[signature.selector] = str(problem)
    return found


def with_signatures(
    octets: bytes, style: Style = PLAIN, keys: tuple[SigningKey, ...] = (RSA, ED25519)
) -> bytes:
    header = Header.parse(octets)
    return b"".join(at_once(signed(header, Octets(octets), keys, NOW, style))) + octets


# The standards' examples -----------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "records"),
    [(RFC_8463, RFC_8463_RECORDS), (RFC_6376, RFC_6376_RECORDS)],
    ids=["8463", "6376"],
)
def test_examples_of_the_standards_hold(octets: bytes, records: dict[str, bytes]) -> None:
    assert set(problems(octets, records).values()) == {""}
    changed = problems(octets.replace(b"dinner", b"supper"), records)
    assert all("header" in problem for problem in changed.values())
    longer = problems(octets + b"more\r\n", records)
    assert set(longer.values()) == {"the body has been changed"}


def test_we_sign_as_the_standard_does() -> None:
    secret = Ed25519PrivateKey.from_private_bytes(
        b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    )
    key = SigningKey("football.example.com", "brisbane", secret)
    assert key.record.encode() == RFC_8463_RECORDS["brisbane"]
    header = Header.parse(RFC_8463)
    [signature, _] = signatures_of(header)
    made = key.sign(sha256(signature.signed_octets(header)).digest())
    assert made == b64decode(signature.tags.value(b"b"))


# What we sign ----------------------------------------------------------------

MESSAGE = FIELDS + b"List-Id: <a.example.com>\r\nX-Else: 1\r\n\r\n" + BODY % b" "


@pytest.mark.parametrize(
    "style", [Style(a, b) for a in Canonicalization for b in Canonicalization]
)
def test_what_is_signed_holds_until_it_is_changed(style: Style) -> None:
    octets = with_signatures(MESSAGE, style)
    assert problems(octets) == {"one": "", "two": ""}
    assert problems(octets.replace(b"X-Else", b"X-More")) == {"one": "", "two": ""}
    for one, other in ((b"dinner", b"supper"), (b"hungry", b"angry"), (b"<a.ex", b"<b.ex")):
        assert all(problems(octets.replace(one, other)).values())


@pytest.mark.parametrize("name", ALWAYS)
def test_nobody_can_add_a_field(name: bytes) -> None:
    octets = with_signatures(MESSAGE)
    assert all(problems(name + b": x\r\n" + octets).values())


def test_lists_may_add_what_is_theirs() -> None:
    octets = with_signatures(MESSAGE.replace(b"List-Id: <a.example.com>\r\n", b""))
    assert not any(problems(b"List-Id: <b.example.com>\r\nSender: x\r\n" + octets).values())


def test_fields_are_well_formed() -> None:
    octets = with_signatures(MESSAGE, Style(lifetime=86400))
    block = octets[: octets.index(b"From:")]
    assert max(map(len, block.split(b"\r\n"))) <= 78
    assert b"l=" not in re.sub(rb"b=[^;]*", b"", block)
    for field in Header.of_block(block).fields:
        assert field.name == b"DKIM-Signature"
        assert b"t=1528637909; x=1528724309;" in field.octets


def test_what_expires_or_comes_from_the_future_holds_no_longer() -> None:
    octets = with_signatures(MESSAGE, Style(lifetime=3600))
    assert not any(problems(octets, now=NOW + 3700).values())
    assert set(problems(octets, now=NOW + 4000).values()) == {"it has expired"}
    assert set(problems(octets, now=NOW - 4000).values()) == {"it is from the future"}


def test_a_message_without_from_is_not_signed() -> None:
    octets = MESSAGE.replace(b"From:", b"X-From:")
    with pytest.raises(ValueError, match="without From"):
        with_signatures(octets)
    assert names_to_sign(Header.parse(octets)) == []


def test_a_content_in_pieces_is_signed_alike() -> None:
    header = Header.parse(MESSAGE)
    expected = at_once(signed(header, Octets(MESSAGE), [ED25519], NOW))
    for cut in cuttings(MESSAGE):
        content: Content = Joined(tuple(map(Octets, cut)))
        assert at_once(signed(header, content, [ED25519], NOW)) == expected


@pytest.mark.parametrize("how", Canonicalization)
def test_a_header_that_is_cut_off_is_signed_as_it_will_be_sent(how: Canonicalization) -> None:
    octets = with_signatures(FIELDS.removesuffix(b"\r\n"), Style(how, how))
    assert problems(octets) == problems(octets + b"\r\n\r\n") == {"one": "", "two": ""}


NASTY = st.lists(
    st.sampled_from([b"\r\n", b" ", b"\t", b"a", b".", b"\xff", b"\n", b"From: x\r\n"])
).map(b"".join)


@given(NASTY, NASTY, st.sampled_from(Canonicalization), st.sampled_from(Canonicalization))
def test_whatever_is_signed_holds(
    fields: bytes, body: bytes, of_header: Canonicalization, of_body: Canonicalization
) -> None:
    octets = b"From: a@example.com\r\n" + fields.strip() + b"\r\n\r\n" + body
    both = with_signatures(octets, Style(of_header, of_body), (ED25519,))
    assert problems(both)["two"] == ""


# What is no signature, and no key --------------------------------------------


@given(
    st.lists(
        st.sampled_from(
            [b";", b"=", b"v=1", b"a=rsa-sha256", b"b=AA", b"bh=", b"h=from", b"d=example.com",
             b"s=one", b"l=9", b"t=", b"x=1", b"i=@b", b":", b" ", b"\xff", b"\r\n\t"]
        )
    )
)  # fmt: skip
def test_any_field_is_refused_and_never_fails(pieces: list[bytes]) -> None:
    octets = b"DKIM-Signature: " + b"".join(pieces) + b"\r\n" + MESSAGE
    header, content = Header.parse(octets), Octets(octets)
    for one in signatures_of(header):
        hashes = at_once(body_hashes(content, len(header.octets) + 2, [one]))
        with pytest.raises(BadSignature):
            check(one, header, hashes[one][0], RECORDS["one"], NOW)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"v=1", b"v=2", "as the standard has it"),
        (b"v=1;", b"v=1; v=1;", "as the standard has it"),
        (b"rsa-sha256", b"rsa-sha1", "nobody believes"),
        (b"rsa-sha256", b"ed25519-sha256", "another algorithm"),
        (b"h=from:from:", b"h=", "doesn't sign From"),
        (b"d=example.com;", b"", "has no d"),
        (b"d=example.com;", b"d=example.com; i=@example.net;", "another domain"),
        (b"d=example.com;", b"d=example.com; i=a@sub.example.com;", "changed"),
        (b"\tb=", b"\tb=!", "no Base64"),
    ],
)
def test_why_a_signature_does_not_hold(old: bytes, new: bytes, problem: str) -> None:
    octets = with_signatures(MESSAGE, keys=(RSA,))
    assert old in octets
    [found] = problems(octets.replace(old, new, 1)).values()
    assert problem in found


def test_a_strict_key_is_for_no_subdomain() -> None:
    octets = with_signatures(MESSAGE, keys=(RSA,)).replace(b"d=ex", b"i=@a.example.com; d=ex")
    record = {"one": RECORDS["one"] + b"; t=y:s"}
    assert problems(octets, record) == {"one": "its key is for no subdomain"}
    assert PublicKey.read(record["one"]).is_test


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"v=DKIM1; p=", "revoked"),
        (b"v=DKIM1", "no key in it"),
        (b"v=DKIM2; p=AAAA", "version"),
        (b"p=AAAA; v=DKIM1", "version"),
        (b"v=DKIM1; k=rsa; p=AAAA", "can be read"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "can be read"),
        (b"v=DKIM1; k=other; p=AAAA", "known kind"),
        (b"v=DKIM1; h=sha1; p=AAAA", "SHA-256"),
        (b"v=DKIM1; s=web; p=AAAA", "not for mail"),
        (b"words", "no list"),
        (b"", "no list"),
        (b"v=DKIM1; p=" + b"A" * 9000, "octets"),
    ],
)
def test_what_is_no_key(record: bytes, problem: str) -> None:
    with pytest.raises(BadKey, match=problem):
        PublicKey.read(record)


@given(st.binary(max_size=200) | st.text("v=DKIM1;p kst:").map(str.encode))
def test_any_record_can_be_read(record: bytes) -> None:
    try:
        PublicKey.read(record)
    except BadKey:
        pass


def test_a_key_of_another_kind_signs_for_nobody() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for wrong in (b"", b"-----BEGIN", pem):
        with pytest.raises(BadKey):
            SigningKey.read("example.com", "one", wrong)


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("[192.0.2.1]", "a"), ("a b", "a"), ("a", "a_b"), ("a", "a/b"), ("a", "")],
)
def test_what_names_no_key(domain: str, selector: str) -> None:
    with pytest.raises(BadKey):
        SigningKey.new(domain, selector, Algorithm.ED25519_SHA256)


def test_a_key_is_read_as_it_was_written() -> None:
    for key in (RSA, ED25519):
        again = SigningKey.read("EXAMPLE.com.", key.selector.upper(), key.pem)
        assert (again.record, again.name, again.bits) == (key.record, key.name, key.bits)
        assert "PRIVATE" not in repr(again)


@given(st.text("ab", max_size=600))
@settings(max_examples=20)
def test_a_record_is_cut_into_strings(text: str) -> None:
    strings = strings_of_record(text)
    assert "".join(strings) == text
    assert all(0 < len(one) <= 255 for one in strings)
