"""What can be put right in the index without guessing; no message is removed for it.

Each of these is a unit of work that looks again at what was found, since somebody may
have changed it meanwhile, and returns in words what it has done, if anything.
"""

from __future__ import annotations

from collections.abc import Callable

from mailplat.mail.mailbox import DELETED, INBOX, SEEN, ModSeq, Role, UidSet, names_above
from mailplat.mail.people import AccountId
from mailplat.sql import Connection, Row
from mailplat.store.indexed.queries.audit import OF_ACCOUNTS
from mailplat.store.indexed.queries.changes import What, note
from mailplat.store.indexed.queries.contents import PIECES
from mailplat.store.indexed.queries.flags import flag_sets
from mailplat.store.indexed.queries.mailboxes import (
    INBOX_NUMBER,
    claim,
    make,
    named,
)
from mailplat.store.indexed.queries.places import NewPlace, add_places

RECOVERED = "Recovered"  # the mailbox into which messages come that had lost their place
HIGHEST_UID = 2**32 - 1  # RFC 9051 section 2.3.1.1
AT_ONCE = 1000  # changes forgotten in one unit of work

Mend = Callable[[Connection, Row, float], str]
"""Mends what a row of a rule is about, at a time; returns what was done."""


# Accounts --------------------------------------------------------------------


def raise_account(db: Connection, row: Row, _now: float) -> str:
    """Let an account have given all numbers that its mailboxes, messages and changes have."""
    account = row[0]
    highest = {
        column: _highest(db, account, tables)
        for column, tables in {
            "modseq": {"mailboxes": "modseq", "messages": "modseq", "changes": "modseq"},
            "number": {"mailboxes": "mailbox"},
            "uid_validity": {"mailboxes": "uid_validity"},
        }.items()
    }
    known = db.one(
        "SELECT modseq, number, uid_validity, forgotten FROM store_accounts WHERE account = ?",
        (account,),
    )
    if known is None:
        return ""
    modseq, number, validity = (
        max(1, old, highest[column]) for old, column in zip(known, highest, strict=False)
    )
    new = (modseq, number, validity, min(known[3], modseq))
    if new == known:
        return ""
    db.execute(
        "UPDATE store_accounts SET modseq = ?, number = ?, uid_validity = ?, forgotten = ?"
        " WHERE account = ?",
        (*new, account),
    )
    return "the account's highest numbers were raised to those that were given"


def _highest(db: Connection, account: str, tables: dict[str, str]) -> int:
    found = [
        db.one(f"SELECT max({column}) FROM store_{table} WHERE account = ?", (account,))  # noqa: S608
        for table, column in tables.items()
    ]
    return max((row[0] or 0 for row in found if row), default=0)


def make_account(db: Connection, row: Row, now: float) -> str:
    """Make the row of an account anew of which there is something."""
    account = row[0]
    if not any(
        db.one(f"SELECT 1 FROM store_{table} WHERE account = ? LIMIT 1", (account,))  # noqa: S608
        for table in OF_ACCOUNTS
    ):
        return ""
    made = db.execute(
        "INSERT INTO store_accounts VALUES (?, 1, 0, ?, 0) ON CONFLICT DO NOTHING",
        (account, INBOX_NUMBER),
    )
    if not made:
        return ""
    raise_account(db, row, now)
    return "the account was made anew around what there is of it"


def make_inbox(db: Connection, row: Row, now: float) -> str:
    """Make an INBOX where there is none."""
    account = row[0]
    rows = db.all(
        "SELECT mailbox, name, role FROM store_mailboxes WHERE account = ?"
        " AND (mailbox = ? OR name = ? OR role = ?)",
        (account, INBOX_NUMBER, INBOX, Role.INBOX.value),
    )
    if rows:
        return ""
    modseq = claim(db, account, now)
    _insert_mailbox(db, account, INBOX_NUMBER, INBOX, Role.INBOX, modseq, now)
    return "an INBOX was made"


# Mailboxes -------------------------------------------------------------------


def _insert_mailbox(
    db: Connection, account: str, number: int, name: str, role: Role, modseq: ModSeq, now: float
) -> None:
    """Make a mailbox of a certain number, around the messages that it may have."""
    row = db.one(
        "UPDATE store_accounts SET uid_validity ="
        " CASE WHEN uid_validity >= ? THEN uid_validity + 1 ELSE ? END"
        " WHERE account = ? RETURNING uid_validity",
        (int(now), int(now), account),
    )
    assert row
    db.execute(
        "INSERT INTO store_mailboxes VALUES (?, ?, ?, ?, ?, 1, ?, 0, 0, 0, 0)",
        (account, number, name, role.value, row[0], modseq),
    )
    note(db, AccountId(account), modseq, number, What.MADE)
    raise_mailbox(db, (account, number), now)
    recount(db, (account, number), now)


