"""Media types: which there are, who says so, and those that the operator adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mailplat.app.mediatypes import TypeRegistry
from mailplat.app.operations.desk import Desk
from mailplat.mail.errors import BadParameter
from mailplat.mail.mimetypes import KnownType, Origin, type_name

Row = dict[str, Any]


def _row(entry: KnownType, handlers: Mapping[str, str]) -> Row:
    return {
        "type": entry.name,
        "extensions": list(entry.extensions),
        "origin": entry.origin.value,
        "place": entry.place,
        "handler": handlers.get(entry.name, ""),
    }


def _registry(desk: Desk) -> TypeRegistry:
    return desk.tree.find(TypeRegistry)


async def list_types(desk: Desk, origin: str = "") -> list[Row]:
    """Return every type by name, or those of one origin; what counts most comes first."""
    types = [t for t in _registry(desk).types.types if origin in ("", t.origin.value)]
    order = list(Origin)
    handlers = _registry(desk).handlers
    return [
        _row(t, handlers) for t in sorted(types, key=lambda t: (t.name, order.index(t.origin)))
    ]


async def show_type(desk: Desk, name: str) -> list[Row]:
    """Return what is known of a type, or who claims an extension; the first one counts.

    Raises `BadParameter` if nobody knows it.
    """
    types = _registry(desk).types
    found = types.entries(name) if "/" in name else types.claims(name)
    if not found:
        raise BadParameter(f"nobody knows {name}")
    return [_row(entry, _registry(desk).handlers) for entry in found]


async def add_type(desk: Desk, name: str, extensions: list[str]) -> Row:
    """Add a type of the operator's own, or extensions of one; again it changes nothing."""
    added = await _registry(desk).add(name, tuple(extensions))
    return {"type": type_name(name), "extensions": list(added)}


async def remove_type(desk: Desk, name: str, extensions: list[str]) -> Row:
    """Forget a type that was added, or some of its extensions."""
    left = await _registry(desk).remove(name, tuple(extensions), desk.repeated)
    return {"type": type_name(name), "extensions": list(left)}


async def guess(desk: Desk, name: str, declared: str = "", sniffed: str = "") -> Row:
    """Say what a file is, by what is declared of it, its name, and what was found in it."""
    found = _registry(desk).types.guess(declared, name, sniffed)
    return {
        "type": found.type,
        "by": found.by.value,
        "declared": found.declared,
        "name": found.by_name,
        "content": found.by_content,
    }
