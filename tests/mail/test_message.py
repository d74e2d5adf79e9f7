"""What authors of plugins see of a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from mailplat.mail.addresslist import MOST_ADDRESSES
from mailplat.mail.content import Content, Octets
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.message import (
    HTML_REDUCED,
    Message,
    NotAtHand,
    waiting_by,
)
from mailplat.mail.partsteps import TEXT_READ
from mailplat.testing.fakes import FakeContent
from mailplat.testing.transits import new_transit
from mailplat.testing.workers import workers_at_once

OCTETS = (
    b"From: =?utf-8?q?Ren=C3=A9?= <rene@example.net>, other@example.net\r\n"
    b"To: alice@example.org, Team: bob@example.org;\r\nCc: carol@example.org\r\n"
    b"Date: Mon, 23 Nov 2026 12:00:00 +0200\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n"
    b"Content-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
    b"--a\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\nat noon\r\n"
    b"--a\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>caf\xc3\xa9</p>\r\n--a--\r\n"
    b"--m\r\nContent-Type: application/pdf; name=\"../../etc/a.pdf\"\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"
    b"--m\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=A.PDF\r\n\r\nfile\r\n"
    b"--m\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninside\r\n"
    b"--m--\r\n"
)  # fmt: skip


class Elsewhere:
    """A content that has to be waited for: each read is answered by `answer`."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.size = len(octets)
        self.asked: list[tuple[Deferred[bytes], bytes]] = []

    def read(self, start: int, stop: int) -> Deferred[bytes]:
        answer: Deferred[bytes] = Deferred()
        self.asked.append((answer, self.octets[start:stop]))
        return answer

    def close(self) -> None:
        pass

    def answer(self) -> None:
        while self.asked:
            answer, octets = self.asked.pop(0)
            answer.callback(octets)


def elsewhere(octets: bytes = OCTETS) -> tuple[Message, Elsewhere]:
    content = Elsewhere(octets)
    return Message(Header.parse(octets), content), content


def check(message: Message) -> None:
    assert message.text == "café\nat noon"
    assert message.html == "<p>café</p>"
    first, second, third = message.attachments
    assert (first.name, second.name, third.name) == ("a.pdf", "A-2.PDF", "part-6")
    assert (first.raw_name, second.raw_name) == ("../../etc/a.pdf", "A.PDF")
    assert [one.media_type for one in message.attachments] == [
        "application/pdf",
        "text/plain",
        "message/rfc822",
    ]
    assert [one.section for one in message.attachments] == ["2", "3", "4"]
    assert first.size == len(b"aGVsbG8=")
    assert len(message.parts) == 8
    assert [part.is_multipart for part in message.parts[:3]] == [True, True, False]


def test_what_the_header_says() -> None:
    for message in (Message.of(OCTETS), Message(Header.parse(OCTETS))):
        assert message.subject == "café"
        assert str(message.sender) == "René <rene@example.net>"
        assert [str(one) for one in message.to] == ["alice@example.org", "bob@example.org"]
        assert [str(one) for one in message.cc] == ["carol@example.org"]
        assert message.date == datetime(2026, 11, 23, 10, tzinfo=UTC)
        assert message.date.utcoffset() == timedelta(hours=2)
        assert message.headers[0] == ("From", "René <rene@example.net>, other@example.net")
    empty = Message.of(b"")
    assert (empty.subject, empty.sender, empty.to, empty.date) == ("", None, (), None)
    assert (empty.text, empty.html, empty.attachments, len(empty.parts)) == ("", "", (), 1)


def test_what_the_body_has() -> None:
    message = Message.of(OCTETS)
    check(message)
    assert [one.octets for one in message.attachments] == [
        b"hello",
        b"file",
        b"Subject: inner\r\n\r\ninside",
    ]
    assert message.attachments[1].text == "file"
    assert message.parts[7].header.body(b"Subject") == b"inner"
    assert message.structure is message.structure


async def test_chunks_are_decoded() -> None:
    octets = b"Content-Transfer-Encoding: base64\r\n\r\n" + b"aGVsbG8h" * 100_000
    for content in (Octets(octets), FakeContent(octets)):
        [part] = Message(Header.parse(octets), content).parts
        chunks = [chunk async for chunk in part.chunks()]
        assert b"".join(chunks) == b"hello!" * 100_000 == await part.read()
        assert len(chunks) > 3


