"""Reads all messages of a mailbox, and comes past those that are damaged."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from mailplat.interfaces import IAccount
from mailplat.mail.errors import NoSuchMessage, StoreFailed
from mailplat.mail.mailbox import Batch, MailboxId, UidSet, Wanted

DAMAGED = (StoreFailed, NoSuchMessage)
"""What reading a message may raise whose octets are damaged or missing."""


async def batches(
    account: IAccount, mailbox: MailboxId, uids: UidSet, wanted: Wanted
) -> AsyncGenerator[Batch, None]:
    """Yield some messages at a time.

    Where contents can't be read together, what is left comes without them: then each
    is to be asked for by itself, so that those that are sound can be told from others.
    Raises `StoreFailed` where more than contents is damaged, and `NoSuchMailbox`.
    """
    while True:
        try:
            async with account.records(mailbox, uids, wanted) as cursor:
                while (batch := await cursor.next_batch()) is not None:
                    uids -= UidSet(((0, batch.uids[-1]),))
                    yield batch
        except StoreFailed:
            if Wanted.CONTENT not in wanted:
                raise
            wanted &= ~Wanted.CONTENT
        else:
            return
