"""Whether messages have words in their text, where no index can tell.

Making a message's text takes a hundred microseconds: HTML has to be reduced, and what
isn't ASCII to be folded.  Most messages that don't have a word can be told sooner, by
the octets of their parts once transfer encoding and charset are undone.  A word of
ASCII letters and digits is in the text only if it stands there in one piece, or is
broken by tags that go, or if something else than a letter becomes one: a reference
(``&#110;``), or a character that folds to letters.  Where that may be, the text is made
after all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from enum import Enum, IntEnum, auto
from functools import lru_cache

import attrs

from mailplat.mail.characters import GUESSED, codec_of, is_like_ascii, text_of
from mailplat.mail.charsets import is_utf8
from mailplat.mail.entity import Entity
from mailplat.mail.htmltext import dereferenced
from mailplat.mail.parameters import MediaType
from mailplat.mail.search import (
    LONGEST,
    SearchText,
    case_folded,
    headlines,
    is_marked_up,
    names_of_files,
    search_text,
    text_sources,
    transferred,
)
from mailplat.mail.searching import Column
from mailplat.mail.structure import Structure, scan, scan_bodies
from mailplat.mail.textparts import charset_label

MOST_RUNS = 16  # that are looked for at a glance
_RUNS = re.compile("[a-z0-9]{1,32}(?: [a-z0-9]{1,32}){0,7}")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ASCII = bytes(range(128))
_WHITE = rb"[ \t-\r\x1c-\x1f]"
_GAP = rb"(?:%b|[\x80-\xff])++" % _WHITE
_NO_TAG = rb"%b|[\x80-\xff]|&#?+[a-z0-9]*+;?+" % _WHITE
_GAP_IN_HTML = rb"(?:%b|<[^<>]*+>)++" % _NO_TAG
_SPANS = (b"<!--", b"<style", b"<script", b"<title", b"display", b" hidden")
_ODD_TAG = re.compile(rb"=[ \t-\r]*+(?:\"[^\"<>]*+[<>]|'[^'<>]*+[<>])")
_REFERENCE = re.compile(rb"&#?+[a-zA-Z0-9]{0,32}+;?+<?+")


class Held(Enum):
    """Whether a text has a word, as far as a glance can tell."""

    NO = auto()
    MAYBE = auto()
    YES = auto()


class Seeker:
    """Looks for words, each of which has to be in some of the columns."""

    def __init__(
        self, words: Sequence[str], columns: Collection[Column] = tuple(Column)
    ) -> None:
        self._words = [word for word in map(case_folded, words) if word]
        self._columns = frozenset(columns)
        self._names = [column.value for column in Column if column in columns]
        runs = sorted({run for word in self._words for run in _RUNS.findall(word)}, key=len)
        self._runs = [_Run.of(run) for run in runs[: -MOST_RUNS - 1 : -1]]
        self._are_runs = len(runs) <= MOST_RUNS and all(map(_RUNS.fullmatch, self._words))

    def holds(self, octets: bytes) -> bool:
        """Say whether a message that is at hand as a whole has all the words."""
        if self._runs:
            glance = self._glance(octets, scan_bodies(octets))
            if glance is not Held.MAYBE:
                return glance is Held.YES
        return self.in_text(search_text(octets, scan(octets)))

    def in_text(self, text: SearchText) -> bool:
        """Say whether a message's text has all the words."""
        parts = [getattr(text, name) for name in self._names]
        return all(any(word in part for part in parts) for word in self._words)

    def _glance(self, octets: bytes, structure: Structure) -> Held:
        """Say what can be told without the message's text."""
        pieces = list(self._pieces(octets, structure))
        is_sure = self._are_runs and len(octets) <= LONGEST
        for run in self._runs:
            found = [piece.has(run) for piece in pieces]
            if found.count(Held.NO) == len(found):
                return Held.NO
            is_sure = is_sure and Held.YES in found
        return Held.YES if is_sure else Held.MAYBE

    def _pieces(self, octets: bytes, structure: Structure) -> Iterator[_Piece]:
        """Yield everything in which the words may be found."""
        if Column.BODY in self._columns:
            yield _body(octets, structure)
        if Column.SUBJECT in self._columns or Column.PEOPLE in self._columns:
            header = octets[: structure.layout.parts[0].body]
            if not header.isascii() or b"=?" in header:
                header = _encoded("\n".join(headlines(header)))
            yield _Piece(header)
        if Column.FILES in self._columns and (names := names_of_files(structure)):
            yield _Piece(_encoded("\n".join(names)))


