"""How fast messages are signed by DKIM, beside dkimpy in turns.

Run as ``python -m benchmarks.signing``; it prints a line for each row.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Sequence

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mailplat.mail.content import Octets
from mailplat.mail.header import Header
from mailplat.mail.limits import KIB, MIB
from mailplat.trust.dkim import names_to_sign, signed
from mailplat.trust.keys import SigningKey

DOMAIN = "example.org"
TURNS = 9  # of each side
SECONDS = 0.3  # of one turn, at least
RELAXED = (b"relaxed", b"relaxed")

FIELDS = (
    b"Received: from [127.0.0.1]\r\n\tby mx.example.org; Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.net>\r\n"
    b"Subject: figures\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
)
LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once again.\r\n"

Key = RSAPrivateKey | Ed25519PrivateKey
Sign = Callable[[bytes], object]


def ours(keys: Sequence[Key]) -> Sign:
    """Sign with all keys at once, the header read anew each time."""
    made = [SigningKey(DOMAIN, f"s{number}", key) for number, key in enumerate(keys)]

    def sign(octets: bytes) -> None:
        run(signed(Header.parse(octets), Octets(octets), made, time.time()))

    return sign


def dkimpys(keys: Sequence[Key]) -> Sign:
    """Sign with one key after the other, the same names of fields."""
    names = names_to_sign(Header.parse(FIELDS))
    made = [(_written(key), _algorithm(key)) for key in keys]

    def sign(octets: bytes) -> None:
        for secret, algorithm in made:
            dkim.sign(
                octets,
                b"s",
                DOMAIN.encode(),
                secret,
                None,
                RELAXED,
                signature_algorithm=algorithm,
                include_headers=names,
            )

    return sign


def _algorithm(key: Key) -> bytes:
    return b"rsa-sha256" if isinstance(key, RSAPrivateKey) else b"ed25519-sha256"


def _written(key: Key) -> bytes:
    """Return a key as dkimpy takes it."""
    if isinstance(key, RSAPrivateKey):
        return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return b64encode(key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))


def run(coroutine: Coroutine[object, object, object]) -> None:
    """Bring a coroutine that never waits to its end."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("it waits")


def best(sign: Sign, octets: bytes) -> float:
    """Return the shortest time of one signing in a turn, in seconds."""
    shortest, end = float("inf"), time.perf_counter() + SECONDS
    while (begin := time.perf_counter()) < end:
        sign(octets)
        shortest = min(shortest, time.perf_counter() - begin)
    return shortest


def main() -> None:
    rsa, ed25519 = generate_private_key(65537, 2048), Ed25519PrivateKey.generate()
    for size in (5 * KIB, MIB):
        octets = FIELDS + LINE * (size // len(LINE))
        for name, keys in {"rsa-2048": [rsa], "rsa-2048 + ed25519": [rsa, ed25519]}.items():
            sides = {"dkimpy": dkimpys(keys), "mailplat": ours(keys)}
            shortest = dict.fromkeys(sides, float("inf"))
            for _ in range(TURNS):
                for side, sign in sides.items():
                    shortest[side] = min(shortest[side], best(sign, octets))
            ratio = shortest["dkimpy"] / shortest["mailplat"]
            figures = ", ".join(f"{side} {1e6 * t:.0f} us" for side, t in shortest.items())
            print(f"{size // KIB} KiB, {name}: {figures}; {ratio:.1f} times the rate")


if __name__ == "__main__":
    main()
