"""Messages in files, in whatever form: mbox, maildir, one file each; alone or in a tree.

What a file is, its place and its front tell: in ``cur`` or ``new`` lies a message of a
maildir, a name that ends with ``.eml`` is that of a message, and what begins with ``From ``
is a mailbox.  Everything else is passed over and counted.

Two files say what the others can't: ``mailboxes.jsonl`` in the root what each folder or
file is called, is for, and whether it is subscribed; ``messages.jsonl`` beside ``.eml``
files their flags and dates.  Our export writes both.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from io import BytesIO
from itertools import chain
from typing import Any, BinaryIO

import attrs

from mailplat.mail.limits import MIB
from mailplat.moving import maildir, mbox
from mailplat.moving.letters import (
    CHUNK,
    Box,
    Letter,
    failing,
    mailbox_name,
    pieces_of,
    proper_flags,
    with_crlf,
)
from mailplat.moving.trees import UNREADABLE, Leaf, Tree

MAILBOXES = "mailboxes.jsonl"
MESSAGES = "messages.jsonl"
LONGEST_SIDE_FILE = 512 * MIB  # octets
LONGEST_LINE = MIB
MBOX_ENDINGS = (".mbox", ".mbx")
PASSED_OVER = (".msf",)
OUR_OWN = (MAILBOXES, MESSAGES, maildir.KEYWORDS_FILE, "maildirfolder")


@attrs.define
class FileSource:
    """The messages of a tree."""

    tree: Tree
    into: str = ""  # the mailbox for those of the root, and above all others
    passed_over: int = 0  # files that are no mail
    _root: tuple[str, ...] = ()
    _keywords: dict[tuple[str, ...], dict[str, str]] = attrs.field(factory=dict)
    _facts: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = attrs.field(factory=dict)
    _side: dict[tuple[str, ...], Callable[[], BinaryIO]] = attrs.field(factory=dict)
    _room: int = LONGEST_SIDE_FILE  # octets of side files that are still held
    _names: dict[str, str] = attrs.field(factory=dict)
    total: int = 0  # octets of all files

    def boxes(self) -> list[Box]:
        """Look at the whole tree, and return what mailboxes there are by `MAILBOXES`."""
        boxes: list[Box] = []
        maildirs: list[tuple[str, ...]] = []
        for leaf in self.tree.leaves():
            if leaf.problem:
                continue  # it is told with the letters
            self.total += leaf.size
            if leaf.name == MAILBOXES and len(leaf.parts) == 1:
                boxes = self._read_boxes(leaf)
            elif leaf.name == MESSAGES:
                self._side[leaf.folders] = self._held(leaf) if leaf.packed else leaf.open
            elif leaf.name == maildir.KEYWORDS_FILE:
                octets = leaf.head(maildir.LONGEST_KEYWORDS_FILE)
                self._keywords[leaf.folders] = maildir.read_keywords(octets)
            elif self.tree.packed and leaf.folders and leaf.folders[-1] in maildir.MESSAGES:
                maildirs.append(leaf.folders[:-1])
        if maildirs:
            self._root = min(maildirs, key=len)
            if self._root and self._root[-1].startswith("."):
                self._root = self._root[:-1]
        return boxes

    def _held(self, leaf: Leaf) -> Callable[[], BinaryIO]:
        """Keep a side file of an archive, which is read twice from its front to its end."""
        with leaf.open() as file:
            octets = file.read(self._room)
        self._room -= len(octets)
        return partial(_unpacked, zlib.compress(octets, 1))

    def letters(self) -> Iterator[Letter]:
        """Yield all messages; `boxes` has been called before.

        The pieces of what can't be read raise one of `UNREADABLE`.
        """
        for leaf in self.tree.leaves():
            try:
                yield from self._of(leaf)
            except UNREADABLE as problem:
                yield Letter("", failing(problem), self._place(leaf))

    def _of(self, leaf: Leaf) -> Iterator[Letter]:
        if leaf.problem:
            raise leaf.problem
        if leaf.folders and leaf.folders[-1] in maildir.FOLDERS:
            if leaf.folders[-1] != "tmp" and not leaf.name.startswith("."):
                yield self._in_maildir(leaf)
        elif leaf.name in OUR_OWN or leaf.name.startswith(".") or not leaf.size:
            return
        elif leaf.name.lower().endswith(PASSED_OVER):
            self.passed_over += 1
        else:
            with leaf.open() as file:
                yield from self._opened(leaf, file)

    def _opened(self, leaf: Leaf, file: BinaryIO) -> Iterator[Letter]:
        """Yield the messages of an open file; in an archive no file is opened twice."""
        front = file.read(CHUNK)
        if leaf.name.lower().endswith(".eml"):
            yield self._by_itself(leaf, front, file)
        elif front.startswith(b"From "):
            with leaf.seekable(file, front) as copy:
                yield from mbox.letters(
                    copy, self._mailbox_of_mbox(leaf), str(self._place(leaf))
                )
        elif self.tree.single:
            yield self._by_itself(leaf, front, file)
        else:
            self.passed_over += 1

    # Maildir.

    def _in_maildir(self, leaf: Leaf) -> Letter:
        folders = leaf.folders[:-1]
        keywords = self._keywords.get(folders, {})
        inside = (
            folders[len(self._root) :] if folders[: len(self._root)] == self._root else folders
        )
        name = self._named("/".join(folders), maildir.mailbox_parts(inside))
        return Letter(
            name,
            _read(leaf),
            self._place(leaf),
            proper_flags(maildir.flags_in(leaf.name, keywords)),
            leaf.changed,
        )

    # Files of one message.

    def _by_itself(self, leaf: Leaf, front: bytes, file: BinaryIO) -> Letter:
        facts = self._facts_beside(leaf).get(leaf.name, {})
        received = _moment(facts.get("received"))
        if received is None:
            received = mbox.received_in(_header(front)) or leaf.changed
        flags = facts.get("flags", ())
        return Letter(
            self._named("/".join(leaf.folders), list(leaf.folders)),
            with_crlf(chain((front,), pieces_of(file) if len(front) == CHUNK else ())),
            self._place(leaf),
            proper_flags(flag for flag in flags if isinstance(flag, str)),
            received,
        )

    def _facts_beside(self, leaf: Leaf) -> dict[str, Mapping[str, Any]]:
        if leaf.folders not in self._facts:
            self._facts.clear()  # the files of a folder follow one another
            side = self._side.get(leaf.folders)
            lines = _lines(side) if side else ()
            self._facts[leaf.folders] = {str(line.get("file")): line for line in lines}
        return self._facts[leaf.folders]

    # Names.

    def _mailbox_of_mbox(self, leaf: Leaf) -> str:
        folders, name = list(leaf.folders), leaf.name
        if self.tree.single:
            return self._named("", [])
        if name == "mbox" and folders and folders[-1].lower().endswith(MBOX_ENDINGS):
            name = folders.pop()
        folders = [folder.removesuffix(".sbd") for folder in folders]
        for ending in MBOX_ENDINGS:
            if name.lower().endswith(ending):
                name = name[: -len(ending)]
        return self._named("/".join(leaf.parts), [*folders, name])

    def _named(self, folder: str, parts: list[str]) -> str:
        """Return the name of the mailbox in a folder or file; what was written down counts."""
        name = self._names.get(folder) or mailbox_name(parts)
        if not self.into:
            return name
        return (
            self.into if not parts else mailbox_name([*self.into.split("/"), *name.split("/")])
        )

    def _read_boxes(self, leaf: Leaf) -> list[Box]:
        boxes: list[Box] = []
        for line in _lines(leaf.open):
            name, folder = line.get("name"), line.get("folder")
            if isinstance(name, str) and isinstance(folder, str):
                self._names[folder] = mailbox_name(name.split("/"))
                subscribed = line.get("subscribed")
                boxes.append(
                    Box(
                        self._named(folder, name.split("/")),
                        "" if self.into else str(line.get("role", "")),
                        subscribed if isinstance(subscribed, bool) else None,
                    )
                )
        return boxes

    def _place(self, leaf: Leaf) -> str:
        return leaf.name if self.tree.single else "/".join(leaf.parts)


def _read(leaf: Leaf) -> Iterator[bytes]:
    def pieces() -> Iterator[bytes]:
        with leaf.open() as file:
            yield from pieces_of(file)

    return with_crlf(pieces())


def _unpacked(packed: bytes) -> BinaryIO:
    return BytesIO(zlib.decompress(packed))


def _header(front: bytes) -> bytes:
    return front.replace(b"\r\n", b"\n").partition(b"\n\n")[0] + b"\n"


def _lines(opened: Callable[[], BinaryIO]) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file with one on each line; what is none is passed over."""
    with opened() as file:
        room = LONGEST_SIDE_FILE
        while room > 0 and (line := file.readline(LONGEST_LINE)):
            room -= len(line)
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found


def _moment(text: object) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None
