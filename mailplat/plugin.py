"""How a component tells the house that it exists, and what may be set about it.

A component is one `Component` value.  Its settings are a class derived from
`Settings`; its maker is any callable, usually a class.  Both are named by
dotted text, so that looking for components imports none of them.

The maker is called with its settings, if it has any, and by annotation with the
interfaces it asks for: a constructor's signature is the list of a component's
neighbours.  Where there are several of a kind, a field ``Instance[IFoo]`` of the
settings says which one is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NewType,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
)

import attrs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    PlainSerializer,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema
from twisted.plugin import IPlugin
from zope.interface import Attribute, implementer
from zope.interface.interface import InterfaceClass

I = TypeVar("I")  # noqa: E741 - an interface


class Origin(Protocol):
    """Where settings were read: the context in which a file's tables are checked."""

    folder: Path  # of the configuration file; relative paths start here


def _origin(info: ValidationInfo) -> Origin | None:
    origin: Origin | None = info.context
    return origin


class ConfigError(Exception):
    """What the configuration asks for can't be had here; the text says what to do.

    Raised by makers and by `prepare`; the operator reads it.
    """


# Durations and sizes ---------------------------------------------------------

_PAIR = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]+)\s*")

_SECONDS = {
    "week": 604800, "weeks": 604800,
    "d": 86400, "day": 86400, "days": 86400,
    "h": 3600, "hour": 3600, "hours": 3600,
    "min": 60, "minute": 60, "minutes": 60,
    "s": 1, "second": 1, "seconds": 1,
    "ms": 0.001,
}  # fmt: skip

_OCTETS = {
    "TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10,
    "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3,
    "B": 1, "octet": 1, "octets": 1,
}  # fmt: skip


def _amount(text: str, units: Mapping[str, float]) -> float | None:
    """Return the sum of ``text``'s numbers with units, or None if it isn't such a sum."""
    total, position = 0.0, 0
    while position < len(text) and (pair := _PAIR.match(text, position)):
        if pair[2] not in units:
            return None
        total += float(pair[1]) * units[pair[2]]
        position = pair.end()
    return total if text and position == len(text) else None


def duration(value: object) -> timedelta:
    """Read a duration that carries its unit: ``"5 days"``, ``"1 h 30 min"``, ``"250 ms"``.

    Raises `ValueError` for anything else, also for a number without a unit.
    """
    if isinstance(value, timedelta):
        return value
    seconds = _amount(value.strip(), _SECONDS) if isinstance(value, str) else None
    if seconds is None:
        raise ValueError('expected a duration with its unit, such as "30 s" or "5 days"')
    return timedelta(seconds=seconds)


