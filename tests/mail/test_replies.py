"""Who gets an automatic answer, who gets none, and what it says."""

from __future__ import annotations

import email.policy
from datetime import UTC, datetime
from email.parser import BytesParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress
from mailplat.mail.compose import Occasion
from mailplat.mail.content import whole
from mailplat.mail.envelope import Body
from mailplat.mail.header import Header
from mailplat.mail.multipart import text_part
from mailplat.mail.replies import Answer, Silence, reply, silence

ALICE = Address("alice", "example.org")
CAROL = Address("carol", "example.net")
OWN = [ALICE, Address("a.liddell", "example.org"), Address("zoë", "example.org")]
OCCASION = Occasion(
    author=NamedAddress.of(ALICE, "Alice Liddell"),
    hostname="mx.example.org",
    now=datetime(2026, 11, 3, 9, 5, 7, tzinfo=UTC),
    unique="r4nd0mn3ss",
)
USUAL = "From: Carol <carol@example.net>\r\nTo: Alice <alice@example.org>\r\nSubject: hello\r\n"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (USUAL, None),
        ("To: bob@example.org\r\nCc: x, A.Liddell@Example.ORG\r\n", None),
        ('To: "alice"@example.org\r\n', None),
        ("To: zoë@example.org\r\n", None),
        ("To: zoe\u0308@example.org\r\n", None),
        ("To: bob@example.org\r\nResent-To: alice@example.org\r\n", None),
        ("Bcc: alice@example.org\r\n", None),
        ("To: bob@example.org\r\n", Silence.NOT_ADDRESSED),
        ("To: alice@example.net\r\n", Silence.NOT_ADDRESSED),
        ("To: alice@example.org <bob@example.org>\r\n", Silence.NOT_ADDRESSED),
        ("", Silence.NOT_ADDRESSED),
        # RFC 3834 section 5
        (USUAL + "Auto-Submitted: no\r\n", None),
        (USUAL + "Auto-Submitted: (comment) NO ; x=y\r\n", None),
        (USUAL + "Auto-Submitted: auto-replied\r\n", Silence.AUTOMATIC),
        (USUAL + "Auto-Submitted: auto-generated; x=no\r\n", Silence.AUTOMATIC),
        (USUAL + "Auto-Submitted: nobody\r\n", Silence.AUTOMATIC),
        (USUAL + "Auto-Submitted: no\r\nAuto-Submitted: auto-notified\r\n", Silence.AUTOMATIC),
        # RFC 5230 section 4.6
        (USUAL + "List-Id: <list.example.net>\r\n", Silence.LIST),
        (USUAL + "LIST-POST: NO\r\n", Silence.LIST),
        (USUAL + "List-Unsubscribe: <mailto:x@example.net>\r\n", Silence.LIST),
        (USUAL + "X-List: x\r\n", None),
        (USUAL + "Precedence: Bulk\r\n", Silence.MASS),
        (USUAL + "Precedence:\r\n\tlist\r\n", Silence.MASS),
        (USUAL + "Precedence: first-class\r\n", None),
        (USUAL + "Precedence: listless\r\n", None),
    ],
)
def test_what_the_header_says(fields: str, why: Silence | None) -> None:
    assert silence(Header(fields.encode()), CAROL, OWN) is why


@pytest.mark.parametrize(
    ("sender", "why"),
    [
        ("", Silence.NOBODY),
        ("postmaster", Silence.NOBODY),
        ("ALICE@example.org", Silence.ITSELF),
        ("MAILER-DAEMON@example.net", Silence.ROLE),
        ("owner-list@example.net", Silence.ROLE),
        ("list-request@example.net", Silence.ROLE),
        ("majordomo@example.net", Silence.ROLE),
        ("noreply@example.net", None),
        ("homeowner-x@example.net", None),
        ("postmaster@example.net", None),
    ],
)
def test_who_sent_it(sender: str, why: Silence | None) -> None:
    address = None
    if sender:
        address = Address.parse(sender) if "@" in sender else Address(sender, "")
    assert silence(Header(USUAL.encode()), address, OWN) is why


