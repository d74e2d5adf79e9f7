"""What a place of contents that shows mailboxes has yet to be told of an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mailplat.mail.mailbox import Mailbox, MailboxId, ModSeq, Uid, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Placed, Shown
from mailplat.sql import Connection, Row
from mailplat.store.indexed.queries.changes import What, mailbox_id
from mailplat.store.indexed.queries.flags import flag_sets
from mailplat.store.indexed.queries.mailboxes import mailboxes

_MESSAGES = """
    SELECT m.uid, coalesce(k.key, ''), m.flags, e.received
    FROM store_messages m
    JOIN store_emails e ON e.account = m.account AND e.email = m.email
    LEFT JOIN store_keys k ON k.account = m.account AND k.email = m.email
    WHERE m.account = ? AND m.mailbox = ? AND m.uid BETWEEN ? AND ? AND m.modseq > ?
    ORDER BY m.uid
"""


@attrs.frozen
class ToShow:
    """What has changed in an account up to a mod-sequence."""

    modseq: ModSeq
    mailboxes: tuple[Shown, ...]


@attrs.frozen
class AsShown:
    """What has been shown of an account: all changes up to a mod-sequence, and its mailboxes."""

    modseq: ModSeq  # 0 for nothing
    mailboxes: tuple[Mailbox, ...]


def to_show(db: Connection, account: AccountId) -> ToShow | None:
    """Return what has changed since an account was shown, or None where nothing has."""
    row = db.one(
        "SELECT a.modseq, a.forgotten, coalesce(s.modseq, 0) FROM store_accounts a"
        " LEFT JOIN store_shown s ON s.account = a.account WHERE a.account = ?",
        (account,),
    )
    if row is None or row[0] <= row[2]:
        return None
    newest, forgotten, since = row
    names: dict[int, str] = dict(
        db.all("SELECT mailbox, name FROM store_mailboxes WHERE account = ?", (account,))
    )
    if since < forgotten:
        changed: Mapping[int, list[Row]] = {
            number: [(int(What.ADDED), 1, 2**62)] for number in names
        }
    else:
        changed = _changed(db, account, since)
    sets = flag_sets(db, account)
    shown = [
        _shown(db, account, number, names.get(number), rows, since, sets, since < forgotten)
        for number, rows in changed.items()
    ]
    return ToShow(ModSeq(newest), tuple(shown))


def _changed(db: Connection, account: AccountId, since: int) -> dict[int, list[Row]]:
    """Return what was done in each mailbox, the first that was made before the others."""
    changed: dict[int, list[Row]] = {}
    for mailbox, *row in db.all(
        "SELECT mailbox, what, first, last FROM store_changes"
        " WHERE account = ? AND modseq > ? ORDER BY mailbox",
        (account, since),
    ):
        changed.setdefault(mailbox, []).append(tuple(row))
    return changed


def _shown(
    db: Connection,
    account: AccountId,
    number: int,
    name: str | None,
    rows: Sequence[Row],
    since: int,
    sets: Mapping[int, frozenset[str]],
    is_whole: bool,
) -> Shown:
    mailbox = MailboxId(mailbox_id(number))
    if name is None:
        return Shown(mailbox, None)
    come = UidSet.from_intervals(
        (first, last) for what, first, last in rows if what in (What.ADDED, What.CHANGED)
    )
    gone = UidSet.from_intervals(
        (first, last) for what, first, last in rows if what == What.REMOVED
    )
    placed = [
        Placed(Uid(uid), key, sets[flags], received)
        for first, last in come.intervals
        for uid, key, flags, received in db.all(
            _MESSAGES, (account, number, first, last, 0 if is_whole else since)
        )
    ]
    return Shown(mailbox, name, tuple(placed), gone, is_whole)


def set_shown(db: Connection, account: AccountId, modseq: ModSeq) -> None:
    """Note up to which mod-sequence an account has been shown."""
    db.execute(
        "INSERT INTO store_shown (account, modseq) VALUES (?, ?)"
        " ON CONFLICT (account) DO UPDATE SET modseq = excluded.modseq",
        (account, modseq),
    )


def as_shown(db: Connection, account: AccountId) -> AsShown | None:
    """Return an account as it has been shown; None if its mailboxes have changed since."""
    row = db.one("SELECT modseq FROM store_shown WHERE account = ?", (account,))
    modseq = ModSeq(row[0] if row else 0)
    forgotten = db.one("SELECT forgotten FROM store_accounts WHERE account = ?", (account,))
    if forgotten and modseq < forgotten[0]:
        return None
    if db.one(
        "SELECT 1 FROM store_changes WHERE account = ? AND modseq > ? AND what IN (?, ?, ?)",
        (account, modseq, int(What.MADE), int(What.EDITED), int(What.GONE)),
    ):
        return None
    return AsShown(modseq, tuple(mailboxes(db, account)))


def forget_shown(db: Connection, account: AccountId) -> None:
    """Note that an account that was removed has been shown to be gone."""
    db.execute("DELETE FROM store_shown WHERE account = ?", (account,))


def not_shown(db: Connection) -> tuple[list[AccountId], list[AccountId]]:
    """Return the accounts that have changed since they were shown, and those that have gone."""
    changed = db.all(
        "SELECT a.account FROM store_accounts a"
        " LEFT JOIN store_shown s ON s.account = a.account"
        " WHERE a.modseq > coalesce(s.modseq, 0) ORDER BY a.account"
    )
    gone = db.all(
        "SELECT s.account FROM store_shown s"
        " LEFT JOIN store_accounts a ON a.account = s.account WHERE a.account IS NULL"
    )
    return [AccountId(one) for [one] in changed], [AccountId(one) for [one] in gone]
