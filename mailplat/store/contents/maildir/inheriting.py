"""What Dovecot left in a maildir: mailboxes with their numbers, and which are subscribed."""

from __future__ import annotations

from pathlib import Path

from mailplat.mail.mailbox import INBOX
from mailplat.mail.placing import Inheritance, Inherited, Present
from mailplat.moving.letters import mailbox_name
from mailplat.store.contents.maildir.folders import Folder
from mailplat.store.contents.maildir.names import split
from mailplat.store.contents.maildir.strange import read_strange
from mailplat.store.contents.maildir.tree import Tree
from mailplat.store.contents.maildir.uidlist import (
    LONGEST_LIST,
    SUBSCRIPTIONS,
    UIDLIST,
    read_subscriptions,
    read_uidlist,
)


def inherit(tree: Tree) -> Inheritance | None:
    """Return what another program has numbered, or None where there is nothing; blocks.

    Folders that are this house's already, after an earlier attempt, count as well.
    """
    if not tree.root.is_dir():
        return None
    tree.look_around()
    ours = {tree.name_of(folder.path): folder.path for folder in tree.folders.values()}
    found = [_inherited(tree, name, path) for name, path in {**ours, **tree.strangers}.items()]
    mailboxes = tuple(one for one in found if one)
    if not mailboxes:
        return None
    lines = read_subscriptions(_read(tree.root / SUBSCRIPTIONS))
    subscribed = frozenset(mailbox_name(parts) for parts in lines)
    return Inheritance(mailboxes, subscribed)


def _inherited(tree: Tree, name: str, path: Path) -> Inherited | None:
    numbers = read_uidlist(_read(path / UIDLIST))
    if numbers is None or tree.is_of_another_house(path):
        return None
    folder = Folder(path, "")
    folder.look(tree.namer, {})
    files = sorted((uid, base) for base, uid in numbers.uids.items() if base in folder.files)
    return Inherited(
        INBOX if path == tree.root else name,
        numbers.uid_validity,
        numbers.uid_next,
        tuple(
            Present(base, uid, folder.lexicon.flags(split(folder.files[base])[1]))
            for uid, base in files
        ),
    )


def _read(path: Path) -> bytes:
    return read_strange(path, LONGEST_LIST) or b""
