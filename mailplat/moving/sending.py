"""Gives the messages of a source to a house, many at a time, and none of them twice.

Each message has a key: the one that its source gives it, or else what its mailbox and
its octets make, with a number where a mailbox has the same message more than once.  The
house is asked which of the keys it knows, and gets the others.
"""

from __future__ import annotations

import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, BinaryIO, Protocol, TypeVar, cast

import attrs

from mailplat.mail.content import Octets
from mailplat.mail.limits import MIB
from mailplat.mail.summary import findings, summary_of
from mailplat.moving.letters import LARGEST_MESSAGE, Box, LeftOut, Letter, pieces_of
from mailplat.moving.trees import UNREADABLE

T = TypeVar("T")

IN_MEMORY = MIB  # octets; a larger message waits in a file and goes by itself
BATCH = 2 * MIB  # octets that go together
MOST = 200  # messages that go together

Said = tuple[dict[str, Any], bytes]


class Line(Protocol):
    """The way to the house (`mailplat.app.asking.Channel`)."""

    def ask(self, head: dict[str, Any], octets: bytes = b"") -> Said:
        """Say something and hear the answer."""

    def say(self, head: dict[str, Any], octets: bytes = b"") -> None:
        """Say something whose answer is heard later."""

    def hear(self) -> Said:
        """Hear the next answer."""


@attrs.define
class Tally(LeftOut):
    """How far it has come."""

    found: int = 0  # messages
    added: int = 0
    known: int = 0  # messages that were there already
    octets: int = 0  # of all that were found


class TooLarge(Exception):
    """A message passed `LARGEST_MESSAGE`."""


@attrs.frozen
class FileContent:
    """A large message that waits in a file; reading it blocks."""

    file: BinaryIO
    size: int

    async def read(self, start: int, stop: int) -> bytes:
        self.file.seek(start)
        return self.file.read(min(stop, self.size) - start)

    def close(self) -> None:
        self.file.close()


@attrs.define
class Parcel:
    """A message that is ready to go."""

    letter: Letter
    content: Octets | FileContent
    key: str
    summary: bytes = b""

    def summarise(self) -> None:
        """Read it, so that the house need not."""
        if self.summary:
            return
        if isinstance(self.content, Octets):
            self.summary = findings(self.content.octets).summary().octets
        else:
            self.summary = at_once(summary_of(self.content)).octets

    def words(self) -> dict[str, Any]:
        """Return what the house is told of it beside its octets."""
        return {
            "key": self.key,
            "mailbox": self.letter.mailbox,
            "flags": sorted(self.letter.flags),
            "received": self.letter.received,
            "size": self.content.size,
            "summary": len(self.summary),
        }


