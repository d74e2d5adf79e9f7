"""One statement for many rows.

Each run of a statement gives up the interpreter's lock and takes it back, which
beside a busy reactor costs more than what most statements do; and on a server each is
a way there and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from mailplat.sql.database import Connection, Row, Value

MOST = 64  # rows in one run, where each of their values has a mark of its own


def bulk(db: Connection, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
    """Run a statement in which ``VALUES {rows}`` stands for rows of values.

    Return what it returns.  Nothing is run where there are no rows.
    """
    return db.bulk(sql, rows) if rows else []


def in_turns(
    run: Callable[[str, Sequence[Value]], list[Row]], sql: str, rows: Sequence[Sequence[Value]]
) -> list[Row]:
    """Run it with a mark for each value.

    It is run once for each power of two that the number of rows is made of, so that
    there are few different statements to prepare.
    """
    count, width = len(rows), len(rows[0])
    if count <= MOST and not count & count - 1:
        return run(marked(sql, count, width), [value for row in rows for value in row])
    found: list[Row] = []
    start = 0
    while left := count - start:
        size = min(MOST, 1 << left.bit_length() - 1)
        found += in_turns(run, sql, rows[start : start + size])
        start += size
    return found


@lru_cache(512)
def marked(sql: str, count: int, width: int) -> str:
    """Return the statement with a mark for each value of so many rows."""
    row = f"({', '.join('?' * width)})"
    return sql.replace("{rows}", ", ".join([row] * count))
