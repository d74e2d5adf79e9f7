"""What became of a message for one recipient, in RFC 3463's words."""

from __future__ import annotations

import attrs


def _one_of_the_classes(instance: object, attribute: object, value: int) -> None:
    if value not in (2, 4, 5):
        raise ValueError(f"RFC 3463 section 2 has no status class {value}")


@attrs.frozen(order=True)
class Status:
    """An enhanced status code: class, subject, detail (RFC 3463 section 2).

    The class digit alone says whether trying again can help, so nothing else
    in the house stores that fact a second time.
    """

    klass: int = attrs.field(validator=_one_of_the_classes)
    subject: int
    detail: int

    @property
    def is_success(self) -> bool:
        """Whether the message has got where it was to go."""
        return self.klass == 2

    @property
    def is_transient(self) -> bool:
        """Whether the same attempt may succeed later."""
        return self.klass == 4

    def __str__(self) -> str:
        return f"{self.klass}.{self.subject}.{self.detail}"


DELIVERED = Status(2, 1, 5)
