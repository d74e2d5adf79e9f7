"""Makes of the tables' rows what operators see."""

from __future__ import annotations

from collections.abc import Sequence

from mailplat.mail.queued import QueuedMessage, QueuedRecipient, QueueStats, Standing
from mailplat.queue.facts import Facts, moment
from mailplat.queue.queries.legs import DEFERRED
from mailplat.queue.queries.listing import STATES, Counted
from mailplat.queue.queries.settling import DELIVERED, FAILED
from mailplat.sql import Row

_OF_STATES = {state: standing for standing, state in STATES.items()}
_OF_DONE = {DELIVERED: Standing.DELIVERED, FAILED: Standing.FAILED}


def message_of(row: Row, recipients: Sequence[Row]) -> QueuedMessage:
    """Return what is known of a message, its recipients among those of several."""
    number, name, sender, arrived, size, held, facts = row
    return QueuedMessage(
        id=name,
        sender=sender,
        login=Facts.read(facts).login,
        arrived=moment(arrived),
        size=size,
        held=held,
        recipients=tuple(_recipient(one) for one in recipients if one[0] == number),
    )


def _recipient(row: Row) -> QueuedRecipient:
    _, address, done, state, agent, destination, attempts, due, status, detail, doubtful = row
    return QueuedRecipient(
        address=address,
        standing=_OF_DONE[done] if done else _OF_STATES[state],
        agent=agent,
        destination=destination,
        attempts=attempts,
        due=moment(due) if state == DEFERRED and not done else None,
        status=status,
        detail=detail,
        doubtful=bool(doubtful),
    )


def stats_of(counted: Counted) -> QueueStats:
    """Return what was counted."""
    return QueueStats(
        messages=counted.messages,
        octets=counted.octets,
        oldest=None if counted.oldest is None else moment(counted.oldest),
        by_standing={
            standing: counted.states[state]
            for standing, state in STATES.items()
            if state in counted.states
        },
        destinations=tuple((agent, to, count) for agent, to, count in counted.lanes),
        doubtful=counted.doubtful,
    )
