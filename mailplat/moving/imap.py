"""Everything that an account on another server has, fetched by IMAP over a few connections.

A message's key is made of the server, the mailbox, its UIDVALIDITY and UID (RFC 9051
section 2.3.1.1), so that what has come in already is not fetched again.  The command that
does this has no reactor: its connections block, each in a thread of its own.

The extra ``imap`` brings the client library.
"""

from __future__ import annotations

import imaplib
import ssl
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

import attrs

from mailplat.mail.limits import MIB
from mailplat.moving.letters import (
    LARGEST_MESSAGE,
    Box,
    Letter,
    failing,
    mailbox_name,
    pieces_of,
    proper_flags,
    with_crlf,
)

T = TypeVar("T")

PORTS = {"imaps": 993, "imap+starttls": 143, "imap": 143}
PATIENCE = 60.0  # seconds to wait for the server
TRIES = 3  # connections that may break over the same messages
LOOKED_AT = 1000  # messages whose flags are asked for at once
TOGETHER = 50  # messages that are fetched at once
TOGETHER_SIZE = MIB  # octets that are fetched at once
ROOM = 16 * MIB  # octets of literals in all answers to one question but for messages
ROOM_TOGETHER = 4 * MIB  # the same for messages that were said to be small
LINES_ROOM = 64 * MIB  # octets of lines in all answers to one question
FACTS = ("FLAGS", "INTERNALDATE", "RFC822.SIZE")
NO_MAILBOX = {b"\\noselect", b"\\nonexistent"}
VIEWS = {b"\\flagged"}  # mailboxes of messages that lie in others (RFC 6154 section 2)
ROLES = {
    name.lower(): name.decode()
    for name in (b"\\Archive", b"\\Drafts", b"\\Important", b"\\Junk", b"\\Sent", b"\\Trash")
}


class ImapFailed(Exception):
    """The other server can't be reached, refuses or talks nonsense; the text says what."""


class Refused(ImapFailed):
    """The other server has said no, and would again."""


class _TooMuch(Exception):
    """The other server sends more than was asked for; its connection is of no use any more."""


@attrs.define
class _Bounds:
    """Counts what a server sends before it is read, since the client library does not.

    The library reads a literal of whatever size it is announced with (RFC 9051 section
    4.3), and keeps all lines of an answer.
    """

    receive: Callable[[int], bytes]
    receive_line: Callable[[], bytes]
    literals: int = ROOM
    lines: int = LINES_ROOM

    def allow(self, octets: int) -> None:
        """Let what is asked next have so many octets in literals."""
        self.literals, self.lines = octets, LINES_ROOM

    def read(self, size: int) -> bytes:
        """Read a literal; raises `_TooMuch`."""
        if size > self.literals:
            raise _TooMuch(f"it sends {size} octets where {self.literals} are the most")
        self.literals -= size
        return self.receive(size)

    def readline(self) -> bytes:
        """Read a line; raises `_TooMuch`."""
        line = self.receive_line()
        self.lines -= len(line)
        if self.lines < 0:
            raise _TooMuch(f"it sends over {LINES_ROOM} octets of lines")
        return line


def bound(client: Any) -> None:
    """Give a client a method ``allow`` that says how much the next answer may come to."""
    connection = client._imap  # noqa: SLF001 - no other place knows the sizes
    bounds = _Bounds(connection.read, connection.readline)
    connection.read, connection.readline = bounds.read, bounds.readline
    client.allow = bounds.allow