def test_a_service_answers_what_does_not_name_it() -> None:
    assert silence(Header(b"To: x@example.net\r\n"), CAROL, OWN, personal=False) is None


async def test_a_reply() -> None:
    header = Header(
        USUAL.encode() + b"Message-ID: <3@example.net>\r\nReferences: <1@x> <2@x>\r\n"
    )
    letter = reply(Answer(body=text_part("I'm away.")), header, CAROL, OCCASION)
    assert letter.envelope.sender is None
    assert [one.address for one in letter.envelope.recipients] == [CAROL]
    assert letter.envelope.body is Body.SEVEN_BIT
    assert not letter.envelope.smtputf8
    assert await whole(letter.content) == (
        b"From: Alice Liddell <alice@example.org>\r\n"
        b"To: carol@example.net\r\n"
        b"Subject: Auto: hello\r\n"
        b"Date: Tue, 3 Nov 2026 09:05:07 +0000\r\n"
        b"Message-ID: <r4nd0mn3ss@mx.example.org>\r\n"
        b"In-Reply-To: <3@example.net>\r\n"
        b"References: <1@x> <2@x> <3@example.net>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"\r\n"
        b"I'm away.\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "threads"),
    [
        ("", []),
        ("Message-ID: none\r\nReferences: <1@x>\r\n", []),
        ("Message-ID: <2@x>\r\n", ["<2@x>", "<2@x>"]),
        ("Message-ID: <2@x>\r\nIn-Reply-To: <1@x> <0@x>\r\n", ["<2@x>", "<1@x> <2@x>"]),
        ("Message-ID: <\xe9@x>\r\nReferences: <1@x>\r\n", ["<1@x>"]),
    ],
)
async def test_to_what_a_reply_belongs(fields: str, threads: list[str]) -> None:
    header = Header(fields.encode("latin-1"))
    octets = await whole(reply(Answer(body=text_part("x")), header, CAROL, OCCASION).content)
    found = Header.parse(octets)
    assert [
        body.decode() for name in (b"in-reply-to", b"references") for body in found.bodies(name)
    ] == threads


async def test_an_own_subject_and_an_address_in_utf8() -> None:
    letter = reply(
        Answer(body=text_part("Grüße"), subject="Im Urlaub ☀"),
        Header(USUAL.encode()),
        Address("zoë", "example.net"),
        OCCASION,
    )
    assert letter.envelope.smtputf8
    octets = await whole(letter.content)
    found = BytesParser(policy=email.policy.default).parsebytes(octets)
    assert found["Subject"] == "Im Urlaub ☀"
    assert "To: zoë@example.net\r\n".encode() in octets


def test_an_own_subject_with_controls_is_refused() -> None:
    for bad in ("a\r\nBcc: b", "a\0"):
        with pytest.raises(ValueError, match="control"):
            reply(Answer(body=text_part("x"), subject=bad), Header(), CAROL, OCCASION)


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
@example(b"=?utf-8?q?x=0D=0ABcc:_y?=", b"<a\r\n b@c>", b"<a\0@b>")
@example(b"=?utf-16?b?2AA=?=", b"", b"")
async def test_no_stranger_adds_a_field(subject: bytes, own: bytes, before: bytes) -> None:
    header = Header.of_lines(
        b"%b: %b\r\n" % (name, body)
        for name, body in ((b"Subject", subject), (b"Message-ID", own), (b"References", before))
    )
    silence(header, CAROL, OWN)
    octets = await whole(reply(Answer(body=text_part("x")), header, CAROL, OCCASION).content)
    found = Header.parse(octets)
    allowed = [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"In-Reply-To", b"References",
        b"Auto-Submitted", b"MIME-Version", b"Content-Type",
    ]  # fmt: skip
    names = [field.name for field in found.fields]
    assert names == [name for name in allowed if name in names]
    assert octets.endswith(b"\r\n\r\nx\r\n")
    assert found.octets.isascii()
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