def _body(octets: bytes, structure: Structure) -> _Piece:
    texts: list[bytes] = []
    plain: list[bytes] = []
    for one in text_sources(structure):
        some = octets[one.octets.start : one.octets.stop]
        if one.entity is None:
            texts += map(_encoded, headlines(some))
            continue
        texts.append(_in_utf8(one.entity, some))
        if not is_marked_up(one.entity):
            plain.append(texts[-1])
    return _Piece(b"\n".join(texts), plain, is_html=len(plain) < len(texts))


def _in_utf8(entity: Entity, octets: bytes) -> bytes:
    """Return a part's body, its transfer encoding undone, in UTF-8."""
    octets = transferred(entity, octets)
    way = _way_of(entity.media_type)
    if way is _Way.ANY:
        return _encoded(text_of(octets, charset_label(entity, octets)))
    if octets.isascii() or (way is _Way.UTF8 and is_utf8(octets)):
        return octets
    return _encoded(text_of(octets, charset_label(entity, octets)))


class _Way(Enum):
    """How the octets of a text are read."""

    ASCII = auto()  # as ASCII, if they are that
    UTF8 = auto()  # and as UTF-8, if they are that
    ANY = auto()


@lru_cache(512)
def _way_of(type_: MediaType) -> _Way:
    label = type_.parameters.text(b"charset") or ""
    codec = codec_of(label)
    if codec == "utf-8" or (codec == GUESSED and type_.subtype.lower() != b"html"):
        return _Way.UTF8
    return _Way.ASCII if codec != GUESSED and is_like_ascii(label) else _Way.ANY


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


# One run of letters ------------------------------------------------------------


@attrs.frozen(eq=False)
class _Run:
    """ASCII letters and digits that a word has in a row, maybe with single spaces among them.

    ``shorter`` is all but the last, since what folds to a letter and an accent can only
    be the end.
    """

    octets: bytes
    has_spaces: bool
    breaks: tuple[tuple[bytes, bytes], ...]  # each word in two, wherever it can be cut
    surely: re.Pattern[bytes]  # its words, with white space between them
    apart: re.Pattern[bytes]  # or with what may be white space
    apart_in_html: re.Pattern[bytes]
    before_tag: re.Pattern[bytes]  # a word, with nothing else before a tag
    behind_tag: re.Pattern[bytes]
    opening: re.Pattern[bytes]  # a tag that may break a word
    closing: re.Pattern[bytes]  # a tag behind which a broken word may go on
    middle: re.Pattern[bytes]  # letters between two tags
    shorter: _Run | None

    @classmethod
    def of(cls, run: str) -> _Run:
        """Make ready what a run is looked for by."""
        shorter = run[:-1].strip()
        return cls._of(run.encode(), cls._of(shorter.encode(), None) if shorter else None)

    @classmethod
    def _of(cls, octets: bytes, shorter: _Run | None) -> _Run:
        words = octets.split(b" ")
        breaks = [(word[:at], word[at:]) for word in words for at in range(1, len(word))]
        ends = b"".join(begun[-1:] for begun, _ in breaks) or b"<"
        begins = b"".join(rest[:1] for _, rest in breaks) or b"<"
        begun = b"|".join(b"(?<=%b<)" % begun for begun, _ in breaks)
        rest = b"|".join(rest for _, rest in breaks)
        return cls(
            octets,
            len(words) > 1,
            tuple(breaks),
            re.compile((_WHITE + b"++").join(words)),
            re.compile(_GAP.join(words)),
            re.compile(_GAP_IN_HTML.join(words)),
            re.compile(rb"(?:%b)(?:%b)*+<" % (b"|".join(words[:-1]), _NO_TAG)),
            re.compile(rb">(?:%b)*+(?:%b)" % (_NO_TAG, b"|".join(words[1:]))),
            re.compile(rb"<(?<=[%b]<)(?:%b)" % (ends, begun)),
            re.compile(rb">(?=[%b])(?:%b)" % (begins, rest)),
            re.compile(rb">[%b]++<" % begins),
            shorter,
        )

    def may_be_in(self, text: bytes) -> bool:
        """Say whether it may be there, in what is no HTML."""
        if self.octets in text:
            return True
        return self.has_spaces and self.apart.search(text) is not None

    def is_surely_in(self, text: bytes) -> bool:
        """Say whether it is there for sure."""
        if self.octets in text:
            return True
        return self.has_spaces and self.surely.search(text) is not None

    def may_be_in_html(self, html: bytes) -> bool:
        """Say whether it may be there in HTML, its words in one piece each.

        Whatever goes between words begins with "<" and ends with ">"; it has others inside
        only where there are spans.
        """
        if self.octets in html:
            return True
        if not self.has_spaces:
            return False
        if self.apart_in_html.search(html):
            return True
        if not self.before_tag.search(html) or not self.behind_tag.search(html):
            return False
        return any(word in html for word in _SPANS) or _ODD_TAG.search(html) is not None

    def may_be_broken(self, html: bytes) -> bool:
        """Say whether one of its words may be there with tags between the letters.

        Whatever goes begins with "<" behind a letter, and ends with ">" before the next.
        """
        tags = self.opening.finditer(html)
        at = [tag.start() for tag in tags]
        if not at:
            return False
        begun = {
            pair for pair in self.breaks if any(html.endswith(pair[0], 0, one) for one in at)
        }
        at = [tag.start() + 1 for tag in self.closing.finditer(html)]
        if any(html.startswith(rest, one) for _, rest in begun for one in at):
            return True
        return bool(at) and self.middle.search(html) is not None


