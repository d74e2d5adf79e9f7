"""The queue's statements: functions of a connection, each a unit of work or part of one."""

from mailplat.queue.queries import (
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
    "contents",
    "enqueueing",
    "listing",
    "nodes",
    "settling",
    "steering",
    "taking",
    "tidying",
]