def raise_mailbox(db: Connection, row: Row, now: float) -> str:
    """Let a mailbox have given the UIDs and mod-sequences that its messages have.

    Where it is not there it is made anew around them.
    """
    account, mailbox = row[:2]
    found = db.one(
        "SELECT coalesce(max(uid), 0), coalesce(max(modseq), 0) FROM store_messages"
        " WHERE account = ? AND mailbox = ?",
        (account, mailbox),
    )
    known = db.one(
        "SELECT uid_next, modseq FROM store_mailboxes WHERE account = ? AND mailbox = ?",
        (account, mailbox),
    )
    assert found
    if known is None and found[0]:
        modseq = claim(db, account, now)
        if db.one(
            "SELECT 1 FROM store_mailboxes WHERE account = ? AND mailbox = ?",
            (account, mailbox),
        ):  # its INBOX, which was made together with the account
            return raise_mailbox(db, row, now)
        name = _free_name(db, account, f"{RECOVERED} {mailbox}")
        _insert_mailbox(db, account, mailbox, name, Role.NONE, modseq, now)
        return "its mailbox was made anew around the messages"
    if known is None or found[0] >= HIGHEST_UID:
        return ""
    uid_next, modseq = max(known[0], found[0] + 1), max(known[1], found[1])
    if (uid_next, modseq) == known:
        return ""
    db.execute(
        "UPDATE store_mailboxes SET uid_next = ?, modseq = ? WHERE account = ? AND mailbox = ?",
        (uid_next, modseq, account, mailbox),
    )
    raise_account(db, row, now)
    return f"UIDNEXT is {uid_next} now, HIGHESTMODSEQ {modseq}"


def _free_name(db: Connection, account: str, name: str) -> str:
    number, free = 1, name
    while named(db, AccountId(account), free) is not None:
        number += 1
        free = f"{name} ({number})"
    return free


def recount(db: Connection, row: Row, _now: float) -> str:
    """Count a mailbox's messages anew."""
    account, mailbox = row[:2]
    sets = flag_sets(db, account)
    messages = unseen = deleted = size = 0
    for flags, count, octets in db.all(
        "SELECT m.flags, count(*), sum(e.size) FROM store_messages m"
        " JOIN store_emails e ON e.account = m.account AND e.email = m.email"
        " WHERE m.account = ? AND m.mailbox = ? GROUP BY m.flags",
        (account, mailbox),
    ):
        names = sets.get(flags, frozenset())
        messages += count
        size += octets
        unseen += count * (SEEN not in names)
        deleted += count * (DELETED in names)
    counts = (messages, unseen, deleted, size)
    changed = db.execute(
        "UPDATE store_mailboxes SET messages = ?, unseen = ?, deleted = ?, size = ?"
        " WHERE account = ? AND mailbox = ? AND (messages, unseen, deleted, size)"
        " <> (?, ?, ?, ?)",
        (*counts, account, mailbox, *counts),
    )
    return f"it counts {messages} messages now, {unseen} unseen" if changed else ""


def part(db: Connection, row: Row, now: float) -> str:
    """Let only the first of several mailboxes have a role or a UIDVALIDITY."""
    account = row[0]
    roles: set[str] = set()
    validities: set[int] = set()
    done = []
    for mailbox, name, role, validity in db.all(
        "SELECT mailbox, name, role, uid_validity FROM store_mailboxes"
        " WHERE account = ? ORDER BY mailbox",
        (account,),
    ):
        key = (account, mailbox)
        if role and role in roles:
            db.execute(
                "UPDATE store_mailboxes SET role = '' WHERE account = ? AND mailbox = ?", key
            )
            done.append(f"{name} is no longer {role}")
        if validity in validities:
            raise_account(db, row, now)
            db.execute(
                "UPDATE store_accounts SET uid_validity = uid_validity + 1 WHERE account = ?",
                (account,),
            )
            db.execute(
                "UPDATE store_mailboxes SET uid_validity = (SELECT uid_validity FROM"
                " store_accounts a WHERE a.account = store_mailboxes.account)"
                " WHERE account = ? AND mailbox = ?",
                key,
            )
            done.append(f"{name} has another UIDVALIDITY")
        roles.add(role)
        validities.add(validity)
    return ", ".join(done)


def drop_role(db: Connection, row: Row, _now: float) -> str:
    """Leave a mailbox without a role whose role nobody knows."""
    db.execute(
        "UPDATE store_mailboxes SET role = '' WHERE account = ? AND mailbox = ?", row[:2]
    )
    return "it has no role now"


def make_above(db: Connection, row: Row, now: float) -> str:
    """Make the mailboxes that a mailbox lies in."""
    account, name = row[:2]
    missing = [one for one in names_above(name) if named(db, account, one) is None]
    if not missing:
        return ""
    modseq = claim(db, account, now)
    for one in missing:
        if named(db, account, one) is None:
            make(db, account, one, Role.NONE, modseq, now)
    return f"{', '.join(missing)} was made"


