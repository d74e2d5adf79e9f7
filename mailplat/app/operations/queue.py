"""The queue: what waits there and why, and what an operator does about it."""

from __future__ import annotations

from typing import Any

from mailplat.app.operations.desk import Desk
from mailplat.app.operations.messages import queued_row
from mailplat.mail.address import Address
from mailplat.mail.errors import BadParameter
from mailplat.mail.queued import Question, QueueFailed, Selection, Standing
from mailplat.plugin import duration

Row = dict[str, Any]
Chosen = dict[str, Any]
"""The fields of a `Selection`; ``standing`` by its word, ``older_than`` with its unit."""


def _selection(chosen: Chosen) -> Selection:
    fields = dict(chosen)
    try:
        if word := fields.pop("standing", ""):
            fields["standing"] = Standing(word)
        if text := fields.pop("older_than", ""):
            fields["older_than"] = duration(text).total_seconds()
        if recipient := fields.get("recipient"):
            fields["recipient"] = str(Address.in_path(recipient))
        fields["ids"] = tuple(fields.get("ids", ()))
        return Selection(**fields)
    except (ValueError, TypeError) as problem:
        raise BadParameter(str(problem)) from None


async def list_messages(desk: Desk, chosen: Chosen) -> list[Row]:
    """Return the messages that are meant, in the order of their coming."""
    return [queued_row(one) for one in await desk.queue.messages(_selection(chosen))]


async def show(desk: Desk, message: str) -> Row:
    """Return all that is known of a message, with its header."""
    found = await desk.queue.messages(Selection(ids=(message,)))
    if not found:
        raise QueueFailed(f"the queue has no message {message}")
    content = await desk.queue.content(message)
    octets = await content.read(0, min(content.size, 65536))
    header = octets.partition(b"\r\n\r\n")[0]
    return {**queued_row(found[0]), "header": header.decode("utf-8", "replace")}


async def hold(desk: Desk, chosen: Chosen, why: str = "") -> Row:
    """Try messages no more until they are released."""
    return {"messages": await desk.queue.hold(_selection(chosen), why)}


async def release(desk: Desk, chosen: Chosen) -> Row:
    """Let messages go that are held, or could not be delivered."""
    return {"messages": await desk.queue.release(_selection(chosen))}


async def retry(desk: Desk, chosen: Chosen) -> Row:
    """Try messages now; what is counted are the attempts that come of it."""
    return {"attempts": await desk.queue.retry(_selection(chosen))}


async def reroute(desk: Desk, chosen: Chosen) -> Row:
    """Ask the routes anew."""
    return {"recipients": await desk.queue.reroute(_selection(chosen))}


async def remove(desk: Desk, chosen: Chosen, report: bool = False) -> Row:
    """Give messages up, with or without telling their senders."""
    return {"messages": await desk.queue.remove(_selection(chosen), report)}


async def stats(desk: Desk) -> Row:
    """Return how much there is in the queue."""
    found = await desk.queue.stats()
    return {
        "messages": found.messages,
        "octets": found.octets,
        "oldest": found.oldest.timestamp() if found.oldest else None,
        "by_standing": {one.value: count for one, count in found.by_standing.items()},
        "doubtful": found.doubtful,
        "destinations": [
            {"agent": agent, "destination": to, "messages": count}
            for agent, to, count in found.destinations
        ],
    }


async def route(
    desk: Desk, address: str, sender: str = "", login: str = "", size: int = 0
) -> list[Row]:
    """Say which way mail for an address would go and why; nothing is sent.

    A local address has a row for each end of its way.
    """
    recipient = Address.in_path(address)
    question = Question(
        recipient=recipient,
        sender=Address.in_path(sender) if sender not in ("", "<>") else None,
        login=login,
        size=size,
    )
    routed = await desk.queue.ways.route(question)
    way = {
        "address": str(recipient),
        "agent": routed.agent,
        "reason": routed.reason,
        "hold": routed.hold,
    }
    if routed.agent != "local":
        return [way]
    places = await desk.directory.places(recipient)
    rows = []
    for place in places:
        end = place.account.name if place.account else str(place.address)
        disabled = place.account is not None and not place.account.enabled
        via = f", by alias {', '.join(place.via)}" if place.via else ""
        rows.append({**way, "end": f"{end}{' (disabled)' if disabled else ''}{via}"})
    return rows or [{**way, "end": "nobody: it would be refused"}]
