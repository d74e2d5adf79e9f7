"""The index's statements, in SQLite's words: its FTS5 finds substrings by their trigrams."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from mailplat.mail import search
from mailplat.mail.people import AccountId
from mailplat.mail.search import SearchText
from mailplat.mail.searching import Column
from mailplat.sql import Connection

VERSION = f"{search.VERSION}.1"  # of the texts, and of the table that keeps them
EMAILS = 1 << 40  # that there can be
SHORTEST = 3  # characters that can be looked up
LONGEST = 64  # characters of a word that are looked up
WORDS = 16  # that are looked up
TABLE = (
    "CREATE VIRTUAL TABLE search_texts USING fts5(subject, people, files, body,"
    " content='', contentless_delete=1, tokenize='trigram case_sensitive 1')"
)


# Filling ---------------------------------------------------------------------


@attrs.frozen
class Document:
    """An email and its text; None if there is none that could be read."""

    account: AccountId
    email: int
    text: SearchText | None


def begin(db: Connection, newest: int) -> int:
    """Make the index ready, and return up to which email it goes.

    It begins anew if it was filled by another version, or goes beyond the newest
    email: then it belongs to other mail.
    """
    [[version, indexed]] = db.all("SELECT version, indexed FROM search_state")
    if version == VERSION and indexed <= newest:
        return int(indexed)
    clear(db)
    return 0


def clear(db: Connection) -> None:
    """Forget everything."""
    db.execute("DROP TABLE IF EXISTS search_texts")
    db.execute(TABLE)
    for table in ("late", "documents", "accounts"):
        db.execute(f"DELETE FROM search_{table}")  # noqa: S608
    db.execute("UPDATE search_state SET version = ?, indexed = 0", (VERSION,))


def add(
    db: Connection, documents: Sequence[Document], late: Collection[int], indexed: int
) -> None:
    """Keep the texts of some emails; all up to ``indexed`` have now been looked at.

    Those that are ``late`` have to be looked at again.
    """
    accounts = {account: _number(db, account) for account in {d.account for d in documents}}
    numbered = sorted(
        ((accounts[one.account] * EMAILS + one.email, one.text) for one in documents),
        key=lambda pair: pair[0],
    )
    remove(db, [number for number, _ in numbered])
    db.executemany(
        "INSERT INTO search_documents VALUES (?, ?)",
        [(number, int(text is not None and text.is_whole)) for number, text in numbered],
    )
    db.executemany(
        "INSERT INTO search_texts (rowid, subject, people, files, body) VALUES (?, ?, ?, ?, ?)",
        [
            (number, text.subject, text.people, text.files, text.body)
            for number, text in numbered
            if text is not None
        ],
    )
    db.executemany(
        "DELETE FROM search_late WHERE email = ?", [(one.email,) for one in documents]
    )
    db.executemany(
        "INSERT INTO search_late VALUES (?) ON CONFLICT DO NOTHING", [(one,) for one in late]
    )
    db.execute("UPDATE search_state SET indexed = ? WHERE indexed < ?", (indexed, indexed))


def _number(db: Connection, account: AccountId) -> int:
    row = db.one("SELECT number FROM search_accounts WHERE account = ?", (account,)) or db.one(
        "INSERT INTO search_accounts (account) VALUES (?) RETURNING number", (account,)
    )
    assert row
    return int(row[0])


def late(db: Connection) -> list[int]:
    """Return the emails that have to be looked at again."""
    return [email for [email] in db.all("SELECT email FROM search_late ORDER BY email")]


def forget_late(db: Connection, emails: Sequence[int]) -> None:
    """Look no more at emails that have gone."""
    db.executemany("DELETE FROM search_late WHERE email = ?", [(one,) for one in emails])


# Forgetting ------------------------------------------------------------------


def documents(db: Connection, last: int, most: int) -> list[tuple[int, AccountId, int]]:
    """Return some documents behind one, each with its account and email."""
    rows = db.all(
        "SELECT d.document, a.account FROM search_documents d"
        " JOIN search_accounts a ON a.number = d.document / ?"
        " WHERE d.document > ? ORDER BY d.document LIMIT ?",
        (EMAILS, last, most),
    )
    return [(number, AccountId(account), number % EMAILS) for number, account in rows]


def remove(db: Connection, numbers: Sequence[int]) -> None:
    """Forget documents; those that are not there are passed over."""
    there = [
        (number,)
        for number in numbers
        if db.one("SELECT 1 FROM search_documents WHERE document = ?", (number,))
    ]
    db.executemany("DELETE FROM search_texts WHERE rowid = ?", there)
    db.executemany("DELETE FROM search_documents WHERE document = ?", there)


# Finding ---------------------------------------------------------------------


@attrs.frozen
class Looked:
    """What was found in an account: emails that have all words, and emails that may.

    ``indexed`` is up to which email the index goes.  ``everything`` says that all
    emails of the account may, since there was nothing that could be looked up.
    """

    sure: frozenset[int]
    unsure: frozenset[int]
    indexed: int
    everything: bool = False


def look(
    db: Connection, account: AccountId, words: Sequence[str], columns: Collection[Column]
) -> Looked:
    """Look up words that are folded; all of them have to be in some of the columns.

    Short words can't be looked up, and of long ones only what they begin with is:
    what is found without them is not sure.
    """
    [[indexed]] = db.all("SELECT indexed FROM search_state")
    waiting = frozenset(late(db))
    fit = [word for word in words if len(word) >= SHORTEST and "\0" not in word][:WORDS]
    if not fit:
        return Looked(frozenset(), waiting, indexed, everything=True)
    row = db.one("SELECT number FROM search_accounts WHERE account = ?", (account,))
    if row is None:
        return Looked(frozenset(), waiting, indexed)
    first, last = row[0] * EMAILS, row[0] * EMAILS + EMAILS - 1
    phrases = " AND ".join(
        [f'"{word[:LONGEST].replace(chr(34), chr(34) * 2)}"' for word in fit]
    )
    names = " ".join(column.value for column in Column if column in columns)
    if len(set(columns)) < len(Column):  # to look where a word stands takes half as long again
        phrases = f"{{{names}}} : ({phrases})"
    found = frozenset(
        number % EMAILS
        for [number] in db.all(
            "SELECT rowid FROM search_texts"
            " WHERE search_texts MATCH ? AND rowid BETWEEN ? AND ?",
            (phrases, first, last),
        )
    )
    cut = frozenset(
        number % EMAILS
        for [number] in db.all(
            "SELECT document FROM search_documents"
            " WHERE whole = 0 AND document BETWEEN ? AND ?",
            (first, last),
        )
    )
    is_exact = len(fit) == len(words) and all(len(word) <= LONGEST for word in words)
    if is_exact:
        return Looked(found, (cut - found) | waiting, indexed)
    return Looked(frozenset(), found | cut | waiting, indexed)
