"""Values as PostgreSQL takes them: the number of their type there, and their octets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, TypeAlias

UNKNOWN = 0  # the type of a value that is none; the server knows which is wanted
BYTEA, INT8, TEXT, FLOAT8 = 17, 20, 25, 701  # pg_type.oid, which never change
ARRAYS = {BYTEA: 1001, INT8: 1016, TEXT: 1009, FLOAT8: 1022}  # arrays of these

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

_HEAD = Struct(">iiiii")  # dimensions, whether there is a NULL, type, length, first place
_LENGTH = Struct(">i").pack
_NULL = _LENGTH(-1)


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


def array_of(values: Sequence[Any]) -> tuple[int, bytes]:
    """Return the type of an array of values, and its octets (PostgreSQL's ``array_send``).

    The type is UNKNOWN where all are none.  Raises `TypeError` for values that no one
    column can have.
    """
    kinds = {kind: encoder_of(kind) for kind in set(map(type, values))}
    types = {number for number, _ in kinds.values() if number != UNKNOWN}
    if not types:
        return UNKNOWN, b""
    if types == {INT8, FLOAT8}:
        return array_of([value if value is None else float(value) for value in values])
    if len(types) > 1:
        raise TypeError(f"one column can't have {', '.join(kind.__name__ for kind in kinds)}")
    [number] = types
    has_null = type(None) in kinds
    if number == INT8 and not has_null:
        return ARRAYS[INT8], _integers(values)
    pieces = [_HEAD.pack(1, has_null, number, len(values), 1)]
    for value in values:
        if value is None:
            pieces.append(_NULL)
        else:
            octets = kinds[type(value)][1](value)
            pieces += (_LENGTH(len(octets)), octets)
    return ARRAYS[number], b"".join(pieces)


def _integers(values: Sequence[int]) -> bytes:
    flat = [8] * (2 * len(values))  # each one's length, and itself
    flat[1::2] = values
    return _integers_of(len(values)).pack(1, 0, INT8, len(values), 1, *flat)


@lru_cache(256)
def _integers_of(count: int) -> Struct:
    return Struct(f">iiiii{'iq' * count}")
