"""The queue's statements: functions of a connection, each a unit of work or part of one."""

from mailplat.queue.queries import (
    audit,
    contents,
    enqueueing,
    listing,
    nodes,
    settling,
    steering,
    taking,
    tidying,
)

__all__ = [
    "audit",
    "contents",
    "enqueueing",
    "listing",
    "nodes",
    "settling",
    "steering",
    "taking",
    "tidying",
]
