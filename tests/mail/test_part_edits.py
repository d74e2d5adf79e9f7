"""Edits of parts change what they name, and leave every other octet as it was."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailplat.mail.content import whole
from mailplat.mail.edit import Edits
from mailplat.mail.header import Header
from mailplat.mail.layout import Kind
from mailplat.mail.message import Message
from mailplat.mail.multipart import text_part
from mailplat.mail.parameters import media_type
from mailplat.mail.structure import Structure, scan
from mailplat.mail.textparts import type_field
from mailplat.testing.fakes import FakeContent

T = TypeVar("T")

NOTE = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nit has gone"
MIXED = (
    b"From: a@example.net\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\nSubject: hi\r\n\r\npreamble\r\n"
    b"--b\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"aGVsbG8=\r\n\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninside\r\n"
    b"--b--\r\nepilogue\r\n"
)
PLAIN = b"Subject: hi\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nhello\r\n"


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns or raises that never waits."""
    results: list[object] = []
    Deferred.fromCoroutine(coroutine).addBoth(results.append)
    [result] = results
    if isinstance(result, Failure):
        result.raiseException()
    return cast("T", result)


def edited(octets: bytes, plan: Edits) -> bytes:
    """Apply a plan to octets in memory and, the same, to some elsewhere."""
    in_memory = Message.of(octets).after(plan)
    elsewhere = Message(Header.parse(octets), FakeContent(octets)).after(plan)
    result = at_once(whole(in_memory.content))
    assert result == at_once(whole(elsewhere.content))
    header = Header.parse(result)
    assert header.octets == in_memory.header.octets == elsewhere.header.octets
    return result


# Any message -----------------------------------------------------------------

TOKENS = [
    b"\r\n", b"\n", b"--a\r\n", b"\r\n--a\r\n", b"\r\n--b\r\n", b"--b\n", b"\r\n--a--", b"\r\n--b--\r\n",
    b"x", b"text\r\n", b"X: y\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/digest; boundary=b\r\n", b"-",
    b"Content-Type: text/html; charset=utf-8\r\n", b"Content-Transfer-Encoding: base64\r\n", b"\xe9",
]  # fmt: skip
FRONTS = [
    b"",
    b"Content-Type: multipart/mixed; boundary=a\r\n",
    b"Content-Type: message/rfc822\r\n",
]
messages = st.builds(
    lambda front, tokens: front + b"".join(tokens),
    st.sampled_from(FRONTS),
    st.lists(st.sampled_from(TOKENS), max_size=25),
)


def leaves(structure: Structure, octets: bytes, without: set[int]) -> list[bytes]:
    """Return the bodies of parts that have none in them."""
    return [
        octets[part.body : part.end]
        for number, part in enumerate(structure.layout.parts)
        if part.kind not in (Kind.MULTIPART, Kind.MESSAGE) and number not in without
    ]


def subtree(structure: Structure, number: int) -> set[int]:
    found = {number}
    for other, part in enumerate(structure.layout.parts):
        if part.parent in found:
            found.add(other)
    return found


@given(messages)
def test_a_plan_that_changes_nothing_is_the_identity(octets: bytes) -> None:
    for plan in (
        Edits(),
        Edits().remove(b"Not-There"),
        Edits().rewrite_texts(lambda text: text),
        Edits().edit_part(0, Edits().remove(b"Not-There")),
    ):
        assert edited(octets, plan) == octets


@given(messages, st.data())
@settings(max_examples=150)
def test_a_part_that_is_replaced_is_all_that_changes(
    octets: bytes, data: st.DataObject
) -> None:
    structure = scan(octets)
    number = data.draw(st.integers(0, len(structure.layout.parts) - 1))
    part = structure.layout.parts[number]
    result = edited(octets, Edits().replace_part(number, NOTE))
    behind = octets[part.end :]
    assert result.startswith(octets[: part.start])
    assert result.endswith(behind)
    changed = result[part.start : len(result) - len(behind)]
    assert changed.removesuffix(b"\r\n").endswith(b"\nit has gone")

    after = scan(result)
    gone = subtree(structure, number)
    parts = after.layout.parts
    assert len(parts) == len(structure.layout.parts) - len(gone) + 1
    assert result[parts[number].body : parts[number].end].rstrip(b"\r\n") == b"it has gone"
    assert leaves(after, result, {number}) == leaves(structure, octets, gone)


