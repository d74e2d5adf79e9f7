"""A change breaks just those DKIM signatures that have signed what it changes."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailplat.mail.canonical import BodyHash, Canonicalization
from mailplat.mail.content import Content, Joined, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.signatures import body_hashes, broken_by, signatures_of
from mailplat.testing.cuts import cuttings

T = TypeVar("T")
SIMPLE, RELAXED = Canonicalization
BODY = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
RFC_8463 = "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="  # appendix A.3, bh=
EMPTY_SIMPLE = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="  # RFC 6376 section 3.4.3
EMPTY_RELAXED = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # RFC 6376 section 3.4.4


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns that never waits."""
    reading = Deferred.fromCoroutine(coroutine)
    return cast("T", reading.result)


def hashed(body: bytes, how: Canonicalization, length: int | None = None) -> str:
    digest = BodyHash(how, length)
    digest.feed(body)
    return digest.digest().decode()


def signed(
    body: bytes = BODY,
    h: str = "from:subject:subject:to",
    c: str = "relaxed/relaxed",
    length: int | None = None,
    fields: bytes = b"From: a@example.net\r\nSubject: hi\r\nTo: b@example.org\r\n",
) -> bytes:
    """Return a message with a signature whose body hash fits."""
    how = RELAXED if c.endswith("/relaxed") else SIMPLE
    end = "" if length is None else f" l={length};"
    bh = hashed(body, how, length)
    return (
        f"DKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=two;{end}\r\n"
        f" c={c}; h={h};\r\n bh={bh[:20]}\r\n  {bh[20:]}; b=AAAA\r\n"
    ).encode() + (fields + b"\r\n" + body)


def broken(old: bytes, new: bytes) -> list[str]:
    """Return the selectors of the signatures that a step breaks; in pieces it is the same."""
    pieces: Content = Joined((Octets(new[:9]), Octets(new[9:])))
    answers = [
        at_once(broken_by((Header.parse(old), Octets(old)), (Header.parse(new), content)))
        for content in (Octets(new), pieces)
    ]
    assert answers[0] == answers[1]
    return [signature.selector for signature in answers[0]]


def edited(octets: bytes, plan: Edits) -> bytes:
    header = Header.parse(octets)
    return plan.apply(header).octets + octets[len(header.octets) :]


def test_the_hashes_of_the_standards() -> None:
    assert hashed(BODY, RELAXED) == RFC_8463
    assert hashed(BODY.replace(b"  ", b" "), SIMPLE) == RFC_8463
    for empty in (b"", b"\r\n", b"\r\n\r\n", b"\n\n\n"):
        assert hashed(empty, SIMPLE) == EMPTY_SIMPLE
        assert hashed(empty, RELAXED) == EMPTY_RELAXED
    assert hashed(b" \t\r\n \r\n", RELAXED) == EMPTY_RELAXED
    # RFC 6376 section 3.4.5
    assert hashed(b" C \r\nD \t E\r\n\r\n\r\n", RELAXED) == hashed(b" C\r\nD E\r\n", SIMPLE)


NASTY = st.lists(st.sampled_from([b"\r", b"\n", b" ", b"\t", b"a", b"\r\n"])).map(b"".join)


