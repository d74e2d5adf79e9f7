"""What is wrong with a store's tables after a crash, as rules in SQL say it."""

from __future__ import annotations

from collections.abc import Mapping

from mailplat.sql import Connection

LEFTOVERS = {
    "octets wait to be swept": "SELECT account, email FROM store_unnamed",
    "an account is not wholly forgotten": "SELECT account FROM store_removals",
}


def wrong_in(db: Connection, rules: Mapping[str, str], *, at_rest: bool = True) -> list[str]:
    """Return what is wrong with an index by its rules; nothing, if it is sound.

    ``at_rest`` also asks for what is right only while somebody is at work:
    contents that are arriving or still read, and accounts being forgotten.
    """
    asked = {**rules, **(LEFTOVERS if at_rest else {})}
    wrong = [f"{rule}: {row}" for rule, sql in asked.items() for row in db.all(sql)]
    return db.damage() + wrong
