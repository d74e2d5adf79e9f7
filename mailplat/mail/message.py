"""A message as plugin authors like to see it: decoded, lazy, safe to show."""

from __future__ import annotations

import attrs

from mailplat.mail.header import Header


@attrs.frozen
class Message:
    """What can be read of a message without reading its body."""

    header: Header

    @property
    def subject(self) -> str:
        """The Subject as text, or an empty one."""
        field = self.header.first(b"Subject")
        return field.body.decode("utf-8", "replace") if field else ""
