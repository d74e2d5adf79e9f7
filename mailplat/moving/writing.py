"""Writes an account's mailboxes into a folder, and goes on where it was cut off.

What has been written of each mailbox stands in `STATE`, by UID: what lies behind that is
taken away again before more is written, so that nothing is there twice; and a later
export into the same folder adds what has come since.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

import attrs

from mailplat.mail.limits import MIB
from mailplat.moving import maildir, mbox
from mailplat.moving.letters import LeftOut, pieces_of, with_lf
from mailplat.moving.sending import Line
from mailplat.moving.sources import MAILBOXES, MBOX_ENDINGS, MESSAGES, OUR_OWN, PASSED_OVER

STATE = ".mailplat-export"
LONGEST_PART = 150  # octets of a file's name that a part of a mailbox's name makes
PRIVATE = 0o600
TOGETHER = 32 * MIB  # octets that are synced at once
IN_MEMORY = 4 * MIB  # octets; a larger message waits in a file until all of it has come

_ENDINGS = (*MBOX_ENDINGS, *PASSED_OVER, ".eml", ".sbd")
_TAKEN = (*maildir.FOLDERS, *OUR_OWN)
_OURS = re.compile(r"\d+\.M\d+P(\d+)U(\d+)\.")


class NotWritten(Exception):
    """The folder can't be exported to; the text says why."""


@attrs.frozen
class Message:
    """A message on its way out."""

    uid: int
    size: int
    flags: frozenset[str]
    received: float  # seconds since 1970
    pieces: Iterable[bytes]


@attrs.define
class Written(LeftOut):
    """How far it has come."""

    mailboxes: int = 0
    messages: int = 0
    octets: int = 0
    total: int = 0  # messages there are to be written
    keywords_left_out: set[str] = attrs.field(factory=set)


class Form(Protocol):
    """A form of mailboxes, one object for each mailbox."""

    folder: str  # how `MAILBOXES` names the mailbox's place

    def begin(self, after: int, offset: int) -> int:
        """Make the place, and take away what lies behind a UID and an offset.

        Return the UID behind which to go on: 0 where what had been written is gone.
        """

    def write(self, messages: Iterable[Message]) -> int:
        """Write messages; return the new offset."""


@contextmanager
def _private(path: Path, how: str) -> Iterator[BinaryIO]:
    with open(path, how, opener=_open_private) as file:
        yield cast("BinaryIO", file)


def _open_private(path: str, flags: int) -> int:
    """Open a file that is ours; a link in its place is not followed."""
    return os.open(path, flags | os.O_NOFOLLOW, PRIVATE)


def _cut(file: BinaryIO, after: int, offset: int) -> int:
    """Cut a file to an offset, and return the UID behind which to go on.

    One that is shorter was taken away, or lost its end when the power went: it begins anew.
    """
    is_short = file.tell() < offset
    file.truncate(0 if is_short else offset)
    return 0 if is_short else after


def _make(root: Path, *parts: str) -> Path:
    """Make a folder below one that is ours; raises `OSError` where a link leads elsewhere."""
    folder = root
    for part in parts:
        folder /= part
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _own(folder)
    return folder


