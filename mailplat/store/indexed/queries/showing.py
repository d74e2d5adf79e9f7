"""What a place of contents that shows mailboxes has yet to be told of an account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mailplat.mail.mailbox import LAST_UID, Mailbox, MailboxId, ModSeq, Uid, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.placing import Placed, Shown
from mailplat.sql import Connection, Row, bulk
from mailplat.store.indexed.queries.changes import What, mailbox_id, number_of
from mailplat.store.indexed.queries.mailboxes import mailboxes

_STANDING = """
    SELECT a.account, a.modseq, a.forgotten, coalesce(s.modseq, 0) FROM store_accounts a
    LEFT JOIN store_shown s ON s.account = a.account
    WHERE a.account IN (VALUES {rows}) AND a.modseq > coalesce(s.modseq, 0)
"""
_CHANGES = """
    SELECT c.account, c.mailbox, b.name, c.what, c.first, c.last
    FROM (VALUES {rows}) AS wanted
    JOIN store_changes c ON c.account = column1 AND c.modseq > column2
    LEFT JOIN store_mailboxes b ON b.account = c.account AND b.mailbox = c.mailbox
    ORDER BY c.account, c.mailbox
"""
_MAILBOXES = """
    SELECT account, mailbox, name FROM store_mailboxes
    WHERE account IN (VALUES {rows}) ORDER BY account, mailbox
"""
_MESSAGES = """
    SELECT m.account, m.mailbox, m.uid, coalesce(k.key, ''), coalesce(f.names, ''), e.received
    FROM (VALUES {rows}) AS wanted
    JOIN store_messages m ON m.account = column1 AND m.mailbox = column2
        AND m.uid BETWEEN column3 AND column4 AND m.modseq > column5
    JOIN store_emails e ON e.account = m.account AND e.email = m.email
    LEFT JOIN store_keys k ON k.account = m.account AND k.email = m.email
    LEFT JOIN store_flag_sets f ON f.account = m.account AND f.flags = m.flags
    ORDER BY m.account, m.mailbox, m.uid
"""
_ELSEWHERE = """
    SELECT m.uid FROM (VALUES {rows}) AS wanted
    JOIN store_messages m ON m.account = column1 AND m.mailbox = column2
        AND m.uid BETWEEN column3 AND column4
    JOIN store_keys k ON k.account = m.account AND k.email = m.email
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


def to_show(db: Connection, accounts: Sequence[AccountId]) -> list[ToShow | None]:
    """Return what has changed in accounts since they were shown; None where nothing has."""
    newest: dict[AccountId, ModSeq] = {}
    since: dict[AccountId, ModSeq] = {}
    whole: list[AccountId] = []  # those of which it isn't known any more what has changed
    for account, modseq, forgotten, shown in bulk(db, _STANDING, [(one,) for one in accounts]):
        newest[account] = modseq
        if shown < forgotten:
            whole.append(account)
        else:
            since[account] = shown
    rows = bulk(db, _CHANGES, list(since.items()))
    rows += [
        (*row, int(What.ADDED), 1, LAST_UID)
        for row in bulk(db, _MAILBOXES, [(account,) for account in whole])
    ]
    changed: dict[AccountId, dict[int, list[Row]]] = {account: {} for account in newest}
    for account, mailbox, *row in rows:
        changed[account].setdefault(mailbox, []).append(tuple(row))
    placed = _placed(db, changed, since)
    return [
        ToShow(
            newest[account],
            tuple(
                _shown(mailbox, found, placed.get((account, mailbox), ()), account in whole)
                for mailbox, found in changed[account].items()
            ),
        )
        if account in newest
        else None
        for account in accounts
    ]


def _placed(
    db: Connection,
    changed: Mapping[AccountId, Mapping[int, Sequence[Row]]],
    since: Mapping[AccountId, ModSeq],
) -> dict[tuple[AccountId, int], list[Placed]]:
    """Return the messages that have come or changed, by accounts and mailboxes."""
    wanted = [
        (account, mailbox, first, last, since.get(account, 0))
        for account, mailboxes in changed.items()
        for mailbox, rows in mailboxes.items()
        for first, last in _uids(rows, What.ADDED, What.CHANGED).intervals
    ]
    sets: dict[str, frozenset[str]] = {}
    placed: dict[tuple[AccountId, int], list[Placed]] = {}
    for account, mailbox, uid, key, words, received in bulk(db, _MESSAGES, wanted):
        flags = sets.get(words)
        if flags is None:
            flags = sets[words] = frozenset(words.split())
        placed.setdefault((account, mailbox), []).append(Placed(Uid(uid), key, flags, received))
    return placed


def _shown(
    mailbox: int, rows: Sequence[Row], placed: Sequence[Placed], is_whole: bool
) -> Shown:
    name = rows[0][0]
    if name is None:
        return Shown(MailboxId(mailbox_id(mailbox)), None)
    gone = _uids(rows, What.REMOVED)
    return Shown(MailboxId(mailbox_id(mailbox)), name, tuple(placed), gone, is_whole)


def _uids(rows: Sequence[Row], *kinds: What) -> UidSet:
    """Return the UIDs to which one of these was done."""
    return UidSet.from_intervals(
        (first, last) for _, what, first, last in rows if what in kinds
    )


def set_shown(db: Connection, shown: Sequence[tuple[AccountId, ModSeq]]) -> Sequence[None]:
    """Note up to which mod-sequences accounts have been shown."""
    bulk(
        db,
        "INSERT INTO store_shown (account, modseq) VALUES {rows}"
        " ON CONFLICT (account) DO UPDATE SET modseq = excluded.modseq",
        list(dict(shown).items()),
    )
    return [None] * len(shown)


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


def shown_among(
    db: Connection, account: AccountId, mailbox: MailboxId, uids: UidSet
) -> list[int]:
    """Return the UIDs of those messages that are shown: what lies in the database is not."""
    number = number_of(mailbox)
    rows = [(account, number, first, last) for first, last in uids.intervals]
    return [uid for [uid] in bulk(db, _ELSEWHERE, rows)]


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
