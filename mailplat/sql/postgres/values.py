"""Values as PostgreSQL takes them: the number of their type there, and their octets."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any, TypeAlias

UNKNOWN = 0  # the type of a value that is none; the server knows which is wanted
BYTEA, INT8, TEXT, FLOAT8 = 17, 20, 25, 701  # pg_type.oid, which never change

Encoder: TypeAlias = tuple[int, Callable[[Any], bytes]]

_ENCODERS: dict[type, Encoder] = {
    int: (INT8, Struct(">q").pack),  # truth too, as on SQLite
    float: (FLOAT8, Struct(">d").pack),
    str: (TEXT, str.encode),
    bytes: (BYTEA, bytes),
    bytearray: (BYTEA, bytes),
    memoryview: (BYTEA, bytes),
    type(None): (UNKNOWN, bytes),
}


def encoder_of(kind: type) -> Encoder:
    """Return the type of values of a Python type, and what makes octets of them.

    Raises `TypeError` for what no database takes.
    """
    encoder = _ENCODERS.get(kind)
    if encoder is None:
        known = next((known for known in tuple(_ENCODERS) if issubclass(kind, known)), None)
        if known is None:
            raise TypeError(f"a value of {kind.__name__} can't be kept in a database")
        encoder = _ENCODERS[kind] = _ENCODERS[known]
    return encoder
