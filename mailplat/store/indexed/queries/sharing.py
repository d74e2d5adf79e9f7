"""Rights of others on mailboxes."""

from __future__ import annotations

from mailplat.mail.errors import NotPermitted, TooMany
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import MailboxId
from mailplat.mail.people import AccountId
from mailplat.mail.sharing import (
    ANYONE,
    NEGATIVE,
    Rights,
    Shared,
    effective,
    proper_rights,
    split_identifier,
)
from mailplat.sql import Connection
from mailplat.store.indexed.queries.changes import Done, known
from mailplat.store.indexed.queries.mailboxes import claim, shown, touch

LISTED = 10000  # mailboxes told in one answer


def rights(db: Connection, account: AccountId, identity: MailboxId) -> dict[str, Rights]:
    """Return the rights by identifier (see `ISharing.rights`)."""
    return _rights(db, account, known(db, account, identity))


def _rights(db: Connection, account: AccountId, mailbox: int) -> dict[str, Rights]:
    rows = db.all(
        "SELECT identifier, negative, rights FROM store_rights"
        " WHERE account = ? AND mailbox = ? ORDER BY identifier, negative",
        (account, mailbox),
    )
    return {NEGATIVE * negative + name: frozenset(letters) for name, negative, letters in rows}


def set_rights(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    identifier: str,
    wanted: Rights,
    now: float,
    limits: Limits,
) -> Done:
    """Give an identifier rights (see `ISharing.set_rights`)."""
    mailbox = known(db, account, identity)
    name, negative = split_identifier(identifier)
    if name == account:
        raise NotPermitted("the owner's rights are what they are")
    letters = "".join(sorted(proper_rights(wanted)))
    key = (account, mailbox, name, int(negative))
    if letters:
        db.execute(
            "INSERT INTO store_rights VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (account, mailbox, identifier, negative)"
            " DO UPDATE SET rights = excluded.rights",
            (*key, letters),
        )
    else:
        db.execute(
            "DELETE FROM store_rights"
            " WHERE account = ? AND mailbox = ? AND identifier = ? AND negative = ?",
            key,
        )
    if len(_rights(db, account, mailbox)) > limits.sharers:
        raise TooMany(f"{identity} would be shared by over {limits.sharers} entries")
    modseq = claim(db, account, now)
    return Done(None, modseq, frozenset({touch(db, account, mailbox, modseq)}))


def shared_with(db: Connection, account: AccountId) -> list[Shared]:
    """Return what others share with an account (see `ISharedStore.shared_with`)."""
    rows = db.all(
        "SELECT DISTINCT account, mailbox FROM store_rights"
        " WHERE identifier IN (?1, ?2) AND negative = 0 AND account <> ?1"
        " ORDER BY account, mailbox LIMIT ?3",
        (account, ANYONE, LISTED),
    )
    found: list[Shared] = []
    for owner, mailbox in rows:
        may = effective(_rights(db, owner, mailbox), account)
        if "l" in may:
            found.append(Shared(AccountId(owner), shown(db, owner, mailbox), may))
    return found