def test_what_lies_elsewhere_is_loaded_first() -> None:
    message, content = elsewhere()
    assert message.subject == "café"
    for ask in (lambda: message.text, lambda: message.attachments, lambda: message.structure):
        with pytest.raises(NotAtHand, match="lies in a file"):
            ask()
    content.asked.clear()
    loading = Deferred.fromCoroutine(message.load())
    content.answer()
    assert loading.result is message
    check(message)
    with pytest.raises(NotAtHand):
        message.attachments[0].octets  # noqa: B018


def test_a_thread_waits_for_it() -> None:
    message, content = elsewhere()
    waited: list[object] = []

    def wait(work):  # type: ignore[no-untyped-def]
        working = Deferred.fromCoroutine(work())
        content.answer()
        waited.append(working)
        return working.result

    with waiting_by(wait):
        check(message)
        assert message.attachments[0].octets == b"hello"
        assert message.after(Edits().remove_part(4)).header is message.header
        count = len(waited)
        check(message)
        assert len(waited) == count
    with pytest.raises(NotAtHand):
        message.attachments[0].octets  # noqa: B018
    workers = workers_at_once()
    with waiting_by(workers.wait):
        assert Message(Header.parse(OCTETS), FakeContent(OCTETS)).text.startswith("café")


def test_a_transit_keeps_its_message_until_it_changes() -> None:
    transit = new_transit(OCTETS)
    message = transit.message
    assert transit.message is message
    structure = message.structure
    assert transit.message.structure is structure
    edited = message.after(transit.edit().remove_part(4))
    transit.content, transit.header = edited.content, edited.header
    assert transit.message is not message
    assert [one.name for one in transit.message.attachments] == ["A.PDF", "part-5"]


@given(st.binary(max_size=200), st.sampled_from([b"", OCTETS[:600]]))
def test_nothing_is_raised_whatever_the_octets(octets: bytes, front: bytes) -> None:
    content: Content = FakeContent(front + octets)
    for message in (
        Message.of(front + octets),
        Message(Header.parse(front + octets), content),
    ):
        assert isinstance(message.text + message.html + message.subject, str)
        assert message.headers or not message.header.fields
        assert [message.sender, message.to, message.cc, message.date]
        for part in message.parts:
            assert part.name
            assert isinstance(part.octets, bytes)
            assert isinstance(part.text, str)
            assert part.header.octets in front + octets


def test_no_more_text_is_read_than_the_limit() -> None:
    half = b"--b\r\n\r\n" + b"x" * (TEXT_READ // 2) + b"\r\n"
    message = Message.of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + half * 4)
    assert len(message.text) == TEXT_READ + 1
    assert len(message.parts[3].text) == TEXT_READ // 2
    most = b"--b\r\n\r\n" + b"x" * (TEXT_READ - 10) + b"\r\n"
    message = Message.of(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + most * 2)
    assert len(message.text) == TEXT_READ + 1
    assert len(message.parts[1].text) == TEXT_READ - 10
    assert len(message.parts[2].text) == TEXT_READ - 9


def test_blank_text_is_none_where_there_is_html() -> None:
    head = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n"
    html = b"--b\r\nContent-Type: text/html\r\n\r\n%b\r\n--b--\r\n"
    assert Message.of(head + html % b"<p>hi</p>").text == "hi"
    assert Message.of(head + html % b"<p></p>").text == " "


async def test_long_texts_are_decoded_and_reduced_elsewhere() -> None:
    called: list[object] = []

    async def run(function: Any, *args: Any) -> Any:
        called.append(function)
        return function(*args)

    octets = b"Content-Type: text/html\r\n\r\n" + b"<p>x</p>" * 200_000
    message = await Message(Header.parse(octets), FakeContent(octets), run).load()
    assert len(called) == 2
    assert message.text == "\n".join("x" * (HTML_REDUCED // len("<p>x</p>")))
    assert len(message.parts[0].text) == 8 * 200_000
    assert len(called) == 2
    short = b"Content-Type: text/html\r\n\r\n<p>x</p>"
    await Message(Header.parse(short), FakeContent(short), run).load()
    assert len(called) == 2


def test_addresses_of_all_fields_have_one_limit() -> None:
    header = Header.parse((b"To: " + b"a@example.org," * 6000 + b"\r\n") * 3)
    assert len(Message(header).to) == MOST_ADDRESSES


def test_html_is_reduced_where_there_is_no_other_text() -> None:
    message = Message.of(
        b"Content-Type: text/html\r\n\r\n<p>one &amp; <b>two</b></p>\r\n<script>x</script>three"
    )
    assert message.text == "one & two\nthree"
    assert message.html.startswith("<p>one")
