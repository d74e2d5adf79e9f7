"""One account's maildir: its folders, which mailbox each is, and what is shown there.

Each folder has a file `MARKER` that says which mailbox it is, so that one which another
program has renamed is known again, and one of another house isn't taken for ours.  All
of this blocks, and one thread works at an account at a time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from mailplat.files import Disk
from mailplat.mail.errors import AlreadyExists, StoreFailed
from mailplat.mail.mailbox import INBOX, MailboxId
from mailplat.mail.placing import Placed, Present, Shown, Sighting, Unshown
from mailplat.store.contents.maildir.folders import CUR, MARKER, NEW, TICK, TMP, Folder
from mailplat.store.contents.maildir.names import (
    Namer,
    folder_of,
    mailbox_of,
    mark_of,
    split,
    tag_of,
)
from mailplat.store.contents.maildir.queries import Brought
from mailplat.store.contents.maildir.strange import is_folder, read_strange

SIZES = "maildirsize"
FOLDER = "maildirfolder"  # says that one is a part of another maildir
LONGEST_SIZES = 5120  # octets of that file
LONGEST_MARKER = 100  # octets
ASIDE = ".~"  # begins the name of a folder that another one has to make way for
GOING = "..mailplat-"  # begins the name of a folder that is being removed

Source = Callable[[str], Path | None]  # where a content lies, by its key


@attrs.define
class Tree:
    """The folders of an account, as far as they are known."""

    root: Path
    disk: Disk
    namer: Namer
    source: Source
    brought: dict[str, dict[str, Brought]]  # those with UIDs, by tags, then by bases
    pending: dict[str, Brought]  # those without, by keys
    folders: dict[str, Folder] = attrs.field(factory=dict)  # by tags
    strangers: dict[str, Path] = attrs.field(factory=dict)  # folders of no mailbox, by names
    changed: int | None = None  # when the root was, as far as that tells
    is_marked: bool = False  # whether the root is the folder of a mailbox of this house
    unfinished: list[Path] = attrs.field(factory=list)  # folders that are no maildirs yet
    is_synced: bool = False  # whether names of folders would survive a crash as they are

    @property
    def is_ours(self) -> bool:
        """Whether the root is there and is what we made: else its disk may be missing."""
        try:
            self.look_around()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return self.is_marked

    def look_around(self) -> None:
        """See which folders there are, and which mailboxes they are, unless that is known."""
        changed = changed_at(self.root)
        if changed and changed == self.changed and not self.unfinished:
            return
        self.changed, self.is_marked = changed, self._marker(self.root) is not None
        marked: dict[str, Path] = {}
        self.strangers, self.unfinished = {}, []
        for path in self._paths():
            tag = self._marker(path)
            if tag is None and not is_folder(path / CUR):
                self.unfinished.append(path)
                continue
            if tag is None or tag in marked:
                self.strangers.setdefault(self.name_of(path), path)
            else:
                marked[tag] = path
        self.folders = {tag: self._known(tag, path) for tag, path in marked.items()}

    def _known(self, tag: str, path: Path) -> Folder:
        known = self.folders.get(tag)
        if known is None:
            return Folder(path, tag)
        known.path = path
        return known

    def _paths(self) -> Iterator[Path]:
        """Yield the folders that are maildirs, or were ours, the root first."""
        yield self.root
        with os.scandir(self.root) as entries:
            names = [
                entry.name
                for entry in entries
                if entry.name[0] == "." and entry.is_dir(follow_symlinks=False)
            ]
        known = {folder.path.name for folder in self.folders.values()}  # before copies of them
        for name in sorted(names, key=lambda name: (name not in known, name)):
            if not name.startswith(".."):
                yield self.root / name

    def name_of(self, path: Path) -> str:
        """Return the mailbox that a folder's own name stands for."""
        return INBOX if path == self.root else mailbox_of(path.name)

    def is_of_another_house(self, path: Path) -> bool:
        """Say whether a folder had been shown by a house that knew other names."""
        words = _words(path)
        return bool(words) and words[0] != self.namer.token

    def _marker(self, path: Path) -> str | None:
        """Return which mailbox of this house a folder is."""
        words = _words(path)
        return words[1] if len(words) == 2 and words[0] == self.namer.token else None

    # What the index says.

    def show(
        self, mailboxes: Sequence[Shown], is_again: bool
    ) -> tuple[dict[str, int], list[Folder]]:
        """Make what lies here say what the index says, and return which folders to sync.

        Return also the UIDs that contents have got which other programs had brought.
        Raises `Unshown` where what has been shown before has gone.
        """
        if not self.is_ours:
            if is_again:
                raise Unshown
            self._make_root()
            self.look_around()
        claimed: dict[str, int] = {}
        folders: list[Folder] = []
        octets = messages = 0
        for shown in [*self._untold(mailboxes), *mailboxes]:
            tag = tag_of(shown.mailbox)
            if shown.name is None:
                growth = self._remove(tag)
            else:
                folder = self._place(tag, shown.name)
                self._show(folder, shown, claimed)
                folders.append(folder)
                growth = folder.grown()
            octets, messages = octets + growth[0], messages + growth[1]
        if not self.is_synced:  # an attempt that failed may have left them as they should be
            self.disk.sync_folder(self.root)
            self.is_synced = True
        if octets or messages:
            add_to_sizes(self.root / SIZES, octets, messages)
        return claimed, folders

    def _untold(self, mailboxes: Sequence[Shown]) -> list[Shown]:
        """Return the mailboxes that have gone without anybody having said so."""
        if not any(shown.is_whole for shown in mailboxes):
            return []
        told = {tag_of(shown.mailbox) for shown in mailboxes}
        return [Shown(MailboxId(tag), None) for tag in sorted(self.folders.keys() - told)]

    def _show(self, folder: Folder, shown: Shown, claimed: dict[str, int]) -> None:
        brought = self.brought.setdefault(folder.tag, {})
        if not folder.listed or shown.is_whole:
            folder.look(self.namer, brought)
        gone = [folder.bases[uid] for uid in shown.removed.among(sorted(folder.bases))]
        if shown.is_whole:
            there = {int(placed.uid): placed for placed in shown.placed}
            gone = [
                base
                for uid, base in folder.bases.items()
                if uid not in there or not self._is_of(folder, base, there[uid])
            ]
        for base in gone:
            folder.remove(self.disk, base)
        for placed in shown.placed:
            self._show_one(folder, placed, claimed)

    def _show_one(self, folder: Folder, placed: Placed, claimed: dict[str, int]) -> None:
        base = folder.bases.get(placed.uid)
        if base and self._is_of(folder, base, placed):
            folder.flag(self.disk, base, placed.flags)
            return
        one = self.pending.get(placed.key)
        base = os.fsdecode(one.name) if one else ""
        if one and one.mailbox == folder.tag and base in folder.files:
            self.pending.pop(placed.key, None)
            claimed[one.key] = placed.uid
            one = attrs.evolve(one, uid=placed.uid)
            self.brought[folder.tag][base] = one
            folder.belongs(base, placed.uid)
            folder.flag(self.disk, base, placed.flags)
            return
        self._link(folder, placed)

    def _is_of(self, folder: Folder, base: str, placed: Placed) -> bool:
        """Say whether a file is that message's, and not what had its UID in a lost history."""
        if not placed.key:
            return True
        if one := self.brought.get(folder.tag, {}).get(base):
            return one.key == placed.key
        owner = self.namer.owner(base, folder.tag)
        return owner is None or owner.mark == mark_of(placed.key)

    def _link(self, folder: Folder, placed: Placed) -> None:
        source = self.source(placed.key) if placed.key else None
        try:
            size = source.stat().st_size if source else 0
        except FileNotFoundError:
            source = None
        if source is None:  # it lies in the database, or has gone meanwhile
            return
        self.disk.date(source, placed.received)
        base = self.namer.base(folder.tag, placed.uid, placed.key, placed.received, size)
        folder.add(self.disk, source, base, placed.uid, placed.flags)

    # Folders.

    def _make_root(self) -> None:
        if not self.root.is_dir():
            missing = [self.root, *self.root.parents]
            for path in reversed([path for path in missing if not path.exists()]):
                self.disk.make_folder(path)

    def _place(self, tag: str, name: str) -> Folder:
        """Return the folder of a mailbox, which is made or renamed where it has to be."""
        target = self.root / folder_of(name) if name != INBOX else self.root
        folder = self.folders.get(tag)
        if folder is None:
            there = self.strangers.pop(name, None)
            if there is None:
                self._make_way(target, tag)
            elif there != target:
                self._rename(there, target, tag)
            folder = self.folders[tag] = self._make(target, tag)
        elif folder.path != target:
            self._rename(folder.path, target, tag)
            folder.path = target
        if not folder.is_there:
            self._make(target, tag)
        return folder

    def _make(self, path: Path, tag: str) -> Folder:
        """Make a folder, or go on where another program, or a crash, left it."""
        self.disk.make_folder(path)
        for part in (TMP, NEW, CUR):
            self.disk.make_folder(path / part)
        if path != self.root:
            try:
                self.disk.create(path / FOLDER).close()
            except AlreadyExists:
                pass
        self.disk.replace(path / MARKER, f"{self.namer.token} {tag}\n".encode())
        return Folder(path, tag)

    def _rename(self, source: Path, target: Path, tag: str) -> None:
        self._make_way(target, tag)
        self.disk.rename(source, target)
        self.disk.sync_folder(self.root)

    def _make_way(self, target: Path, tag: str) -> None:
        """Put aside what has a name that is another mailbox's by now; it is told where to go."""
        if target == self.root or not target.exists():
            return
        other = next((one for one in self.folders.values() if one.path == target), None)
        if other is None and not (target / CUR).is_dir():
            return  # a folder half made
        aside = self.root / f"{ASIDE}{other.tag if other else f'of-{tag}'}"
        self.disk.rename(target, aside)
        self.disk.sync_folder(self.root)
        if other:
            other.path = aside

    def _remove(self, tag: str) -> tuple[int, int]:
        """Remove a mailbox's folder; what others brought there, unseen yet, goes to INBOX.

        Return by how much the account has grown.
        """
        growth = (0, 0)
        folder = self.folders.pop(tag, None)
        if folder is not None and folder.path != self.root:
            folder.look(self.namer, self.brought.pop(tag, {}))
            self._keep_unseen(folder)
            growth = folder.all_gone()
            self.disk.rename(folder.path, self.root / f"{GOING}{tag}")
            self.disk.sync_folder(self.root)
        for left in self.root.glob(f"{GOING}*"):
            take_away(self.disk, left)
        return growth

    def _keep_unseen(self, folder: Folder) -> None:
        """Give what is nobody's a name in INBOX too; there it will be found as if new."""
        unseen = [base for base, uid in folder.uids.items() if not uid]
        if not unseen:
            return
        for part in (TMP, NEW, CUR):
            self.disk.make_folder(self.root / part)
        inbox = Folder(self.root, "")  # a listing of its own: `Watch` is to hear of it
        inbox.look(self.namer, {})
        for base in unseen:
            inbox.take_in(self.disk, self.namer, folder, base)
        inbox.sync(self.disk)

    # What other programs did.

    def look(self, mailboxes: Sequence[tuple[MailboxId, str]]) -> list[tuple[Sighting, Folder]]:
        """Return each mailbox that another program may have changed, as it is now."""
        self.look_around()
        found: list[tuple[Sighting, Folder]] = []
        names = {tag_of(mailbox): (mailbox, name) for mailbox, name in mailboxes}
        for tag, (mailbox, name) in names.items():
            folder = self.folders.get(tag)
            if folder is None:
                if name != INBOX:
                    found.append((Sighting(mailbox, None), Folder(self.root, tag)))
            elif not folder.is_there:
                continue  # what isn't there says nothing; it is made when it is shown next
            elif not folder.is_as_agreed or self._is_renamed(folder, name):
                found.append((self._found(folder, mailbox, name), folder))
        left = [folder.path for tag, folder in self.folders.items() if tag not in names]
        for name, path in {
            **{self.name_of(path): path for path in left},
            **self.strangers,
        }.items():
            found.append((Sighting(None, name), Folder(path, "")))
        return found

    def _is_renamed(self, folder: Folder, name: str) -> bool:
        return folder.path != self.root and folder.path.name != folder_of(name)

    def _found(self, folder: Folder, mailbox: MailboxId, name: str) -> Sighting:
        folder.agreed = None
        stamp = folder.stamp()
        folder.look(self.namer, self.brought.setdefault(folder.tag, {}))
        flags = {split(file)[1] for file in folder.files.values()}
        meaning = {letters: folder.lexicon.flags(letters) for letters in flags}
        return Sighting(
            mailbox,
            mailbox_of(folder.path.name) if self._is_renamed(folder, name) else name,
            tuple(
                Present(base, folder.uids[base], meaning[split(file)[1]])
                for base, file in folder.files.items()
            ),
            folder.words,
            stamp,
        )


