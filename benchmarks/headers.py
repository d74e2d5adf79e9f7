"""How long reading what IMAP asks of a header takes us, and Python's own email package."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from email.utils import getaddresses, parsedate_to_datetime

from benchmarks.measure import Sample
from mailplat.mail.dates import date_in
from mailplat.mail.header import telling_fields
from mailplat.mail.identifiers import relatives_of
from mailplat.mail.imapwords import read_envelope
from mailplat.mail.sortkeys import keys_of, moment_key, subject_key

OPERATIONS = 20_000
BATCH = 100  # operations between two looks at the clock

HEADER = b"""\
Received: from mail.example.net (mail.example.net [192.0.2.1])\r
\tby mx.example.org with ESMTPS id 0123456789abcdef for <bob@example.org>;\r
\tMon, 23 Nov 2026 12:00:00 +0000\r
From: Alice Example <alice@example.net>\r
To: "Example, Bob" <bob@example.org>, carol@example.com\r
Cc: Dave Example <dave@example.edu>\r
Subject: Re: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus_K=C3=B6ln?= and elsewhere\r
Date: Mon, 23 Nov 2026 12:00:00 +0100\r
Message-ID: <CAF1234567890abcdefgh@mail.example.net>\r
In-Reply-To: <20261122103000.12345@mail.example.org>\r
References: <20261121103000.11111@mail.example.org>\r
 <20261122103000.12345@mail.example.org>\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
"""


def read_by_us() -> object:
    """ENVELOPE, seven sort keys, identifiers."""
    telling = telling_fields(HEADER)
    envelope = read_envelope(telling)
    names = (b"date", b"subject", b"message-id", b"references", b"in-reply-to")
    sent, subject, *identifiers = [telling[name][0] for name in names]
    date = date_in(sent)
    return (
        envelope.octets,
        *map(keys_of, (envelope.sender, envelope.to, envelope.cc)),
        subject_key(subject),
        moment_key(date.seconds if date else 0),
        relatives_of(*identifiers),
    )


def read_by_python() -> object:
    """The same facts, as far as the email package knows them, written as nothing."""
    header = BytesHeaderParser().parsebytes(HEADER)
    names = ("From", "Sender", "Reply-To", "To", "Cc", "Bcc")
    return (
        [getaddresses(header.get_all(name, [])) for name in names],
        str(make_header(decode_header(header["Subject"]))),
        parsedate_to_datetime(header["Date"]).timestamp(),
        [header["Message-ID"], *header["References"].split(), header["In-Reply-To"]],
    )


def sample(read: Callable[[], object]) -> Sample:
    """Return the time of one reading, in this process alone."""
    times = []
    for _ in range(OPERATIONS // BATCH):
        began = time.process_time()
        for _ in range(BATCH):
            read()
        times.append((time.process_time() - began) / BATCH)
    times.sort()
    median, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return Sample(1 / median, median * 1e6, median * 1e3, late * 1e3, 0)
