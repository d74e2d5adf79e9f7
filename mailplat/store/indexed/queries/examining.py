"""Looking at emails one after the other: whether what is kept of them can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mailplat.mail.mailbox import MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.mail.summary import read_summary
from mailplat.sql import Connection, Row
from mailplat.store.indexed.queries.changes import mailbox_id
from mailplat.store.indexed.queries.contents import PIECES

AT_ONCE = 250  # emails looked at in one unit of work


def doubtful(db: Connection, behind: int, most: int = AT_ONCE) -> tuple[list[Row], int]:
    """Return emails whose summary or octets can't be read, and where to go on; 0 at the end.

    A row is number, account, what is wrong, and the summary if that is what is wrong.
    """
    rows = db.all(
        "SELECT email, account, places, summary FROM store_emails"
        " WHERE email > ? ORDER BY email LIMIT ?",
        (behind, most),
    )
    found: list[Row] = []
    for email, account, places, summary in rows:
        if problem := places and _problem_of(summary):
            found.append((email, account, problem, summary))
    if rows:
        first, last = rows[0][0] * PIECES, (rows[-1][0] + 1) * PIECES - 1
        db.all(  # what is joined to something has been read as a whole
            "SELECT sum(length(octets || '')) FROM store_contents WHERE piece BETWEEN ? AND ?",
            (first, last),
        )
    return found, rows[-1][0] if len(rows) == most else 0


def _problem_of(summary: bytes) -> str:
    try:
        read_summary(summary).layout  # noqa: B018
    except ValueError as problem:
        return f"its summary is to be made again: {problem}"
    except Exception as problem:  # noqa: BLE001 - octets that nobody has written may do anything
        return f"its summary can't be read: {type(problem).__name__}"
    return ""


def kept(db: Connection, behind: int, last: int) -> list[Row]:
    """Return emails whose octets lie elsewhere: number, account and size.

    Those behind one number and up to another, which is 0 at the end.
    """
    return db.all(
        "SELECT e.email, e.account, e.size FROM store_keys k"
        " JOIN store_emails e ON e.email = k.email AND e.account = k.account"
        " WHERE k.email > ? AND (? = 0 OR k.email <= ?) AND e.places > 0 ORDER BY e.email",
        (behind, last, last),
    )


def numbers_behind(db: Connection, behind: int) -> list[int]:
    """Return the numbers of some emails."""
    sql = "SELECT email FROM store_emails WHERE email > ? ORDER BY email LIMIT ?"
    return [email for [email] in db.all(sql, (behind, AT_ONCE))]


def account_of(db: Connection, email: int) -> str:
    """Return whose an email is."""
    row = db.one("SELECT account FROM store_emails WHERE email = ?", (email,))
    return str(row[0]) if row else ""


def size_of(db: Connection, email: int) -> int:
    """Return how many octets an email has."""
    row = db.one("SELECT size FROM store_emails WHERE email = ?", (email,))
    return int(row[0]) if row else 0


def places_of_email(db: Connection, account: str, email: int) -> list[Row]:
    """Return mailboxes and UIDs under which an email lies."""
    return db.all(
        "SELECT mailbox, uid FROM store_messages WHERE account = ? AND email = ? LIMIT 100",
        (account, email),
    )


def name_of(db: Connection, account: str, mailbox: Any) -> str:
    """Return what a mailbox is called; its identity if it isn't there."""
    row = db.one(
        "SELECT name FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, mailbox)
    )
    return str(row[0]) if row else mailbox_id(mailbox)


def strangers(db: Connection, accounts: Sequence[AccountId]) -> list[str]:
    """Return accounts that have mail and are none of these."""
    known = set(accounts)
    gone = {account for [account] in db.all("SELECT account FROM store_removals")}
    found = [account for [account] in db.all("SELECT account FROM store_accounts")]
    return [account for account in found if account not in known | gone]


def state_of(db: Connection, account: AccountId) -> tuple[ModSeq, frozenset[MailboxId]]:
    """Return an account's newest mod-sequence, and all its mailboxes."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    boxes = db.all("SELECT mailbox FROM store_mailboxes WHERE account = ?", (account,))
    return ModSeq(row[0] if row else 0), frozenset(mailbox_id(number) for [number] in boxes)
