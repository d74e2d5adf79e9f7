"""Reports say what became of a message, to people and to programs, and nothing else."""

from __future__ import annotations

import email.policy
import re
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.compose import Letter, Occasion
from mailplat.mail.content import Joined, Octets, whole
from mailplat.mail.deliverystatus import Action, Fate, Host
from mailplat.mail.envelope import (
    Body,
    Envelope,
    Notify,
    OriginalRecipient,
    Recipient,
    Return,
)
from mailplat.mail.errors import Refused
from mailplat.mail.header import Header
from mailplat.mail.mailbox import Outcome
from mailplat.mail.reports import MOST_RETURNED, Reported, mail_system, report
from mailplat.mail.reportwords import (
    ENGLISH,
    GERMAN,
    LANGUAGES,
    language_for,
    languages_in,
)
from mailplat.mail.status import Status
from mailplat.testing.fakes import FakeContent
from mailplat.testing.growth import in_linear_time

NOW = datetime(2026, 11, 3, 9, 5, 7, tzinfo=UTC)
CAROL = Address("carol", "example.net")
BOB = Recipient(Address("bob", "example.com"))
OCCASION = Occasion(
    author=mail_system("example.org"), hostname="mx.example.org", now=NOW, unique="r4nd0mn3ss"
)
MESSAGE = (
    b"From: Carol <carol@example.net>\r\nTo: bob@example.com\r\nSubject: hello\r\n"
    b"Date: Tue, 3 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@example.net>\r\n\r\nhello\r\n"
)
ABOUT = Reported(envelope=Envelope(CAROL, (BOB,)), content=Octets(MESSAGE))
GONE = Outcome(Status(5, 1, 1), "never said")
FAILED = Fate(recipient=BOB, action=Action.FAILED, outcome=GONE)


async def reported(
    about: Reported = ABOUT, *fates: Fate, languages: tuple[str, ...] = ()
) -> tuple[Letter, EmailMessage]:
    letter = await report(about, fates or (FAILED,), OCCASION, languages)
    assert letter is not None
    octets = await whole(letter.content)
    found = BytesParser(policy=email.policy.default.clone(utf8=True)).parsebytes(octets)
    assert isinstance(found, EmailMessage)
    assert not [defect for one in found.walk() for defect in one.defects]
    return letter, found


def parts_of(found: EmailMessage) -> list[EmailMessage]:
    parts = found.get_payload()
    assert isinstance(parts, list)
    assert len(parts) == 3
    return parts


def text_of(found: EmailMessage) -> str:
    text = parts_of(found)[0].get_content()
    assert isinstance(text, str)
    return text


def octets_of(found: EmailMessage, part: int) -> bytes:
    octets = parts_of(found)[part].get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


# The whole.