@given(messages, st.data())
@settings(max_examples=150)
def test_a_part_that_is_removed_takes_its_delimiter_along(
    octets: bytes, data: st.DataObject
) -> None:
    structure = scan(octets)
    parts = structure.layout.parts
    choice = [
        number
        for number, part in enumerate(parts)
        if part.parent >= 0 and parts[part.parent].kind == Kind.MULTIPART
    ]
    if not choice:
        return
    number = data.draw(st.sampled_from(choice))
    result = edited(octets, Edits().remove_part(number))
    behind = octets[parts[number].end :]
    assert result.endswith(behind)
    assert octets.startswith(result[: len(result) - len(behind)].removesuffix(b"\r\n"))
    after = scan(result)
    gone = subtree(structure, number)
    rest = leaves(structure, octets, gone)
    if len(structure.layout.children[parts[number].parent]) == 1:
        if b"digest" in octets:
            return  # where an empty part is one with a message
        assert len(after.layout.parts) == len(parts) - len(gone) + 1
        assert leaves(after, result, {number}) == rest
    else:
        assert len(after.layout.parts) == len(parts) - len(gone)
        assert leaves(after, result, set()) == rest


@given(messages)
@settings(max_examples=150)
def test_a_part_that_is_added_comes_last(octets: bytes) -> None:
    before = scan(octets)
    result = edited(octets, Edits().add_part(NOTE, boundary=b"new"))
    after = scan(result)
    last = after.layout.children[0][-1]
    part = after.layout.parts[last]
    assert result[part.body : part.end].rstrip(b"\r\n") == b"it has gone"
    old = leaves(before, octets, set())
    new = leaves(after, result, {last})
    assert [one.rstrip(b"\r\n") for one in old] == [one.rstrip(b"\r\n") for one in new]


@given(messages, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=6))
@settings(max_examples=150)
def test_any_plan_leads_to_a_message_or_a_value_error(
    octets: bytes, steps: list[tuple[int, int]]
) -> None:
    plan = Edits()
    for what, number in steps:
        plan = [
            lambda plan, n: plan.remove_part(n),
            lambda plan, n: plan.replace_part(n, NOTE),
            lambda plan, n: plan.add_part(NOTE, n, boundary=b"new%d" % n),
            lambda plan, n: plan.rewrite_text(n, str.upper),
            lambda plan, n: plan.edit_part(n, Edits().add(b"X-Seen", "yes")),
            lambda plan, n: plan.wrap(NOTE, boundary=b"wrap%d" % n),
        ][what](plan, number)
    with suppress(ValueError):
        edited(octets, plan)


# Single ones -----------------------------------------------------------------


def test_a_part_is_removed() -> None:
    assert edited(MIXED, Edits().remove_part(2)) == MIXED.replace(
        b"\r\n--b\r\nContent-Type: image/png; name=a.png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n",
        b"",
    )
    # A message inside of a part goes with that, and all together leave an empty one.
    without = edited(MIXED, Edits().remove_part(4))
    assert b"inner" not in without
    empty = edited(MIXED, Edits().remove_part(1).remove_part(2).remove_part(3))
    assert empty.endswith(b"preamble\r\n--b\r\n\r\n\r\n--b--\r\nepilogue\r\n")
    with pytest.raises(ValueError, match="can't be removed"):
        edited(MIXED, Edits().remove_part(0))
    with pytest.raises(ValueError, match="no part 5"):
        edited(MIXED, Edits().remove_part(5))


def test_neighbours_are_removed_and_another_added() -> None:
    result = edited(MIXED, Edits().remove_part(1).remove_part(2).remove_part(3).add_part(NOTE))
    assert result.endswith(b"preamble\r\n--b\r\n" + NOTE + b"\r\n--b--\r\nepilogue\r\n")
    result = edited(MIXED, Edits().remove_part(3).remove_part(2))
    assert result.endswith(b"--b\r\n\r\nfirst\r\n--b--\r\nepilogue\r\n")


def test_a_message_gets_another_body_and_keeps_its_fields() -> None:
    result = edited(MIXED, Edits().replace_part(0, NOTE))
    assert result == (
        b"From: a@example.net\r\nMIME-Version: 1.0\r\nSubject: hi\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\nit has gone"
    )
    inner = edited(MIXED, Edits().replace_part(4, NOTE))
    assert b"Subject: inner\r\nContent-Type: text/plain" in inner


def test_what_was_one_part_becomes_the_first() -> None:
    assert edited(PLAIN, Edits().add_part(NOTE, boundary=b"new").add_part(NOTE)) == (
        b'Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="new"\r\n\r\n'
        b"--new\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nhello\r\n"
        b"\r\n--new\r\n" + NOTE + b"\r\n--new\r\n" + NOTE + b"\r\n--new--\r\n"
    )


