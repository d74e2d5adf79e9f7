"""Which emails belong together: those that share a reference, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk


@attrs.frozen
class Referring:
    """An email, and the hashed message identifiers by which it finds its thread."""

    account: AccountId
    email: int
    references: Sequence[bytes]


def threads_of(db: Connection, emails: Sequence[Referring]) -> list[int]:
    """Give each email, none of which is there yet, its thread, and remember its references.

    Threads that now share a reference become one.
    """
    book = _Book(db, emails)
    threads = [book.thread_of(email) for email in emails]
    book.write()
    return [
        book.root(email.account, thread) for email, thread in zip(emails, threads, strict=True)
    ]


class _Book:
    """The references that are known, and those to be remembered."""

    def __init__(self, db: Connection, emails: Sequence[Referring]) -> None:
        self._db = db
        wanted = {(email.account, one): None for email in emails for one in email.references}
        rows = bulk(
            db,
            "SELECT account, reference, thread FROM store_references"
            " WHERE (account, reference) IN (VALUES {rows})",
            list(wanted),
        )
        self._threads = {(account, reference): thread for account, reference, thread in rows}
        threads = {(account, thread): thread for account, _, thread in rows}
        rows = bulk(
            db,
            "SELECT account, thread, root FROM store_joined_threads"
            " WHERE (account, thread) IN (VALUES {rows})",
            sorted(threads),
        )
        joined = {(account, thread): root for account, thread, root in rows}
        self._roots: dict[tuple[AccountId, int], int] = threads | joined
        self._new: list[tuple[AccountId, bytes, int]] = []

    def thread_of(self, email: Referring) -> int:
        account = email.account
        known = (self._threads.get((account, one)) for one in email.references)
        found = {self.root(account, thread) for thread in known if thread is not None}
        thread, *others = sorted(found) or [email.email]
        for other in others:
            self._join(account, other, thread)
        for reference in email.references:
            if (account, reference) not in self._threads:
                self._threads[account, reference] = thread
                self._new.append((account, reference, thread))
        return thread

    def root(self, account: AccountId, thread: int) -> int:
        """Return the thread that a thread has become one with, or itself."""
        return self._roots.setdefault((account, thread), thread)

    def write(self) -> None:
        bulk(self._db, "INSERT INTO store_references VALUES {rows}", self._new)

    def _join(self, account: AccountId, thread: int, root: int) -> None:
        _join(self._db, account, thread, root)
        self._roots[account, thread] = root
        for key, known in self._roots.items():
            if key[0] == account and known == thread:
                self._roots[key] = root


def root_of(db: Connection, account: AccountId, thread: int) -> int:
    """Return the thread that a thread has become one with, or itself."""
    joined = "SELECT root FROM store_joined_threads WHERE account = ? AND thread = ?"
    row = db.one(joined, (account, thread))
    return int(row[0]) if row else thread


def _join(db: Connection, account: AccountId, thread: int, root: int) -> None:
    """Let a thread be one with an older one."""
    for begun_here in ("thread = ?", "email = ? AND thread IS NULL"):
        db.execute(
            f"UPDATE store_emails SET thread = ? WHERE account = ? AND {begun_here}",  # noqa: S608
            (root, account, thread),
        )
    db.execute(
        "UPDATE store_joined_threads SET root = ? WHERE account = ? AND root = ?",
        (root, account, thread),
    )
    db.execute("INSERT INTO store_joined_threads VALUES (?, ?, ?)", (account, thread, root))