async def test_a_report_of_failure() -> None:
    recipient = Recipient(
        Address("robert", "example.com"),
        OriginalRecipient("rfc822", "Bob@Example.COM"),
        Notify.FAILURE,
    )
    about = Reported(
        envelope=Envelope(CAROL, (recipient,), envelope_id="QQ314159"),
        content=Octets(MESSAGE),
        arrived=NOW - timedelta(minutes=5),
        origin=Host("client.example.net", "192.0.2.7"),
    )
    fate = Fate(
        recipient=recipient,
        action=Action.FAILED,
        outcome=GONE,
        remote=Host("mx.example.com", "2001:db8::1"),
        reply="550 5.1.1 No such user here",
        attempted=NOW,
        retry_until=NOW,
        log_id="4f2a",
    )
    letter = await report(about, [fate], OCCASION)
    assert letter is not None
    assert letter.envelope == Envelope(None, (Recipient(CAROL, notify=Notify.NEVER),))
    assert await whole(letter.content) == (
        b"From: Mail delivery <postmaster@example.org>\r\n"
        b"To: carol@example.net\r\n"
        b"Subject: Not delivered: hello\r\n"
        b"Date: Tue, 3 Nov 2026 09:05:07 +0000\r\n"
        b"Message-ID: <r4nd0mn3ss@mx.example.org>\r\n"
        b"In-Reply-To: <1@example.net>\r\n"
        b"References: <1@example.net>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/report; report-type=delivery-status;\r\n"
        b' boundary="=_0_r4nd0mn3ss"\r\n'
        b"\r\n"
        b"--=_0_r4nd0mn3ss\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Language: en\r\n"
        b"\r\n"
        b"This is the mail system at mx.example.org.\r\n"
        b"\r\n"
        b"Your message could not be delivered to:\r\n"
        b"\r\n"
        b"  Bob@Example.COM\r\n"
        b"    There is no such mailbox. (5.1.1)\r\n"
        b"    mx.example.com said:\r\n"
        b"      550 5.1.1 No such user here\r\n"
        b"\r\n"
        b"This will not be tried again.\r\n"
        b"\r\n"
        b"Subject: hello\r\n"
        b"Sent: Tue, 3 Nov 2026 09:00:00 +0000\r\n"
        b"\r\n"
        b"The rest is for programs, and says which message this is about.\r\n"
        b"\r\n"
        b"--=_0_r4nd0mn3ss\r\n"
        b"Content-Type: message/delivery-status\r\n"
        b"\r\n"
        b"Original-Envelope-Id: QQ314159\r\n"
        b"Reporting-MTA: dns; mx.example.org\r\n"
        b"Received-From-MTA: dns; client.example.net (192.0.2.7)\r\n"
        b"Arrival-Date: Tue, 3 Nov 2026 09:00:07 +0000\r\n"
        b"\r\n"
        b"Original-Recipient: rfc822; Bob@Example.COM\r\n"
        b"Final-Recipient: rfc822; robert@example.com\r\n"
        b"Action: failed\r\n"
        b"Status: 5.1.1\r\n"
        b"Remote-MTA: dns; mx.example.com (2001:db8::1)\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
        b"Last-Attempt-Date: Tue, 3 Nov 2026 09:05:07 +0000\r\n"
        b"Final-Log-ID: 4f2a\r\n"
        b"\r\n"
        b"--=_0_r4nd0mn3ss\r\n"
        b"Content-Type: text/rfc822-headers\r\n"
        b"\r\n" + MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n--=_0_r4nd0mn3ss--\r\n"
    )


async def test_the_standard_library_reads_it() -> None:
    _, found = await reported(
        ABOUT, FAILED, attrs.evolve(FAILED, recipient=Recipient(Address("eve", "example.com")))
    )
    assert found.get_content_type() == "multipart/report"
    assert found.get_param("report-type") == "delivery-status"
    _, status, returned = parts_of(found)
    message, *recipients = status.get_payload()
    assert message["Reporting-MTA"] == "dns; mx.example.org"
    assert [one["Final-Recipient"] for one in recipients] == [
        "rfc822; bob@example.com",
        "rfc822; eve@example.com",
    ]
    assert {(one["Action"], one["Status"]) for one in recipients} == {("failed", "5.1.1")}
    assert returned.get_content_type() == "text/rfc822-headers"


# What the sender asked for (RFC 3461 sections 4.1 and 4.3).

ALL = Notify.SUCCESS | Notify.FAILURE | Notify.DELAY


