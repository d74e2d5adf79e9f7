"""Where messages lie and how they are flagged, as a place of contents is to show it."""

from __future__ import annotations

import attrs

from mailplat.mail.mailbox import MailboxId, Uid, UidSet


class Unshown(Exception):
    """What had been shown of an account is not there any more: show it all again."""


@attrs.frozen
class Placed:
    """A message in a mailbox, as it is now."""

    uid: Uid
    key: str  # of its content; empty if that lies in the index's database
    flags: frozenset[str]
    received: float  # seconds since 1970


@attrs.frozen
class Shown:
    """A mailbox in which something has changed.

    ``placed`` are the messages that have come or have been flagged anew, ``removed``
    those that have gone; where ``is_whole`` is set, ``placed`` are all there are, and all
    mailboxes of the account are told, each as a whole.
    Without a ``name`` the mailbox has gone with all that was in it.
    """

    mailbox: MailboxId
    name: str | None
    placed: tuple[Placed, ...] = ()
    removed: UidSet = UidSet()
    is_whole: bool = False


@attrs.frozen
class Present:
    """A message's file as another program may have left it; ``uid`` is 0 if it is new."""

    name: str  # by which the place knows it
    uid: int
    flags: frozenset[str]


@attrs.frozen
class Sighting:
    """A mailbox in which another program may have done something: all that is there now.

    It is called ``name`` now; without one it has gone, and without a ``mailbox`` it is new.
    ``words`` are the flags, in small letters, that are shown there; of others ``files`` say
    nothing.  ``stamp`` is the place's own.
    """

    mailbox: MailboxId | None
    name: str | None
    files: tuple[Present, ...] = attrs.field(default=(), repr=False)
    words: frozenset[str] = frozenset()
    stamp: object = None


@attrs.frozen
class Inherited:
    """A mailbox that another program numbered, before this house had it."""

    name: str
    uid_validity: int
    uid_next: int
    files: tuple[Present, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class Inheritance:
    """An account's mailboxes as another program left them."""

    mailboxes: tuple[Inherited, ...]
    subscribed: frozenset[str] = frozenset()
