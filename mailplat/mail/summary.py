"""What the access protocols will ask of a message, computed once at arrival."""

from __future__ import annotations

import attrs


@attrs.frozen
class Summary:
    """The facts of one message that stores keep beside it as opaque octets.

    ``octets`` is the serialised whole, version first; the other fields are
    what a store itself needs: ``references`` are the message identifiers that
    put it into a thread (its own first), ``body`` is where the body begins.
    """

    octets: bytes
    body: int
    references: tuple[bytes, ...] = ()
