"""Moving and removing messages."""

from __future__ import annotations

from mailplat.mail.errors import NotPermitted
from mailplat.mail.mailbox import SEPARATOR, MailboxId, ModSeq, Moved, Role, UidSet
from mailplat.mail.people import AccountId
from mailplat.mail.quota import Allowance, Amount
from mailplat.sql import Connection, makes_room
from mailplat.store.indexed.queries import room
from mailplat.store.indexed.queries.changes import (
    Done,
    What,
    account_modseq,
    known,
    note,
    number_of,
)
from mailplat.store.indexed.queries.flags import flag_sets
from mailplat.store.indexed.queries.mailboxes import claim, mailbox, mailboxes, shown
from mailplat.store.indexed.queries.places import (
    NewPlace,
    add_places,
    drop_places,
    places_of,
)


def move(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    target: MailboxId,
    keep: bool,
    now: float,
    allowance: Allowance,
) -> Done:
    """Give messages a place in another mailbox (see `IAccount.move`)."""
    source, goal = known(db, account, identity), known(db, account, target)
    places = places_of(db, account, source, uids)
    validity = shown(db, account, goal).uid_validity
    if not places:
        newest = account_modseq(db, account) or ModSeq(0)
        return Done(Moved(validity, (), (), newest), newest, frozenset())
    coming = Amount(sum(place.size for place in places), len(places))
    news = room.insist(db, account, allowance, coming) if keep else ()
    modseq = claim(db, account, now)
    sets = flag_sets(db, account)
    copies = [
        NewPlace(account, goal, modseq, place.email, sets[place.flags], place.size, now)
        for place in places
    ]
    new_uids = add_places(db, copies)
    db.executemany(
        "UPDATE store_emails SET places = places + 1 WHERE account = ? AND email = ?",
        [(account, place.email) for place in places],
    )
    if not keep:
        drop_places(db, account, source, places, modseq)
    moved = Moved(
        validity,
        tuple(place.uid for place in places),
        tuple(new_uids),
        modseq,
    )
    return Done(moved, modseq, frozenset({target} if keep else {identity, target}), news=news)


@makes_room
def expunge(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    uids: UidSet,
    now: float,
    keep: bool,
) -> Done:
    """Remove messages (see `IAccount.expunge`); ``keep`` lets them be brought back."""
    number = known(db, account, identity)
    places = places_of(db, account, number, uids)
    if not places:
        return Done(UidSet(), ModSeq(0), frozenset())
    modseq = claim(db, account, now)
    gone = drop_places(db, account, number, places, modseq, now if keep else None)
    return Done(gone, modseq, frozenset({identity}))


@makes_room
def remove(
    db: Connection,
    account: AccountId,
    identity: MailboxId,
    now: float,
    keep: bool,
    unless_after: ModSeq | None = None,
) -> Done:
    """Remove a mailbox and its messages (see `IAccount.remove`, and `expunge`).

    Raises `NotPermitted` also where anything was done in it after ``unless_after``.
    """
    box = mailbox(db, account, identity)
    if unless_after is not None and box.highest_modseq > unless_after:
        raise NotPermitted("it has changed since")
    if box.role is Role.INBOX:
        raise NotPermitted("INBOX can't be removed")
    above = box.name + SEPARATOR
    if any(other.name.startswith(above) for other in mailboxes(db, account)):
        raise NotPermitted("there are mailboxes in it")
    modseq = claim(db, account, now)
    number = number_of(identity)
    places = places_of(db, account, number, UidSet.all())
    drop_places(db, account, number, places, modseq, now if keep else None)
    for table in ("annotations", "rights", "mailboxes"):
        db.execute(
            f"DELETE FROM store_{table} WHERE account = ? AND mailbox = ?",  # noqa: S608
            (account, number),
        )
    note(db, account, modseq, number, What.GONE)
    return Done(None, modseq, frozenset({identity}))
