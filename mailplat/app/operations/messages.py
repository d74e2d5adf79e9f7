"""Messages: what became of them, and who decided it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mailplat.app.operations.desk import Desk
from mailplat.journal.explain import explained, explained_attempts
from mailplat.journal.journal import Journal
from mailplat.journal.records import written
from mailplat.mail.errors import NoSuchMessage
from mailplat.mail.events import Attempted
from mailplat.mail.mailbox import Mailbox
from mailplat.mail.queued import QueuedMessage, Selection


async def explain(desk: Desk, message: str) -> list[dict[str, Any]]:
    """Return the records of a message id, a Message-ID or an address, with their ``text``.

    Mailboxes are called as they are called today, whatever they were when mail came.
    Raises `NoSuchMessage` if the journal knows of none.
    """
    journal = desk.tree.find(Journal)
    records = await journal.find(message)
    if not records:
        return [await _made_here(desk, journal, message)]
    mailboxes = Mailboxes(desk)
    answer = []
    for record in records:
        outcomes = tuple(
            [
                attrs.evolve(one, detail=await mailboxes.named_in(one.detail))
                if one.status.is_success
                else one
                for one in record.outcomes
            ]
        )
        named = attrs.evolve(record, outcomes=outcomes)
        attempts = await journal.attempts(record.id)
        queued = await desk.queue.messages(Selection(ids=(record.id,)))
        told = {
            **json.loads(written(named)),
            "attempts": [_attempt(one) for one in attempts],
            "queued": [queued_row(one) for one in queued],
        }
        answer.append({**told, "text": explained(named, attempts, queued)})
    return answer


async def _made_here(desk: Desk, journal: Journal, message: str) -> dict[str, Any]:
    """Return what the queue did about a message that did not come in; see `explain`."""
    attempts = await journal.attempts(message)
    queued = await desk.queue.messages(Selection(ids=(message,)))
    if not attempts and not queued:
        raise NoSuchMessage(f"neither journal nor queue knows anything of {message}")
    return {
        "id": message,
        "attempts": [_attempt(one) for one in attempts],
        "queued": [queued_row(one) for one in queued],
        "text": explained_attempts(message, attempts, queued),
    }


def _attempt(attempt: Attempted) -> dict[str, Any]:
    return {**attrs.asdict(attempt), "at": attempt.at.timestamp()}


def queued_row(message: QueuedMessage) -> dict[str, Any]:
    """Return what is known of a queued message as JSON can carry it."""
    return {
        "id": message.id,
        "sender": message.sender,
        "login": message.login,
        "arrived": message.arrived.timestamp(),
        "size": message.size,
        "held": message.held,
        "recipients": [
            {
                **attrs.asdict(one),
                "standing": one.standing.value,
                "due": one.due.timestamp() if one.due else None,
            }
            for one in message.recipients
        ],
    }


_PLACES = re.compile(
    r"(?P<account>\S.*?) (?P<places>F\d+:\d+(?:, F\d+:\d+)*)(?P<by>(?:, by alias .*)?)"
)


@attrs.define
class Mailboxes:
    """Knows the mailboxes of the accounts that were asked about."""

    desk: Desk
    _names: dict[str, Mapping[str, str]] = attrs.field(factory=dict)

    async def named_in(self, detail: str) -> str:
        """Return what an outcome says with mailboxes by name: ``alice@… INBOX, UID 160``."""
        return "; ".join([await self._named(part) for part in detail.split("; ")])

    async def _named(self, part: str) -> str:
        if not (found := _PLACES.fullmatch(part)):
            return part
        names = await self._mailboxes(found["account"])
        places = [place.split(":") for place in found["places"].split(", ")]
        said = [f"{names.get(box, f'{box} (gone)')}, UID {uid}" for box, uid in places]
        return f"{found['account']} {' and '.join(said)}{found['by']}"

    async def _mailboxes(self, name: str) -> Mapping[str, str]:
        if name not in self._names:
            account = await self.desk.directory.account(name)
            boxes: Sequence[Mailbox] = ()
            if account:
                boxes = await (await self.desk.store.open(account.id)).mailboxes()
            self._names[name] = {box.id: box.name for box in boxes}
        return self._names[name]
