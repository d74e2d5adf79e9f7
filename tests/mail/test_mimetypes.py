"""Which type a name speaks of, which names a type has, and who says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail import mimetypes
from mailplat.mail.mimetypes import By, Guess, KnownType, MediaTypes, Origin, read, written

TEXT = (Path(mimetypes.__file__).parent / "mime.types").read_text("utf-8")
BUILT_IN, WRONG = read(TEXT, Origin.BUILT_IN)
TYPES = MediaTypes.of(BUILT_IN)


def test_ours_are_well_formed_and_each_there_once() -> None:
    names = [entry.name for entry in BUILT_IN]
    endings = [ending for entry in BUILT_IN for ending in entry.extensions]
    assert not WRONG
    assert len(names) == len(set(names)) > 900
    assert len(endings) == len(set(endings)) > 1000
    assert written(BUILT_IN).split("\n")[:-1] == [
        " ".join(line.split()) for line in TEXT.split("\n") if line and line[0] != "#"
    ]


@pytest.mark.parametrize(
    ("name", "type_name"),
    [
        ("letter.pdf", "application/pdf"),
        ("LETTER.PDF", "application/pdf"),
        ("a.b.c.odt", "application/vnd.oasis.opendocument.text"),
        ("backup.tar.gz", "application/x-compressed-tar"),
        ("backup.old.tar.gz", "application/x-compressed-tar"),
        ("backup.gz", "application/gzip"),
        ("invoice.pdf.exe", "application/vnd.microsoft.portable-executable"),
        ("invoice.exe. ", "application/vnd.microsoft.portable-executable"),
        (".exe", "application/vnd.microsoft.portable-executable"),
        ("C:\\tmp\\x.jpg\\photo.PNG", "image/png"),
        ("a.pdf/photo.png", "image/png"),
        ("meeting.ics", "text/calendar"),
        ("forwarded.eml", "message/rfc822"),
        ("x" * 100000 + ".zip", "application/zip"),
    ],
)
def test_a_name_speaks_of_a_type(name: str, type_name: str) -> None:
    found = TYPES.of_name(name)
    assert found is not None
    assert found.name == type_name


@pytest.mark.parametrize(
    "name", ["", ".", "README", "pdf", "a.pdf/README", "x.unheard-of", "..."]
)
def test_a_name_may_say_nothing(name: str) -> None:
    assert TYPES.of_name(name) is None


def test_what_an_earlier_source_says_counts() -> None:
    own = KnownType.of("Application/X-Report", [".PDF", "rpt"], place="state/mime.types")
    system = KnownType.of("application/pdf", ["pdf", "pdfx"], Origin.SYSTEM, "/etc/mime.types")
    same = KnownType.of("application/zip", ["zip"], Origin.SYSTEM, "/etc/mime.types")
    types = MediaTypes.of([own], BUILT_IN, [system, same])
    assert types.of_name("x.pdf") == own
    assert [one.name for one in types.claims(".PDF")] == [
        "application/x-report",
        "application/pdf",
    ]
    assert types.extensions("Application/PDF") == ("pdf", "pdfx")
    assert [one.origin for one in types.entries("application/pdf")] == [
        Origin.BUILT_IN,
        Origin.SYSTEM,
    ]
    assert same not in types.types
    assert types.entries("application/pdf")[1].extensions == ("pdfx",)
    assert types.entries("application/x-unheard-of") == ()


def test_the_longest_extension_counts_whoever_says_it() -> None:
    own = KnownType.of("application/x-own", ["gz"])
    types = MediaTypes.of([own], BUILT_IN)
    assert types.of_name("x.gz") == own
    assert types.of_name("x.tar.gz") != own


@pytest.mark.parametrize(
    "wrong", ["", "pdf", "application/", "/pdf", "a b/c", "a/b/c", "text/ü", "x/" + "y" * 200]
)
def test_what_is_no_type_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected a media type"):
        mimetypes.type_name(wrong)


@pytest.mark.parametrize("wrong", ["", ".", "a b", "a/b", "..", "a..b", "x.", "#", "x" * 33])
def test_what_is_no_extension_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected an extension"):
        mimetypes.extension(wrong)


def test_a_wrong_line_is_named_and_passed_over() -> None:
    text = "# a comment\r\n\ntext/plain\ttxt  asc # more\nnonsense\ntext/x a/b\nIMAGE/PNG PNG\n"
    types, wrong = read(text, Origin.SYSTEM, "here")
    assert types == (
        KnownType("text/plain", ("txt", "asc"), Origin.SYSTEM, "here"),
        KnownType("image/png", ("png",), Origin.SYSTEM, "here"),
    )
    assert wrong == (4, 5)


@pytest.mark.parametrize(
    ("declared", "name", "sniffed", "guess"),
    [
        ("Text/Plain; charset=utf-8", "x.pdf", "image/png", ("text/plain", By.DECLARED)),
        ("application/octet-stream", "x.pdf", "image/png", ("application/pdf", By.NAME)),
        ("application/force-download", "x", "image/png", ("image/png", By.CONTENT)),
        ("nonsense", "x.unheard-of", None, ("application/octet-stream", By.NOTHING)),
        ("", "", None, ("application/octet-stream", By.NOTHING)),
    ],
)
def test_an_attachment_is_guessed(
    declared: str, name: str, sniffed: str | None, guess: tuple[str, By]
) -> None:
    found = TYPES.guess(declared, name, sniffed)
    assert (found.type, found.by) == guess
    assert found.by_content == (sniffed or "")


def test_a_guess_says_what_all_said() -> None:
    assert TYPES.guess("text/plain", "x.exe", "application/pdf") == Guess(
        "text/plain",
        By.DECLARED,
        "text/plain",
        "application/vnd.microsoft.portable-executable",
        "application/pdf",
    )


@given(st.text(), st.text(), st.text() | st.none())
def test_nothing_is_raised_whatever_a_stranger_says(
    declared: str, name: str, sniffed: str | None
) -> None:
    assert TYPES.guess(declared, name, sniffed).type
    TYPES.extensions(name)
    TYPES.claims(name)


@given(st.text(st.sampled_from("a/. #\n\r\tü0")) | st.text())
def test_what_is_written_is_read(text: str) -> None:
    types, _ = read(text, Origin.OPERATOR)
    assert read(written(types), Origin.OPERATOR) == (types, ())
