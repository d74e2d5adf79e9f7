"""A file's name is seen in every way, and made safe before it touches a disk."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailplat.mail.filenames import LONGEST_NAME, FileNames, file_names, safe_file_name
from mailplat.mail.parameters import disposition, media_type


def test_all_names_are_seen_decoded_and_as_they_stand() -> None:
    type_ = media_type(b'application/pdf; name="=?utf-8?q?=C3=A4.pdf?="')
    disposed = disposition(b"attachment; filename=plain.pdf; filename*=utf-8''%C3%A4.exe")
    assert file_names(type_, disposed) == FileNames(
        ("ä.exe", "plain.pdf", "ä.pdf"),
        (b"plain.pdf", b"utf-8''%C3%A4.exe", b"=?utf-8?q?=C3=A4.pdf?="),
    )
    assert file_names(media_type(b"text/plain"), None) == FileNames((), ())


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.pdf", "report.pdf"),
        ("größe 漢字.pdf", "größe 漢字.pdf"),
        ("e\u0301.txt", "é.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("folder/", "folder"),
        ("a\u2215b\uff0fc", "c"),
        (".bashrc", "bashrc"),
        ("..", "attachment"),
        ("...hidden.", "hidden"),
        ("name. . .", "name"),
        ("", "attachment"),
        (" \t", "attachment"),
        ("a\0b\r\nc\x7fd\x85e", "abcde"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\u200bb\ufeffc", "abc"),
        ("a\ud800b", "ab"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("com1 .txt", "_com1 .txt"),
        ("LPT\u00b9", "_LPT\u00b9"),
        ("console.txt", "console.txt"),
        ('a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"),
        ("x" * 500 + ".tar.gz", "x" * 197 + ".gz"),
        ("ä" * 500, "ä" * 100),
        ("a." + "x" * 500, "a." + "x" * 198),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


def test_what_has_no_name_gets_one() -> None:
    assert safe_file_name("//", otherwise="part-2") == "part-2"


PIECES = ["..", "/", "\\", " ", ".", "con", "NUL", "\u202e", "e\u0301", "x" * 100, "日" * 40, ":",
          "\0", "\ud800", "." + "y" * 40, "\uff0f", "\u200d", "\u0301", "com", "\u00b9", "_"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
@example("con" + " " * 300 + ".txt")
def test_every_name_is_made_safe_once_and_for_all(name: str) -> None:
    safe = safe_file_name(name)
    assert safe_file_name(safe) == safe
    assert 0 < len(safe.encode()) <= LONGEST_NAME
    assert safe[0] not in " ."
    assert safe[-1] not in " ."
    assert not set(safe) & set('/\\<>:"|?*\0\r\n\u202e')
    assert safe.isprintable() or " " in safe or not safe.isascii()