@attrs.frozen
class Server:
    """Where the mail is, and as whom."""

    scheme: str
    host: str
    port: int
    user: str
    insecure: bool = False  # whether anybody may claim to be that server

    @classmethod
    def parse(cls, url: str, insecure: bool = False) -> Server:
        """Read ``imaps://user@host``; raises `ImapFailed`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as problem:
            raise ImapFailed(f"{url}: {problem}") from problem
        if parts.scheme not in PORTS or not parts.hostname or not parts.username:
            raise ImapFailed(f"{url} is no imaps://user@host or imap+starttls://user@host")
        if parts.password is not None:
            raise ImapFailed("a password is read from standard input or typed, never an URL")
        if parts.scheme == "imap" and not insecure:
            raise ImapFailed("imap:// sends the password in the clear; that takes --insecure")
        user = unquote(parts.username)
        return cls(parts.scheme, parts.hostname, port or PORTS[parts.scheme], user, insecure)

    def connect(self, password: str) -> Any:
        """Return a client that has logged in; raises `ImapFailed`."""
        try:
            import imapclient
        except ImportError:
            raise ImapFailed("this needs the extra: pip install 'mailplat[imap]'") from None
        context = ssl.create_default_context()
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            client = imapclient.IMAPClient(
                self.host,
                self.port,
                ssl=self.scheme == "imaps",
                ssl_context=context,
                timeout=PATIENCE,
            )
            bound(client)
            if self.scheme == "imap+starttls":
                client.starttls(context)
            client.login(self.user, password)
        except (OSError, _TooMuch, client_error()) as problem:
            raise ImapFailed(f"{self.host}: {problem}") from problem
        client.normalise_times = False
        return client


def client_error() -> type[Exception]:
    """Return what the client library raises."""
    from imapclient.exceptions import IMAPClientError

    return cast("type[Exception]", IMAPClientError)


@attrs.frozen
class Found:
    """A message on the other server."""

    uid: int
    size: int
    flags: frozenset[str]
    received: float | None
    key: str


@attrs.frozen
class Remote:
    """A mailbox on the other server, and what it is here."""

    name: str
    box: Box


Body = bytes | BinaryIO | None


@attrs.define
class ImapSource:
    """The messages of an account elsewhere."""

    server: Server
    password: str = attrs.field(repr=False)
    connections: int = 3
    exclude: frozenset[str] = frozenset()
    total: int = attrs.field(default=0, init=False)  # messages in all mailboxes
    _idle: SimpleQueue[Any] = attrs.field(factory=SimpleQueue, init=False)
    _all: list[Any] = attrs.field(factory=list, init=False)
    _remotes: list[Remote] = attrs.field(factory=list, init=False)
    _refused: dict[str, Refused] = attrs.field(factory=dict, init=False)  # by their places

    def boxes(self) -> list[Box]:
        """Connect, and return what mailboxes there are; raises `ImapFailed`."""
        self._remotes, self.total = self._on_one(self._list)
        return [remote.box for remote in self._remotes]

    def letters(self, knows: Callable[[Sequence[str]], set[str]]) -> Iterator[Letter]:
        """Yield the messages whose keys nobody knows; raises `ImapFailed`.

        What the server refuses, be it a mailbox or a message, is a letter whose pieces
        raise `OSError`; they come last.
        """
        with ThreadPoolExecutor(self.connections) as pool:
            under_way: deque[tuple[Remote, Sequence[Found], Future[list[Body]]]] = deque()
            try:
                for remote, some in self._jobs(knows):
                    under_way.append((remote, some, pool.submit(self._fetch, remote, some)))
                    if len(under_way) > self.connections:
                        yield from self._fetched(*under_way.popleft())
                while under_way:
                    yield from self._fetched(*under_way.popleft())
            finally:
                pool.shutdown(cancel_futures=True)
        for place, why in self._refused.items():
            yield Letter("", failing(OSError(str(why))), place)

    def close(self) -> None:
        """Say goodbye on every connection."""
        for client in self._all:
            try:
                client.logout()
            except (OSError, _TooMuch, client_error()):
                continue

    # Mailboxes.

    def _list(self, client: Any) -> tuple[list[Remote], int]:
        """Return the mailboxes that hold mail, and how many messages they have together."""
        remotes: list[Remote] = []
        total = 0
        prefix = _prefix(client)
        subscribed = {name for _, _, name in client.list_sub_folders()}
        for flags, delimiter, name in client.list_folders():
            lower = {flag.lower() for flag in flags}
            if lower & (NO_MAILBOX | VIEWS) or name in self.exclude:
                continue
            short = name.removeprefix(prefix) if name.upper() != "INBOX" else name
            parts = short.split(delimiter.decode()) if delimiter else [short]
            role = next((ROLES[flag] for flag in lower if flag in ROLES), "")
            box = Box(mailbox_name(parts), role, name in subscribed)
            remotes.append(Remote(name, box))
            total += _count(client, name)
        return remotes, total

    def _jobs(
        self, knows: Callable[[Sequence[str]], set[str]]
    ) -> Iterator[tuple[Remote, Sequence[Found]]]:
        """Yield which messages to fetch together."""
        for remote in self._remotes:
            try:
                validity, uids = self._on_one(partial(_numbers, name=remote.name))
            except Refused as why:
                self._refused[remote.name] = why
                continue
            for start in range(0, len(uids), LOOKED_AT):
                found = self._look(remote, validity, uids[start : start + LOOKED_AT])
                known = knows([one.key for one in found])
                for job in _together([one for one in found if one.key not in known]):
                    yield remote, job

    def _look(self, remote: Remote, validity: int, uids: Sequence[int]) -> list[Found]:
        """Return what the server says of messages, but for those that it refuses."""

        def look(client: Any, some: Sequence[int]) -> Mapping[int, Mapping[bytes, Any]]:
            client.select_folder(remote.name, readonly=True)
            return cast("Mapping[int, Mapping[bytes, Any]]", client.fetch(some, FACTS))

        facts = self._allowed(remote, uids, look)
        front = f"{self.server.user}@{self.server.host} {validity}"
        return [
            Found(
                uid,
                int(said.get(b"RFC822.SIZE", 0)),
                proper_flags(flag.decode("ascii", "replace") for flag in said[b"FLAGS"]),
                _seconds(said.get(b"INTERNALDATE")),
                f"{front} {uid} {remote.name}",
            )
            for uid, said in sorted(facts.items())
            if b"FLAGS" in said
        ]

    def _allowed(
        self,
        remote: Remote,
        uids: Sequence[int],
        ask: Callable[[Any, Sequence[int]], Mapping[int, T]],
    ) -> Mapping[int, T]:
        """Ask about messages, where that is refused about each half; note those refused."""
        try:
            return self._on_one(lambda client: ask(client, uids))
        except Refused as why:
            if len(uids) == 1:
                self._refused[_place(remote, uids[0])] = why
                return {}
        half = len(uids) // 2
        halves = [self._allowed(remote, some, ask) for some in (uids[:half], uids[half:])]
        return {**halves[0], **halves[1]}

    # Messages.

    def _fetch(self, remote: Remote, some: Sequence[Found]) -> list[Body]:
        """Return the octets of messages; None for those that are not to be had.  In a thread."""

        def fetch(client: Any, uids: Sequence[int]) -> dict[int, Body]:
            client.select_folder(remote.name, readonly=True)
            if some[0].size > TOGETHER_SIZE:
                return {uids[0]: _fetch_large(client, some[0])}
            client.allow(ROOM_TOGETHER)
            said = client.fetch(uids, ["BODY.PEEK[]"])
            return {uid: said.get(uid, {}).get(b"BODY[]") for uid in uids}

        found = self._allowed(remote, [one.uid for one in some], fetch)
        return [found.get(one.uid) for one in some]

    def _fetched(
        self, remote: Remote, some: Sequence[Found], work: Future[list[Body]]
    ) -> Iterator[Letter]:
        for one, body in zip(some, work.result(), strict=True):
            if body is None:
                continue
            pieces: Iterable[bytes] = (body,) if isinstance(body, bytes) else pieces_of(body)
            yield Letter(
                remote.box.name,
                with_crlf(pieces),
                _place(remote, one.uid),
                one.flags,
                one.received,
                one.key,
            )
            if not isinstance(body, bytes):
                body.close()

    def _on_one(self, work: Callable[[Any], T]) -> T:
        """Do something on a connection that nobody uses, or a new one; raises `ImapFailed`.

        A server that sends more than it was asked for has refused, and its connection ends.
        """
        left = TRIES
        while True:
            try:
                client = self._idle.get_nowait()
            except Empty:
                client = self.server.connect(self.password)
                self._all.append(client)
            client.allow(ROOM)
            try:
                result = work(client)
            except _TooMuch as problem:
                self._all.remove(client)
                client.shutdown()
                raise Refused(f"{self.server.host}: {problem}") from problem
            except (OSError, client_error()) as problem:
                if not isinstance(problem, OSError | imaplib.IMAP4.abort):
                    self._idle.put(client)
                    raise Refused(f"{self.server.host}: {problem}") from problem
                left -= 1
                if not left:
                    raise ImapFailed(f"{self.server.host}: {problem}") from problem
                continue
            self._idle.put(client)
            return result


def _place(remote: Remote, uid: int) -> str:
    """Return where a message lies, in an operator's words."""
    return f"{remote.name}, UID {uid}"


