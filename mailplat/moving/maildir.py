"""Maildir and Maildir++: flags in names, keywords by letters, folders by dots.

A name's flags stand behind ``:2,``; the letters ``a`` to ``z`` are keywords, which a
file ``dovecot-keywords`` beside ``cur`` gives names to, a number and a name on each line.
Folders of Maildir++ lie side by side in the root and are called ``.Name.Sub``, in UTF-8
or the modified UTF-7 of RFC 3501 section 5.1.3; others lie in one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailplat.mail.mailbox import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from mailplat.mail.utf7 import from_utf7, to_utf7

KEYWORDS_FILE = "dovecot-keywords"
LONGEST_KEYWORDS_FILE = 65536  # octets
MESSAGES = ("cur", "new")
FOLDERS = (*MESSAGES, "tmp")
FORWARDED = "$Forwarded"

_LETTERS = {
    "D": DRAFT,
    "F": FLAGGED,
    "P": FORWARDED,
    "R": ANSWERED,
    "S": SEEN,
    "T": DELETED,
}
_FLAGS = {flag.lower(): letter for letter, flag in _LETTERS.items()}


def flags_in(name: str, keywords: Mapping[str, str]) -> list[str]:
    """Return the flags in a message's file name; ``keywords`` are names by letters."""
    letters = name.rpartition(":2,")[2] if ":2," in name else ""
    known = {**_LETTERS, **keywords}
    return [known[letter] for letter in letters[:64] if letter in known]


def flag_letters(flags: frozenset[str], keywords: Sequence[str]) -> str:
    """Return the flags as they stand in a name; keywords that have no letter are left out."""
    letters = {_FLAGS[flag.lower()] for flag in flags if flag.lower() in _FLAGS}
    for place, name in enumerate(keywords[:26]):
        if name in flags:
            letters.add(chr(ord("a") + place))
    return "".join(sorted(letters))


def is_letter(flag: str) -> bool:
    """Say whether a flag has a letter of its own in every maildir."""
    return flag.lower() in _FLAGS


def read_keywords(octets: bytes) -> dict[str, str]:
    """Read the names of keywords, by letters."""
    found: dict[str, str] = {}
    for line in octets.decode("utf-8", "replace").splitlines():
        number, _, name = line.partition(" ")
        if number.isascii() and number.isdigit() and len(number) < 3 and int(number) < 26:
            found[chr(ord("a") + int(number))] = name.strip()
    return found


def written_keywords(names: Sequence[str]) -> bytes:
    """Write the names of the first 26 keywords."""
    return "".join(f"{place} {name}\n" for place, name in enumerate(names[:26])).encode()


def mailbox_parts(folders: Sequence[str]) -> list[str]:
    """Return a mailbox's name in parts, by the folders that lead to its ``cur``."""
    parts: list[str] = []
    for folder in folders:
        if folder.startswith("."):
            parts += [from_utf7(part) for part in folder[1:].split(".") if part]
        else:
            parts.append(folder)
    return parts


def folder_name(parts: Sequence[str]) -> str:
    """Return the folder of Maildir++ for a mailbox; INBOX lies in the root itself."""
    if list(parts) == ["INBOX"]:
        return ""
    return "." + ".".join(
        to_utf7(part).replace(".", "&AC4-").replace("/", "&AC8-") for part in parts
    )
