"""The house as a whole."""

from __future__ import annotations

import os
from typing import Any

import mailplat
from mailplat.app.operations.desk import Desk


async def status(desk: Desk) -> dict[str, Any]:
    """Return whether the server is up, where it listens, and how many it serves."""
    portals = desk.tree.portals()
    return {
        "version": mailplat.__version__,
        "hostname": desk.tree.configuration.house.hostname,
        "running": bool(desk.listening),
        "pid": os.getpid() if desk.listening else None,
        "listening": list(desk.listening),
        "sessions": {name: portal.sessions for name, portal in portals.items()},
        "domains": len(await desk.people.domains()),
        "accounts": len(await desk.people.accounts()),
    }
