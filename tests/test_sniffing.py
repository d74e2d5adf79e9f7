"""What a content is by its octets, whatever its sender says."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.sniffing import sniffed
from mailplat.testing.growth import in_bounded_time, repeated


def archive(*names: str, content: str = "x") -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as made:
        for name in names:
            made.writestr(name, content)
    return octets.getvalue()


OFFICE = "application/vnd.openxmlformats-officedocument"
ODT = "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"%PDF-1.7\n%", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(20), "image/jpeg"),
        (b"GIF89a" + bytes(20), "image/gif"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "audio/vnd.wave"),
        (b"\x1f\x8b\x08\0" + bytes(9), "application/gzip"),
        (b"{\\rtf1\\ansi", "application/rtf"),
        (b"<!DOCTYPE html><html><body>", "text/html"),
        (b'<?xml version="1.0"?><a/>', "application/xml"),
        (b'<?xml version="1.0"?><svg xmlns="x">', "image/svg+xml"),
        (b"BEGIN:VCALENDAR\r\n", "text/calendar"),
        (b"\x7fELF\x02\x01\x01" + bytes(9), "application/x-executable"),
        (
            b"MZ".ljust(60, b"\0") + b"\x80\0\0\0" + bytes(64) + b"PE\0\0",
            "application/vnd.microsoft.portable-executable",
        ),
        (bytes.fromhex("4c0000000114020000000000"), "application/x-ms-shortcut"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "application/x-ole-storage"),
        (archive("a.txt"), "application/zip"),
        (archive("META-INF/MANIFEST.MF", "a.class"), "application/java-archive"),
        (archive("mimetype", content=ODT), ODT),
        (archive("mimetype", content="application/epub+zip"), "application/epub+zip"),
        (archive("mimetype", content="no type at all"), "application/zip"),
        (
            archive("[Content_Types].xml", "word/document.xml"),
            f"{OFFICE}.wordprocessingml.document",
        ),
        (archive("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet"),
        (
            archive("ppt/presentation.xml", content="x" * 200000),
            f"{OFFICE}.presentationml.presentation",
        ),
        (
            archive("word/document.xml", "word/vbaProject.bin"),
            "application/vnd.ms-word.document.macroenabled.12",
        ),
        (
            archive("big", "xl/workbook.xml", "xl/vbaProject.bin", content="x" * 200000),
            "application/vnd.ms-excel.sheet.macroenabled.12",
        ),
    ],
)
def test_signatures(octets: bytes, found: str) -> None:
    assert sniffed(octets) == found


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"MZ is how this letter begins", b"BM", b"function is a word", b"hello\r\n"],
)
def test_text_says_nothing(octets: bytes) -> None:
    assert sniffed(octets) is None


@given(st.binary() | st.binary().map(lambda rest: b"PK\x03\x04" + rest))
def test_nothing_is_raised(octets: bytes) -> None:
    found = sniffed(octets)
    assert found is None or "/" in found


@pytest.mark.parametrize("piece", [b"PK\x03\x04", b"PK\x01\x02", b"<svg", b"\0", b"<?xml"])
def test_large_contents_cost_no_more(piece: bytes) -> None:
    in_bounded_time(sniffed, repeated(piece), 8_000_000)
