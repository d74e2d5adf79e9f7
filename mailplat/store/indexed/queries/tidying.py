"""Forgetting what has grown too old to be asked for, some rows at a time.

Each of these goes through a whole table, since an index that tells what is old
would cost every delivery something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row, makes_room
from mailplat.store.indexed.queries.arrivals import LASTING
from mailplat.store.indexed.queries.threads import root_of

AT_ONCE = 1000  # rows looked at in one unit of work


@makes_room
def forget_keys(db: Connection, last: Row, before: float) -> Row | None:
    """Forget the keys of deliveries made before a time, and lasting ones with their account.

    Return where to go on, if anywhere; one begins behind ``("", "")``.
    """
    rows = db.all(
        "SELECT key, account, made FROM store_deliveries WHERE (key, account) > (?, ?)"
        " ORDER BY key, account LIMIT ?",
        (*last, AT_ONCE),
    )
    gone = _gone(db, {account for _, account, made in rows if made == LASTING})
    db.executemany(
        "DELETE FROM store_deliveries WHERE key = ? AND account = ?",
        [(key, account) for key, account, made in rows if made < before or account in gone],
    )
    return _behind(rows)


def _gone(db: Connection, accounts: Iterable[str]) -> set[str]:
    """Return those of the accounts that have no mail any more."""
    there = "SELECT 1 FROM store_accounts WHERE account = ?"
    return {account for account in accounts if not db.one(there, (account,))}


@makes_room
def forget_references(db: Connection, last: Row) -> Row | None:
    """Forget the references of threads that have no email any more.

    Return where to go on, if anywhere; one begins behind ``("", b"")``.
    """
    rows = db.all(
        "SELECT account, reference, thread FROM store_references"
        " WHERE (account, reference) > (?, ?) ORDER BY account, reference LIMIT ?",
        (*last, AT_ONCE),
    )
    roots = {
        (account, thread): root_of(db, account, thread)
        for account, thread in {(account, thread) for account, _, thread in rows}
    }
    over = {
        (account, root)
        for account, root in {(account, root) for (account, _), root in roots.items()}
        if not _has_emails(db, account, root)
    }
    db.executemany(
        "DELETE FROM store_references WHERE account = ? AND reference = ?",
        [
            (account, reference)
            for account, reference, thread in rows
            if (account, roots[account, thread]) in over
        ],
    )
    db.executemany(
        "DELETE FROM store_joined_threads WHERE account = ? AND root = ?", sorted(over)
    )
    return _behind(rows)


def _has_emails(db: Connection, account: AccountId, thread: int) -> bool:
    began = "SELECT 1 FROM store_emails WHERE account = ? AND email = ? AND thread IS NULL"
    later = "SELECT 1 FROM store_emails WHERE account = ? AND thread = ? LIMIT 1"
    of_it = (account, thread)
    return db.one(began, of_it) is not None or db.one(later, of_it) is not None


def _behind(rows: Sequence[Row]) -> Row | None:
    return rows[-1][:2] if len(rows) == AT_ONCE else None
