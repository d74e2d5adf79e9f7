"""Whether messages have words in their text, where no index can tell.

Making a message's text takes a hundred microseconds.  Most messages that don't
have a word can be told from their octets in a few: a word of ASCII letters and
digits is in the text only if it is in the octets, or in what is left of them when
quoted-printable is undone and tags are taken out.  Where anything might be written
otherwise (base64, charsets that hide letters, entities, letters with accents), the
text is made after all.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Collection, Sequence

from mailplat.mail.search import SearchText, case_folded, search_text
from mailplat.mail.searching import Column
from mailplat.mail.structure import scan

MOST_SPANNING = 16  # elements that may span much, so that looking for words stays linear
LONGEST = 64  # letters of a word that is looked for at a glance
_PLAIN = re.compile(rb"[a-z0-9]+")
_OPEN_TYPE = re.compile(
    rb"content-type:[ \t]*+(?:text/(?:plain|html|css|csv)|multipart/(?:alternative|mixed|related"
    rb"|signed|report)|(?:image|audio|video|application)/[a-z0-9.+_-]++)[ \t]*+(?=[;\r\n])"
)
_OPEN_ENCODING = re.compile(
    rb"content-transfer-encoding:[ \t]*+(?:7bit|8bit|binary|quoted-printable)[ \t]*+\r?\n"
)
_OPEN_CHARSET = re.compile(
    rb"charset[ \t]*+=[ \t]*+[\"']?(?:us-ascii|utf-8|iso-8859-(?:1|2|15)|windows-125[012])"
    rb"(?=[\"';\s/>])"
)
_TOLD = (
    (b"content-type", _OPEN_TYPE),
    (b"content-transfer-encoding", _OPEN_ENCODING),
    (b"charset", _OPEN_CHARSET),
)
_TAGS = (
    rb"(?:<!--.*?-->|<(?:style|script|title)\b.*?</(?:style|script|title)[^>]*+>|<[^<>]*+>)*+"
)
_SPANNING = (b"<!--", b"<style", b"<script", b"<title")  # what `_TAGS` looks far behind
_ODD_TAG = re.compile(rb"=[ \t\r\n]*+(?:\"[^\"<>]*+[<>]|'[^'<>]*+[<>])")
_ENTITY = re.compile(rb"&(?!(?:nbsp|amp|lt|gt|quot|copy|rsquo|lsquo|rdquo|ldquo|ndash|mdash);)")
_LONE_AND = re.compile(rb"&(?=[\s&=?]|[a-z0-9_.%-]*+=)")
_POINTS = re.compile(rb"(?:\xe2\x80[\x93\x94\x98\x99\x9c\x9d\xa2\xa6]|\xc2[\xa0\xa9])*+")
_ASCII = bytes(range(128))


class Seeker:
    """Looks for words, each of which has to be in some of the columns."""

    def __init__(
        self, words: Sequence[str], columns: Collection[Column] = tuple(Column)
    ) -> None:
        self._words = [word for word in map(case_folded, words) if word]
        self._names = [column.value for column in Column if column in columns]
        octets = [word.encode("utf-8", "replace") for word in self._words]
        self._plain = [
            (word, re.compile(_TAGS.join(re.findall(rb".", word)), re.DOTALL))
            for word in octets
            if _PLAIN.fullmatch(word) and len(word) <= LONGEST
        ]

    def holds(self, octets: bytes) -> bool:
        """Say whether a message that is at hand as a whole has all the words."""
        if self._plain and self._can_not_hold(octets):
            return False
        return self.in_text(search_text(octets, scan(octets)))

    def in_text(self, text: SearchText) -> bool:
        """Say whether a message's text has all the words."""
        parts = [getattr(text, name) for name in self._names]
        return all(any(word in part for part in parts) for word in self._words)

    def _can_not_hold(self, octets: bytes) -> bool:
        """Say whether a glance is enough to know that some word is not in the text."""
        lowered = octets.lower()
        missing = [pair for pair in self._plain if pair[0] not in lowered]
        if not missing or _may_hide(lowered):
            return False
        is_html = b"html" in lowered
        texts = [lowered]
        if b"quoted-printable" in lowered:
            texts.append(a2b_qp(octets).lower())
        for text in texts:
            if not _is_open(text, is_html):
                return False
        if is_html:
            return any(not any(tags.search(t) for t in texts) for _, tags in missing)
        return any(not any(word in t for t in texts) for word, _ in missing)


def _may_hide(lowered: bytes) -> bool:
    """Say whether parts are written otherwise than openly or in quoted-printable.

    Where the header has encoded words, and where something is said that isn't
    known to mean no harm, they may be.
    """
    for name, pattern in _TOLD:
        at = lowered.find(name)
        while at >= 0:
            if not pattern.match(lowered, at):
                return True
            at = lowered.find(name, at + 1)
    return b"=?" in lowered[: lowered.find(b"\r\n\r\n")] or b"delsp" in lowered


def _is_open(text: bytes, is_html: bool) -> bool:
    """Say whether all letters of a text stand for themselves."""
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return False
        if not _POINTS.fullmatch(text.translate(None, _ASCII)):
            return False
    if not is_html:
        return True
    if sum(map(text.count, _SPANNING)) > MOST_SPANNING or _ODD_TAG.search(text):
        return False
    return b"&" not in text or not _ENTITY.search(_LONE_AND.sub(b"", text))
