"""Reading whole messages at arrival: beside Python's own email package, and at their worst."""

from __future__ import annotations

import base64
import email
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks import text
from benchmarks.measure import Sample
from mailplat.mail.limits import KIB
from mailplat.mail.summary import findings, summarise

SECONDS = 2.0  # of processor time, for a sample
HOSTILE = 10_000  # inputs
LONGEST = 64 * KIB  # octets of each of them

_LINE = "The quick brown fox jumps over the lazy dog, and so do we every day.\r\n"
_FRONT = """\
Return-Path: <bounce-{n}@lists.example.net>\r
Received: from mx1.example.net (mx1.example.net [192.0.2.1])\r
\tby mx.example.org with ESMTPS id 4Xy{n}z for <reader@example.org>;\r
\tMon, 23 Nov 2026 12:00:03 +0000\r
Received: from mx2.example.net (mx2.example.net [192.0.2.2])\r
\tby mx1.example.net with ESMTPS id 3Xy{n}z for <reader@example.org>;\r
\tMon, 23 Nov 2026 12:00:02 +0000\r
Received: from [192.0.2.3] (client.example.net [192.0.2.3])\r
\tby mx2.example.net with ESMTPSA id 2Xy{n}z; Mon, 23 Nov 2026 12:00:01 +0000\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s1;\r
\th=from:to:subject:date:message-id:mime-version:content-type;\r
\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r
\tb={signature}\r
Authentication-Results: mx.example.org; dkim=pass header.d=example.net;\r
\tspf=pass smtp.mailfrom=example.net\r
From: =?utf-8?q?Zo=C3=AB_{n}?= <sender{n}@example.net>\r
Reply-To: list{n}@example.net\r
To: A Reader <reader@example.org>, "Other, {n}" <other{n}@example.org>\r
Cc: third@example.org\r
Subject: Re: [list] News for November, number {n}\r
Date: Mon, 23 Nov 2026 12:00:00 +0000\r
Message-ID: <2026112312{n}.1@example.net>\r
In-Reply-To: <a.{n}@example.org>\r
References: <x.{n}@example.org>\r
 <a.{n}@example.org>\r
List-Id: <list{n}.example.net>\r
List-Unsubscribe: <https://example.net/u/{n}>\r
X-Mailer: Example Mailer 1.0\r
MIME-Version: 1.0\r
Content-Type: multipart/{subtype}; boundary="----=_Part_{n}_1"\r
\r
"""


def _message(number: int, subtype: str, parts: Sequence[tuple[str, str]]) -> bytes:
    """Return a message of twenty header fields and some parts, given as header and body."""
    chance = random.Random(number)
    signature = base64.b64encode(chance.randbytes(256)).decode()
    lines = [signature[at : at + 70] for at in range(0, len(signature), 70)]
    number += 1000
    written = _FRONT.format(n=number, signature="\r\n\t ".join(lines), subtype=subtype)
    for header, body in parts:
        written += f"------=_Part_{number}_1\r\n{header}\r\n\r\n{body}\r\n"
    return f"{written}------=_Part_{number}_1--\r\n".encode()


def _type(media_type: str, encoding: str) -> str:
    return f"Content-Type: {media_type}\r\nContent-Transfer-Encoding: {encoding}"


