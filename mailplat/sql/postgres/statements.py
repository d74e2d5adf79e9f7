"""Statements in the words of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

MARK = re.compile(r"\?(\d*)")


@lru_cache(1024)
def numbered(sql: str) -> bytes:
    """Return a statement with ``$1``, ``$2`` … for its values, which had ``?`` or ``?1`` …"""
    numbers = _from_one()
    return MARK.sub(lambda mark: f"${mark[1] or next(numbers)}", sql).encode()


def _from_one() -> Iterator[int]:
    number = 0
    while True:
        yield (number := number + 1)
