"""Text for the index and preview beside the standard library: ``python -m benchmarks.text``.

The standard library parses each message and decodes its texts; we do that, and
also reduce HTML and fold what is to be searched.  Both in turns, the best of
many: what is left is what the work costs.
"""

from __future__ import annotations

import argparse
import base64
import email
import quopri
import random
import textwrap
import time
from collections.abc import Callable, Iterator

import attrs

from mailplat.mail.preview import preview
from mailplat.mail.search import search_text
from mailplat.mail.structure import scan

PROSE = (
    "the quick brown fox jumps over a lazy dog and then some more words that people write "
    "to each other in mails about meetings plans offers and what they did yesterday"
)
WORDS = PROSE.split()
CELL = (
    '<tr><td align="left" valign="top" style="padding:0 0 10px 0;font-family:Arial,sans-serif;'
    'font-size:14px;color:#333333"><a href="https://example.com/t?u=1234567890&amp;id=abc" '
    'style="color:#0066cc;text-decoration:none"><b>{}</b></a> {} 20&nbsp;%</td></tr>\n'
)
PARAGRAPH = (
    '<p class="MsoNormal"><span style="font-size:11.0pt;font-family:Calibri">{} {}'
    "<o:p></o:p></span></p>\n"
)
HEADER = """\
Return-Path: <alice@example.org>
Received: from mx.example.org (mx.example.org [192.0.2.1])
 by mail.example.net with ESMTPS id 4f2a for <bob@example.net>;
 Mon, 23 Nov 2026 10:00:00 +0000
From: Alice Example <alice@example.org>
To: Bob <bob@example.net>, Carol <carol@example.net>
Subject: =?utf-8?q?About_s=C3=B6mething?=
Date: Mon, 23 Nov 2026 10:00:00 +0000
Message-ID: <4f2a@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="----=_Part_1"

"""
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "8bit": lambda octets: octets,
    "quoted-printable": quopri.encodestring,
    "base64": base64.encodebytes,
}


@attrs.frozen
class Case:
    """One kind of message."""

    name: str
    octets: bytes


def cases() -> Iterator[Case]:
    for size in (5_000, 50_000):
        for kind, line in (("letter", PARAGRAPH), ("newsletter", CELL)):
            for encoding in ENCODINGS:
                name = f"{size // 1000} KB, {kind}, {encoding}"
                yield Case(name, message(size, line, encoding))


def message(size: int, line: str, encoding: str) -> bytes:
    """Return a text and its HTML as alternatives, three quarters of them HTML."""
    chance = random.Random(1)  # the same words for all
    text = textwrap.fill(" ".join(chance.choices(WORDS, k=size // 24)), 72)
    style = ".a { color: #fff; margin: 0 }\n" * (size // 300)
    html = f"<html><head><title>News</title><style>{style}</style></head><body>\n"
    while len(html) < size * 3 // 4:
        words = [" ".join(chance.choices(WORDS, k=count)) for count in (3, 25)]
        html += line.format(*words)
    octets = HEADER.encode()
    for type_, body in (("plain", text), ("html", html)):
        octets += (
            b"------=_Part_1\n"
            + f"Content-Type: text/{type_}; charset=utf-8\n".encode()
            + f"Content-Transfer-Encoding: {encoding}\n\n".encode()
            + ENCODINGS[encoding](body.encode())
            + b"\n"
        )
    return (octets + b"------=_Part_1--\n").replace(b"\n", b"\r\n")


def by_the_standard_library(octets: bytes) -> None:
    for part in email.message_from_bytes(octets).walk():
        if part.get_content_maintype() == "text":
            decoded = part.get_payload(decode=True)
            assert isinstance(decoded, bytes)
            decoded.decode(part.get_content_charset("utf-8"), "replace")


def ours(octets: bytes) -> None:
    structure = scan(octets)
    search_text(octets, structure)


def ours_with_preview(octets: bytes) -> None:
    structure = scan(octets)
    search_text(octets, structure)
    preview(octets, structure)


def only_preview(octets: bytes) -> None:
    preview(octets, scan(octets))


SIDES = (by_the_standard_library, ours, ours_with_preview, only_preview)


def best(octets: bytes, seconds: float) -> list[float]:
    """Return the least seconds that each side takes for a message, measured in turns."""
    least = [float("inf")] * len(SIDES)
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        for number, side in enumerate(SIDES):
            start = time.perf_counter()
            side(octets)
            least[number] = min(least[number], time.perf_counter() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="for each kind of message")
    chosen = parser.parse_args()
    print("| message | standard library, µs | text, µs | times | and preview | preview alone |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in cases():
        peer, text, both, alone = (1e6 * one for one in best(case.octets, chosen.seconds))
        print(
            f"| {case.name} | {peer:,.0f} | {text:,.0f} | **{peer / text:.1f}x** "
            f"| {peer / both:.1f}x | {peer / alone:.1f}x |"
        )


if __name__ == "__main__":
    main()