def test_headers_of_parts_are_edited() -> None:
    plan = Edits().edit_part(2, Edits().replace(b"Content-Type", "image/jpeg").add(b"X", "1"))
    result = edited(MIXED, plan)
    assert b"--b\r\nX: 1\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding" in result
    assert [str(step) for step in plan.steps] == [
        "replaces Content-Type of part 2",
        "adds X of part 2",
    ]
    with pytest.raises(ValueError, match="no change to a header: removes part 1"):
        Edits().edit_part(2, Edits().remove_part(1))


def test_a_message_is_wrapped_with_all_its_octets() -> None:
    old = b"Received: x\r\nDKIM-Signature: v=1\r\n" + PLAIN
    result = edited(old, Edits().wrap(NOTE, boundary=b"new").replace(b"Subject", "spam: hi"))
    assert result.startswith(b"Received: x\r\nSubject: spam: hi\r\nMIME-Version: 1.0\r\n")
    note, wrapped = Message.of(result).parts[1:3]
    assert note.text == "it has gone"
    assert wrapped.media_type == "message/rfc822"
    assert wrapped.octets == old
    assert Message.of(result).attachments[0].octets == old


def test_steps_go_on_from_what_those_before_have_made() -> None:
    plan = (
        Edits()
        .rewrite_text(0, str.upper)
        .add_part(NOTE, boundary=b"new")
        .rewrite_text(0, lambda text: text + "€\n")
        .add(b"X", "1")
    )
    result = edited(PLAIN, plan)
    assert result.startswith(b"X: 1\r\nSubject: hi\r\n")
    assert (
        b"--new\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nHELLO\r\n=E2=82=AC\r\n\r\n--new\r\n"
    ) in result


# Texts -----------------------------------------------------------------------


def of_text(type_: str, encoding: str, body: bytes) -> bytes:
    return (
        f"Content-Type: {type_}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        + body
    )


@pytest.mark.parametrize(
    ("before", "added", "after"),
    [
        pytest.param(
            of_text("text/plain; charset=iso-8859-1", "quoted-printable", b"caf=E9\r\n"), "ü\n",
            of_text("text/plain; charset=iso-8859-1", "quoted-printable", b"caf=E9\r\n=FC\r\n"),
            id="charset and encoding stay",
        ),
        pytest.param(
            of_text("text/plain; charset=iso-8859-1; format=flowed", "8bit", b"caf\xe9\r\n"), "€\n",
            of_text(
                "text/plain; charset=utf-8; format=flowed", "8bit",
                b"caf\xc3\xa9\r\n\xe2\x82\xac\r\n",
            ),
            id="UTF-8 where the charset can't hold it",
        ),
        pytest.param(
            of_text("text/html; charset=utf-8", "base64", b"aGk=\r\n"), "é",
            of_text("text/html; charset=utf-8", "base64", b"aGnDqQ==\r\n"), id="base64",
        ),
        pytest.param(
            of_text("text/plain; charset=utf-8", "7bit", b"hi\n"), "é",
            of_text("text/plain; charset=utf-8", "quoted-printable", b"hi\r\n=C3=A9"), id="7bit",
        ),
        pytest.param(
            of_text("text/plain; charset=us-ascii", "7bit", b"hi\r\n"), "x" * 999,
            of_text(
                "text/plain; charset=us-ascii", "quoted-printable",
                b"hi\r\n" + (b"x" * 75 + b"=\r\n") * 13 + b"x" * 24,
            ),
            id="long lines",
        ),
        pytest.param(
            of_text("text/plain; charset=iso-2022-jp", "7bit", b"\x1b$B$\"\x1b(B"), "い",
            of_text("text/plain; charset=iso-2022-jp", "7bit", b"\x1b$B$\"$$\x1b(B"), id="stateful",
        ),
        pytest.param(
            of_text("text/plain", "x-nobody-knows", b"hi"), "x",
            of_text("text/plain", "x-nobody-knows", b"hi"), id="unknown encodings stay",
        ),
        pytest.param(
            of_text("image/png", "7bit", b"hi"), "x", of_text("image/png", "7bit", b"hi"), id="no text"
        ),
    ],
)  # fmt: skip
def test_texts_are_written_as_they_were(before: bytes, added: str, after: bytes) -> None:
    assert edited(before, Edits().rewrite_texts(lambda text: text + added)) == after
    assert edited(before, Edits().rewrite_text(0, lambda text: text + added)) == after