def _prefix(client: Any) -> str:
    """Return what the names of the account's own mailboxes begin with (RFC 2342)."""
    if not client.has_capability("NAMESPACE"):
        return ""
    personal = client.namespace().personal
    return str(personal[0][0]) if personal else ""


def _count(client: Any, name: str) -> int:
    """Return how many messages there are, for a bar; none where the server won't say."""
    try:
        return int(client.folder_status(name, ["MESSAGES"])[b"MESSAGES"])
    except client_error() as problem:
        if isinstance(problem, imaplib.IMAP4.abort):
            raise
        return 0


def _numbers(client: Any, name: str) -> tuple[int, list[int]]:
    """Return a mailbox's UIDVALIDITY and all its UIDs."""
    selected = client.select_folder(name, readonly=True)
    uids = client.search("ALL") if selected.get(b"EXISTS") else []
    return int(selected.get(b"UIDVALIDITY", 0)), sorted(uids)


def _seconds(moment: object) -> float | None:
    return moment.timestamp() if isinstance(moment, datetime) else None


def _together(found: Sequence[Found]) -> Iterator[list[Found]]:
    """Yield messages that are fetched together, in their order; a large one by itself."""
    job: list[Found] = []
    size = 0
    for one in found:
        if job and (size + one.size > TOGETHER_SIZE or len(job) == TOGETHER):
            yield job
            job, size = [], 0
        job.append(one)
        size += one.size
    if job:
        yield job


def _fetch_large(client: Any, one: Found) -> Body:
    """Fetch a message piece by piece, into a file without a name.

    None if it goes meanwhile: then the server gives no piece, or NIL (RFC 2180 section
    4.1).  Behind the last octet it may do the same.
    """
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115
    start = 0
    while start <= LARGEST_MESSAGE:
        client.allow(MIB)
        said: Mapping[int, Mapping[bytes, bytes | None]] = client.fetch(
            [one.uid], [f"BODY.PEEK[]<{start}.{MIB}>"]
        )
        piece = said.get(one.uid, {}).get(f"BODY[]<{start}>".encode())
        if not piece and (not start or (piece is None and start < one.size)):
            file.close()
            return None
        if len(piece or b"") > MIB:
            file.close()
            raise _TooMuch(f"it sends {len(piece or b'')} octets where {MIB} are the most")
        file.write(piece or b"")
        start += len(piece or b"")
        if not piece or len(piece) < MIB:
            break
    file.seek(0)
    return file
