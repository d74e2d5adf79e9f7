"""What a subject is about, without what replies and forwarding added (RFC 5256 section 2.1)."""

from __future__ import annotations

import re

import attrs

from mailplat.mail.collation import casemapped
from mailplat.mail.words import decoded_words

_SPACES = re.compile(r"[ \t\r\n]+")
_BLOB = r"\[[^\[\]\0]*+\] *+"
_BLOBS = re.compile(rf"(?:{_BLOB})*+")
_LEADERS = re.compile(rf"(?: ++|(?:{_BLOB})*+((?:[Rr][Ee]|[Ff][Ww][Dd]?+) *+(?:{_BLOB})?+:))*+")
_TRAILER = "(fwd)"
_MAY_END_A_TRAILER = ("", ")", " ")
_FORWARDED = "[fwd:"


@attrs.frozen
class BaseSubject:
    """A subject's core, and whether something of a reply or a forward was taken off it."""

    text: str
    is_reply: bool = False

    @property
    def key(self) -> bytes:
        """What the same subjects have in common, and by which subjects are sorted."""
        return casemapped(self.text)


def base_subject(body: bytes) -> BaseSubject:
    """Return the base subject of a Subject field's body, its encoded words decoded.

    The steps are those of RFC 5256 section 2.1, which all programs should
    follow to the letter; it takes linear time.
    """
    text = decoded_words(body)
    if "  " in text or not text.isprintable():
        text = _SPACES.sub(" ", text)
    led, answered = _behind_leaders(text, 0, len(text))
    if text[led : led + 1] == "[" or text[-1:] in _MAY_END_A_TRAILER:
        return _stripped(text)
    return BaseSubject(text[led:], answered)


def _stripped(text: str) -> BaseSubject:
    start, end, is_reply = 0, len(text), False
    while True:
        end, forwarded = _before_trailers(text, start, end)
        start, answered = _behind_leaders(text, start, end)
        is_reply |= forwarded or answered
        inside = start + len(_FORWARDED)
        if text[start : min(inside, end - 1)].lower() != _FORWARDED or text[end - 1] != "]":
            return BaseSubject(text[start:end], is_reply)
        start, end, is_reply = inside, end - 1, True


def _before_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Return where the trailers begin, and whether one says that this was forwarded."""
    forwarded = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif text[max(end - len(_TRAILER), start) : end].lower() == _TRAILER:
            end -= len(_TRAILER)
            forwarded = True
        else:
            break
    return end, forwarded


def _behind_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Return where the subject itself begins, and whether ``Re:`` or its like came before.

    Blobs (what stands in square brackets) go as well, unless nothing else is left.
    """
    leaders = _LEADERS.match(text, start, end)
    if leaders is None:
        return start, False
    start = leaders.end()
    if text.startswith("[", start, end) and (blobs := _BLOBS.match(text, start, end)):
        behind = blobs.end()
        start = behind if behind < end else text.rfind("[", start, end)
    return start, leaders[1] is not None