def by_the_book(body: bytes, how: Canonicalization) -> bytes:
    """Return a body canonicalized a line at a time, as sections 3.4.3 and 3.4.4 say it."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if how is RELAXED:
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    text = b"".join(line + b"\r\n" for line in lines)
    return text or (b"\r\n" if how is SIMPLE else b"")


@given(NASTY, st.sampled_from(Canonicalization), st.none() | st.integers(0, 30))
def test_a_hash_is_what_the_book_says_however_the_body_is_cut(
    body: bytes, how: Canonicalization, length: int | None
) -> None:
    text = by_the_book(body, how)[:length]
    expected = b64encode(hashlib.sha256(text).digest()).decode()
    assert hashed(body, how, length) == expected
    for cut in cuttings(body):
        digest = BodyHash(how, length)
        for chunk in cut:
            digest.feed(chunk)
        assert digest.digest().decode() == expected
        assert digest.size == len(text)


def test_what_a_field_says() -> None:
    [one] = signatures_of(Header.parse(signed(length=3)))
    assert (one.domain, one.selector, one.algorithm) == ("example.net", "two", "rsa-sha256")
    assert one.names == (b"from", b"subject", b"subject", b"to")
    assert (one.of_header, one.of_body, one.length) == (RELAXED, RELAXED, 3)
    assert one.body_hash.decode() == hashed(BODY, RELAXED, 3)
    assert str(one) == "two._domainkey.example.net"


def test_fields_are_named_from_the_lowest_upwards() -> None:
    old = signed(h="from:subject")
    assert not broken(old, old)
    assert not broken(old, edited(old, Edits().add(b"Subject", "another")))
    assert not broken(old, edited(old, Edits().add(b"X-New", "1")))
    assert broken(old, edited(old, Edits().replace(b"Subject", "another"))) == ["two"]
    assert broken(old, edited(old, Edits().remove(b"From"))) == ["two"]


def test_one_name_too_many_forbids_another_field() -> None:
    old = signed(h="from:subject:subject")
    assert broken(old, edited(old, Edits().add(b"Subject", "another"))) == ["two"]
    assert not broken(old, edited(old, Edits().add(b"To", "c@example.org")))


def test_white_space_and_case_count_for_simple_only() -> None:
    for c, expected in {"simple/simple": ["two"], "relaxed/simple": []}.items():
        old = signed(c=c)
        assert broken(old, old.replace(b"Subject: hi", b"SUBJECT:\t hi ")) == expected
    for c, expected in {"simple/simple": ["two"], "simple/relaxed": []}.items():
        old = signed(c=c)
        assert broken(old, old.replace(b"game.  Are", b"game. \tAre")) == expected
        assert broken(old, old + b"\r\n\r\n") == []
        assert broken(old, old + b"more\r\n") == ["two"]


def test_what_lies_behind_a_length_may_change() -> None:
    old = signed(length=len(BODY) - 1)  # relaxed, that is all of it
    assert broken(old, old + b"more\r\n") == []
    assert broken(old, old[:-7]) == ["two"]
    old = signed(length=5, c="simple/simple")
    assert broken(old, old + b"more\r\n") == []
    assert broken(old, old.replace(b"Joe", b"Ann")) == []
    assert broken(old, old.replace(b"Hi", b"Ho")) == ["two"]


def test_one_that_has_gone_is_broken_and_one_that_never_fitted_is_not() -> None:
    old = signed()
    assert broken(old, edited(old, Edits().remove(b"DKIM-Signature"))) == ["two"]
    never = old.replace(b"Joe", b"Ann")
    assert broken(never, edited(never, Edits().remove(b"From"))) == []
    none = b"From: a@example.net\r\n\r\nhi\r\n"
    assert broken(none, edited(none, Edits().remove(b"From"))) == []


def test_each_signature_counts_for_itself() -> None:
    inner = signed(h="from")
    outer = signed(h="from:subject").partition(b"From:")[0].replace(b"s=two", b"s=one")
    old = outer + inner
    assert broken(old, edited(old, Edits().replace(b"Subject", "x"))) == ["one"]


@given(st.lists(st.sampled_from([b";", b"=", b"h", b"c=", b"l=", b"9", b":", b" ", b"\xff"])))
def test_any_field_can_be_read(pieces: list[bytes]) -> None:
    octets = b"DKIM-Signature: " + b"".join(pieces) + b"\r\n\r\nbody"
    header = Header.parse(octets)
    found = signatures_of(header)
    assert len(found) == 1
    at_once(body_hashes(Octets(octets), 0, found))


@pytest.mark.parametrize("how", Canonicalization)
def test_a_body_of_line_ends_takes_no_room(how: Canonicalization) -> None:
    digest = BodyHash(how)
    for _ in range(64):
        digest.feed(b"\r\n" * 65536)
    digest.feed(b"x")
    digest.digest()
    assert digest.size == 64 * 65536 * 2 + 3