# Messages and emails ---------------------------------------------------------


def drop_flags(db: Connection, row: Row, now: float) -> str:
    """Leave a message without flags whose flags nobody knows."""
    account, mailbox, uid = row[:3]
    modseq = claim(db, account, now)
    db.execute(
        "UPDATE store_messages SET flags = 0, modseq = ?"
        " WHERE account = ? AND mailbox = ? AND uid = ?",
        (modseq, account, mailbox, uid),
    )
    db.execute(
        "UPDATE store_mailboxes SET modseq = ? WHERE account = ? AND mailbox = ?",
        (modseq, account, mailbox),
    )
    note(db, account, modseq, mailbox, What.CHANGED, UidSet(((uid, uid),)))
    return "it has no flags now"


def count_places(db: Connection, row: Row, now: float) -> str:
    """Count the places of an email; give one to an email that has lost its last."""
    account, email = row[:2]
    found = db.one(
        "SELECT count(*) FROM store_messages WHERE account = ? AND email = ?", (account, email)
    )
    waits = db.one(
        "SELECT 1 FROM store_unnamed WHERE account = ?1 AND email = ?2"
        " UNION ALL SELECT 1 FROM store_expunged WHERE account = ?1 AND email = ?2",
        (account, email),
    )
    assert found
    places = found[0]
    db.execute(
        "UPDATE store_emails SET places = ? WHERE account = ? AND email = ?",
        (places, account, email),
    )
    if places:
        db.execute(
            "DELETE FROM store_unnamed WHERE account = ? AND email = ?", (account, email)
        )
        return f"it counts {places} places now"
    return "" if waits else _recover(db, account, email, now)


def _recover(db: Connection, account: AccountId, email: int, now: float) -> str:
    """Give an email that has no place one in a mailbox for such."""
    row = db.one(
        "SELECT size FROM store_emails WHERE account = ? AND email = ?", (account, email)
    )
    assert row
    modseq = claim(db, account, now)
    number = named(db, account, RECOVERED)
    if number is None:
        number = make(db, account, RECOVERED, Role.NONE, modseq, now)[-1]
    place = NewPlace(account, number, modseq, email, frozenset(), row[0], now)
    [uid] = add_places(db, [place])
    db.execute(
        "UPDATE store_emails SET places = 1 WHERE account = ? AND email = ?", (account, email)
    )
    return f"it lies in {RECOVERED} now, under UID {uid}"


def make_email(db: Connection, row: Row, now: float) -> str:
    """Make the row of an email anew whose octets are there.

    Its summary is empty, so it will be made again of the octets.
    """
    account, mailbox, uid = row[:3]
    found = db.one(
        "SELECT email, saved FROM store_messages WHERE account = ? AND mailbox = ? AND uid = ?",
        (account, mailbox, uid),
    )
    return _make_email(db, account, found[0], found[1]) if found else ""


def make_email_of_piece(db: Connection, row: Row, now: float) -> str:
    """Make the row of an email anew of which only octets are there."""
    account, piece = row[:2]
    email = piece // PIECES
    made = _make_email(db, account, email, now)
    return made and f"{made}; {count_places(db, (account, email), now)}"


def _make_email(db: Connection, account: AccountId, email: int, received: float) -> str:
    first, last = email * PIECES, email * PIECES + PIECES - 1
    found = db.one(
        "SELECT count(*), coalesce(sum(length(octets)), 0), coalesce(max(piece), 0)"
        " FROM store_contents WHERE account = ? AND piece BETWEEN ? AND ?",
        (account, first, last),
    )
    places = db.one(
        "SELECT count(*) FROM store_messages WHERE account = ? AND email = ?", (account, email)
    )
    assert found
    assert places
    if not found[0] or found[2] + 1 - first != found[0]:
        return ""  # its octets are gone, or some of them
    made = db.execute(
        "INSERT INTO store_emails VALUES (?, ?, NULL, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (email, account, found[1], received, places[0], b""),
    )
    give_number(db, (account, email), received)
    return "its row was made anew of its octets" if made else ""


def give_number(db: Connection, _row: Row, _now: float) -> str:
    """Let all numbers of emails have been given."""
    raised = db.execute(
        "UPDATE store_numbers SET email = (SELECT max(email) FROM store_emails)"
        " WHERE email < (SELECT max(email) FROM store_emails)"
    )
    return "the highest number was raised" if raised else ""


def begin_thread(db: Connection, row: Row, _now: float) -> str:
    """Let an email begin a thread of its own."""
    done = db.execute(
        "UPDATE store_emails SET thread = NULL WHERE account = ? AND email = ?"
        " AND thread NOT BETWEEN 1 AND email - 1",
        row[:2],
    )
    return "it begins a thread of its own" if done else ""


