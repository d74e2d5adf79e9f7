"""What is given and what is taken (RFC 4314)."""

from __future__ import annotations

import pytest

from mailplat.mail.people import AccountId
from mailplat.mail.sharing import effective

BOB = AccountId("bob")


@pytest.mark.parametrize(
    ("rights", "left"),
    [
        ({}, ""),
        ({"bob": "lr"}, "lr"),
        ({"anyone": "l", "bob": "r"}, "lr"),
        ({"anyone": "lrs", "-bob": "s"}, "lr"),
        ({"bob": "lrs", "-anyone": "s"}, "lr"),
        ({"carol": "lrswipkxtea"}, ""),
        ({"-bob": "lr"}, ""),
        ({"bob": "lr", "-carol": "lr"}, "lr"),
    ],
)
def test_effective(rights: dict[str, str], left: str) -> None:
    given = {who: frozenset(letters) for who, letters in rights.items()}
    assert effective(given, BOB) == frozenset(left)