@pytest.mark.parametrize(
    ("notify", "due"),
    [
        (None, {Action.FAILED, Action.DELAYED}),
        (Notify.NEVER, set()),
        (Notify.FAILURE, {Action.FAILED}),
        (Notify.DELAY, {Action.DELAYED}),
        (Notify.SUCCESS, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
        (ALL, set(Action)),
    ],
)
async def test_when_a_report_is_due(notify: Notify | None, due: set[Action]) -> None:
    recipient = Recipient(BOB.address, notify=notify)
    for action in Action:
        fate = attrs.evolve(FAILED, recipient=recipient, action=action)
        assert (await report(ABOUT, [fate], OCCASION) is not None) is (action in due)


async def test_only_those_who_are_due_are_named() -> None:
    never = Recipient(Address("never", "example.com"), notify=Notify.NEVER)
    letter, _ = await reported(ABOUT, FAILED, attrs.evolve(FAILED, recipient=never))
    assert b"never@" not in await whole(letter.content)


async def test_nobody_is_told_of_what_nobody_sent() -> None:
    about = attrs.evolve(ABOUT, envelope=Envelope(None, (BOB,)))
    assert await report(about, [FAILED], OCCASION) is None
    assert await report(ABOUT, [], OCCASION) is None


async def test_a_sender_without_domain_is_of_this_one() -> None:
    about = attrs.evolve(ABOUT, envelope=Envelope(Address("postmaster", "")))
    letter, _ = await reported(about)
    assert str(letter.envelope.recipients[0].address) == "postmaster@mx.example.org"


LARGE = MESSAGE + b"x" * 70 + b"\r\n" + b"line\r\n" * 10_000
EIGHT_BIT = MESSAGE + "Grüße\r\n".encode()
UTF8 = MESSAGE.replace(b"hello", "Grüße".encode())


@pytest.mark.parametrize(
    ("octets", "returns", "action", "smtputf8", "subtype", "body"),
    [
        (MESSAGE, None, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (MESSAGE, Return.HEADERS, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (MESSAGE, Return.FULL, Action.FAILED, False, "message/rfc822", Body.SEVEN_BIT),
        (MESSAGE, Return.FULL, Action.DELAYED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (MESSAGE, Return.FULL, Action.FAILED, True, "message/rfc822", Body.SEVEN_BIT),
        (LARGE, Return.FULL, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (EIGHT_BIT, Return.FULL, Action.FAILED, False, "message/rfc822", Body.EIGHT_BIT),
        (EIGHT_BIT, None, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (UTF8, None, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (UTF8, Return.FULL, Action.FAILED, False, "message/rfc822", Body.EIGHT_BIT),
        (UTF8, None, Action.FAILED, True, "message/global-headers", Body.EIGHT_BIT),
        (UTF8, Return.FULL, Action.FAILED, True, "message/global", Body.EIGHT_BIT),
        (MESSAGE + b"\0", Return.FULL, Action.FAILED, False, "text/rfc822-headers", Body.SEVEN_BIT),
        (b"S: \xff\r\n\r\n", None, Action.FAILED, True, "text/rfc822-headers", Body.SEVEN_BIT),
    ],
)  # fmt: skip
async def test_what_is_returned(
    octets: bytes,
    returns: Return | None,
    action: Action,
    smtputf8: bool,
    subtype: str,
    body: Body,
) -> None:
    envelope = Envelope(CAROL, (BOB,), smtputf8=smtputf8, returns=returns)
    about = Reported(envelope=envelope, content=FakeContent(octets))
    letter, found = await reported(about, attrs.evolve(FAILED, action=action))
    part = parts_of(found)[2]
    assert part.get_content_type() == subtype
    assert letter.envelope.body is body
    assert not letter.envelope.smtputf8
    sent = await whole(letter.content)
    if subtype in ("message/rfc822", "message/global"):
        assert octets in sent
    elif subtype == "message/global-headers":
        assert octets.partition(b"\r\n\r\n")[0] in sent
        assert part.get_param("charset") is None  # RFC 6533 forbids it
    else:
        assert octets_of(found, 2) == octets.partition(b"\r\n\r\n")[0] + b"\r\n"


async def test_a_header_is_returned_up_to_a_limit() -> None:
    lines = b"".join(b"X-%d: x\r\n\tfolded\r\n" % number for number in range(10_000))
    about = attrs.evolve(ABOUT, content=Octets(b"Subject: hello\r\n" + lines + b"\r\nbody"))
    _, found = await reported(about)
    returned = octets_of(found, 2)
    assert MOST_RETURNED - 30 < len(returned) <= MOST_RETURNED
    assert returned.startswith(b"Subject: hello\r\n")
    assert returned.endswith(b"\r\n\tfolded\r\n")


async def test_a_message_that_is_returned_is_not_copied() -> None:
    content = FakeContent(LARGE[:40_000])
    envelope = Envelope(CAROL, (BOB,), returns=Return.FULL)
    letter, _ = await reported(Reported(envelope=envelope, content=content))
    assert isinstance(letter.content, Joined)
    assert content in letter.content.pieces


# Addresses outside ASCII (RFC 6533).


@pytest.mark.parametrize(
    ("smtputf8", "original", "final", "subtype"),
    [
        (False, "utf-8; zo\\x{EB}@example.com", "utf-8; d\\x{F8}r@example.com", "delivery-status"),
        (True, "utf-8; zoë@example.com", "utf-8; dør@example.com", "global-delivery-status"),
    ],
)  # fmt: skip
async def test_addresses_outside_ascii(
    smtputf8: bool, original: str, final: str, subtype: str
) -> None:
    recipient = Recipient(
        Address("dør", "example.com"), OriginalRecipient("utf-8", "zoë@example.com")
    )
    about = attrs.evolve(ABOUT, envelope=Envelope(CAROL, (recipient,), smtputf8=smtputf8))
    fate = attrs.evolve(FAILED, recipient=recipient, reply="550 dør is unknown")
    letter, found = await reported(about, fate)
    assert found.get_param("report-type") == subtype
    assert parts_of(found)[1].get_content_type() == f"message/{subtype}"
    octets = await whole(letter.content)
    assert f"\r\nOriginal-Recipient: {original}\r\n".encode() in octets
    assert f"\r\nFinal-Recipient: {final}\r\n".encode() in octets
    said = "dør" if smtputf8 else "d?r"
    assert f"\r\nDiagnostic-Code: smtp; 550 {said} is unknown\r\n".encode() in octets
    assert "zoë@example.com" in text_of(found)
    assert letter.envelope.body is (Body.EIGHT_BIT if smtputf8 else Body.SEVEN_BIT)


async def test_a_sender_outside_ascii() -> None:
    envelope = Envelope(Address("zoë", "example.net"), (BOB,), smtputf8=True)
    letter, _ = await reported(Reported(envelope=envelope, content=Octets(MESSAGE)))
    assert letter.envelope.smtputf8
    assert "\r\nTo: zoë@example.net\r\n".encode() in await whole(letter.content)


# For people.


@pytest.mark.parametrize(
    ("action", "english", "german"),
    [
        (Action.FAILED, "Not delivered: hello", "Nicht zugestellt: hello"),
        (Action.DELAYED, "Not delivered yet: hello", "Noch nicht zugestellt: hello"),
        (Action.EXPANDED, "Passed on to a list: hello", "An eine Liste weitergegeben: hello"),
        (Action.RELAYED, "Passed on: hello", "Weitergegeben: hello"),
        (Action.DELIVERED, "Delivered: hello", "Zugestellt: hello"),
    ],
)
async def test_every_action_in_every_language(
    action: Action, english: str, german: str
) -> None:
    status = {Action.FAILED: Status(5, 0, 0), Action.DELAYED: Status(4, 4, 1)}
    fate = Fate(
        recipient=Recipient(BOB.address, notify=ALL),
        action=action,
        outcome=Outcome(status.get(action, Status(2, 0, 0))),
        retry_until=NOW + timedelta(days=5),
    )
    for tag, subject in (("en", english), ("de", german)):
        _, found = await reported(ABOUT, fate, languages=(tag,))
        assert found["Subject"] == subject
        text = text_of(found)
        assert parts_of(found)[0]["Content-Language"] == tag
        assert LANGUAGES[tag].openings[action.value] in text
        assert ("2026-11-08 09:05 UTC" in text) is (action is Action.DELAYED)
        status_part = parts_of(found)[1].get_payload()
        assert status_part[1]["Action"] == action.value
        assert (status_part[1]["Will-Retry-Until"] is not None) is (action is Action.DELAYED)


async def test_several_actions_are_told_in_their_order() -> None:
    delivered = attrs.evolve(
        FAILED,
        action=Action.DELIVERED,
        recipient=Recipient(Address("eve", "example.com"), notify=ALL),
        outcome=Outcome(Status(2, 1, 5)),
    )
    _, found = await reported(ABOUT, delivered, FAILED)
    assert found["Subject"] == "Not delivered: hello"
    text = text_of(found)
    assert text.index("bob@example.com") < text.index("eve@example.com")


@pytest.mark.parametrize("language", [ENGLISH, GERMAN])
def test_every_status_has_words(language: object) -> None:
    assert language in (ENGLISH, GERMAN)
    assert ENGLISH.reasons.keys() == GERMAN.reasons.keys()
    assert ENGLISH.reason(Status(5, 1, 99)) == ENGLISH.reasons[1, 0]
    assert ENGLISH.reason(Status(5, 99, 99)) == ENGLISH.reasons[0, 0]
    for one in (ENGLISH, GERMAN):
        said = [*one.openings.values(), *one.closings.values(), one.ending]
        assert max(map(len, said)) <= 76
        assert max(map(len, one.reasons.values())) <= 64  # and a status behind it
        assert one.subjects.keys() == one.openings.keys() == {a.value for a in Action}


@pytest.mark.parametrize(
    ("fields", "tags", "tag"),
    [
        (b"", [], "en"),
        (b"Accept-Language: fr, de-AT;q=0.5, en;q=0.8\r\n", ["fr", "en", "de-AT"], "en"),
        (b"Accept-Language: fr, de-AT\r\n", ["fr", "de-AT"], "de"),
        (b"Accept-Language: de;q=0, *\r\n", [], "en"),
        (b"Content-Language: de\r\n", ["de"], "de"),
        (b"Content-Language: de\r\nAccept-Language: en-GB\r\n", ["en-GB", "de"], "en"),
        (b"Accept-Language: \xff, ;, de ; q = 1.000, x-x;q=2\r\n", ["de", "x-x"], "de"),
    ],
)
def test_the_languages_of_a_sender(fields: bytes, tags: list[str], tag: str) -> None:
    assert languages_in(Header(fields)) == tags
    assert language_for(tags).tag == tag


async def test_the_words_of_a_rule_reach_the_sender_and_details_do_not() -> None:
    outcome = Outcome.failed(Refused("secret host and path", public="No invoices here, please"))
    letter, found = await reported(ABOUT, attrs.evolve(FAILED, outcome=outcome))
    assert "      No invoices here, please\r\n" in text_of(found)
    assert b"secret" not in await whole(letter.content)


# What strangers say.

words = st.text(max_size=60) | st.sampled_from(
    [
        "a\r\nBcc: b",
        "\r\n\r\n--=_0_r4nd0mn3ss\r\n",
        "\0",
        "=?utf-8?q?x=0D=0Ay?=",
        "(",
        "x" * 3000,
    ]
)


@given(words, words, words, words, words, words, st.booleans())
async def test_no_stranger_adds_a_line_to_a_header(
    local: str, host: str, address: str, reply: str, kind: str, subject: str, utf8: bool
) -> None:
    recipient = Recipient(Address("bob", "example.com"), OriginalRecipient(kind, local))
    header = Header.of_lines(
        [b"Subject: " + subject.encode("utf-8", "replace").replace(b"\n", b"") + b"\r\n"]
    )
    about = Reported(
        envelope=Envelope(CAROL, (recipient,), smtputf8=utf8, envelope_id=reply),
        content=Octets(header.octets + b"\r\n"),
        origin=Host(host, address),
    )
    fate = attrs.evolve(
        FAILED, recipient=recipient, remote=Host(host, address), reply=reply, log_id=host
    )
    letter = await report(about, [fate], OCCASION)
    assert letter is not None
    octets = await whole(letter.content)
    names = [field.name for field in Header.parse(octets).fields]
    assert names == [
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version",
        b"Content-Type", *names[8:],
    ]  # fmt: skip
    assert names[8:] in ([], [b"Content-Transfer-Encoding"])
    boundary = re.search(rb'boundary="([^"]+)"', octets)
    assert boundary
    status = octets.split(b"\r\n--" + boundary[1])[2]
    groups = status.strip(b"\r\n").split(b"\r\n\r\n")
    assert len(groups) == 3
    for group in groups:
        fields = Header(group + b"\r\n").fields
        assert len(fields) == len(re.findall(rb"(?m)^[A-Z][A-Za-z-]+:", group))
        assert b"".join(field.octets for field in fields) == group + b"\r\n"
        assert {field.name for field in fields} <= FIELDS
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    assert utf8 or octets.isascii()


FIELDS = {
    b"Content-Type", b"Content-Transfer-Encoding", b"Original-Envelope-Id", b"Reporting-MTA",
    b"Received-From-MTA", b"Original-Recipient", b"Final-Recipient", b"Action", b"Status",
    b"Remote-MTA", b"Diagnostic-Code", b"Final-Log-ID",
}  # fmt: skip


async def test_hosts_without_names() -> None:
    about = attrs.evolve(ABOUT, origin=Host("", "2001:db8::1"))
    letter, _ = await reported(about, attrs.evolve(FAILED, remote=Host("", "")))
    octets = await whole(letter.content)
    assert b"\r\nReceived-From-MTA: dns; [IPv6:2001:db8::1] (2001:db8::1)\r\n" in octets
    assert b"Remote-MTA" not in octets


def test_many_recipients_with_much_to_say_take_linear_time() -> None:
    def written(fates: list[Fate]) -> None:
        with pytest.raises(StopIteration):  # it waits for nothing
            report(ABOUT, fates, OCCASION).send(None)

    wordy = attrs.evolve(FAILED, reply="-" * 5000)
    in_linear_time(written, lambda count: [wordy] * count, 400)
