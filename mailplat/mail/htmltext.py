"""The text that a reader of HTML sees, for search and previews.

No tree is built: tags are cut out by patterns that cannot backtrack, whatever
the input, and nothing here raises.  What browsers don't show goes with its
content: comments, scripts, styles, titles, and elements that are hidden by
their own attributes.  The rules for what is a tag, a comment and a character
reference are those of the HTML standard's tokenizer (section 13.2.5), as far
as text depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from html.entities import html5

NO_CHARACTER = "\ufffd"


def _any_case(names: str) -> str:
    """Return a pattern for some words, in which letters match in both cases.

    Classes of two letters instead of IGNORECASE, which would cost three times the
    time; and words that begin with the same letter stand together, so that few
    have to be tried.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names.split(), reverse=True):
        first, *rest = (f"[{c}{c.upper()}]" if c.isalpha() else re.escape(c) for c in name)
        groups.setdefault(first, []).append("".join(rest))
    return _either(first + _either(rests) for first, rests in groups.items())


def _either(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


def _raw(first: str, rest: str) -> str:
    """Return a pattern for an element without tags inside, from behind its first letter."""
    end = rf"/{_any_case(first + rest)}(?=[\s/>])"
    inside = rf"[^<]*+(?:<(?!{end})[^<]*+)*+"
    return rf"{_any_case(rest)}(?=[\s/>]){inside}(?:<{end}[^>]*+>?|\Z)"


# What is cut out -------------------------------------------------------------

_COMMENT = (
    r"!--(?:-?>|[^-]*+(?:-(?!->)[^-]*+)*+(?:-->|\Z))"  # what has no end has it at the end
)
_RAW = rf"{_COMMENT}|[sS](?:{_raw('s', 'cript')}|{_raw('s', 'tyle')})|[tT]{_raw('t', 'itle')}"
_VALUE = r"=\s*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z))?+"


def _tags(inside: str) -> re.Pattern[str]:
    """Return what splits HTML into text and runs of tags; ``inside`` stands within a tag."""
    plain = rf"(?![!sS]|[tT][iI])[a-zA-Z/?]{inside}(?:>|\Z)"
    tag = rf"<(?:{plain}|{_RAW}|[sStT!]{inside}(?:>|\Z))"
    return re.compile(rf"({tag}(?:\s*+{tag})*+)")


_TAGS = _tags("[^>]*+")
_CAREFUL_TAGS = _tags(rf"(?:[^>=]++|{_VALUE})*+")  # a quoted value may hold a ">"
_INLINE = _any_case(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark nobr o:p q s"
    " samp small span strike strong sub sup time tt u var wbr"
)
_ONLY_INLINE = re.compile(rf"(?:<(?:/?{_INLINE}(?=[\s/>])[^>]*+>|{_COMMENT}))++\Z")
_BLOCKS = frozenset(  # beginnings of runs that aren't only inline, to be seen at a glance
    [
        *("<br", "<di", "<h1", "<h2", "<h3", "<hr", "<im", "<li", "<p ", "<p>", "<ta", "<td"),
        *("<tr", "<ul", "</p", "</di", "</h1", "</h2", "</li", "</ta", "</td", "</tr", "</ul"),
    ]
)
_INLINE_RUNS = frozenset(  # and some that are
    [
        *("</a>", "</b>", "</b></a>", "</b></span>", "</em>", "</font>", "</i>", "</span>"),
        *(
            "</span></a>",
            "</strong>",
            "</u>",
            "<b>",
            "<em>",
            "<i>",
            "<span>",
            "<strong>",
            "<u>",
        ),
    ]
)


def reduced(html: str) -> str:
    """Return what a reader would see, with white space as it comes."""
    return dereferenced(_without_tags(_without_hidden(html), " "))


def line_of(html: str) -> str:
    """Return what a reader would see, in one line with single spaces."""
    return " ".join(reduced(html).split())


def lines_of(html: str, hidden: bool = False) -> list[str]:
    """Return what a reader would see, cut at everything that isn't inline; no line is empty.

    With ``hidden``, also what only attributes hide.
    """
    shown = html if hidden else _without_hidden(html)
    cut = _without_tags(shown.replace("\n", " "), "\n")
    lines = (" ".join(line.split()) for line in dereferenced(cut).split("\n"))
    return [line for line in lines if line]


def _without_tags(html: str, gap: str) -> str:
    """Leave out tags and what isn't shown, with a ``gap`` for runs that aren't only inline.

    A ">" that is left over may have stood in a quoted value; then it is done with care.
    """
    for tags in (_TAGS, _CAREFUL_TAGS):
        parts = tags.split(html)
        parts[1::2] = [
            gap
            if run[:3] in _BLOCKS
            or run[:4] in _BLOCKS
            or ">\r" in run
            or ">\n" in run
            or not (run in _INLINE_RUNS or _ONLY_INLINE.match(run))
            else ""
            for run in parts[1::2]
        ]
        text = "".join(parts)
        if ">" not in text:
            break
    return text


# Hidden elements -------------------------------------------------------------

_HIDING = (  # a word to look for, and what must follow it
    ("isplay", re.compile(rf"\s*+:\s*+{_any_case('none')}")),
    (" hidden", re.compile(r"[\s/>]|=(?:\"\"|\"hidden\"|'')")),
)
_UNSEEN = re.compile(rf"<(?:{_RAW})")
_OPENING = re.compile(r"<([a-zA-Z][a-zA-Z0-9]{0,15}+)(?=[\s/])[^<>]*+>")
_MAY_HIDE = frozenset(
    [
        *("a", "article", "aside", "b", "blockquote", "center", "dd", "div", "dl", "dt", "em"),
        *("font", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "i", "label", "li"),
        *("main", "nav", "ol", "p", "pre", "section", "small", "span", "strong", "table"),
        *("tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
    ]
)


def _without_hidden(html: str) -> str:
    """Leave out elements that their own attributes hide."""
    for word, rest in _HIDING:
        at = html.find(word)
        while at >= 0 and not rest.match(html, at + len(word)):
            at = html.find(word, at + 1)
        if at >= 0:
            html = _without(_UNSEEN.sub("", html), word, rest)
    return html


def _without(html: str, word: str, rest: re.Pattern[str]) -> str:
    """Leave out elements whose tag has a ``word`` that is followed by ``rest``.

    What has no end tag is kept: it may end where the standard says so and we don't.
    """
    kept: list[str] = []
    endless: set[str] = set()
    at = floor = position = 0
    while (position := html.find(word, position)) >= 0:
        position += len(word)
        if not rest.match(html, position):
            continue
        start = html.rfind("<", floor, position)
        floor = position
        tag = _OPENING.match(html, start) if start >= 0 else None
        if not tag or tag.end() < position:
            continue
        end = _end_of_element(html, tag, endless)
        if end > tag.end():
            kept.append(html[at:start])
            at = floor = position = end
    return "".join([*kept, html[at:]])


def _end_of_element(html: str, tag: re.Match[str], endless: set[str]) -> int:
    """Return where an element ends, others of its name inside it counted."""
    name = tag[1].lower()
    if name not in _MAY_HIDE or name in endless:
        return tag.end()
    depth = 1
    for other in _tags_named(name).finditer(html, tag.end()):
        depth += -1 if other[1] else 1
        if not depth:
            return other.end()
    endless.add(name)
    return tag.end()


@cache
def _tags_named(name: str) -> re.Pattern[str]:
    return re.compile(rf"<(/)?{_any_case(name)}(?=[\s/>])[^<>]*+>?")


# Character references --------------------------------------------------------

_REFERENCE = re.compile(r"&#?+[a-zA-Z0-9]{1,32}+;?+")
_NUMBER = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,6})|([0-9]{1,7}));?")
_NAMED = {f"&{name}": character for name, character in html5.items()}
_NAMED |= dict.fromkeys(("&nbsp", "&nbsp;", "&#160;", "&#xa0;", "&#xA0;"), " ")


def dereferenced(text: str) -> str:
    """Return a text with its character references replaced by what they mean.

    A no-break space becomes a plain one: to be ASCII saves whoever reads on much time.
    """
    if "&" not in text:
        return text
    return _REFERENCE.sub(_character, text.replace("&nbsp;", " "))


def _character(reference: re.Match[str]) -> str:
    written = reference[0]
    if named := _NAMED.get(written):
        return named
    found = _NUMBER.fullmatch(written)
    if not found:
        return written
    number = int(found[1], 16) if found[1] else int(found[2])
    if 0x80 <= number < 0xA0:  # read as windows-1252 (section 13.2.5.80)
        return bytes([number]).decode("cp1252", "replace")
    if number == 0 or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        return NO_CHARACTER
    return chr(number)
