"""Which DKIM signatures a message bears, and which of them a change would break (RFC 6376).

Nothing is verified here: no key is asked for, and a signature that says the
wrong thing from the start says so to whoever verifies it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs

from mailplat.mail.canonical import (
    BodyHash,
    Canonicalization,
    canonical_field,
    chosen_fields,
)
from mailplat.mail.content import CHUNK, Content
from mailplat.mail.header import Header
from mailplat.mail.limits import KIB
from mailplat.mail.taglist import TagList, tags_of

MOST_SIGNATURES = 20  # fields that are read, topmost first
MOST_NAMES = 1000  # names in h= that are read
LONGEST_FIELD = 64 * KIB  # octets of a DKIM-Signature field that are read

_FIELD = b"dkim-signature"
_LENGTH = re.compile(rb"[0-9]{1,76}")  # RFC 6376 section 3.5, l=


@attrs.frozen
class Signature:
    """What one DKIM-Signature field says (RFC 6376 section 3.5).

    ``names`` are those of h= in lower case, in their order; ``length`` is l=,
    None if all of the body is signed.  ``body_hash`` is bh= without white space.
    """

    field: bytes
    domain: str
    selector: str
    algorithm: str
    names: tuple[bytes, ...]
    of_header: Canonicalization
    of_body: Canonicalization
    length: int | None
    body_hash: bytes
    tags: TagList = attrs.field(eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    def signed(self, header: Header) -> list[bytes]:
        """Return the fields that are signed, canonical, in the order of h=."""
        return chosen_fields(header, self.names, self.of_header)

    def signed_octets(self, header: Header) -> bytes:
        """Return what is signed of a header: its fields, and the signature's own without b=."""
        name, _, tags = self.field.partition(b":")
        kept = name + b":" + b";".join(map(_without_signature, tags.split(b";")))
        own = self._canonical(kept).removesuffix(b"\r\n")
        return b"".join([*self.signed(header), own])

    def is_in(self, header: Header) -> bool:
        """Say whether the signature itself is in a header."""
        own = self._canonical(self.field)
        return any(self._canonical(line) == own for line in _signature_lines(header))

    def breaks(self, old: Header, new: Header) -> bool:
        """Say whether the step from one header to the other breaks it."""
        if old.octets == new.octets:
            return False
        return not self.is_in(new) or self.signed(old) != self.signed(new)

    def _canonical(self, line: bytes) -> bytes:
        return canonical_field(line, self.of_header)


def signatures_of(header: Header) -> tuple[Signature, ...]:
    """Return what the DKIM-Signature fields say, topmost first; what is broken is best read."""
    return tuple(map(_signature, _signature_lines(header)))


def _signature_lines(header: Header) -> list[bytes]:
    return [field.octets for field in header.all(_FIELD)[:MOST_SIGNATURES]]


def _signature(line: bytes) -> Signature:
    tags = tags_of(line[:LONGEST_FIELD].partition(b":")[2])
    get = tags.value
    of_header, _, of_body = get(b"c").lower().partition(b"/")
    names = get(b"h").lower().split(b":", MOST_NAMES)[:MOST_NAMES]
    length = get(b"l")
    return Signature(
        line,
        get(b"d").decode("utf-8", "replace"),
        get(b"s").decode("utf-8", "replace"),
        get(b"a").decode("ascii", "replace").lower(),
        tuple(filter(None, names)),
        _canonicalization(of_header),
        _canonicalization(of_body),
        int(length) if _LENGTH.fullmatch(length) else None,
        get(b"bh"),
        tags,
    )


def _without_signature(tag: bytes) -> bytes:
    name, equals, _ = tag.partition(b"=")
    return name + equals if name.strip(b" \t\r\n") == b"b" else tag


def _canonicalization(word: bytes) -> Canonicalization:
    return Canonicalization.RELAXED if word == b"relaxed" else Canonicalization.SIMPLE


async def body_hashes(
    content: Content, start: int, signatures: Sequence[Signature]
) -> dict[Signature, tuple[bytes, bool]]:
    """Return of each signature the hash of a body, and whether that is as long as l= says.

    ``start`` is where the body begins; it is read once, in chunks.
    """
    hashes = {
        signature: BodyHash(
            signature.of_body,
            signature.length,
            "sha1" if signature.algorithm.endswith("sha1") else "sha256",
        )
        for signature in signatures
    }
    while start < content.size and not all(one.is_full for one in hashes.values()):
        octets = await content.read(start, min(start + CHUNK, content.size))
        if not octets:
            break
        for one in hashes.values():
            if not one.is_full:
                one.feed(octets)
        start += len(octets)
    return {
        signature: (one.digest(), one.size >= (signature.length or 0))
        for signature, one in hashes.items()
    }


async def broken_by(
    old: tuple[Header, Content], new: tuple[Header, Content]
) -> tuple[Signature, ...]:
    """Return the signatures of a message that would no longer fit what becomes of it.

    Both are a header and the content that begins with it.  A signature whose
    body hash didn't fit before isn't broken by anybody.  The bodies are read in
    chunks, if they are not the same octets and somebody has signed them.
    """
    signatures = signatures_of(old[0])
    if not signatures or old[1] is new[1]:
        return ()
    hashes = await body_hashes(old[1], await body_start(*old), signatures)
    fitting = [one for one in signatures if hashes[one] == (one.body_hash, True)]
    broken = {one for one in fitting if one.breaks(old[0], new[0])}
    if rest := [one for one in fitting if one not in broken]:
        hashes = await body_hashes(new[1], await body_start(*new), rest)
        broken.update(one for one in rest if hashes[one] != (one.body_hash, True))
    return tuple(one for one in fitting if one in broken)


async def body_start(header: Header, content: Content) -> int:
    """Return where the body of a content begins, behind the empty line after its header."""
    start = len(header.octets)
    following = await content.read(start, min(start + 2, content.size))
    if following.startswith(b"\n"):
        return start + 1
    return start + len(following) if following == b"\r\n" else start
