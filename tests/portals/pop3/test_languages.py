"""Nothing is said that can't be said in every language, and no table has more than is said."""

from __future__ import annotations

import ast
import inspect
from string import Formatter

import pytest

from mailplat.portals.pop3 import session
from mailplat.portals.pop3.languages import ENGLISH, GERMAN, LANGUAGES, language_for
from mailplat.wire.replies import WORDS

SAYING = {"_say", "_ok"}


def texts_of(source: str) -> set[str]:
    """Return the texts that a session says by way of its language."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in SAYING
        and isinstance(call.args[0], ast.Constant)
    }


def test_german_says_all_that_english_does() -> None:
    said = texts_of(inspect.getsource(session))
    assert len(said) > 10
    assert said <= GERMAN.texts.keys()
    assert GERMAN.texts.keys() <= said | {words.text for words in WORDS.values()}


@pytest.mark.parametrize(("english", "german"), GERMAN.texts.items())
def test_both_speak_of_the_same(english: str, german: str) -> None:
    fields = [
        sorted(name for _, name, *_ in Formatter().parse(t) if name) for t in (english, german)
    ]
    assert fields[0] == fields[1]


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [("*", "en"), ("en", "en"), ("EN", "en"), ("de", "de"), ("i", "i-default"), ("de-AT", "")],
)
def test_a_range_finds_its_language(wanted: str, tag: str) -> None:
    found = language_for(wanted)
    assert (found.tag if found else "") == tag


def test_english_is_the_first() -> None:
    assert LANGUAGES[0] is ENGLISH
    assert all(one.tag == one.tag.lower() for one in LANGUAGES)
