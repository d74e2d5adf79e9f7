"""The index's statements: functions of a connection, each a unit of work or part of one."""

from mailplat.store.indexed.queries import (
    arrivals,
    changes,
    contents,
    examining,
    flags,
    keys,
    mailboxes,
    messages,
    reading,
    restoring,
    showing,
    tidying,
)

__all__ = [
    "arrivals",
    "changes",
    "contents",
    "examining",
    "flags",
    "keys",
    "mailboxes",
    "messages",
    "reading",
    "restoring",
    "showing",
    "tidying",
]