# What is looked through --------------------------------------------------------


class _Fold(IntEnum):
    """What something that is no ASCII letter may have to do with a word of such letters."""

    APART = 0
    ENDS = 1  # it is a letter with an accent
    MIXES = 2  # it is letters, or nothing at all


class _Piece:
    """What may have words in it, in UTF-8; those that ``plain`` has are surely there."""

    def __init__(
        self, octets: bytes, plain: Sequence[bytes] = (), is_html: bool = False
    ) -> None:
        self._octets = octets
        self._lowered = octets.lower()
        self._plain = plain
        self._is_html = is_html
        self._known_fold: _Fold | None = None
        if not is_html and octets.isascii():
            self._known_fold = _Fold.APART

    def has(self, run: _Run) -> Held:
        """Say whether a run of letters is in the text."""
        if self._may_have(run):
            is_there = any(run.is_surely_in(text.lower()) for text in self._plain)
            return Held.YES if is_there else Held.MAYBE
        fold = self._fold()
        if fold is _Fold.APART and not self._is_html:
            return Held.NO
        if fold is _Fold.MIXES or (self._is_html and run.may_be_broken(self._lowered)):
            return Held.MAYBE
        if fold is _Fold.ENDS and (not run.shorter or self._may_have(run.shorter)):
            return Held.MAYBE
        return Held.NO

    def _may_have(self, run: _Run) -> bool:
        """Say whether the letters are there, each word in one piece."""
        if self._is_html:
            return run.may_be_in_html(self._lowered)
        return run.may_be_in(self._lowered)

    def _fold(self) -> _Fold:
        """Return what there is besides ASCII letters."""
        if self._known_fold is None:
            found = _Fold.APART
            if not self._octets.isascii():
                others = self._octets.translate(None, _ASCII).decode()
                found = max(map(_fold_of, set(others)))
            if self._is_html and b"&" in self._octets:
                references = set(_REFERENCE.findall(self._octets))
                found = max(found, *map(_fold_of_reference, references))
            self._known_fold = found
        return self._known_fold


@lru_cache(4096)
def _fold_of(text: str) -> _Fold:
    inside = case_folded(f"x{text}x")[1:-1]
    first, *rest = [one in _LETTERS for one in inside] or [True]
    if any(rest) or (first and not rest):
        return _Fold.MIXES
    return _Fold.ENDS if first else _Fold.APART


@lru_cache(1024)
def _fold_of_reference(written: bytes) -> _Fold:
    reference = written.decode("ascii").removesuffix("<")
    if len(reference) < len(written) and not reference.endswith(";"):
        return _Fold.MIXES  # it may go on behind a tag
    meant = dereferenced(reference)
    return _Fold.APART if meant == reference else _fold_of(meant)
