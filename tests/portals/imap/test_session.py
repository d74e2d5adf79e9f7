"""What one client hears, and what several hear of each other."""

from __future__ import annotations

from typing import Any

import pytest

BOTH = pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)

ONE = b"Subject: one\r\nFrom: a@example.org\r\n\r\nfirst\r\n"
TWO = b"Subject: two\r\nFrom: b@example.org\r\n\r\nsecond\r\n"


@BOTH
async def test_a_whole_session(scene: Any) -> None:
    await scene.fill(ONE, TWO)
    client = scene.client()
    await client.log_in("INBOX")
    assert await client.ask("FETCH 1:* (UID FLAGS RFC822.SIZE)") == [
        f"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE {len(ONE)})",
        f"* 2 FETCH (UID 2 FLAGS () RFC822.SIZE {len(TWO)})",
        "OK That is it",
    ]
    assert await client.ask("STORE 1 +FLAGS (\\Deleted)") == [
        "* 1 FETCH (FLAGS (\\Deleted))",
        "OK Flags kept",
    ]
    assert await client.ask("SEARCH DELETED") == ["* SEARCH 1", "OK 1 found"]
    assert await client.ask("EXPUNGE") == ["* 1 EXPUNGE", "OK Expunged"]
    assert await client.ask("UID FETCH 2 BODY[TEXT]") == [
        "* 1 FETCH (FLAGS (\\Seen) UID 2 BODY[TEXT] {8}",
        "second",
        ")",
        "OK That is it",
    ]
    assert (await client.ask("LOGOUT"))[-1] == "OK Gone"
    client.leave()
    assert not len(scene.indexes)
