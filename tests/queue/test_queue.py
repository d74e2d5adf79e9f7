"""The queue in the house's database, on SQLite and on PostgreSQL, held to the contract."""

from __future__ import annotations

from mailplat.testing.contracts.queue import QueueContract


class TestQueue(QueueContract):
    """With the fixture ``scene`` of this folder."""