def add_to_sizes(path: Path, octets: int, messages: int) -> None:
    """Add a line to the quota file of Maildir++, where other programs have made one.

    One that has grown long is removed: whoever has a use for it counts anew.

    Source: Maildir++, "Maildir++ quotas", as Courier and Dovecot have it.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.write(handle, b"%d %d\n" % (octets, messages))
        is_long = os.fstat(handle).st_size > LONGEST_SIZES
    finally:
        os.close(handle)
    if is_long:
        path.unlink(missing_ok=True)


def take_whole(disk: Disk, root: Path) -> None:
    """Remove a maildir, whose name goes first; may be done again."""
    going = root.with_name(f"{GOING}{root.name}")
    take_away(disk, going)
    if root.exists():
        disk.rename(root, going)
        disk.sync_folder(root.parent)
        take_away(disk, going)


def take_away(disk: Disk, path: Path) -> None:
    """Remove a folder with all that is in it; may be done again."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            disk.unlink(Path(folder, name))
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise StoreFailed(f"{path} can't be removed")


def changed_at(folder: Path) -> int | None:
    """Return when a folder was changed last, or None where that may not be the last time."""
    found = folder.stat().st_mtime_ns
    return None if time.time_ns() - found < TICK * 1e9 else found


def _words(path: Path) -> list[str]:
    """Return what a folder's marker says."""
    octets = read_strange(path / MARKER, LONGEST_MARKER) or b""
    return octets.decode("ascii", "replace").split()
