"""Statements in the words of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import attrs

from mailplat.sql.postgres.values import UNKNOWN

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


@attrs.frozen
class Prepared:
    """A statement that the server has prepared, and the types of values that it takes."""

    name: bytes
    types: Sequence[int]

    def takes(self, types: Sequence[int]) -> bool:
        """Say whether it takes values of these types; it takes no value anywhere."""
        return self.types == types or all(
            given in (UNKNOWN, wanted) for given, wanted in zip(types, self.types, strict=True)
        )
