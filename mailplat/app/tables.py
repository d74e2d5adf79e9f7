"""What the configuration file may hold: the house's own tables, and the rooms it furnishes."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
from annotated_types import Ge, Gt
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, create_model
from zope.interface.interface import InterfaceClass

from mailplat.app.whereabouts import STATE
from mailplat.delivery.ways.settings import WaySettings
from mailplat.directory.allowances import QuotaSettings
from mailplat.interfaces import (
    IContentStore,
    IDeliveryAgent,
    IDirectory,
    IFilter,
    IMailStore,
    IPolicy,
    IPortal,
    ITextExtractor,
)
from mailplat.journal.journal import JournalSettings
from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress
from mailplat.mail.limits import Limits
from mailplat.mail.mimetypes import extension, type_name
from mailplat.plugin import (
    Duration,
    Location,
    Secret,
    Settings,
    duration,
    duration_text,
    size,
    size_text,
)
from mailplat.portals.login import LoginSettings
from mailplat.portals.tls import TlsSettings
from mailplat.queue.settings import QueueSettings, RouteSettings
from mailplat.resolver.servers import ResolverSettings
from mailplat.store.settings import RetentionSettings


def _host(name: str) -> str:
    try:
        known = domain_of(name)
    except BadAddress:
        raise ValueError("expected the name of a host, such as mail.example.org") from None
    return name if name.isascii() else known


def _writable_file(path: Path) -> Path:
    """Return the path if there can be a file; what the account may do is seen at the start."""
    if path.is_dir():
        raise ValueError("expected a file, and there is a folder")
    if not path.parent.is_dir():
        raise ValueError(f"expected a file in a folder that is there; {path.parent} is none")
    return path


class HouseSettings(Settings):
    """Keys outside every table."""

    hostname: Annotated[str, AfterValidator(_host)] = Field(
        default_factory=socket.getfqdn,
        description="What the server calls itself in greetings and trace fields.",
    )
    state: Location = Field(
        Path(STATE),
        validate_default=True,
        description="The folder that everything durable lies in.",
    )
    stop_within: Duration = Field(
        timedelta(seconds=20),
        description="How long running transactions may take to finish when the server stops.",
    )


class DatabaseSettings(Settings):
    """Keys of ``[database]``: index and directory live here, and contents if need be."""

    url: str = Field(
        "sqlite:mail.db",
        pattern=r"^(sqlite:.+|postgres(ql)?://.*)$",
        description=(
            "`sqlite:` and a path, where a relative one starts at the state folder; or "
            "`postgresql://NAME@HOST/DATABASE`, with what libpq takes besides."
        ),
    )
    password: Secret | None = Field(
        None,
        description=(
            "What PostgreSQL asks for, unless its server knows us otherwise; or as "
            "`password_file` a file with it."
        ),
    )


class LogSettings(Settings):
    """Keys of ``[log]``: one line for each transaction, one for each recipient's outcome."""

    file: Annotated[Location, AfterValidator(_writable_file)] | None = Field(
        None, description="Where to write; reopened on SIGHUP. Left out: standard error."
    )
    format: Literal["text", "json"] = Field("text", description="For people or for programs.")
    level: Literal["debug", "info", "warn", "error"] = Field(
        "info", description="The least important that is written."
    )


_TypeName = Annotated[str, AfterValidator(type_name)]
_Extension = Annotated[str, AfterValidator(extension)]


class MimeSettings(Settings):
    """Keys of ``[mime]``: what types of files there are, and what is made of them."""

    system: Location = Field(
        Path("/etc/mime.types"),
        description=(
            "The host's own list of types, for what neither you nor we know; "
            "passed over where there is none."
        ),
    )
    types: dict[_TypeName, tuple[_Extension, ...]] = Field(
        {},
        description=(
            "Your own types with the extensions of their files, before all others; as "
            'lines of a table `[mime.types]`: `"application/x-report" = ["rpt"]`.'
        ),
    )
    handlers: dict[_TypeName, str] = Field(
        {"text/calendar": "calendar"},
        description=(
            "What gives the text of parts to the index: types, and a component or an "
            "instance of `[extractors.NAME]` for each.  Text and HTML need none."
        ),
    )


