"""What is to be signed has lines of ASCII only, and says the same as before."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

import pytest
from twisted.internet.defer import Deferred

from mailplat.mail.content import Octets
from mailplat.mail.header import Header
from mailplat.mail.message import Message
from mailplat.mail.recoding import Level, Recoder, Survey, plan
from mailplat.mail.sevenbits import to_seven_bits
from mailplat.mail.structure import scan
from mailplat.testing.corpus import samples

T = TypeVar("T")

TEXT = (
    b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
)
MIXED = (
    b"From: a@example.org\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/%b; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    b"\r\nl\xc3\xbcgen\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b--\r\n"
)


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    return cast("T", Deferred.fromCoroutine(coroutine).result)


def converted(octets: bytes) -> bytes:
    message = Message(Header.parse(octets), Octets(octets))
    edits = at_once(to_seven_bits(message))
    edited = at_once(message.edited(edits))
    whole: bytes = at_once(edited.content.read(0, edited.content.size))
    assert whole.startswith(edited.header.octets)
    return whole


def by_the_recoder(octets: bytes) -> bytes:
    structure = scan(octets)
    survey = Survey(structure.layout)
    survey.feed(octets)
    recoder = Recoder(structure, plan(structure, survey.finish(), Level.SEVEN).changes)
    return recoder.feed(octets) + recoder.finish()


@pytest.mark.parametrize(
    "octets",
    [
        TEXT + b"Content-Transfer-Encoding: 8bit\r\n\r\nl\xc3\xbcgen\r\n",
        TEXT + b"\r\n" + b"x" * 1200 + b"\r\n",
        TEXT[:21] + b"\r\nl\xc3\xbcgen\r\n",
        MIXED % b"mixed",
    ],
)
def test_what_is_outside_ascii_is_encoded(octets: bytes) -> None:
    whole = converted(octets)
    assert whole == by_the_recoder(octets)
    assert whole.isascii()
    assert max(map(len, whole.split(b"\r\n"))) <= 998
    assert converted(whole) == whole


@pytest.mark.parametrize(
    "octets",
    [
        TEXT + b"\r\nplain\r\n",
        TEXT
        + b"Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n",  # only its label is too much
        TEXT + b"Subject: l\xc3\xbcgen\r\n\r\nl\xc3\xbcgen\r\n",
        TEXT + b"DKIM-Signature: v=1\r\n\r\nl\xc3\xbcgen\r\n",
        MIXED % b"signed",
        TEXT + b"\r\n" + b"\xc3\xbc" * 300 + b"\r\n" + b"\xc3\xbc\r\n" * 1_050_000,
    ],
    ids=["ascii", "label", "header", "dkim", "signed", "large"],
)
def test_what_stays_as_it_is(octets: bytes) -> None:
    assert converted(octets) == octets


def test_samples_are_converted_or_left() -> None:
    ways = {"converted": 0, "left": 0}
    for sample in samples(1000):
        octets = sample.octets
        whole = converted(octets)
        assert whole in (octets, by_the_recoder(octets))
        ways["left" if whole == octets else "converted"] += 1
    assert min(ways.values()) > 5
