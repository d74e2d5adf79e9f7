"""Which PostgreSQL server, which database there, and how one is let in."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict

from mailplat.sql.database import UnusableDatabase


@attrs.frozen
class Target:
    """A URL of libpq (``postgresql://name@host/database?…``), and maybe a password beside it."""

    url: str
    password: str = attrs.field(default="", repr=False)

    @classmethod
    def of(cls, url: str, password: str = "") -> Target:
        """Return it after a look at the URL; raises `UnusableDatabase` for one of nonsense."""
        target = cls(url, password)
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            words = " ".join(str(error).replace(url, str(target)).split())
            raise UnusableDatabase(f"{target}: {words}") from None
        return target

    def __str__(self) -> str:
        """Return the URL without any password, for people."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return f"{self.url.partition(':')[0]}://…"
        name, at, where = parts.netloc.rpartition("@")
        return f"{parts.scheme}://{name.partition(':')[0]}{at}{where}{parts.path}"
