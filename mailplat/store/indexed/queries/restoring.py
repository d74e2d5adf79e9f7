"""Taking an account as another store had it, with its numbers (see `IRestorable`).

A message that came in under some identity of the other store is recognised by a key like
that of a delivery, which names the first place that it got here and its email.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    Mailbox,
    MailboxId,
    ModSeq,
    Role,
    UidSet,
)
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, bulk
from mailplat.store.indexed.queries.arrivals import LASTING, Arrival, Stored, keep_emails
from mailplat.store.indexed.queries.changes import Done, known, mailbox_id, number_of
from mailplat.store.indexed.queries.flags import flag_set, flag_sets, spelt
from mailplat.store.indexed.queries.mailboxes import INBOX_NUMBER, ensure_account
from mailplat.store.indexed.queries.places import drop_places, places_of
from mailplat.store.indexed.queries.showing import forget_shown

FRONT = "restored "  # of the keys


@attrs.frozen
class Item:
    """A message to be restored: its place, and what it is."""

    uid: int
    modseq: int
    email: str  # its identity in the other store
    flags: frozenset[str]
    saved: float
    message: Stored


# Mailboxes -------------------------------------------------------------------


def restore_mailboxes(
    db: Connection,
    account: AccountId,
    mailboxes: Sequence[Mailbox],
    subscribed: Collection[str],
    modseq: int,
    now: float,
) -> Done:
    """Have these mailboxes and no others; answer who they are here, in their order."""
    ensure_account(db, account, now)
    numbers = _numbers(db, account, mailboxes)
    there: dict[int, int] = dict(
        db.all(
            "SELECT mailbox, uid_validity FROM store_mailboxes WHERE account = ?", (account,)
        )
    )
    _begin_anew(db, account, modseq)
    for number in there.keys() - set(numbers):
        _empty(db, account, number)
        db.execute(
            "DELETE FROM store_mailboxes WHERE account = ? AND mailbox = ?", (account, number)
        )
    db.execute(  # so that two may change their names with one another
        "UPDATE store_mailboxes SET name = 'F' || mailbox || name WHERE account = ?", (account,)
    )
    for number, mailbox in zip(numbers, mailboxes, strict=True):
        if number not in there:
            db.execute(
                "INSERT INTO store_mailboxes VALUES (?, ?, ?, '', 1, 1, 1, 0, 0, 0, 0)",
                (account, number, mailbox.name),
            )
        elif there[number] != mailbox.uid_validity:
            _empty(db, account, number)
        _describe(db, account, number, mailbox)
    db.execute("DELETE FROM store_subscriptions WHERE account = ?", (account,))
    rows = [(account, name) for name in sorted(set(subscribed))]
    bulk(db, "INSERT INTO store_subscriptions VALUES {rows}", rows)
    _begin_anew(db, account, max([modseq, *(box.highest_modseq for box in mailboxes)]))
    forget_shown(db, account)  # what came since with older mod-sequences is to be shown too
    here = [mailbox_id(number) for number in numbers]
    return Done(here, ModSeq(modseq), frozenset(here))


def _numbers(db: Connection, account: AccountId, mailboxes: Sequence[Mailbox]) -> list[int]:
    """Return who each mailbox is: of that identity, else of that name, else a new one."""
    rows = db.all("SELECT mailbox, name FROM store_mailboxes WHERE account = ?", (account,))
    named = {name: number for number, name in rows}
    there = {number for number, _ in rows}
    taken = {INBOX_NUMBER}
    numbers: list[int] = []
    for box in mailboxes:
        wanted = number_of(box.id) if box.id == mailbox_id(number_of(box.id)) else 0
        choices = [wanted if wanted in there else 0, named.get(box.name, 0), wanted]
        number = next((one for one in choices if one and one not in taken), 0)
        number = INBOX_NUMBER if box.name == INBOX else number or _next_number(db, account)
        taken.add(number)
        numbers.append(number)
        db.execute(
            f"UPDATE store_accounts SET {_raised('number', 1)} WHERE account = ?2",  # noqa: S608
            (number, account),
        )
    return numbers


def _raised(column: str, parameter: int) -> str:
    """Return what gives a column the value of a parameter, if that is higher."""
    return f"{column} = CASE WHEN {column} < ?{parameter} THEN ?{parameter} ELSE {column} END"


def _next_number(db: Connection, account: AccountId) -> int:
    row = db.one("SELECT number + 1 FROM store_accounts WHERE account = ?", (account,))
    assert row
    return int(row[0])


def _describe(db: Connection, account: AccountId, number: int, mailbox: Mailbox) -> None:
    role = Role.INBOX if number == INBOX_NUMBER else mailbox.role
    db.execute(
        f"UPDATE store_mailboxes SET name = ?1, role = ?2, uid_validity = ?3,"  # noqa: S608
        f" {_raised('uid_next', 4)}, {_raised('modseq', 5)}"
        " WHERE account = ?6 AND mailbox = ?7",
        (
            mailbox.name,
            role.value,
            mailbox.uid_validity,
            mailbox.uid_next,
            mailbox.highest_modseq,
            account,
            number,
        ),
    )
    db.execute(
        f"UPDATE store_accounts SET {_raised('uid_validity', 1)} WHERE account = ?2",  # noqa: S608
        (mailbox.uid_validity, account),
    )


def _empty(db: Connection, account: AccountId, number: int) -> None:
    """Take all messages out of a mailbox, whose UIDs begin anew."""
    row = db.one("SELECT modseq FROM store_accounts WHERE account = ?", (account,))
    assert row
    places = places_of(db, account, number, UidSet.all())
    drop_places(db, account, number, places, ModSeq(row[0]))
    db.execute(
        "UPDATE store_mailboxes SET uid_next = 1 WHERE account = ? AND mailbox = ?",
        (account, number),
    )


def _begin_anew(db: Connection, account: AccountId, modseq: int) -> None:
    """Let nobody ask for what was before."""
    db.execute(
        f"UPDATE store_accounts SET {_raised('modseq', 1)},"  # noqa: S608
        " forgotten = CASE WHEN modseq < ?1 THEN ?1 ELSE modseq END WHERE account = ?2",
        (modseq, account),
    )
    db.execute("DELETE FROM store_changes WHERE account = ?", (account,))


# Messages --------------------------------------------------------------------


def restore(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    items: Sequence[Item],
    now: float,
) -> Done:
    """Have these messages at their UIDs; those that are there get flags and mod-sequence.

    From here on nothing of the account counts as shown: what isn't would look as if
    another program had taken it away, since its mod-sequences are old ones.
    """
    number = known(db, account, identity)
    sets = {item.flags: flag_set(db, account, spelt(db, account, item.flags)) for item in items}
    there = _there(db, account, number, items)
    for item in items:
        if item.uid in there:
            db.execute(
                "UPDATE store_messages SET flags = ?, modseq = ?"
                " WHERE account = ? AND mailbox = ? AND uid = ?",
                (sets[item.flags], item.modseq, account, number, item.uid),
            )
    fresh = [item for item in items if item.uid not in there]
    emails, used = _emails(db, account, number, fresh, now)
    rows = [
        (
            account,
            number,
            item.uid,
            item.modseq,
            sets[item.flags],
            emails[item.email],
            item.saved,
        )
        for item in fresh
    ]
    bulk(db, "INSERT INTO store_messages VALUES {rows}", rows)
    _count(db, account, number, items, there)
    modseq = max((item.modseq for item in items), default=1)
    _begin_anew(db, account, modseq)
    forget_shown(db, account)
    left = {key for item in items for key in item.message.unneeded} - used
    return Done(
        None, ModSeq(modseq), frozenset({identity}), tuple(sorted(left)), unfinished=True
    )


def _there(
    db: Connection, account: AccountId, number: int, items: Sequence[Item]
) -> dict[int, int]:
    """Return which of the UIDs are there, with their flags."""
    rows = bulk(
        db,
        "SELECT uid, flags FROM store_messages WHERE (account, mailbox, uid) IN"
        " (VALUES {rows})",
        [(account, number, item.uid) for item in items],
    )
    return dict(rows)


def _emails(
    db: Connection, account: AccountId, number: int, items: Sequence[Item], now: float
) -> tuple[dict[str, int], set[str]]:
    """Return the emails by their identities in the other store, and keep those that are new.

    Each counts one place more for each of the items.  Also return the keys of contents
    that are in use now.
    """
    emails = _known_emails(db, account, items)
    new: dict[str, Item] = {}
    for item in items:
        if item.email in emails:
            _count_place(db, account, emails[item.email])
        elif item.email not in new:
            new[item.email] = item
    arrivals = [
        Arrival(account, ModSeq(item.modseq), item.message, {number: item.flags}, now)
        for item in new.values()
    ]
    made, _, left = keep_emails(db, arrivals)
    emails |= dict(zip(new, made, strict=True))
    for item in items:
        if new.get(item.email, item) is not item:
            _count_place(db, account, emails[item.email])
    bulk(
        db,
        "INSERT INTO store_deliveries (key, account, made, detail) VALUES {rows}"
        " ON CONFLICT (key, account) DO UPDATE SET detail = excluded.detail",
        [
            (
                f"{FRONT}{identity}",
                account,
                LASTING,
                f"{mailbox_id(number)}:{item.uid}:{emails[identity]}",
            )
            for identity, item in new.items()
        ],
    )
    used = {key for item in new.values() for key in item.message.unneeded}
    return emails, used - left


def _known_emails(db: Connection, account: AccountId, items: Sequence[Item]) -> dict[str, int]:
    """Return the emails that have a place still, and are what the items say they are.

    Neither a place nor the other store's identity is proof of that: both may have been
    given anew.
    """
    expected = {f"{FRONT}{item.email}": item for item in items}
    rows = bulk(
        db,
        "SELECT key, detail FROM store_deliveries WHERE (key, account) IN (VALUES {rows})",
        [(key, account) for key in sorted(expected)],
    )
    found: dict[str, int] = {}
    for key, detail in rows:
        item = expected[key]
        _, _, email = detail.rpartition(":")
        row = db.one(
            "SELECT size, received, summary FROM store_emails"
            " WHERE account = ? AND email = ? AND places > 0",
            (account, int(email)),
        )
        if row == (item.message.size, item.message.received, item.message.summary):
            found[item.email] = int(email)
    return found


def _count_place(db: Connection, account: AccountId, email: int) -> None:
    db.execute(
        "UPDATE store_emails SET places = places + 1 WHERE account = ? AND email = ?",
        (account, email),
    )


def _count(
    db: Connection,
    account: AccountId,
    number: int,
    items: Sequence[Item],
    there: dict[int, int],
) -> None:
    """Count the mailbox's messages anew by what has changed."""
    sets = flag_sets(db, account)
    messages = unseen = deleted = size = 0
    for item in items:
        before = sets[there[item.uid]] if item.uid in there else None
        unseen += (SEEN not in item.flags) - (before is not None and SEEN not in before)
        deleted += (DELETED in item.flags) - (before is not None and DELETED in before)
        messages += before is None
        size += item.message.size if before is None else 0
    db.execute(
        f"UPDATE store_mailboxes SET messages = messages + ?1, unseen = unseen + ?2,"  # noqa: S608
        f" deleted = deleted + ?3, size = size + ?4, {_raised('uid_next', 5)},"
        f" {_raised('modseq', 6)} WHERE account = ?7 AND mailbox = ?8",
        (
            messages,
            unseen,
            deleted,
            size,
            1 + max((item.uid for item in items), default=0),
            max((item.modseq for item in items), default=1),
            account,
            number,
        ),
    )