def _own(folder: Path) -> None:
    """Raise `OSError` unless a folder is one, by itself and of the user who runs this."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "no folder of its own", str(folder))
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else", str(folder))


def file_parts(name: str) -> list[str]:
    """Return names of files for the parts of a mailbox's name, each another one.

    None is that of a message's file, a mailbox's file or one of ours.
    """
    return [_file_part(part) for part in name.split("/")]


def _file_part(part: str) -> str:
    safe = part.replace("%", "%25")
    if safe.lower().endswith(_ENDINGS):
        front, _, ending = safe.rpartition(".")
        safe = f"{front}%2E{ending}"
    if safe.startswith(".") or safe.lower() in _TAKEN:
        safe = f"%{ord(safe[0]):02X}{safe[1:]}"
    if len(safe.encode()) <= LONGEST_PART:
        return safe
    digest = blake2b(part.encode(), digest_size=8).hexdigest()
    return f"{safe.encode()[: LONGEST_PART - 20].decode(errors='ignore')}%{digest}"


# Forms -----------------------------------------------------------------------


@attrs.define
class MboxForm:
    """One file, in mboxrd."""

    root: Path
    name: str
    uid_validity: int
    report: Written
    folder: str = ""

    def begin(self, after: int, offset: int) -> int:
        *above, last = file_parts(self.name)
        self.folder = "/".join([*above, f"{last}.mbox"])
        _make(self.root, *above)
        with _private(self.root / self.folder, "ab") as file:
            return _cut(file, after, offset)

    def write(self, messages: Iterable[Message]) -> int:
        with _private(self.root / self.folder, "ab") as file:
            for message in messages:
                file.writelines(mbox.written(message.pieces, message.flags, message.received))
            return file.tell()


@attrs.define
class EmlForm:
    """A folder with a file for each message, octet for octet, and their flags beside them."""

    root: Path
    name: str
    uid_validity: int
    report: Written
    folder: str = ""

    def begin(self, after: int, offset: int) -> int:
        self.folder = "/".join(parts := file_parts(self.name))
        _make(self.root, *parts)
        with _private(self.root / self.folder / MESSAGES, "ab") as file:
            return _cut(file, after, offset)

    def write(self, messages: Iterable[Message]) -> int:
        folder = self.root / self.folder
        with _private(folder / MESSAGES, "ab") as side:
            for message in messages:
                path = folder / f"{message.uid}.eml"
                with _private(path, "wb") as file:
                    file.writelines(message.pieces)
                _set_time(path, message.received)
                facts = {
                    "file": path.name,
                    "flags": sorted(message.flags),
                    "received": _iso(message.received),
                }
                side.write(json.dumps(facts).encode() + b"\n")
            return side.tell()


@attrs.define
class MaildirForm:
    """A folder of Maildir++."""

    root: Path
    name: str
    uid_validity: int
    report: Written
    folder: str = ""
    _keywords: list[str] = attrs.field(factory=list)

    def begin(self, after: int, offset: int) -> int:
        self.folder = maildir.folder_name(self.name.split("/"))
        if len(self.folder) > 255 or self.folder.lower().startswith(STATE):
            self.folder = f".{blake2b(self.name.encode(), digest_size=16).hexdigest()}"
        place = _make(self.root, *filter(None, (self.folder,)))
        if not (place / "cur").exists():
            after = 0
        for name in maildir.FOLDERS:
            _make(place, name)
        if self.folder:
            with _private(place / "maildirfolder", "ab"):
                pass
        for path in (place / "cur").iterdir():
            found = _OURS.match(path.name)
            if found and int(found[1]) == self.uid_validity and int(found[2]) > after:
                path.unlink()
        side = place / maildir.KEYWORDS_FILE
        if side.exists():
            with _private(side, "rb") as file:
                octets = file.read(maildir.LONGEST_KEYWORDS_FILE)
            self._keywords = list(maildir.read_keywords(octets).values())
        return after

    def write(self, messages: Iterable[Message]) -> int:
        place = self.root / self.folder
        for message in messages:
            self._note(message.flags)
            letters = maildir.flag_letters(message.flags, self._keywords)
            seconds, part = divmod(round(message.received * 1e6), 1_000_000)
            name = (
                f"{seconds}.M{part}P{self.uid_validity}U{message.uid}.mailplat"
                f",W={message.size}:2,{letters}"
            )
            with _private(place / "tmp" / name, "wb") as file:
                file.writelines(with_lf(message.pieces))
            _set_time(place / "tmp" / name, message.received)
            (place / "tmp" / name).rename(place / "cur" / name)
        return 0

    def _note(self, flags: frozenset[str]) -> None:
        """Give keywords that are new their letters, as far as there are any."""
        new = sorted(
            flag
            for flag in flags
            if not flag.startswith("\\")
            and not maildir.is_letter(flag)
            and flag not in self._keywords
        )
        room = 26 - len(self._keywords)
        self.report.keywords_left_out.update(new[room:])
        if new[:room]:
            self._keywords += new[:room]
            path = self.root / self.folder / maildir.KEYWORDS_FILE
            with _private(path.with_suffix(".new"), "wb") as file:
                file.write(maildir.written_keywords(self._keywords))
            path.with_suffix(".new").rename(path)


FORMS: Mapping[str, Callable[[Path, str, int, Written], Form]] = {
    "mbox": MboxForm,
    "maildir": MaildirForm,
    "eml": EmlForm,
}


def _set_time(path: Path, moment: float) -> None:
    nanoseconds = max(0, round(moment * 1e6)) * 1000
    os.utime(path, ns=(nanoseconds, nanoseconds))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


# Writing ---------------------------------------------------------------------

PLACE_TAKEN = (
    errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EPERM,
)  # fmt: skip
GONE = "gone"  # why a message is not to be had that was removed meanwhile


@attrs.define
class Writing:
    """One account's way into one folder."""

    line: Line
    target: Path
    form: str
    account: str
    tell: Callable[[Written], None]
    report: Written = attrs.field(factory=Written)
    _state: dict[str, Any] = attrs.field(factory=dict)
    _unsaved: int = 0  # octets of messages of which `STATE` doesn't speak yet

    def write(self, chosen: Sequence[str] = ()) -> Written:
        """Write the mailboxes with these names, or all; raises what the line does.

        Raises `NotWritten`, also for a name that no mailbox has.
        """
        try:
            return self._write(chosen)
        except OSError as problem:
            raise NotWritten(f"{self.target} can't be written to: {problem}") from problem

    def _write(self, chosen: Sequence[str]) -> Written:
        boxes = self.line.ask({"do": "boxes"})[0]["boxes"]
        names = {box["name"] for box in boxes}
        if missing := sorted(set(chosen) - names):
            raise NotWritten(f"there is no mailbox {', '.join(missing)}")
        if chosen:
            boxes = [box for box in boxes if box["name"] in chosen]
        self._open()
        self.report.total = sum(box["messages"] for box in boxes)
        lines = [line for box in boxes if (line := self._written_box(box))]
        with _private(self.target / MAILBOXES, "wb") as file:
            file.writelines(json.dumps(line).encode() + b"\n" for line in lines)
        os.sync()  # all of it at once: nobody is told before
        self.tell(self.report)
        return self.report

    def _open(self) -> None:
        """Take the folder, which is empty, new, or was written to by the same export."""
        about = {"account": self.account, "form": self.form}
        try:
            self.target.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.target = self.target.resolve()  # whoever names a link means where it leads
            _own(self.target)
            path = self.target / STATE
            if path.is_symlink() or path.exists():
                with _private(path, "rb") as file:
                    self._state = json.loads(file.read())
            elif any(self.target.iterdir()):
                raise NotWritten(f"{self.target} holds something else already")
        except ValueError as problem:
            raise NotWritten(f"{self.target} can't be written to: {problem}") from problem
        if {**about, **self._state.get("about", {})} != about:
            raise NotWritten(f"{self.target} holds another export: {self._state['about']}")
        self._state.setdefault("about", about)
        self._state.setdefault("boxes", {})

    def _written_box(self, box: Mapping[str, Any]) -> dict[str, Any] | None:
        """Write a mailbox, or say that its place is taken by something else."""
        try:
            return self._write_box(box)
        except OSError as problem:
            if problem.errno not in PLACE_TAKEN:
                raise
            self.report.leave_out(box["name"], str(problem))
            return None

    def _write_box(self, box: Mapping[str, Any]) -> dict[str, Any]:
        form = FORMS[self.form](self.target, box["name"], box["uid_validity"], self.report)
        key = f"{box['name']} {box['uid_validity']}"
        at = self._state["boxes"].setdefault(key, {"after": 0, "offset": 0, "left_out": {}})
        if form.begin(at["after"], at["offset"]) < at["after"]:
            at.update(after=0, offset=0, left_out={})
            self._save()  # or else the next run may take what comes now for what was there
        for uid, why in at["left_out"].items():
            self._leave_out(box, uid, why)
        self.report.mailboxes += 1
        while True:
            told, octets = self.line.ask(
                {"do": "messages", "mailbox": box["id"], "after": at["after"]}
            )
            if not told["messages"]:
                break
            messages = self._messages(box, at["left_out"], told["messages"], octets)
            offset = form.write(messages)
            at.update(after=told["messages"][-1]["uid"], offset=offset)
            self._unsaved += sum(one["size"] for one in told["messages"])
            if self._unsaved >= TOGETHER:
                self._save()
            self.tell(self.report)
        self._save()
        return {
            "folder": form.folder,
            "name": box["name"],
            "role": box["role"],
            "subscribed": box["subscribed"],
        }

    def _messages(
        self,
        box: Mapping[str, Any],
        left_out: dict[str, str],
        told: Sequence[Mapping[str, Any]],
        octets: bytes,
    ) -> Iterator[Message]:
        at = 0
        for one in told:
            size = one["size"]
            with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(self.target)) as copy:
                pieces: Iterable[bytes] = (octets[at : at + size],)
                if one["large"]:
                    if why := self._fetch(box["id"], one["uid"], size, copy):
                        if why != GONE:
                            left_out[str(one["uid"])] = why
                            self._leave_out(box, one["uid"], why)
                        continue
                    pieces = pieces_of(cast("BinaryIO", copy))
                else:
                    at += size
                yield Message(
                    one["uid"], size, frozenset(one["flags"]), one["received"], pieces
                )
            self.report.messages += 1
            self.report.octets += size

    def _fetch(self, mailbox: str, uid: int, size: int, copy: IO[bytes]) -> str:
        """Take all octets of a large message; return why they are not to be had, if so."""
        while (start := copy.tell()) < size:
            told, piece = self.line.ask(
                {"do": "piece", "mailbox": mailbox, "uid": uid, "start": start}
            )
            if told.get("gone"):
                return GONE
            if not piece:
                return str(told.get("damaged", f"it ends after {start} of {size} octets"))
            copy.write(piece)
        copy.seek(0)
        return ""

    def _leave_out(self, box: Mapping[str, Any], uid: object, why: str) -> None:
        self.report.leave_out(f"{box['name']}, UID {uid}", why)

    def _save(self) -> None:
        """Say how far it has come, once all of that is on the disk."""
        os.sync()  # one for all files
        self._unsaved = 0
        path = self.target / STATE
        with _private(path.with_suffix(".new"), "wb") as file:
            file.write(json.dumps(self._state).encode())
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".new").rename(path)
