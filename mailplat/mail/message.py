"""A message as plugin authors like to see it: decoded, lazy, safe to show."""

from __future__ import annotations

from functools import cached_property

import attrs

from mailplat.mail.header import Header
from mailplat.mail.originator import Originator, originator_of
from mailplat.mail.words import shown


@attrs.frozen
class Message:
    """What can be read of a message without reading its body."""

    header: Header

    @property
    def subject(self) -> str:
        """The Subject as one line of text, or an empty one."""
        return shown(self.header.body(b"Subject"))

    @cached_property
    def originator(self) -> Originator:
        """Who the message says it is from, and what is odd about that."""
        return originator_of(self.header)
