"""A database on a PostgreSQL server; needs psycopg, which the extra ``postgres`` brings."""

from mailplat.sql.postgres.copying import Moment, Statements, fill
from mailplat.sql.postgres.database import PostgresDatabase
from mailplat.sql.postgres.opening import examine, open_reader
from mailplat.sql.postgres.target import Target

__all__ = [
    "Moment",
    "PostgresDatabase",
    "Statements",
    "Target",
    "examine",
    "fill",
    "open_reader",
]