@given(
    st.text(),
    st.sampled_from(["utf-8", "iso-8859-1", "us-ascii", "gb2312", "utf-16", "koi8-r"]),
    st.sampled_from(["7bit", "8bit", "base64", "quoted-printable"]),
)
def test_what_is_written_reads_as_it_was_meant(text: str, charset: str, encoding: str) -> None:
    text = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").removeprefix("\ufeff")
    before = of_text(f"text/plain; charset={charset}", encoding, b"")
    result = edited(before, Edits().rewrite_text(0, lambda _: text))
    assert Message.of(result).text == text


def test_only_the_message_s_own_texts_are_rewritten() -> None:
    sealed = (
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n"
        b"--s\r\n\r\nsigned\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nxx\r\n--s--\r\n"
    )
    named = b"Content-Type: text/plain; name=a.txt\r\n\r\nfile"
    octets = edited(MIXED, Edits().add_part(named).add_part(sealed))
    result = edited(octets, Edits().rewrite_texts(str.upper))
    assert result == octets.replace(b"first", b"FIRST")
    result = edited(octets, Edits().rewrite_texts(str.upper, signed=True))
    assert result == octets.replace(b"first", b"FIRST").replace(
        b"signed\r\n--s", b"SIGNED\r\n--s"
    )
    result = edited(octets, Edits().rewrite_texts(str.upper, longest=4))
    assert result == octets


def test_what_a_function_raises_comes_out_and_what_is_no_text_is_refused() -> None:
    with pytest.raises(ZeroDivisionError):
        edited(PLAIN, Edits().rewrite_texts(lambda text: text * (1 // 0)))
    with pytest.raises(TypeError, match="a text was made None"):
        edited(PLAIN, Edits().rewrite_texts(lambda text: cast("str", None)))


def test_a_type_is_written_in_safe_lines() -> None:
    written = type_field(
        media_type(
            b'text/plain; a="\0"; b="x\x1b"; charset=x; c="q\\"\\\\ q"; format=flowed; d=\xc3\xa9;'
            b" title*0*=utf-8''%e2; title*1*=%82%ac; f=" + b"y" * 3000
        ),
        b"utf-8",
    )
    assert written.replace(b"\r\n ", b" ") == (
        b'Content-Type: text/plain; charset=utf-8; c="q\\"\\\\ q"; format=flowed;'
        b" d=\"\xc3\xa9\"; title*0*=utf-8''%e2; title*1*=%82%ac\r\n"
    )


@given(st.binary(max_size=200))
def test_no_type_makes_another_line(octets: bytes) -> None:
    with suppress(ValueError):
        field = type_field(media_type(b"text/plain;" + octets), b"utf-8")
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", field)
        assert re.fullmatch(rb"(?s:[^\r\n]+\r\n(?: [^\r\n]+\r\n)*)", field)
        assert max(map(len, field.splitlines())) <= 998


async def test_a_part_that_was_built_may_be_added() -> None:
    part = text_part("é", "html")
    message = Message.of(MIXED).after(Edits().replace_part(1, part).add_part(part))
    assert (await whole(message.content)).count(await whole(part.whole)) == 2
    assert [one.text for one in message.parts if one.media_type == "text/html"] == ["é\n"] * 2


# Signatures ------------------------------------------------------------------


def test_a_plan_says_which_signatures_it_breaks() -> None:
    signed = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=one;\r\n"
        b" h=from; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b=AA==\r\n"
        b"From: a@example.net\r\n\r\n"
        b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    )
    message = Message.of(signed)
    assert not message.broken_by(Edits())
    assert not message.broken_by(Edits().add(b"X", "1"))
    assert not message.broken_by(Edits().rewrite_texts(lambda text: text.replace("  ", " ")))
    for plan in (
        Edits().add(b"From", "b@example.net"),  # the lowest is still the same
        Edits().replace(b"Subject", "new"),
    ):
        assert not message.broken_by(plan)
    for plan in (
        Edits().replace(b"From", "b@example.net"),
        Edits().rewrite_texts(str.upper),
        Edits().add_part(NOTE),
        Edits().wrap(NOTE),
        Edits().replace_part(0, NOTE),
    ):
        assert [str(one) for one in message.broken_by(plan)] == ["one._domainkey.example.net"]


def test_a_plan_for_the_header_alone_reads_nothing() -> None:
    content = FakeContent(MIXED)
    message = Message(Header.parse(MIXED), content)
    after = message.after(Edits().add(b"X", "1"))
    assert not content.reads
    assert after.header.body(b"X") == b"1"
    same = message.after(Edits().remove(b"Not-There"))
    assert same.content is content
    assert same.header is message.header
