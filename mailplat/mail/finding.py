"""What is found to be wrong with what is kept."""

from __future__ import annotations

import attrs


@attrs.frozen
class Finding:
    """Something that can't be right, where it is, and what was done about it.

    ``mended`` says in words what was done; empty, it is as it was.
    """

    what: str
    account: str = ""
    mailbox: str = ""  # by its name
    uid: int = 0
    email: str = ""  # its identity
    detail: str = ""
    mended: str = ""

    def __str__(self) -> str:
        where = [self.account, self.mailbox, f"UID {self.uid}" if self.uid else "", self.email]
        text = ", ".join(filter(None, where))
        text += f": {self.what}" if text else self.what
        text += f" ({self.detail})" if self.detail else ""
        return f"{text}; mended: {self.mended}" if self.mended else text
