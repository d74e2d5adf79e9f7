"""Amounts in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def octets_text(octets: int) -> str:
    """Return a number of octets with three digits or so, and a unit."""
    amount, unit = float(octets), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.3g} {_UNITS[unit]}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what it counts: ``1 message``, ``2 messages``, ``3 were``."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def taken(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what an account takes of what it has, by resource."""
    storage, messages = row["storage"], row["messages"]
    return {
        "storage": _of(octets_text(storage["used"]), storage["limit"], octets_text),
        "messages": _of(str(messages["used"]), messages["limit"], str),
    }


def _of(used: str, limit: int | None, text: Any) -> str:
    return used if limit is None else f"{used} of {text(limit)}"
