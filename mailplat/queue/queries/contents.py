"""Octets of queued messages: small ones in one row, large ones in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mailplat.mail.errors import NoSuchMessage
from mailplat.sql import Connection, makes_room

PIECES = 1 << 20  # that a message can have
SMALL = 65536  # octets that are kept in one row, with the message's own commit
PIECE = 262144  # octets in each row of what is larger
SWEPT_AT_ONCE = 64  # pieces removed in one unit of work: up to 16 MiB


def begin_content(db: Connection, node: str) -> int:
    """Return the number of a message whose octets will come in pieces."""
    row = db.one("UPDATE queue_numbers SET message = message + 1 RETURNING message")
    assert row
    db.execute("INSERT INTO queue_leftovers VALUES (?, ?)", (row[0], node))
    return int(row[0])


def add_pieces(db: Connection, message: int, first: int, pieces: Sequence[bytes]) -> None:
    """Keep the next pieces of a content."""
    start = message * PIECES + first
    db.executemany(
        "INSERT INTO queue_contents VALUES (?, ?)",
        [(start + at, octets) for at, octets in enumerate(pieces)],
    )


def give_up(db: Connection, message: int) -> None:
    """Leave a content that was begun to be swept away."""
    db.execute("UPDATE queue_leftovers SET holder = '' WHERE message = ?", (message,))


def pieces(db: Connection, message: int, first: int, last: int) -> list[bytes]:
    """Return some pieces of a content; raises `NoSuchMessage` if they have gone."""
    rows = db.all(
        "SELECT octets FROM queue_contents WHERE piece BETWEEN ? AND ? ORDER BY piece",
        (message * PIECES + first, message * PIECES + last),
    )
    if len(rows) != last - first + 1:
        raise NoSuchMessage(f"the queue has no message {message} any more")
    return [octets for [octets] in rows]


def forget_contents(db: Connection, messages: Iterable[tuple[int, int]]) -> None:
    """Forget the octets of messages that have gone, large ones later; each with its size."""
    small = [(message * PIECES,) for message, size in messages if size <= SMALL]
    large = [(message,) for message, size in messages if size > SMALL]
    db.executemany("DELETE FROM queue_contents WHERE piece = ?", small)
    db.executemany("INSERT INTO queue_leftovers VALUES (?, '')", large)


@makes_room
def sweep(db: Connection) -> bool:
    """Forget some octets that nobody names; return whether there may be more."""
    room = SWEPT_AT_ONCE
    for [message] in db.all("SELECT message FROM queue_leftovers WHERE holder = '' LIMIT 64"):
        room -= db.execute(
            "DELETE FROM queue_contents WHERE piece IN (SELECT piece FROM queue_contents"
            " WHERE piece BETWEEN ? AND ? LIMIT ?)",
            (message * PIECES, message * PIECES + PIECES - 1, room),
        )
        if room <= 0:
            return True
        db.execute("DELETE FROM queue_leftovers WHERE message = ?", (message,))
    return False
