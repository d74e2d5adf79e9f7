"""What has to be true of the index's tables whatever happened, asked of them by SQL."""

from __future__ import annotations

from typing import Any

from mailplat.mail.mailbox import Role
from mailplat.sql import Connection, Row
from mailplat.store.indexed.queries.contents import PIECES

OF_ACCOUNTS = (
    "mailboxes",
    "subscriptions",
    "emails",
    "contents",
    "keys",
    "unnamed",
    "messages",
    "flag_sets",
    "keywords",
    "references",
    "joined_threads",
    "changes",
    "quotas",
    "expunged",
    "scripts",
    "annotations",
    "rights",
)

ROLES = ", ".join(f"'{role.value}'" for role in Role)

RULES = {
    "an account has numbers or mod-sequences out of their bounds": """
        SELECT * FROM store_accounts WHERE modseq < 1 OR forgotten > modseq OR number < 1
    """,
    "an account has not one INBOX, or it is not its first mailbox": """
        SELECT account FROM store_accounts a WHERE 1 <> (
            SELECT count(*) FROM store_mailboxes m
            WHERE m.account = a.account
            AND m.mailbox = 1 AND m.name = 'INBOX' AND m.role = 'inbox')
    """,
    "two mailboxes of an account have one role or one UIDVALIDITY": """
        SELECT account, role FROM store_mailboxes WHERE role <> ''
        GROUP BY account, role HAVING count(*) > 1
        UNION ALL SELECT account, CAST(uid_validity AS TEXT) FROM store_mailboxes
        GROUP BY account, uid_validity HAVING count(*) > 1
    """,
    "a mailbox has a number, UIDVALIDITY or mod-sequence that its account has not given": """
        SELECT m.account, m.mailbox FROM store_mailboxes m
        JOIN store_accounts a ON a.account = m.account
        WHERE m.mailbox NOT BETWEEN 1 AND a.number OR m.modseq NOT BETWEEN 1 AND a.modseq
        OR m.uid_validity NOT BETWEEN 1 AND a.uid_validity
    """,
    "a mailbox has a role that nobody knows": f"""
        SELECT account, mailbox, role FROM store_mailboxes WHERE role NOT IN ({ROLES})
    """,  # noqa: S608 - they stand in the enumeration
    "a mailbox lies in one that is not there": """
        SELECT account, name FROM store_mailboxes m WHERE name LIKE '%/%' AND NOT EXISTS (
            SELECT 1 FROM store_mailboxes above WHERE above.account = m.account
            AND above.name = rtrim(rtrim(m.name, replace(m.name, '/', '')), '/'))
    """,
    "a mailbox has other counts than messages": """
        WITH counted AS (
            SELECT m.account, m.mailbox, count(*) AS messages,
                count(*) FILTER (WHERE coalesce(' ' || s.names || ' ', '')
                    NOT LIKE '% \\Seen %' ESCAPE '!') AS unseen,
                count(*) FILTER (WHERE coalesce(' ' || s.names || ' ', '')
                    LIKE '% \\Deleted %' ESCAPE '!') AS deleted,
                sum(e.size) AS size
            FROM store_messages m
            JOIN store_emails e ON e.account = m.account AND e.email = m.email
            LEFT JOIN store_flag_sets s ON s.account = m.account AND s.flags = m.flags
            GROUP BY m.account, m.mailbox)
        SELECT b.account, b.mailbox, b.messages, b.unseen, b.deleted, b.size,
            c.messages, c.unseen, c.deleted, c.size
        FROM store_mailboxes b
        LEFT JOIN counted c ON c.account = b.account AND c.mailbox = b.mailbox
        WHERE (b.messages, b.unseen, b.deleted, b.size) <> (coalesce(c.messages, 0),
            coalesce(c.unseen, 0), coalesce(c.deleted, 0), coalesce(c.size, 0))
    """,
    "a message has a UID or a mod-sequence that its mailbox has not given": """
        SELECT m.account, m.mailbox, m.uid FROM store_messages m
        LEFT JOIN store_mailboxes b ON b.account = m.account AND b.mailbox = m.mailbox
        WHERE b.mailbox IS NULL OR m.uid NOT BETWEEN 1 AND b.uid_next - 1
        OR m.modseq NOT BETWEEN 1 AND b.modseq
    """,
    "a message has flags that nobody knows": """
        SELECT m.account, m.mailbox, m.uid, m.flags FROM store_messages m
        LEFT JOIN store_flag_sets s ON s.account = m.account AND s.flags = m.flags
        WHERE m.flags <> 0 AND s.flags IS NULL
    """,
    "an email has other places than it counts, or none and is neither kept nor swept": """
        SELECT e.account, e.email, e.places FROM store_emails e
        LEFT JOIN store_unnamed u ON u.account = e.account AND u.email = e.email
        LEFT JOIN (SELECT account, email, count(*) AS places FROM store_messages
            GROUP BY account, email) m ON m.account = e.account AND m.email = e.email
        WHERE e.places <> coalesce(m.places, 0)
        OR (u.email IS NOT NULL) <> (e.places = 0 AND NOT EXISTS (
            SELECT 1 FROM store_expunged x WHERE x.account = e.account AND x.email = e.email))
    """,
    "an email has a number that was not given": """
        SELECT account, email FROM store_emails
        WHERE email NOT BETWEEN 1 AND (SELECT email FROM store_numbers)
    """,
    "an email has a thread that a later email began, or itself": """
        SELECT account, email, thread FROM store_emails WHERE thread NOT BETWEEN 1 AND email - 1
    """,
    "a thread has joined another and still has emails, or others that have joined it": """
        SELECT j.account, j.thread FROM store_joined_threads j
        JOIN store_emails e ON e.account = j.account AND e.thread = j.thread
        UNION SELECT j.account, j.thread FROM store_joined_threads j
        JOIN store_joined_threads k ON k.account = j.account AND k.root = j.thread
    """,
    "what was expunged has no email, or flags that nobody knows": """
        SELECT x.account, x.email FROM store_expunged x
        LEFT JOIN store_emails e ON e.account = x.account AND e.email = x.email
        LEFT JOIN store_flag_sets s ON s.account = x.account AND s.flags = x.flags
        WHERE e.email IS NULL OR (x.flags <> 0 AND s.flags IS NULL)
    """,
    "two scripts of an account are active": """
        SELECT account FROM store_scripts WHERE active <> 0 GROUP BY account HAVING count(*) > 1
    """,
    "an annotation or a right is that of a mailbox that is not there": """
        SELECT t.account, t.mailbox FROM store_annotations t
        LEFT JOIN store_mailboxes m ON m.account = t.account AND m.mailbox = t.mailbox
        WHERE t.mailbox <> 0 AND m.mailbox IS NULL
        UNION ALL SELECT t.account, t.mailbox FROM store_rights t
        LEFT JOIN store_mailboxes m ON m.account = t.account AND m.mailbox = t.mailbox
        WHERE m.mailbox IS NULL
    """,
    "a message has no email": """
        SELECT m.account, m.mailbox, m.uid FROM store_messages m
        LEFT JOIN store_emails e ON e.account = m.account AND e.email = m.email
        WHERE e.email IS NULL
    """,
    "an email has not all of its octets, in pieces that follow one another": f"""
        SELECT e.account, e.email, e.size FROM store_emails e
        WHERE (e.places > 0 OR EXISTS (
            SELECT 1 FROM store_expunged x WHERE x.account = e.account AND x.email = e.email))
        AND e.email NOT IN (SELECT email FROM store_keys)
        AND (e.size, 0) <> (SELECT coalesce(sum(length(c.octets)), -1),
            max(c.piece) + 1 - e.email * {PIECES} - count(*)
            FROM store_contents c WHERE c.account = e.account
            AND c.piece BETWEEN e.email * {PIECES} AND e.email * {PIECES} + {PIECES} - 1)
    """,  # noqa: S608
    "octets belong to no email": f"""
        SELECT c.account, c.piece FROM store_contents c
        LEFT JOIN store_emails e ON e.account = c.account AND e.email = c.piece / {PIECES}
        WHERE e.email IS NULL
    """,  # noqa: S608
    "a key belongs to no email of its account, or to one that has octets here too": f"""
        SELECT k.account, k.email, k.key FROM store_keys k
        LEFT JOIN store_emails e ON e.account = k.account AND e.email = k.email
        LEFT JOIN store_contents c ON c.account = k.account AND c.piece = k.email * {PIECES}
        WHERE e.email IS NULL OR c.piece IS NOT NULL OR k.key = ''
    """,  # noqa: S608
    "a key is that of two contents": """
        SELECT key FROM store_keys GROUP BY key HAVING count(DISTINCT finder) > 1
    """,
    "a content is waited for that is no email": """
        SELECT u.account, u.email FROM store_unnamed u
        LEFT JOIN store_emails e ON e.account = u.account AND e.email = u.email
        WHERE e.email IS NULL
    """,
    "a message has changed and no change says so": """
        SELECT m.account, m.mailbox, m.uid FROM store_messages m
        JOIN store_accounts a ON a.account = m.account AND m.modseq > a.forgotten
        WHERE NOT EXISTS (SELECT 1 FROM store_changes c
            WHERE c.account = m.account AND c.mailbox = m.mailbox AND c.modseq = m.modseq
            AND c.what IN (4, 5) AND m.uid BETWEEN c.first AND c.last)
    """,
    "a mailbox has changed and no change says so": """
        SELECT m.account, m.mailbox FROM store_mailboxes m
        JOIN store_accounts a ON a.account = m.account AND m.modseq > a.forgotten
        WHERE NOT EXISTS (SELECT 1 FROM store_changes c
            WHERE c.account = m.account AND c.mailbox = m.mailbox AND c.modseq = m.modseq)
    """,
    "a message is there though a change says that it was removed": """
        SELECT m.account, m.mailbox, m.uid FROM store_changes c
        CROSS JOIN store_messages m WHERE m.account = c.account AND m.mailbox = c.mailbox
        AND c.what = 6 AND m.uid BETWEEN c.first AND c.last
    """,
    "a mailbox is there though a change says that it has gone": """
        SELECT m.account, m.mailbox FROM store_mailboxes m
        JOIN store_changes c ON c.account = m.account AND c.mailbox = m.mailbox AND c.what = 3
    """,
    "a key was given for a delivery at a time that is none, or without saying where": """
        SELECT account, key FROM store_deliveries WHERE made < 0 OR detail NOT LIKE 'F%:%'
    """,
    "a change has a mod-sequence that its account has not given": """
        SELECT c.account, c.modseq FROM store_changes c
        JOIN store_accounts a ON a.account = c.account AND c.modseq > a.modseq
    """,
    **{
        f"store_{table} has rows of an account that is not there": f"""
        SELECT DISTINCT t.account FROM store_{table} t
        LEFT JOIN store_accounts a ON a.account = t.account WHERE a.account IS NULL
    """  # noqa: S608 - the names stand above
        for table in OF_ACCOUNTS
    },
}

MOST = 1000  # rows of one rule that are told


SUBJECTS = {
    "a message": ("account", "mailbox", "uid"),
    "a mailbox": ("account", "mailbox"),
    "an email": ("account", "email"),
}
"""What the rows of a rule begin with, by what its name begins with; else the account."""


def subject_of(rule: str, row: Row) -> dict[str, Any]:
    """Return what a rule's row is about, by the names of columns."""
    columns = next(
        (names for of, names in SUBJECTS.items() if rule.startswith(of)), ("account",)
    )
    return dict(zip(columns, row, strict=False))


def broken(db: Connection, rule: str) -> list[Row]:
    """Return rows by which a rule is broken, some of them if there are very many."""
    return db.all(f"SELECT * FROM ({RULES[rule]}) AS wrong LIMIT {MOST}")  # noqa: S608
