"""One statement for many rows.

Each run of a statement gives up the interpreter's lock and takes it back, which
beside a busy reactor costs more than what most statements do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from mailplat.sql.database import Connection, Row, Value

MOST = 64  # rows in one run


def bulk(db: Connection, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
    """Run a statement in which ``{rows}`` stands for rows of values; return what it returns.

    It is run once for each power of two that the number of rows is made of, so that
    there are few different statements to prepare.
    """
    found: list[Row] = []
    for some in _shares(rows):
        statement = sql.replace("{rows}", _marks(len(some), len(some[0])))
        found += db.all(statement, [value for row in some for value in row])
    return found


def _shares(rows: Sequence[Sequence[Value]]) -> Iterator[Sequence[Sequence[Value]]]:
    start = 0
    while left := len(rows) - start:
        size = min(MOST, 1 << left.bit_length() - 1)
        yield rows[start : start + size]
        start += size


@lru_cache(256)
def _marks(count: int, width: int) -> str:
    row = f"({', '.join('?' * width)})"
    return ", ".join([row] * count)
