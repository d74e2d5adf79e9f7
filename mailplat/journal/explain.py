"""Tells an operator what became of a message, and who decided it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mailplat.mail.events import Attempted
from mailplat.mail.queued import QueuedMessage
from mailplat.mail.transit import Decision, MessageRecord


def explained(
    record: MessageRecord,
    attempts: Sequence[Attempted] = (),
    queued: Sequence[QueuedMessage] = (),
) -> str:
    """Return a record as text for a terminal, whatever strangers put into it.

    Behind it stands what the queue tried, and how it stands with what is still there.
    """
    lines = [*_lines(record), *_lines_of_queue(attempts, queued)]
    return "\n".join(map(harmless, lines)) + "\n"


def explained_attempts(
    name: str, attempts: Sequence[Attempted], queued: Sequence[QueuedMessage]
) -> str:
    """Return what the queue did about a message that didn't come in: a report of our own."""
    lines = [f"{name}: made here", *_lines_of_queue(attempts, queued)]
    return "\n".join(map(harmless, lines)) + "\n"


def _lines_of_queue(
    attempts: Sequence[Attempted], queued: Sequence[QueuedMessage]
) -> Iterator[str]:
    if attempts:
        yield ""
        yield "  attempts"
        yield from _columns(
            (
                (
                    f"{attempt.at:%Y-%m-%d %H:%M:%S} UTC",
                    attempt.agent,
                    one.recipient,
                    one.status,
                    "; ".join(filter(None, (one.detail, one.then))),
                )
                for attempt in attempts
                for one in attempt.recipients
            ),
            "    ",
        )
    if queued:
        yield ""
        yield "  in the queue"
    for message in queued:
        if message.held:
            yield f"    held: {message.held}"
        yield from _columns(
            (
                (
                    one.address,
                    one.standing.value,
                    f"by {one.agent}" if one.agent else "no way yet",
                    f"next {one.due:%Y-%m-%d %H:%M:%S} UTC" if one.due else "",
                )
                for one in message.recipients
            ),
            "    ",
        )


def harmless(line: str) -> str:
    """Return a line of text in which nothing moves a terminal's cursor or colours it."""
    if line.isprintable():
        return line
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in line
    )


def _lines(record: MessageRecord) -> Iterator[str]:
    yield f"{record.id}: {record.sender or '<>'} to {_recipients(record)}"
    yield from _columns(_facts(record), "  ")
    yield ""
    yield "  decisions"
    yield from _columns((_decision(one) for one in record.decisions), "    ")
    yield ""
    yield "  outcomes"
    if not record.outcomes:
        yield "    none: the transaction ended before its content came"
    outcomes = zip(record.recipients, record.outcomes, strict=False)
    yield from _columns(
        ((recipient, str(one.status), one.detail) for recipient, one in outcomes), "    "
    )


def _recipients(record: MessageRecord) -> str:
    """Return whom a message was for; those that were refused if there are no others."""
    refused = dict.fromkeys(one.recipient for one in record.refusals if one.recipient)
    if record.recipients or not refused:
        return ", ".join(record.recipients) or "no recipient that was named"
    return f"{', '.join(refused)} (refused)"


def _facts(record: MessageRecord) -> Iterator[tuple[str, str]]:
    yield "arrived", f"{record.arrived:%Y-%m-%d %H:%M:%S} UTC"
    portal = f" at {record.portal}" if record.portal else ""
    yield "from", f"{record.peer}, which called itself {record.greeting or 'nothing'}"
    yield "by", f"{record.protocol}{portal}"
    if record.repeats:
        yield "like it", f"{record.repeats} more in that minute, which are not kept one by one"
    if record.login:
        yield "login", record.login
    yield "size", f"{record.size} octets"
    if record.message_id:
        yield "Message-ID", record.message_id
    if record.subject:
        yield "Subject", record.subject


def _decision(one: Decision) -> tuple[str, ...]:
    facts = (f"{name} = {value}" for name, value in one.facts.items())
    about = (f"<{one.recipient}>" if one.recipient else "", one.detail, *one.edits, *facts)
    return (
        one.stage.value,
        one.component,
        one.disposition.value,
        _time(one.seconds),
        "; ".join(filter(None, about)),
    )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _columns(rows: Iterable[Sequence[str]], indent: str) -> Iterator[str]:
    """Yield rows as lines, each column as wide as its widest text."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield (indent + "  ".join(cells)).rstrip()
