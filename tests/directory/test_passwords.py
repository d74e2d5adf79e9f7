from __future__ import annotations

import pytest

from mailplat.directory.passwords import prepared


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("secret", "secret"),
        ("pa\u0308ss", "päss"),
        ("a\u00a0b\u3000c", "a b c"),
        ("Ｐ Ⅳ ﬁ", "Ｐ Ⅳ ﬁ"),  # noqa: RUF001 - a password loses nothing by compatibility
        ("", ""),
    ],
)
def test_a_password_has_one_spelling(typed: str, kept: str) -> None:
    """RFC 8265 section 4.2: composed, and with plain spaces; case and width stay."""
    assert prepared(typed.encode()) == kept.encode()
    assert prepared(prepared(typed.encode())) == kept.encode()


def test_what_is_no_utf8_stays() -> None:
    assert prepared(b"p\xe4ss\xa0") == b"p\xe4ss\xa0"
