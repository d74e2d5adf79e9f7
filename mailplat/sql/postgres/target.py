"""Which PostgreSQL server, which database there, and how one is let in."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Target:
    """A URL of libpq (``postgresql://name@host/database?…``), and maybe a password beside it."""

    url: str
    password: str = attrs.field(default="", repr=False)

    def __str__(self) -> str:
        """Return the URL without any password, for people."""
        parts = urlsplit(self.url)
        name, at, where = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{name.partition(':')[0]}{at}{where}{parts.path}"
