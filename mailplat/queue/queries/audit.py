"""What has to be true of the queue's tables whatever happened, asked of them by SQL."""

from __future__ import annotations

from mailplat.mail.finding import Finding
from mailplat.sql import Connection

RULES = {
    "a lane does not know what comes first in it": """
        SELECT lane FROM queue_lanes n WHERE opens IS NULL AND coalesce(first, -1) <> coalesce(
            (SELECT min(turn) FROM queue_legs l WHERE l.lane = n.lane AND l.state = 0), -1)
    """,
    "a closed lane has something to offer": """
        SELECT lane FROM queue_lanes WHERE opens IS NOT NULL AND first IS NOT NULL
    """,
    "a message counts its recipients wrongly": """
        SELECT message FROM queue_messages m WHERE undone <> (
            SELECT count(*) FROM queue_legs l JOIN queue_recipients r ON r.leg = l.leg
            WHERE l.message = m.message AND r.done = 0)
    """,
    "a message is held and goes on": """
        SELECT leg FROM queue_legs WHERE state IN (0, 1)
        AND message IN (SELECT message FROM queue_messages WHERE held <> '')
    """,
    "a message stays though all is done": "SELECT message FROM queue_messages WHERE undone = 0",
    "a leg belongs to no message": """
        SELECT leg FROM queue_legs WHERE message NOT IN (SELECT message FROM queue_messages)
    """,
    "a recipient belongs to no leg": """
        SELECT leg FROM queue_recipients WHERE leg NOT IN (SELECT leg FROM queue_legs)
    """,
    "a leg is over and has recipients, or the other way round": """
        SELECT leg FROM queue_legs l WHERE (state = 5) <> (NOT EXISTS (
            SELECT 1 FROM queue_recipients r WHERE r.leg = l.leg AND r.done = 0))
    """,
    "only what is in flight is in somebody's hands": """
        SELECT leg FROM queue_legs WHERE (state = 3) <> (holder <> '')
    """,
    "a message has no content, or a content no message": """
        SELECT message FROM queue_messages
        WHERE message NOT IN (SELECT piece / 1048576 FROM queue_contents)
        UNION ALL SELECT piece / 1048576 FROM queue_contents
        WHERE piece / 1048576 NOT IN (SELECT message FROM queue_messages)
        AND piece / 1048576 NOT IN (SELECT message FROM queue_leftovers)
    """,
}


def broken(db: Connection, rule: str) -> list[Finding]:
    """Return where a rule is broken."""
    return [
        Finding(f"queue: {rule}", detail=", ".join(map(str, row)))
        for row in db.all(RULES[rule])
    ]
