"""Sets of message numbers and UIDs as clients write them: intervals, never expanded.

Source: RFC 9051 section 9, ``sequence-set``; section 6.4.4.1 for ``$``.
"""

from __future__ import annotations

import attrs

from mailplat.mail.mailbox import UidSet


@attrs.frozen
class Numbers:
    """A set of numbers as it was written; 0 stands for ``*``, the largest there is.

    ``is_saved`` means what the last search has saved, and then there are no intervals.
    """

    intervals: tuple[tuple[int, int], ...] = ()
    is_saved: bool = False

    def up_to(self, largest: int) -> UidSet:
        """Return the set where ``largest`` is the largest number in use, 0 if there is none."""
        pairs = (
            (first or largest, last or largest)
            for first, last in self.intervals
            if largest or (first and last)
        )
        return UidSet.from_intervals(pairs)
