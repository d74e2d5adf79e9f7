"""Passwords: hashed slowly, compared in the pool, the same work for every name."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from collections.abc import Awaitable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mailplat.workers import Workers

MEMORY = 19456  # KiB for one hash; with ROUNDS, what OWASP asks for at least
ROUNDS = 2


def prepared(password: bytes) -> bytes:
    """Return a password in its one spelling, whatever keyboard it was typed on.

    Composed characters, and the plain space for every other; what is no UTF-8
    stays as it is.  Source: RFC 8265 section 4.2, the successor of SASLprep,
    which RFC 6856 section 2.2 asks for.
    """
    try:
        text = unicodedata.normalize("NFC", password.decode())
    except UnicodeDecodeError:
        return password
    return "".join(" " if unicodedata.category(one) == "Zs" else one for one in text).encode()


class Passwords:
    """Hashes and compares passwords by argon2id (RFC 9106), off the reactor."""

    def __init__(self, workers: Workers, *, memory: int = MEMORY, rounds: int = ROUNDS) -> None:
        self._workers = workers
        self._hasher = PasswordHasher(rounds, memory, parallelism=1)
        salt, digest = (b64encode(bytes(size)).rstrip(b"=").decode() for size in (16, 32))
        self._nobodys = f"$argon2id$v=19$m={memory},t={rounds},p=1${salt}${digest}"

    def hash(self, password: bytes) -> Awaitable[str]:
        """Return what to store of a password."""
        return self._workers.hashes.ask(self._hasher.hash, prepared(password))

    def matches(self, stored: str | None, password: bytes) -> Awaitable[bool]:
        """Say whether ``stored`` was made of ``password``.

        None, for a name that nobody has, costs what any other costs.
        """
        return self._workers.hashes.ask(
            self._compare, stored or self._nobodys, prepared(password)
        )

    def _compare(self, stored: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
