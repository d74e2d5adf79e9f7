"""What Sieve scripts may be called (RFC 5804)."""

from __future__ import annotations

import re
import unicodedata

from mailplat.mail.errors import NotPermitted

LONGEST_NAME = 128  # characters, which a server has to allow
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def proper_script_name(text: str) -> str:
    """Return a script's name as it is kept, in NFC.

    Raises `NotPermitted` for one that is empty, too long, or has a control character
    in it.  Source: RFC 5804 section 1.6, RFC 5198 section 2.
    """
    name = unicodedata.normalize("NFC", text[: LONGEST_NAME * 4])
    if not 0 < len(name) <= LONGEST_NAME or _FORBIDDEN.search(name):
        raise NotPermitted(f"no script can be called {text[:LONGEST_NAME]!r}")
    return name
