"""Where a house keeps its state, as far as that can be known from a file with mistakes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

STATE = "state"  # the folder beside the file, where it names no other

_NAMED = re.compile(r"""^state[ \t]*=[ \t]*(["'])(?P<path>[^"'\\\n]*)\1""", re.MULTILINE)


def state_of(file: Path) -> Path | None:
    """Return the state folder that a file names, whatever else is wrong with it.

    None if the file can't be read, or names something else.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    try:
        state = tomllib.loads(text).get("state", STATE)
    except (ValueError, RecursionError):
        found = _NAMED.search(text.partition("\n[")[0])
        state = found["path"] if found else STATE
    return file.parent / state if isinstance(state, str | Path) else None