class GuardSettings(Settings):
    """Keys that every policy and filter has beside its own."""

    timeout: Duration = Field(
        timedelta(seconds=30), description="How long it may take to judge."
    )
    on_error: Literal["defer", "keep", "reject"] = Field(
        "defer",
        description="When it fails or takes too long: try later, go on without it, or refuse.",
    )


def _seconds(value: object) -> object:
    return duration(value).total_seconds() if isinstance(value, str) else value


def _octets(value: object) -> object:
    return size(value) if isinstance(value, str) else value


def _seconds_text(value: float) -> str:
    return duration_text(timedelta(seconds=value))


def _octets_text(value: int) -> int | str:
    return size_text(value) if value and not value % 1024 else value


_Seconds = Annotated[float, BeforeValidator(_seconds), Gt(0), PlainSerializer(_seconds_text)]
_Number = Annotated[int, BeforeValidator(_octets), Ge(1), PlainSerializer(_octets_text)]


class LimitsSettings(Settings):
    """Keys of ``[limits]``: what one peer, session or message may cost.

    They are the fields of `mailplat.mail.limits.Limits`; times and sizes are written
    with their unit.
    """

    def limits(self) -> Limits:
        """Return the values as the house hands them around."""
        return Limits(**{name: getattr(self, name) for name in type(self).model_fields})


def _with_fields_of_limits() -> type[LimitsSettings]:
    kinds: dict[object, object] = {int: _Number, float: _Seconds}
    fields: dict[str, Any] = {
        field.name: (
            kinds.get(field.type, field.type),
            Field(field.default, description=field.metadata["manual"]),
        )
        for field in attrs.fields(attrs.resolve_types(Limits))
    }
    manual = LimitsSettings.__doc__
    return create_model("LimitsSettings", __base__=LimitsSettings, __doc__=manual, **fields)


# The file's tables -----------------------------------------------------------

TABLES: dict[str, type[Settings]] = {
    "database": DatabaseSettings,
    "journal": JournalSettings,
    "limits": _with_fields_of_limits(),
    "log": LogSettings,
    "login": LoginSettings,
    "mime": MimeSettings,
    "queue": QueueSettings,
    "quota": QuotaSettings,
    "resolver": ResolverSettings,
    "retention": RetentionSettings,
    "tls": TlsSettings,
    "ways": WaySettings,
}
"""The house's own tables, each there once."""

ARRAYS: dict[str, type[Settings]] = {"routes": RouteSettings}
"""Those that may be there several times, as ``[[NAME]]``; their order counts."""


@attrs.frozen
class Room:
    """A table whose sub-tables are instances of components.

    A ``single`` room's table is itself its only instance.  Left out, the table has one
    instance, ``instance``, which uses ``default``; where it is ``always`` there, it is so
    beside others too.
    """

    table: str
    interface: InterfaceClass
    manual: str
    instance: str = ""
    default: str = ""
    always: bool = False
    single: bool = False
    one: str = ""  # what an instance is called, where others name it; it needs no table
    guarded: bool = False  # whether its instances have `GuardSettings`


PORTALS = Room("portals", IPortal, "Who answers the door: one instance for each listener.")
POLICIES = Room("policies", IPolicy, "Judge the envelope.", one="policy", guarded=True)
FILTERS = Room("filters", IFilter, "Judge and amend the message.", one="filter", guarded=True)
AGENTS = Room(
    "agents",
    IDeliveryAgent,
    "Carry a message one hop; `local` is where mail for local domains goes.",
    instance="local",
    default="local",
    always=True,
    one="agent",
)
EXTRACTORS = Room(
    "extractors",
    ITextExtractor,
    "Give the text of parts to the index; see `[mime]`.",
    one="extractor",
)
STORES = Room(
    "store", IMailStore, "Keeps the accounts' mail.", instance="main", default="indexed"
)
CONTENTS = Room(
    "contents",
    IContentStore,
    "Keep the octets of messages for a store that names them.",
    one="place of contents",
)
DIRECTORY = Room(
    "directory",
    IDirectory,
    "Knows the people.",
    instance="directory",
    default="database",
    single=True,
)
ROOMS = (PORTALS, POLICIES, FILTERS, AGENTS, EXTRACTORS, CONTENTS, STORES, DIRECTORY)
