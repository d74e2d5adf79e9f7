"""The contract's meaning in the fewest lines; what tests compare with."""

from mailplat.store.memory.store import MemoryStore

__all__ = ["MemoryStore"]
