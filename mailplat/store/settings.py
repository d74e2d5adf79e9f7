"""What the configuration says of every store alike."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from mailplat.mail.mailbox import Role
from mailplat.mail.retention import Retention
from mailplat.plugin import Duration, Settings


def _age(what: str) -> Duration | None:
    age: Duration | None = Field(
        None, description=f"How long mail stays in {what}. Left out: until somebody removes it."
    )
    return age


class RetentionSettings(Settings):
    """Keys of ``[retention]``: how long mail is kept, and what was expunged.

    A mailbox is meant by its role, whatever it is called; a message counts from when
    it came there.
    """

    trash: Duration | None = _age("the trash")
    junk: Duration | None = _age("the mailbox for junk")
    drafts: Duration | None = _age("the mailbox for drafts")
    sent: Duration | None = _age("the mailbox for sent mail")
    archive: Duration | None = _age("the archive")
    keep_expunged: Duration = Field(
        timedelta(days=7),
        description="How long `mailplat undelete` can bring back what was expunged. `0 s`: it"
        " can't.",
    )

    def retention(self) -> Retention:
        """Return it as stores know it."""
        ages = {
            Role.TRASH: self.trash,
            Role.JUNK: self.junk,
            Role.DRAFTS: self.drafts,
            Role.SENT: self.sent,
            Role.ARCHIVE: self.archive,
        }
        return Retention(
            {role: age.total_seconds() for role, age in ages.items() if age is not None},
            self.keep_expunged.total_seconds(),
        )
