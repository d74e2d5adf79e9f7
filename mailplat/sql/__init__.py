"""Runs SQL off the reactor: units of work, group commit, migrations by room."""

from mailplat.sql.bulk import bulk
from mailplat.sql.database import (
    Connection,
    Database,
    Row,
    UnusableDatabase,
    Value,
    makes_room,
)
from mailplat.sql.migrations import Batches, SchemaTooNew, Step, Upgrade, outlook, steps_of
from mailplat.sql.sqlite import SqliteDatabase

__all__ = [
    "Batches",
    "Connection",
    "Database",
    "Row",
    "SchemaTooNew",
    "SqliteDatabase",
    "Step",
    "UnusableDatabase",
    "Upgrade",
    "Value",
    "bulk",
    "makes_room",
    "outlook",
    "steps_of",
]
