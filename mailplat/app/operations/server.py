"""The house as a whole."""

from __future__ import annotations

import os
from typing import Any

import mailplat
from mailplat.app.operations.accounts import add_account, set_password
from mailplat.app.operations.desk import Desk
from mailplat.mail.errors import AlreadyExists


async def status(desk: Desk) -> dict[str, Any]:
    """Return whether the server is up, where it listens, and how many it serves."""
    portals = desk.tree.portals()
    return {
        "version": mailplat.__version__,
        "hostname": desk.tree.configuration.house.hostname,
        "running": desk.listening is not None,
        "pid": None if desk.listening is None else os.getpid(),
        "listening": list(desk.listening or ()),
        "sessions": {name: portal.sessions for name, portal in portals.items()},
        "stuck": dict(desk.foundation.workers.stuck) if desk.foundation else {},
        "domains": len(await desk.people.domains()),
        "accounts": len(await desk.people.accounts()),
    }


async def furnish(desk: Desk, domain: str, name: str, password: str) -> dict[str, Any]:
    """Give a new house its first domain and the account of its postmaster.

    What is there already stays, but for the password.
    """
    try:
        await desk.people.add_domain(domain, name)
    except AlreadyExists:
        pass
    try:
        return await add_account(desk, name, password)
    except AlreadyExists:
        return await set_password(desk, name, password)
