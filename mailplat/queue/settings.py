"""Keys of the tables ``[queue]`` and ``[[routes]]``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from annotated_types import Ge
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mailplat.mail.address import Address, domain_of
from mailplat.mail.errors import BadAddress
from mailplat.plugin import Duration, Settings, Size

WORDS = ("hold", "fail")
"""What a route may say instead of naming an agent."""

_Count = Annotated[int, Ge(1)]


def _domain(name: str) -> str:
    try:
        return domain_of(name)
    except BadAddress:
        raise ValueError("expected a domain, such as example.org") from None


class DestinationSettings(Settings):
    """Keys of ``[queue.destinations."DOMAIN"]``: what one destination is to bear."""

    at_once: _Count | None = Field(None, description="How many attempts there may be at once.")
    a_minute: _Count | None = Field(None, description="How many attempts may begin a minute.")


class QueueSettings(Settings):
    """Keys of ``[queue]``: how long and how often what was accepted is tried."""

    first_retry: Duration = Field(
        timedelta(minutes=5), description="How long after the first attempt the second comes."
    )
    longest_retry: Duration = Field(
        timedelta(hours=4), description="The longest time between two attempts."
    )
    lifetime: Duration = Field(
        timedelta(days=5), description="After how long a message is given up."
    )
    least_attempts: _Count = Field(
        8, description="How often it has been tried before that, at the least."
    )
    delay_notice: Duration = Field(
        timedelta(hours=4), description="After how long senders hear of a delay; `0 s`: never."
    )
    keep_undeliverable: Duration = Field(
        timedelta(days=30),
        description="How long messages are kept that have failed and whose senders may not be"
        " told, since nothing proves that they are who they say.",
    )
    at_once: _Count = Field(100, description="How many attempts there may be at once.")
    slow_at_once: _Count = Field(
        1000, description="How many more that take long, and so hold up nobody else."
    )
    slow_after: Duration = Field(
        timedelta(seconds=10), description="When an attempt takes long."
    )
    destination_at_once: _Count = Field(
        20,
        description="How many attempts there may be at once at one destination; the queue finds"
        " out how many of them it bears.",
    )
    destination_a_minute: _Count | None = Field(
        None, description="How many attempts may begin a minute at one destination."
    )
    destinations: dict[Annotated[str, AfterValidator(_domain)], DestinationSettings] = Field(
        {}, description='The same of single domains, in tables `[queue.destinations."DOMAIN"]`.'
    )


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _pattern(text: str) -> str:
    """Return a pattern of addresses in its one spelling."""
    if text in ("*", "<>"):
        return text
    local, at, domain = text.rpartition("@")
    wild = domain.startswith("*.")
    try:
        domain = domain_of(domain[2:] if wild else domain)
        if local not in ("", "*"):
            local = Address(local, domain).key.rpartition("@")[0]
    except BadAddress:
        raise ValueError("expected *, DOMAIN, *.DOMAIN, or one of these behind NAME@") from None
    return f"{local}{at}{'*.' if wild else ''}{domain}".removeprefix("*@")


Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...], BeforeValidator(_listed)
]
"""One pattern of addresses or several: ``*``, a domain, ``*.domain``, ``name@domain``."""

_Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class RouteSettings(Settings):
    """Keys of ``[[routes]]``: who carries mail that isn't for a local domain.

    The first whose conditions all hold is taken.
    """

    match: Patterns = Field(
        ("*",),
        description="Whom it is for: `*`, a domain, `*.domain` for those below it, or an"
        " address; or a list of such.",
    )
    sender: Patterns = Field(
        ("*",), description="Whom it is from, in the same words; `<>` for reports."
    )
    login: _Names = Field((), description="Who has sent it, by the names of accounts.")
    larger_than: Size | None = Field(None, description="Only messages of more than this.")
    smaller_than: Size | None = Field(None, description="Only messages of less than this.")
    agent: str = Field(
        description="Who carries it: an instance of `[agents.NAME]` or a component; or `hold`"
        " for the operator to look at it, or `fail` to give it up."
    )
    reason: str = Field(
        "", description="Why it is held, or what senders hear of what is given up."
    )

    @model_validator(mode="after")
    def _has_no_reason_without_use(self) -> RouteSettings:
        if self.reason and self.agent not in WORDS:
            raise ValueError("expected a reason only where the agent is hold or fail")
        return self
