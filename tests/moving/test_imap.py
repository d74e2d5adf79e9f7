"""What another server refuses, or loses while it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from imapclient.exceptions import IMAPClientError

from mailplat.mail.limits import MIB
from mailplat.moving.imap import TRIES, ImapFailed, ImapSource, Server
from mailplat.moving.letters import Letter

LARGE = b"Subject: large\r\n\r\n" + b"x" * (3 * MIB)


@attrs.define
class FakeClient:
    """Answers for a server with one mailbox, as far as `ImapSource` asks."""

    mail: dict[int, bytes]
    refused: set[int] = attrs.field(factory=set)  # messages of which no octets are given
    silent: set[int] = attrs.field(factory=set)  # messages of which nothing is said
    gone_behind: int | None = None  # octets after which messages are expunged
    breaks: bool = False

    def has_capability(self, _name: str) -> bool:
        return False

    def list_sub_folders(self) -> list[Any]:
        return []

    def list_folders(self) -> list[Any]:
        return [((), b"/", "INBOX")]

    def folder_status(self, _name: str, _what: object) -> dict[bytes, int]:
        return {b"MESSAGES": len(self.mail)}

    def select_folder(self, _name: str, readonly: bool) -> dict[bytes, int]:
        assert readonly
        if self.breaks:
            raise ConnectionResetError("it breaks")
        return {b"EXISTS": len(self.mail), b"UIDVALIDITY": 1}

    def search(self, _what: str) -> list[int]:
        return list(self.mail)

    def fetch(self, uids: Sequence[int], what: Sequence[str]) -> dict[int, dict[bytes, Any]]:
        wants_facts = "FLAGS" in what
        if {*uids} & (self.silent if wants_facts else self.refused):
            raise IMAPClientError("[SERVERBUG] it can't be read")
        if wants_facts:
            return {
                uid: {b"FLAGS": (b"\\Seen",), b"RFC822.SIZE": len(self.mail[uid])}
                for uid in uids
            }
        if what == ["BODY.PEEK[]"]:
            return {uid: {b"BODY[]": self.mail[uid]} for uid in uids}
        return self._piece(uids[0], what[0])

    def _piece(self, uid: int, what: str) -> dict[int, dict[bytes, Any]]:
        start, size = map(int, what.removeprefix("BODY.PEEK[]<").rstrip(">").split("."))
        if self.gone_behind is not None and start >= self.gone_behind:
            return {}
        return {uid: {b"BODY[]<%d>" % start: self.mail[uid][start : start + size]}}

    def logout(self) -> None:
        """Nothing is held."""


@attrs.frozen
class FakeServer(Server):
    """Has that client for everybody."""

    client: Any = None

    def connect(self, password: str) -> Any:
        return self.client


def fetched(client: FakeClient) -> tuple[dict[str, bytes], list[Letter]]:
    """Return the octets of what comes in, by their place, and what is left out."""
    server = FakeServer("imaps", "imap.example.net", 993, "ann", client=client)
    source = ImapSource(server, "secret")
    source.boxes()
    found: dict[str, bytes] = {}
    left_out: list[Letter] = []
    for letter in source.letters(lambda _keys: set()):
        try:
            found[letter.place] = b"".join(letter.pieces)
        except OSError as problem:
            assert "can't be read" in str(problem)  # noqa: PT017 - others must not be asked
            left_out.append(letter)
    return found, left_out


def some(count: int) -> dict[int, bytes]:
    return {uid: b"Subject: %d\r\n\r\n" % uid for uid in range(1, count + 1)}


@pytest.mark.parametrize("way", ["refused", "silent"])
def test_a_message_that_is_refused_is_left_out_by_its_name(way: str) -> None:
    found, left_out = fetched(FakeClient(some(120), **{way: {3, 77}}))
    assert len(found) == 118
    assert found["INBOX, UID 4"] == b"Subject: 4\r\n\r\n"
    assert sorted(letter.place for letter in left_out) == ["INBOX, UID 3", "INBOX, UID 77"]


def test_a_large_message_that_is_refused_is_left_out_too() -> None:
    found, left_out = fetched(FakeClient({1: LARGE, 2: b"a: b\r\n\r\n"}, refused={1}))
    assert list(found) == ["INBOX, UID 2"]
    assert [letter.place for letter in left_out] == ["INBOX, UID 1"]


@pytest.mark.parametrize("behind", [0, MIB, 3 * MIB])
def test_a_large_message_that_goes_meanwhile_is_not_cut_short(behind: int) -> None:
    mail = {1: LARGE, 2: b"a: b\r\n\r\n"}
    found, left_out = fetched(FakeClient(mail, gone_behind=behind))
    assert found == {"INBOX, UID 2": b"a: b\r\n\r\n"}
    assert not left_out


@pytest.mark.parametrize("size", [2 * MIB - 1, 2 * MIB, 2 * MIB + 1])
@pytest.mark.parametrize("says_nothing_behind", [False, True])
def test_a_large_message_comes_whole(size: int, says_nothing_behind: bool) -> None:
    message = LARGE[:size]
    client = FakeClient({1: message}, gone_behind=size if says_nothing_behind else None)
    assert fetched(client)[0] == {"INBOX, UID 1": message}


def test_a_connection_that_breaks_again_and_again_is_given_up() -> None:
    client = FakeClient(some(1), breaks=True)
    server = FakeServer("imaps", "imap.example.net", 993, "ann", client=client)
    source = ImapSource(server, "secret")
    source.boxes()
    with pytest.raises(ImapFailed, match=r"imap\.example\.net: it breaks"):
        list(source.letters(lambda _keys: set()))
    assert len(source._all) == TRIES


@attrs.define
class BreakingClient(FakeClient):
    """Has a second mailbox, and breaks the first time that somebody asks about it."""

    has_broken: bool = False

    def list_folders(self) -> list[Any]:
        return [*super().list_folders(), ((), b"/", "Archive")]

    def folder_status(self, name: str, what: object) -> dict[bytes, int]:
        if name == "Archive" and not self.has_broken:
            self.has_broken = True
            raise ConnectionResetError("it breaks")
        return super().folder_status(name, what)


def test_a_list_that_breaks_counts_nothing_twice() -> None:
    client = BreakingClient(some(3))
    server = FakeServer("imaps", "imap.example.net", 993, "ann", client=client)
    source = ImapSource(server, "secret")
    assert [box.name for box in source.boxes()] == ["INBOX", "Archive"]
    assert source.total == 6
    assert len(list(source.letters(lambda _keys: set()))) == 6
