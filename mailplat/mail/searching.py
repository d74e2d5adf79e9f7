"""What an index of texts is asked, and what it answers."""

from __future__ import annotations

from enum import Enum

import attrs

from mailplat.mail.mailbox import UidSet


class Column(Enum):
    """A part of a message's text (see `mailplat.mail.search.SearchText`)."""

    SUBJECT = "subject"
    PEOPLE = "people"
    FILES = "files"
    BODY = "body"


@attrs.frozen
class Found:
    """The messages that have what was looked for, and those that nobody knows about.

    Messages in neither set don't have it.
    """

    uids: UidSet = UidSet()
    unsure: UidSet = UidSet()
