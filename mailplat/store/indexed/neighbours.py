"""What other nodes have done to the accounts that are open here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mailplat.interfaces import IBus
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import Changes, MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.sql import Database
from mailplat.store.indexed import queries


class Neighbours:
    """Tells the bus of this node what the others did, as if it had been done here.

    What is heard is that an account has a new mod-sequence; which mailboxes that
    concerns is asked of the account's changes, and so is what was not heard.
    """

    log = Logger()

    def __init__(
        self,
        database: Database,
        bus: IBus,
        open_here: Callable[[], Mapping[AccountId, ModSeq]],
    ) -> None:
        self._database = database
        self._bus = bus
        self._open_here = open_here
        self._told: dict[AccountId, ModSeq] = {}

    def hear(self, word: str | None) -> None:
        """Hear what `queries.changes.note_all` told somewhere else; None: maybe anything."""
        here = self._open_here()
        self._told = {account: self._told.get(account, ModSeq(0)) for account in here}
        account, _, modseq = (word or "").rpartition(" ")
        for wanted, since in here.items():
            since = max(since, self._told[wanted])
            if word is None or (wanted == account and int(modseq) > since):
                work = Deferred.fromCoroutine(self._catch_up(wanted, since))
                work.addErrback(lambda failure: self.log.failure("not caught up", failure))

    async def _catch_up(self, account: AccountId, since: ModSeq) -> None:
        changes = await self._database.read(queries.changes.changes, account, since, None)
        touched = frozenset(_touched_by(changes))
        if not changes.complete:
            boxes = await self._database.read(queries.mailboxes.mailboxes, account)
            touched = frozenset(box.id for box in boxes)
        self._told[account] = max(self._told.get(account, since), changes.modseq)
        if touched:
            self._bus.publish([AccountChanged(account, changes.modseq, touched)])


def _touched_by(changes: Changes) -> Iterable[MailboxId]:
    yield from (change.mailbox for change in changes.mailboxes)
    yield from changes.made | changes.edited | changes.removed
