"""Names in a maildir: of files, which tell flags and sizes, of folders, of accounts' roots.

A file is called ``base:2,flags``; the base never changes.  In those that we give stands
whose message it is, so that it is known again whatever a crash has left::

    1700000000.F3U17K0123456789ab.T01234567.host,S=1234,W=1234:2,FS

That is mailbox F3, UID 17, the end of the content's key, and the house's token, without
which the name is a stranger's.  ``S=`` and ``W=`` are the octets as they are and with CRLF,
as Maildir++ and Dovecot have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import count

import attrs

from mailplat.mail.mailbox import INBOX, SEPARATOR
from mailplat.moving.letters import mailbox_name, proper_flags
from mailplat.moving.maildir import (
    FORWARDED,
    flag_letters,
    flags_in,
    folder_name,
    mailbox_parts,
)

INFO = ":2,"
PASSED = "P"  # the letter of `FORWARDED`
LONGEST = 255  # octets of a file's name
CUT = 100  # characters that stay of a folder's name that would be too long
_OURS = re.compile(
    r"[0-9]{1,12}\.([A-Za-z0-9]{1,40})U([0-9]{1,10})K([0-9a-f]{12})\.T([0-9a-f]{16})\.",
    re.ASCII,
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]{0,39}", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9@_+=,.-]|^\.")
_SIZE = re.compile(r",S=([0-9]{1,15})(?=,|$)", re.ASCII)


# Files -----------------------------------------------------------------------


def split(name: str) -> tuple[str, str]:
    """Return the base of a file's name, and the letters of its flags."""
    base, _, info = name.partition(":")
    return base, info[2:] if info.startswith("2,") else ""


def joined(base: str, letters: str) -> str:
    """Return the name of a file in ``cur``."""
    return f"{base}{INFO}{letters}"


def tag_of(mailbox: str) -> str:
    """Return what stands for a mailbox in names: its identity, if that is plain."""
    if _PLAIN.fullmatch(mailbox):
        return mailbox
    return "h" + blake2b(mailbox.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def mark_of(key: str) -> str:
    """Return the 12 hexadecimal digits by which a content's key stands in names."""
    return blake2b(key.encode(), digest_size=6).hexdigest()


@attrs.frozen
class Owner:
    """Whose message a file is, by its name."""

    uid: int
    mark: str  # of its content


@attrs.frozen
class Namer:
    """Gives names, and knows them again."""

    token: str
    host: str

    def base(self, tag: str, uid: int, key: str, received: float, size: int) -> str:
        """Return the base for a message's file of so many octets, all lines with CRLF."""
        seconds = min(max(int(received), 0), 10**11)
        name = f"{seconds}.{tag}U{uid}K{mark_of(key)}.T{self.token}.{self._host}"
        return f"{name},S={size},W={size}"

    def strange(self, seconds: int, inode: int) -> Iterator[str]:
        """Yield bases for a file of which nobody knows whose message it is."""
        for number in count():
            yield f"{seconds}.I{inode}N{number}.{self._host}"

    @property
    def _host(self) -> str:
        return self.host.replace("/", "_").replace(":", "_").replace(",", "_")[:60]

    def owner(self, base: str, tag: str) -> Owner | None:
        """Return whose message it is in that mailbox, or None if we didn't name it so."""
        found = _OURS.match(base)
        if not found or found[4] != self.token or found[1] != tag:
            return None
        return Owner(int(found[2]), found[3])

    def is_ours(self, base: str) -> bool:
        """Say whether we gave that name, whatever mailbox it is of."""
        found = _OURS.match(base)
        return found is not None and found[4] == self.token


def size_in(base: str) -> int | None:
    """Return the octets that a name says its file has."""
    found = _SIZE.search(base)
    return int(found[1]) if found else None


# Flags -----------------------------------------------------------------------


@attrs.frozen
class Lexicon:
    """What letters mean in a folder: five flags, and the keywords that have letters there."""

    keywords: tuple[str, ...] = ()  # that of "a" first; those that are missing are empty

    @classmethod
    def of(cls, names: Mapping[str, str]) -> Lexicon:
        """Return the one with these keywords, by letters."""
        last = max(names, default="`")
        letters = map(chr, range(ord("a"), ord(last) + 1))
        return cls(tuple(_keyword(names.get(letter, "")) for letter in letters))

    @lru_cache(1024)  # noqa: B019 - it is a value
    def letters(self, flags: frozenset[str], now: str = "") -> str:
        """Return a name's letters; those of ``now`` that mean nothing here stay."""
        spelt = {name.lower(): name for name in self.keywords if name}
        known = flag_letters(
            frozenset(spelt.get(flag.lower(), flag) for flag in flags), self.keywords
        )
        strange = [one for one in now if one != PASSED and not self.flags(one)]
        return "".join(sorted({*known, *strange}))

    def flags(self, letters: str) -> frozenset[str]:
        """Return the flags that a name's letters mean.

        Dovecot has a keyword for what other programs have ``P`` for; we write both.
        """
        names = {chr(ord("a") + at): name for at, name in enumerate(self.keywords) if name}
        if any(name.lower() == FORWARDED.lower() for name in names.values()):
            letters = letters.replace(PASSED, "")
        return frozenset(flags_in(INFO + letters, names))

    @lru_cache(1024)  # noqa: B019
    def with_room_for(self, flags: frozenset[str]) -> Lexicon:
        """Return one that has letters for these keywords too, as far as there are any."""
        there = {name.lower() for name in self.keywords}
        names = list(self.keywords)
        for flag in sorted(flags):
            if flag.startswith("\\") or flag.lower() in there:
                continue
            if "" in names:
                names[names.index("")] = flag
            elif len(names) < 26:
                names.append(flag)
            there.add(flag.lower())
        return self if tuple(names) == self.keywords else Lexicon(tuple(names))


def _keyword(name: str) -> str:
    """Return the nearest keyword that there may be; none for what is a system flag."""
    return "" if name.startswith("\\") else next(iter(proper_flags([name])), "")


# Folders ---------------------------------------------------------------------


def folder_of(mailbox: str) -> str:
    """Return the folder of a mailbox below the root, where INBOX lies itself: ``""``.

    It begins with a dot and has no slash and no dot behind that but between two parts, so
    it can't lead out of the root.  One that would be too long is cut and gets a hash.
    """
    name = folder_name(mailbox.split(SEPARATOR))
    if len(name) <= LONGEST:
        return name
    digest = blake2b(mailbox.encode(), digest_size=16).hexdigest()
    return f"{name[:CUT].rstrip('.')}~{digest}"


def mailbox_of(folder: str) -> str:
    """Return the mailbox that a folder of the root stands for."""
    return mailbox_name(mailbox_parts([folder])) if folder else INBOX


# Accounts --------------------------------------------------------------------


def safe(text: str) -> str:
    """Return a text as one name of a folder, another for each: never hidden, ``..`` or long."""
    name = _UNSAFE.sub(_escaped, text)
    if len(name) <= CUT:
        return name
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{name[:CUT]}~{digest}"


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "surrogatepass"))