def join_threads(db: Connection, row: Row, _now: float) -> str:
    """Let what belongs to a thread that has joined another belong to that one."""
    account, thread = row[:2]
    root, seen = thread, {thread}
    while found := db.one(
        "SELECT root FROM store_joined_threads WHERE account = ? AND thread = ?",
        (account, root),
    ):
        root = found[0]
        if root in seen:  # a circle, which says nothing
            db.execute(
                "DELETE FROM store_joined_threads WHERE account = ? AND thread = ?",
                (account, thread),
            )
            return "it has joined no other"
        seen.add(root)
    db.execute(
        "UPDATE store_emails SET thread = ? WHERE account = ? AND thread = ?",
        (root, account, thread),
    )
    db.execute(
        "UPDATE store_joined_threads SET root = ? WHERE account = ? AND root = ?",
        (root, account, thread),
    )
    return "its emails belong to the thread that it has joined"


def wait_no_more(db: Connection, row: Row, _now: float) -> str:
    """Forget that something is to be swept that is not there."""
    done = db.execute("DELETE FROM store_unnamed WHERE account = ? AND email = ?", row[:2])
    return "it is waited for no more" if done else ""


def begin_log(db: Connection, row: Row, _now: float) -> str:
    """Forget an account's changes: clients begin anew, and miss nothing."""
    account = row[0]
    db.execute("UPDATE store_accounts SET forgotten = modseq WHERE account = ?", (account,))
    key = "account, modseq, mailbox, what, first"
    db.execute(
        f"DELETE FROM store_changes WHERE ({key}) IN (SELECT {key} FROM store_changes"  # noqa: S608
        " WHERE account = ? LIMIT ?)",
        (account, AT_ONCE),
    )
    return "the account's changes were forgotten; clients look at everything anew"


def forget_expunged(db: Connection, row: Row, now: float) -> str:
    """Forget what was expunged and has no email; where it has one, it loses its flags."""
    gone = db.execute(
        "DELETE FROM store_expunged WHERE account = ? AND email = ? AND NOT EXISTS ("
        " SELECT 1 FROM store_emails e WHERE e.account = store_expunged.account"
        " AND e.email = store_expunged.email)",
        row[:2],
    )
    if gone:
        return "what was expunged can't be brought back"
    db.execute(
        "UPDATE store_expunged SET flags = 0 WHERE account = ? AND email = ?",
        row[:2],
    )
    return "it comes back without flags"


def stop_scripts(db: Connection, row: Row, now: float) -> str:
    """Leave no script active where nobody knows which is meant."""
    db.execute("UPDATE store_scripts SET active = 0 WHERE account = ?", row[:1])
    return "no script is active now"


def forget_facts(db: Connection, row: Row, now: float) -> str:
    """Forget annotations and rights of a mailbox that has gone."""
    for table in ("annotations", "rights"):
        db.execute(
            f"DELETE FROM store_{table} WHERE account = ? AND mailbox = ?",  # noqa: S608
            row[:2],
        )
    return "its annotations and rights were forgotten"


def renew_summary(
    db: Connection, account: AccountId, email: int, before: bytes, summary: bytes
) -> bool:
    """Put a summary in the place of one that could not be read."""
    return bool(
        db.execute(
            "UPDATE store_emails SET summary = ? WHERE account = ? AND email = ? AND summary = ?",
            (summary, account, email, before),
        )
    )


MENDING: dict[str, Mend] = {
    "an account has numbers": raise_account,
    "an account has not one INBOX": make_inbox,
    "two mailboxes of an account": part,
    "a mailbox has a number": raise_account,
    "a mailbox has a role": drop_role,
    "a mailbox lies in one": make_above,
    "a mailbox has other counts": recount,
    "a message has a UID": raise_mailbox,
    "a message has flags": drop_flags,
    "an email has other places": count_places,
    "an email has a number": give_number,
    "an email has a thread": begin_thread,
    "a thread has joined": join_threads,
    "what was expunged has no email": forget_expunged,
    "two scripts of an account": stop_scripts,
    "an annotation or a right": forget_facts,
    "a message has no email": make_email,
    "octets belong to no email": make_email_of_piece,
    "a content is waited for": wait_no_more,
    "a message has changed": begin_log,
    "a mailbox has changed": begin_log,
    "a message is there though": begin_log,
    "a mailbox is there though": begin_log,
    "a change has a mod-sequence": raise_account,
    "store_": make_account,
}
"""What mends what breaks a rule, by what the rule's name begins with."""


def mending_of(rule: str) -> Mend | None:
    """Return what mends what breaks a rule, if anything does without guessing."""
    return next((mend for begins, mend in MENDING.items() if rule.startswith(begins)), None)
