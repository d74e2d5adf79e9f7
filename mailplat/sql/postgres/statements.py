"""Statements in the words of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import attrs

from mailplat.sql.postgres.values import UNKNOWN

MARK = re.compile(r"\?(\d*)")
ROWS = "VALUES {rows}"


@lru_cache(1024)
def numbered(sql: str) -> bytes:
    """Return a statement with ``$1``, ``$2`` … for its values, which had ``?`` or ``?1`` …"""
    numbers = _from_one()
    return MARK.sub(lambda mark: f"${mark[1] or next(numbers)}", sql).encode()


@lru_cache(1024)
def unnested(sql: str, types: tuple[int, ...]) -> str:
    """Return a statement with ``VALUES {rows}`` that takes an array for each of its columns.

    So it is one and the same for however many rows.  A column whose type is UNKNOWN has
    none, and no array.
    """
    numbers = [number for number, kind in enumerate(types, 1) if kind != UNKNOWN]
    arrays = ", ".join("?" for _ in numbers)
    names = ", ".join(f"column{number}" for number in numbers)
    chosen = ", ".join(
        f"column{number}" if kind != UNKNOWN else "NULL" for number, kind in enumerate(types, 1)
    )
    rows = f"SELECT {chosen} FROM unnest({arrays}) AS columns({names})"  # noqa: S608 - ours
    return sql.replace(ROWS, rows)


def _from_one() -> Iterator[int]:
    number = 0
    while True:
        yield (number := number + 1)


@attrs.frozen
class Prepared:
    """A statement that the server has prepared, and the types of values that it takes."""

    name: bytes
    types: Sequence[int]
    answers: bool  # whether it returns rows

    def takes(self, types: Sequence[int]) -> bool:
        """Say whether it takes values of these types; it takes no value anywhere."""
        return self.types == types or all(
            given in (UNKNOWN, wanted) for given, wanted in zip(types, self.types, strict=True)
        )
