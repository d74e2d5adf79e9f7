"""What another server refuses, or loses while it is asked."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
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

    def allow(self, octets: int) -> None:
        """It sends what it was asked for."""

    def shutdown(self) -> None:
        """Nothing is held."""

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


class LyingServer:
    """Speaks IMAP4rev1 over a socket, and says of every message that it is small."""

    def __init__(self, size: int, told: int = 100) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.size, self.told = size, told
        self.sockets: list[socket.socket] = []
        self.thread = Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                self.sockets.append(self.listener.accept()[0])
                Thread(target=self._serve, args=(self.sockets[-1],), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError, ValueError), peer.makefile("rb") as file:
            peer.sendall(b"* OK [CAPABILITY IMAP4rev1] here\r\n")
            for line in file:
                tag, command = line.strip().split(b" ", 1)
                peer.sendall(self._answer(command.upper()) + tag + b" OK done\r\n")

    def _answer(self, command: bytes) -> bytes:
        if b"BODY" in command and b"FETCH 2 " in command:
            return b"* 2 FETCH (UID 2 BODY[] {4}\r\na: b)\r\n"
        if b"BODY" in command:
            what = b"BODY[]<0>" if b"<" in command else b"BODY[]"
            return b"* 1 FETCH (UID 1 %s {%d}\r\nit begins" % (what, self.size)
        if b"FETCH" in command:
            facts = b"* %d FETCH (UID %d FLAGS () RFC822.SIZE %d)\r\n"
            return facts % (1, 1, self.told) + facts % (2, 2, 4)
        word = command.replace(b"UID ", b"").split(b" ")[0]
        return {
            b"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n",
            b"LIST": b'* LIST () "/" INBOX\r\n',
            b"STATUS": b"* STATUS INBOX (MESSAGES 2)\r\n",
            b"EXAMINE": b"* 2 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n",
            b"SEARCH": b"* SEARCH 1 2\r\n",
        }.get(word, b"")

    def close(self) -> None:
        """Stop, whoever is there."""
        for one in (self.listener, *self.sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.thread.join()


@pytest.mark.parametrize("size", [5 * MIB, 6_000_000_000])
@pytest.mark.parametrize("told", [100, 2 * MIB])
def test_a_server_that_sends_more_than_it_said_takes_no_memory(
    size: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailplat.moving.imap.PATIENCE", 2.0)  # else it waits for all of it
    liar = LyingServer(size, told)
    source = ImapSource(
        Server("imap", "127.0.0.1", liar.port, "ann", insecure=True), "secret", connections=1
    )
    try:
        source.boxes()
        found, refused = {}, {}
        for letter in source.letters(lambda _keys: set()):
            try:
                found[letter.place] = b"".join(letter.pieces)
            except OSError as problem:
                refused[letter.place] = str(problem)
        source.close()
    finally:
        liar.close()
    assert found == {"INBOX, UID 2": b"a: b"}
    assert list(refused) == ["INBOX, UID 1"]
    assert f"it sends {size} octets" in refused["INBOX, UID 1"]


def test_a_piece_that_is_larger_than_was_asked_for_is_refused() -> None:
    class Generous(FakeClient):
        def _piece(self, uid: int, what: str) -> dict[int, dict[bytes, Any]]:
            return {uid: {b"BODY[]<0>": self.mail[uid]}}

    server = FakeServer("imaps", "imap.example.net", 993, "ann", client=Generous({1: LARGE}))
    source = ImapSource(server, "secret")
    source.boxes()
    [letter] = source.letters(lambda _keys: set())
    with pytest.raises(OSError, match=f"it sends {len(LARGE)} octets"):
        b"".join(letter.pieces)