def duration_text(value: timedelta) -> str:
    """Return the shortest text that `duration` reads back as ``value``."""
    for unit, seconds in (("day", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count = value / timedelta(seconds=seconds)
        if count >= 1 and count == int(count):
            return f"{int(count)} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    if value == timedelta():
        return "0 s"
    return f"{value / timedelta(milliseconds=1):g} ms"


def size(value: object, *, bare: bool = True) -> int:
    """Read a number of octets that carries its unit: ``"50 MiB"``, ``"10 kB"``.

    Raises `ValueError` for anything else; ``bare`` allows whole numbers of octets.
    """
    if bare and type(value) is int:
        return value
    octets = _amount(value.strip(), _OCTETS) if isinstance(value, str) else None
    if octets is None or octets != int(octets):
        raise ValueError('expected a size with its unit, such as "50 MiB"')
    return int(octets)


def size_text(value: int) -> str:
    """Return the shortest text that `size` reads back as ``value``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        count, rest = divmod(value, _OCTETS[unit])
        if count and not rest:
            return f"{count} {unit}"
    return f"{value} B"


def _size_of_settings(value: object, info: ValidationInfo) -> int:
    return size(value, bare=_origin(info) is None)


Duration = Annotated[timedelta, BeforeValidator(duration), PlainSerializer(duration_text)]
"""A `timedelta`; in the file a text with its unit, such as ``"30 s"``."""

Size = Annotated[int, BeforeValidator(_size_of_settings), PlainSerializer(size_text)]
"""A number of octets; in the file a text with its unit, such as ``"50 MiB"``."""


# Paths and secrets -----------------------------------------------------------


def _from_its_folder(path: Path, info: ValidationInfo) -> Path:
    origin = _origin(info)
    return origin.folder / path if origin else path


Location = Annotated[Path, AfterValidator(_from_its_folder), PlainSerializer(str)]
"""A path; in the file a relative one starts at the file's own folder.

A default that is relative needs ``Field(…, validate_default=True)``.
"""


@attrs.frozen
class _InFile:
    """Stands for a secret until it is read from its file."""

    path: object


class Secret:
    """A text that shows itself to nobody who doesn't ask by `reveal`.

    A field ``password: Secret`` is set by ``password = "…"``, or, so that the
    configuration may be read by others, by ``password_file = "…"``, whose content
    without its last line end is the secret.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._checked,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda _secret: "…", return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def _checked(cls, value: object, info: Any) -> Secret:
        match value:
            case Secret():
                return value
            case str():
                return cls(value)
            case _InFile(path=str() as name):
                origin = _origin(info)
                return cls(_first_lines((origin.folder if origin else Path()) / name))
            case _:
                raise ValueError("expected a text")


def _first_lines(path: Path) -> str:
    try:
        return path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"expected a readable file with the secret: {problem}") from None


# Settings --------------------------------------------------------------------


class Settings(BaseModel):
    """The keys of one table of the configuration: frozen, checked, none unknown.

    Each field's ``description`` is its manual; ``mailplat describe`` prints it and
    the sample configuration is made of it.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _take_secrets_from_files(cls, table: object) -> object:
        if not isinstance(table, Mapping):
            return table
        given = dict(table)
        for name in cls.secrets():
            if f"{name}_file" not in given:
                continue
            if name in given:
                raise ValueError(f"expected only one of {name} and {name}_file")
            given[name] = _InFile(given.pop(f"{name}_file"))
        return given

    @classmethod
    def secrets(cls) -> list[str]:
        """Return the names of the fields that hold a `Secret`."""
        return [
            name
            for name, field in cls.model_fields.items()
            if Secret in (field.annotation, *get_args(field.annotation))
        ]

    @classmethod
    def instances(cls) -> dict[str, InterfaceClass]:
        """Return the interface of each field that is an `Instance`."""
        found = {}
        for name, field in cls.model_fields.items():
            for kind in _kinds(field.annotation):
                if get_origin(kind) is Instance:
                    [found[name]] = get_args(kind)
        return found

    @classmethod
    def words(cls, name: str) -> Sequence[str]:
        """Return what a field may say instead of naming an instance."""
        literals = [
            kind
            for kind in _kinds(cls.model_fields[name].annotation)
            if get_origin(kind) is Literal
        ]
        return [word for kind in literals for word in get_args(kind)]


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """Return an annotation, and those that it is one of."""
    return (annotation, *get_args(annotation))


# Components ------------------------------------------------------------------

InstanceName = NewType("InstanceName", str)
"""What a maker annotates a parameter with to be told the name of the instance it makes."""


@attrs.frozen
class Instance(Generic[I]):
    """Names one of several instances: ``pipeline: Instance[IPipeline] | None = None``.

    In the file it is the instance's name as a text.  A neighbour whose field is left
    out is the only one of its kind; where there are several, that is an error.  A field
    ``Literal["word"] | Instance[IFoo]`` may also say by a word that there is to be none.
    """

    name: str
    interface: InterfaceClass | None = attrs.field(default=None, eq=False, repr=False)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        [interface] = get_args(source) or [None]

        def named(value: object) -> Instance[Any]:
            if isinstance(value, Instance):
                return Instance(value.name, interface)
            if isinstance(value, str) and value:
                return Instance(value, interface)
            raise ValueError("expected the name of an instance")

        return core_schema.no_info_plain_validator_function(
            named, serialization=core_schema.to_string_ser_schema()
        )


class IComponent(IPlugin):
    """What the registry looks for among the plugins."""

    name = Attribute("What ``use`` says in the configuration.")
    provides = Attribute("The interfaces it provides, as a tuple.")
    settings = Attribute("Dotted name of its `Settings` class; empty if it has none.")
    maker = Attribute("Dotted name of the callable that makes it.")


def _several(value: InterfaceClass | tuple[InterfaceClass, ...]) -> tuple[InterfaceClass, ...]:
    return value if isinstance(value, tuple) else (value,)


@implementer(IComponent)
@attrs.frozen(kw_only=True)
class Component:
    """One kind of thing that the configuration can ask for by ``use = name``.

    Put one into a module of ``twisted/plugins``, or name it in the entry-point group
    ``mailplat.components``.  ``settings`` and ``maker`` are dotted names
    (``"package.module.Class"``), imported when the configuration first uses them.
    """

    name: str
    provides: tuple[InterfaceClass, ...] = attrs.field(converter=_several)
    settings: str = ""
    maker: str
