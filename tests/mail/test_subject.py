"""Base subjects, by RFC 5256 to the letter."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.subject import BaseSubject, base_subject
from mailplat.mail.words import decoded_words
from mailplat.testing.growth import in_linear_time, repeated


@pytest.mark.parametrize(
    ("body", "text", "is_reply"),
    [
        (b"hello", "hello", False),
        (b"Re: hello", "hello", True),
        (b"RE : hello", "hello", True),
        (b"re[4]: hello", "hello", True),
        (b"Re [x] [y]: hello", "Re [x] [y]: hello", False),
        (b"Fw: hello", "hello", True),
        (b"FWD: hello", "hello", True),
        (b"Fwdx: hello", "Fwdx: hello", False),
        (b"Ref: hello", "Ref: hello", False),
        (b"AW: hello", "AW: hello", False),
        (b"Re:hello", "hello", True),
        (b"Re: Re:  Fwd: hello", "hello", True),
        (b"[list] hello", "hello", False),
        (b"[list] Re: hello", "hello", True),
        (b"Re: [list] hello", "hello", True),
        (b"Re: [list] [more] Re: hello", "hello", True),
        (b"[a][b] [c]", "[c]", False),
        (b"[a] ", "[a]", False),
        (b"Re: [a]", "[a]", True),
        (b"[re:] hello", "hello", False),
        (b"[a[b]] hello", "[a[b]] hello", False),
        (b"hello (fwd)", "hello", True),
        (b"hello (FWD) (fwd) ", "hello", True),
        (b"hello (fwd) x", "hello (fwd) x", False),
        (b"(fwd)", "", True),
        (b"[Fwd: hello]", "hello", True),
        (b"[fwd:hello]", "hello", True),
        (b"Re: [Fwd: Re: [list] hello (fwd) ]", "hello", True),
        (b"[Fwd: [Fwd: hello] ]", "hello", True),
        (b"[fwd: hello] (fwd)", "hello", True),
        (b"[a] [fwd: hello]", "hello", True),
        (b"[fwd: hello] [a]", "[a]", False),
        (b"[fwd: hello] more", "more", False),
        (b"[fwd: hello", "[fwd: hello", False),
        (b"[fwd:]", "", True),
        (b"a  b\t c\r\n d", "a b c d", False),
        (b"  hello  ", "hello", False),
        (b"=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "Grüße", True),
        (b"=?utf-8?q?Re=3A?= =?utf-8?q?_=5Bx=5D?= y", "y", True),
        (b"Re: caf\xc3\xa9", "café", True),
        (b"", "", False),
        (b"re", "re", False),
        (b"re:", "", True),
        (b":", ":", False),
        (b"]", "]", False),
        (b"[", "[", False),
        (b"[]", "[]", False),
    ],
)
def test_base_subjects(body: bytes, text: str, is_reply: bool) -> None:
    assert base_subject(body) == BaseSubject(text, is_reply)


def test_case_does_not_matter_to_the_key() -> None:
    assert base_subject(b"Re: GR\xc3\xbcsse").key == base_subject("grÜssE".encode()).key


BLOB = r"\[[^\[\]\0]*\] *"
LEADER = re.compile(rf"(?:(?:{BLOB})*(?:re|fwd?) *(?:{BLOB})?:| )", re.IGNORECASE)


def step_by_step(body: bytes) -> tuple[str, bool]:
    """RFC 5256 section 2.1, one step after the other."""
    text, altered = re.sub("[ \t\r\n]+", " ", decoded_words(body)), False
    while True:
        while trailer := re.search(r"(?:\(fwd\)| )\Z", text, re.IGNORECASE):
            altered |= trailer[0] != " "
            text = text[: trailer.start()]
        while True:
            before = text
            while leader := LEADER.match(text):
                altered |= leader[0] != " "
                text = text[leader.end() :]
            if (blob := re.match(BLOB, text)) and text[blob.end() :].strip(" "):
                text = text[blob.end() :]
            if text == before:
                break
        if not (text[:5].lower() == "[fwd:" and text[5:].endswith("]")):
            return text, altered
        text, altered = text[5:-1], True


@given(
    st.lists(
        st.sampled_from(
            [b"re", b"Fwd", b"fw", b":", b" ", b"[", b"]", b"[a]", b"(fwd)", b"[fwd:", b"x", b"(",
             b"=?utf-8?q?Re=3A?=", b"\xff", b"\0", b"[re:]"]
        ),
        max_size=12,
    ).map(b"".join)
)  # fmt: skip
@example(b"[a][b]re:[c]")
def test_it_does_what_the_steps_do(body: bytes) -> None:
    found = base_subject(body)
    assert (found.text, found.is_reply) == step_by_step(body)


@pytest.mark.parametrize(
    "unit",
    [b"[", b"]", b"[a]", b"[]", b"Re:", b"re", b"(fwd)", b"[fwd:", b" ", b"[a] re", b"re[a]:",
     b"re [", b"=?utf-8?q?a?= ", b"\xff", b"[a]re:"],
)  # fmt: skip
def test_time_is_linear(unit: bytes) -> None:
    in_linear_time(base_subject, repeated(unit))


def test_time_is_linear_in_the_depth() -> None:
    in_linear_time(base_subject, lambda size: b"[fwd:" * (size // 6) + b"]" * (size // 6))