def alternatives(size: int) -> Iterator[bytes]:
    """Yield messages of about so many octets, no two the same, their text plain and in HTML."""
    lines = _LINE * (size // (2 * len(_LINE)))
    parts = [
        (_type("text/plain; charset=utf-8", "quoted-printable"), lines),
        (
            _type("text/html; charset=utf-8", "quoted-printable"),
            f"<html><body><p>{lines}</body></html>",
        ),
    ]
    for number in itertools.count():
        yield _message(number, "alternative", parts)


def attachments(size: int) -> Iterator[bytes]:
    """Yield messages of about so many octets, no two the same, nearly all of them a file."""
    octets = base64.encodebytes(random.Random(1).randbytes(size * 3 // 4))
    file = octets.replace(b"\n", b"\r\n").decode()
    text = _type("text/plain; charset=utf-8", "7bit"), _LINE * 20
    for number in itertools.count():
        name = f"report {number}.pdf"
        header = _type(f'application/pdf; name="{name}"', "base64")
        header += f'\r\nContent-Disposition: attachment; filename="{name}"'
        yield _message(number, "mixed", [text, (header, file)])


MESSAGES: dict[str, Callable[[], Iterator[bytes]]] = {
    "5 KB": lambda: alternatives(2_700),
    "50 KB": lambda: attachments(46_000),
    "1 MB": lambda: attachments(1_000_000),
}


def parse(octets: bytes) -> None:
    """Parse a message with the standard library, as its default policy has it."""
    email.message_from_bytes(octets)


def read(octets: bytes) -> None:
    """Find structure, ENVELOPE, BODYSTRUCTURE, thread and sort keys, and write them down."""
    findings(octets, previewed=False).summary()


def sample(work: Callable[[bytes], None], messages: Iterator[bytes]) -> Sample:
    """Return the time of one message, in this process alone, of more than can be remembered."""
    times: list[float] = []
    room = SECONDS
    while room > 0:
        octets = next(messages)
        began = time.process_time()
        work(octets)
        times.append(time.process_time() - began)
        room -= times[-1]
    mean = sum(times) / len(times)  # a median would pass over what only some messages cost
    times.sort()
    median, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return Sample(1 / mean, mean * 1e6, median * 1e3, late * 1e3, 0)


def letters() -> Iterator[bytes]:
    """Yield, over and over, letters and newsletters of 5 KB in every encoding, for the text to index."""
    return itertools.cycle(
        [case.octets for case in text.cases() if case.name.startswith("5 KB")]
    )


# At their worst ----------------------------------------------------------------

_SHARDS = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\xff", b"a", b"\xc3\xa4", b"0" * 30),
    *(b"<", b">", b"@", b",", b";", b":", b"(", b")", b'"', b"\\", b"[", b"]", b"=", b"."),
    *(b"--", b"\r\n--b", b"\r\n--b--\r\n", b"\r\n--b\r\n\r\n", b"\r\n\r\n", b"\r\n "),
    *(b"=?utf-8?q?", b"=?utf-8?b?", b"?=", b"=C3", b"Re:", b"[fwd:", b"(fwd)", b"<a@b>,"),
    *(b"name*0*=", b"; name=", b"; a=b", b"<p>", b"</p>", b"<!--", b"-->", b"&amp;", b"<a "),
    *(b"<style>", b"<blockquote>", b"> ", b"On Monday wrote:\r\n", b"-- \r\n"),
]
_FIELDS = [
    *(b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"References"),
    *(b"In-Reply-To", b"Content-Type", b"Content-Disposition", b"Content-Language"),
    *(b"Content-Transfer-Encoding", b"Content-ID", b"X"),
]
_BODIES = [
    b"",
    b"Content-Type: text/plain\r\n\r\n",
    b"Content-Type: text/html\r\n\r\n",
    b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n',
    b'Content-Type: multipart/digest; boundary="b"\r\n\r\n--b\r\n\r\n',
    b"Content-Type: message/rfc822\r\n\r\n",
]


def hostile(chance: random.Random) -> bytes:
    """Return a few pieces over and over: in a field, in a body, or as a header."""
    unit = b"".join(chance.choices(_SHARDS + _FIELDS, k=chance.randint(1, 5)))
    front = chance.choice(_BODIES)
    if chance.random() < 0.5:
        front = chance.choice(_FIELDS) + b": " + chance.choice(_SHARDS)
    return (front + unit * (LONGEST // len(unit)))[:LONGEST]


def worst() -> float:
    """Return the milliseconds that the slowest of many hostile inputs takes to summarise.

    What seems slower than all before is read twice more, since another program
    may have been in the way.
    """
    chance = random.Random(1)
    slowest = 0.0
    for _ in range(HOSTILE):
        octets = hostile(chance)
        spent = _spent(octets)
        if spent > slowest:
            slowest = max(slowest, min(spent, _spent(octets), _spent(octets)))
    return slowest * 1e3


def _spent(octets: bytes) -> float:
    began = time.process_time()
    summarise(octets)
    return time.process_time() - began
