"""A database on a PostgreSQL server; needs psycopg, which the extra ``postgres`` brings."""

from mailplat.sql.postgres.database import PostgresDatabase
from mailplat.sql.postgres.opening import examine
from mailplat.sql.postgres.target import Target

__all__ = ["PostgresDatabase", "Target", "examine"]