@attrs.define
class Sending:
    """One source's way into one account."""

    line: Line
    tell: Callable[[Tally], None]
    series: str = ""  # makes all keys other ones, so that everything comes in anew
    tally: Tally = attrs.field(factory=Tally)
    _seen: set[bytes] = attrs.field(factory=set)
    _again: Counter[bytes] = attrs.field(factory=Counter)
    _under_way: list[Sequence[Parcel]] = attrs.field(factory=list)
    _fresh: bool = False  # whether nothing of the last batch was known

    def send(self, boxes: Iterable[Box], letters: Iterable[Letter]) -> Tally:
        """Send everything; raises what the line raises."""
        self.line.ask({"do": "boxes", "boxes": [attrs.asdict(box) for box in boxes]})
        for batch in self._batches(letters):
            self._send(batch)
        self._hear()
        self.tell(self.tally)
        return self.tally

    def knows(self, keys: Sequence[str]) -> set[str]:
        """Return those keys under which the house has messages; they are made anew here."""
        self._hear()
        made = {self._made(key): key for key in keys}
        said, _ = self.line.ask({"do": "known", "keys": list(made)})
        known = {made[key] for key in said["known"]}
        self.tally.found += len(known)
        self.tally.known += len(known)
        return known

    def _batches(self, letters: Iterable[Letter]) -> Iterator[list[Parcel]]:
        batch: list[Parcel] = []
        size = 0
        for letter in letters:
            parcel = self._packed(letter)
            if parcel is None:
                continue
            if isinstance(parcel.content, FileContent):
                if batch:  # the order is kept
                    yield batch
                    batch, size = [], 0
                yield [parcel]
                parcel.content.close()
                continue
            batch.append(parcel)
            size += parcel.content.size
            if size >= BATCH or len(batch) >= MOST:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _packed(self, letter: Letter) -> Parcel | None:
        """Take a letter's octets, and give it its key; None where that can't be done."""
        self.tally.found += 1
        digest = blake2b(digest_size=20)
        try:
            content = _taken(letter.pieces, digest.update)
        except TooLarge:
            why = f"it has more than {LARGEST_MESSAGE} octets"
            self.tally.leave_out(letter.place, why)
            return None
        except UNREADABLE as problem:
            self.tally.leave_out(letter.place, str(problem) or type(problem).__name__)
            return None
        self.tally.octets += content.size
        key = self._made(letter.key) if letter.key else self._key(letter, digest.digest())
        parcel = Parcel(letter, content, key)
        if self._fresh:
            parcel.summarise()
        return parcel

    def _key(self, letter: Letter, digest: bytes) -> str:
        """Return the key that a message's mailbox and octets make."""
        place = blake2b(digest + letter.mailbox.encode(), digest_size=16).digest()
        number = 0
        if place in self._seen:
            self._again[place] += 1
            number = self._again[place]
        self._seen.add(place)
        return self._made(f"{b64encode(place).decode()} {number}")

    def _made(self, key: str) -> str:
        made = blake2b(f"{self.series}\0{key}".encode(), digest_size=18).digest()
        return f"import {b64encode(made).decode()}"

    def _send(self, batch: Sequence[Parcel]) -> None:
        self.line.say({"do": "known", "keys": [parcel.key for parcel in batch]})
        self._hear()
        answer, _ = self.line.hear()
        known = set(answer["known"])
        self.tally.known += len(known)
        self._fresh = not known
        fresh = [parcel for parcel in batch if parcel.key not in known]
        for parcel in fresh:
            parcel.summarise()
        octets: list[bytes] = []
        for parcel in fresh:
            octets.append(parcel.summary)
            if isinstance(parcel.content, Octets):
                octets.append(parcel.content.octets)
            else:
                self._send_parts(parcel.content)
        if fresh:
            self.line.say(
                {"do": "keep", "messages": [parcel.words() for parcel in fresh]},
                b"".join(octets),
            )
            self._under_way.append(fresh)
        self.tell(self.tally)

    def _send_parts(self, content: FileContent) -> None:
        content.file.seek(0)
        for piece in pieces_of(content.file, MIB):
            self.line.ask({"do": "part"}, piece)

    def _hear(self) -> None:
        """Hear what became of the batches under way."""
        while self._under_way:
            batch = self._under_way.pop(0)
            answer, _ = self.line.hear()
            refused = dict(answer["refused"])
            for parcel in batch:
                if parcel.key in refused:
                    self.tally.leave_out(parcel.letter.place, refused[parcel.key])
            self.tally.added += len(batch) - len(refused)


def _taken(pieces: Iterable[bytes], update: Callable[[bytes], object]) -> Octets | FileContent:
    """Return a letter's octets, in memory or in a file without a name."""
    held: list[bytes] = []
    size = 0
    file: BinaryIO | None = None
    try:
        for piece in pieces:
            update(piece)
            size += len(piece)
            if size > LARGEST_MESSAGE:
                raise TooLarge
            if file:
                file.write(piece)
                continue
            held.append(piece)
            if size > IN_MEMORY:
                file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115
                file.write(b"".join(held))
    except BaseException:
        if file:
            file.close()
        raise
    return FileContent(file, size) if file else Octets(b"".join(held))


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine comes to that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise RuntimeError("it waits for something")
