"""What has to be new in an index that was put back from a backup, or to be forgotten.

Clients may have seen numbers that were given after the backup; the same numbers will be
given again, for other things.
"""

from __future__ import annotations

from mailplat.sql import Connection

LEAP = 1_000_000  # how far numbers go on behind those that may have been given since


def forget_shown(db: Connection) -> None:
    """Note that nothing has been shown, by a place that shows mailboxes.

    So all of it is shown anew before anybody asks what other programs did there.
    """
    if "store_shown" in db.tables():
        db.execute("DELETE FROM store_shown")


def renew(db: Connection, now: float) -> None:
    """Give every mailbox another UIDVALIDITY, and let all other numbers leap.

    Mod-sequences leap too, and what was before them is forgotten, so that whoever asks
    for changes since then is told to begin anew (RFC 7162 section 3.2.5.2, RFC 8474).
    """
    db.execute(
        "UPDATE store_accounts SET modseq = modseq + ?, forgotten = modseq + ?,"
        " number = number + ?",
        (LEAP, LEAP, LEAP),
    )
    db.execute("DELETE FROM store_changes")
    db.execute("UPDATE store_numbers SET email = email + ?", (LEAP,))
    for account, highest in db.all("SELECT account, uid_validity FROM store_accounts"):
        boxes = db.all(
            "SELECT mailbox FROM store_mailboxes WHERE account = ? ORDER BY mailbox", (account,)
        )
        first = max(highest + 1, int(now))
        db.executemany(
            "UPDATE store_mailboxes SET uid_validity = ?, modseq = (SELECT modseq"
            " FROM store_accounts a WHERE a.account = store_mailboxes.account)"
            " WHERE account = ? AND mailbox = ?",
            [(first + at, account, mailbox) for at, [mailbox] in enumerate(boxes)],
        )
        db.execute(
            "UPDATE store_accounts SET uid_validity = ? WHERE account = ?",
            (max(highest, first + len(boxes) - 1), account),
        )
