"""Open files: as many as the machine lets us have, and no more connections than they carry."""

from __future__ import annotations

import resource

import attrs

from mailplat.mail.limits import Limits

OF_THE_HOUSE = 100  # descriptors for databases, sockets that listen, children and the log
OF_A_CONNECTION = 2  # itself, and the file in which a large content waits
ENOUGH = 0.9  # of the connections that the limits allow
MOST = 1 << 20  # where there is no limit at all


def raise_limit() -> None:
    """Have this process open as many files as it may: the soft limit is for `select`."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return  # what there is must do


def carried(descriptors: int) -> int:
    """Return how many connections so many descriptors carry."""
    return max(1, (descriptors - OF_THE_HOUSE) // OF_A_CONNECTION)


def within_reach(limits: Limits) -> Limits:
    """Return limits with no more connections than this process can carry now."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or carried(soft) >= limits.connections:
        return limits
    return attrs.evolve(limits, connections=carried(soft))


def shortage(limits: Limits) -> str:
    """Say what is wrong where the hard limit is too low for the connections; else nothing.

    A few connections less are not worth a word.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or carried(hard) >= limits.connections * ENOUGH:
        return ""
    needed = OF_THE_HOUSE + OF_A_CONNECTION * limits.connections
    return (
        f"{hard} open files carry {carried(hard)} connections, not {limits.connections}; "
        f"for these, raise the limit to {needed} (LimitNOFILE= of systemd, `ulimit -Hn`)"
    )
