"""The next host on a message's way, and what it has to prove before it gets the message."""

from __future__ import annotations

from collections.abc import Callable

import attrs

UNIX = "unix:"


@attrs.frozen
class Exchange:
    """A host that takes mail for a domain (RFC 5321 section 5.1).

    ``name`` is a name of the DNS, an address literal, or `UNIX` and the path of a
    socket on this machine.  ``proven`` says that
    DNSSEC vouches for its being one: for the MX record, or for there being none,
    which makes it ``implicit``: the domain's own name.  ``port`` is 0 for the usual.
    """

    name: str
    preference: int = 0
    proven: bool = False
    implicit: bool = False
    port: int = 0

    @property
    def is_literal(self) -> bool:
        """Whether it is an address and has no name."""
        return self.name.startswith("[")

    @property
    def path(self) -> str:
        """The path of its socket, empty for what is on the network."""
        return self.name.removeprefix(UNIX) if self.name.startswith(UNIX) else ""


@attrs.frozen
class Shown:
    """What a server showed of itself in a handshake.

    ``chain`` are the certificates in DER, its own first.  ``trusted`` says that an
    authority of the operator's trust vouches for the first of them, whatever its
    names are; ``problem`` is why not.  ``version`` is that of TLS.
    """

    chain: tuple[bytes, ...]
    trusted: bool
    problem: str = ""
    version: str = ""


Judge = Callable[[Shown], str]
"""Says why what was shown is not enough; nothing if it is."""


@attrs.frozen
class Session:
    """How TLS came about with a host that has greeted us.

    ``greeting`` is what it calls itself, ``local`` and ``remote`` are the addresses
    of both ends, ``shown`` is None in the clear; ``failure`` is why a handshake
    that was begun failed.
    """

    host: str
    greeting: str
    local: str
    remote: str
    shown: Shown | None = None
    failure: str = ""


Witness = Callable[[Session], None]
"""Is told of each session for which TLS was wanted, before anything is judged."""


@attrs.frozen
class Requirement:
    """What has to be true of the way to a host.

    ``tls`` says that nothing goes in the clear.  ``judge`` is asked about what the
    host has shown; without it anything will do.  ``name`` is what the host is asked
    for by SNI if not by its own name.  ``source`` says for the log where this comes
    from; what is ``firm`` no message can waive.  ``witness`` is told how it went.
    """

    tls: bool = False
    judge: Judge | None = attrs.field(default=None, eq=False)
    name: str = ""
    source: str = ""
    firm: bool = False
    witness: Witness | None = attrs.field(default=None, eq=False)

    def objection(self, shown: Shown | None) -> str:
        """Return why the way is not good enough; ``shown`` is None in the clear."""
        if shown is None:
            return f"there is no TLS, which {self.source} requires" if self.tls else ""
        return self.judge(shown) if self.judge else ""


OPPORTUNISTIC = Requirement()
"""TLS where it can be had, with whoever it may be, which is safe from listeners only."""
