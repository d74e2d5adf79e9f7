"""Records as text that the journal keeps, and back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import attrs

from mailplat.mail.events import Attempted, Tried
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import Status
from mailplat.mail.transit import Decision, Disposition, MessageRecord, Stage

_PLAIN = (
    "id", "portal", "protocol", "peer", "greeting", "login", "sender", "recipients", "size",
    "message_id", "subject", "repeats",
)  # fmt: skip
LONGEST_FACT = 400  # characters


@attrs.frozen
class Row:
    """A record as the journal's table has it."""

    id: str
    arrived: float
    message_id: str
    people: str
    record: str


_REACHED = re.compile(r"(?:^|; )(\S+@\S+) F\d+:")  # accounts, however their mail was addressed


def row_of(record: MessageRecord) -> Row:
    """Return the row that keeps a record."""
    return Row(
        record.id,
        record.arrived.timestamp(),
        record.message_id.strip("<> "),
        _people(record),
        written(record),
    )


def _people(record: MessageRecord) -> str:
    asked_about = (decision.recipient for decision in record.decisions)
    reached = (name for one in record.outcomes for name in _REACHED.findall(one.detail))
    people = {record.sender, record.login, *record.recipients, *asked_about, *reached} - {""}
    return "\n".join(["", *sorted(one.casefold() for one in people), ""])


def written(record: MessageRecord) -> str:
    """Return a record as text."""
    fields: dict[str, Any] = {name: getattr(record, name) for name in _PLAIN}
    fields["arrived"] = record.arrived.timestamp()
    fields["outcomes"] = [(str(one.status), one.detail) for one in record.outcomes]
    fields["decisions"] = [
        (
            one.stage.value,
            one.component,
            one.disposition.value,
            one.detail,
            round(one.seconds, 6),
            one.facts if type(one.facts) is dict else dict(one.facts),
            one.recipient,
            one.edits,
        )
        for one in record.decisions
    ]
    return _write(fields)


def _fact(value: object) -> str:
    return str(value)[:LONGEST_FACT]


_write = json.JSONEncoder(
    separators=(",", ":"), default=_fact, check_circular=False, skipkeys=True
).encode


def read(text: str) -> MessageRecord:
    """Return the record that `written` made into text."""
    fields = json.loads(text)
    decisions = tuple(
        Decision(
            Stage(stage),
            component,
            Disposition(disposition),
            detail,
            seconds,
            facts,
            recipient,
            tuple(edits),
        )
        for stage, component, disposition, detail, seconds, facts, recipient, edits in fields[
            "decisions"
        ]
    )
    outcomes = tuple(Outcome(_status(status), detail) for status, detail in fields["outcomes"])
    plain = {name: fields[name] for name in _PLAIN if name in fields and name != "recipients"}
    return MessageRecord(
        **plain,
        arrived=datetime.fromtimestamp(fields["arrived"], UTC),
        recipients=tuple(fields["recipients"]),
        outcomes=outcomes,
        decisions=decisions,
    )


@attrs.frozen
class AttemptRow:
    """An attempt of the queue's as the journal's table has it; ``record`` is its text."""

    id: str
    made: float
    record: str


def attempt_row_of(attempted: Attempted) -> AttemptRow:
    """Return the row that keeps an attempt."""
    fields = {
        "agent": attempted.agent,
        "destination": attempted.destination,
        "seconds": round(attempted.seconds, 3),
        "recipients": [attrs.astuple(one) for one in attempted.recipients],
    }
    return AttemptRow(attempted.id, attempted.at.timestamp(), _write(fields))


def read_attempt(name: str, made: float, text: str) -> Attempted:
    """Return the attempt that `attempt_row_of` made into text."""
    fields = json.loads(text)
    return Attempted(
        id=name,
        at=datetime.fromtimestamp(made, UTC),
        agent=fields["agent"],
        destination=fields["destination"],
        seconds=fields["seconds"],
        recipients=tuple(Tried(*one) for one in fields["recipients"]),
    )


def _status(text: str) -> Status:
    return Status(*map(int, text.split(".")))
