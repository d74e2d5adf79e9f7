"""Messages: what became of them, and who decided it."""

from __future__ import annotations

import json
from typing import Any

from mailplat.app.operations.desk import Desk
from mailplat.journal.explain import explained
from mailplat.journal.journal import Journal
from mailplat.journal.records import written
from mailplat.mail.errors import NoSuchMessage


async def explain(desk: Desk, message: str) -> list[dict[str, Any]]:
    """Return the records of a message id, a Message-ID or an address, with their ``text``.

    Raises `NoSuchMessage` if the journal knows of none.
    """
    records = await desk.tree.find(Journal).find(message)
    if not records:
        raise NoSuchMessage(f"the journal knows nothing of {message}")
    return [{**json.loads(written(record)), "text": explained(record)} for record in records]
