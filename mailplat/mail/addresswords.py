"""The words and specials of address lists, one element after the other (RFC 5322 section 3.2).

An element is what stands between two commas.  What its words mean is said in
`mailplat.mail.addresslist`.
"""

from __future__ import annotations

import re
from functools import cache

import attrs

MOST_TOKENS = 3_000  # of one element; behind so many a new one begins

WORD, STRING, AT, OPEN, CLOSE, COMMA, COLON = b"wq@<>,:"

_TOKEN = rb"""
    [ \t\r\n]*+
    (?: ( [^ \t\r\n"(),:;<>@\[\]\\=]++[^ \t\r\n"(),:;<>@\[\]\\]*+ )  # an atom, with its dots
      | ( @ )
      | ( [,:;] | <++ | >++ | %b )
      | ( =\?[A-Za-z0-9_.:*+\-]++\?[bBqQ]\?[^ \t\r\n"<>?]*+\?= ) (?=[ \t\r\n"(),:;<]|\Z)
      | ( =[^ \t\r\n"(),:;<>@\[\]\\]*+ )
      | %b
      | ( \[[^\[\]\\]*+\] )
      | ( [\])\\%b]++ | . )
    )
    """
_ATOM, _AT, _SPECIAL, _ENCODED, _OTHER_ATOM, _STRING, _LITERAL, _STRAY = range(1, 9)
_STRING_PATTERN = rb'"( (?:[^"\\]++|\\.)*+ )"'


@cache
def _tokens(*, strings: bool, comments: bool) -> re.Pattern[bytes]:
    """Return the pattern of a token, with quotation marks and parentheses as strays or not."""
    parts = (
        rb"\(" if comments else b"(?!)",
        _STRING_PATTERN if strings else b"(?!)()",
        (b"" if strings else b'"') + (b"" if comments else b"("),
    )
    return re.compile(_TOKEN % parts, re.DOTALL | re.VERBOSE)


_NOT_IN_WORDS = re.compile(rb"[(),:;@\[\]\\.]")  # RFC 2047 section 5 (3)
_IN_COMMENT = re.compile(rb"[^()\\]*+(?:\\.[^()\\]*+)*+([()])", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)


@attrs.define
class Elements:
    """Goes through a list, an element at a time.

    Of the element at hand ``kinds`` has a letter for each of ``words``: `WORD`,
    `STRING` without its quotes, or a special.  There is at most one pair of
    angle brackets.  ``comment`` is the last one behind a word, ``end`` the
    separator: a comma, semicolon or colon, or nothing where another was left
    out.  ``broken`` is set when something was passed over that fits no grammar.
    """

    body: bytes
    at: int = 0
    kinds: bytearray = attrs.Factory(bytearray)
    words: list[bytes] = attrs.Factory(list)
    comment: bytes | None = None
    end: bytes = b""
    broken: bool = False
    taken: int = 0  # how many tokens the element took, comments counted
    kept: int = 0  # words that have been read already, and belong to the next element
    _inside: bool = False  # whether an angle bracket is open,
    _closed: bool = False  # or was
    _in_route: bool = False
    _strings: bool = True  # whether a quotation mark may have its partner,
    _comments: bool = True  # and a parenthesis
    _tokens: re.Pattern[bytes] = _tokens(strings=True, comments=True)

    def advance(self) -> None:
        """Take the element at ``at``, and go behind its separator."""
        body, kinds, words = self.body, self.kinds, self.words
        behind = len(words) - self.kept
        del kinds[:behind], words[:behind]
        self.kept, self.comment, self.end = 0, None, b""
        self._inside = self._closed = self._in_route = False
        tokens = self._tokens
        for self.taken in range(MOST_TOKENS):
            if not (match := tokens.match(body, self.at)):
                break
            self.at = match.end()
            kind = match.lastindex
            if kind == _ATOM:
                kinds.append(WORD)
                words.append(match[_ATOM])
            elif kind == _AT:
                self._in_route |= self._inside and kinds[-1] == OPEN
                kinds.append(AT)
                words.append(b"@")
            elif kind != _SPECIAL:
                self._take_unusual(match)
                tokens = self._tokens
            elif self._ends(match[_SPECIAL]):
                break
            else:
                tokens = self._tokens
        else:
            self.broken = True
        self.broken |= self._inside

    def _take(self, kind: int, word: bytes) -> None:
        self.kinds.append(kind)
        self.words.append(word)

    def _take_unusual(self, match: re.Match[bytes]) -> None:
        kind = match.lastindex or _STRAY
        word = match[kind]
        if kind == _STRING:
            self._take(STRING, _ESCAPE.sub(rb"\1", word) if b"\\" in word else word)
        elif kind != _STRAY:
            self.broken |= kind == _ENCODED and _NOT_IN_WORDS.search(word) is not None
            self.broken |= kind == _LITERAL and not self.kinds.endswith(b"@")
            self._take(WORD, word)
        else:
            self.broken = True
            if word == b'"':  # nothing closes it, nor any that might follow
                self._strings = False
                self._tokens = _tokens(strings=False, comments=self._comments)

    def _ends(self, special: bytes) -> bool:
        """Take a special, or say that the element ends with it."""
        if special.startswith(b"<"):
            return self._open(special)
        if special.startswith(b">"):
            self._close(special)
        elif special == b"(":
            self._skip_comment()
        elif special == b"," and self._in_route:
            self._take(COMMA, special)
        elif special == b":" and self._inside:
            self._in_route = False
            self._take(COLON, special)
        elif special == b":" and (self._closed or AT in self.kinds):
            self.broken = True
        else:
            self.end = special
            return True
        return False

    def _open(self, brackets: bytes) -> bool:
        """Take an angle bracket, or, if it is a second, end the element before it."""
        if self._closed:
            self.kept = len(self.kinds) - self.kinds.index(CLOSE) - 1
            self.broken = True
            self.at -= len(brackets)
            return True
        self.broken |= self._inside or len(brackets) > 1
        self._inside, self._in_route = True, False
        self._take(OPEN, b"<")
        return False

    def _close(self, brackets: bytes) -> None:
        self.broken |= len(brackets) > 1
        if self._inside:
            self._inside, self._closed, self._in_route = False, True, False
            self._take(CLOSE, b">")
        else:
            self.broken = True

    def _skip_comment(self) -> None:
        """Go behind a comment; one without end is no comment, nor is any other behind it."""
        depth, at = 1, self.at
        for _ in range(MOST_TOKENS):
            if not (depth and self._comments and (match := _IN_COMMENT.match(self.body, at))):
                break
            at = match.end()
            depth += 1 if match[1] == b"(" else -1
        if depth:
            self._comments, self.broken = False, True
            self._tokens = _tokens(strings=self._strings, comments=False)
            return
        if self.words:
            self.comment = _ESCAPE.sub(rb"\1", self.body[self.at : at - 1]) or None
        self.at = at
