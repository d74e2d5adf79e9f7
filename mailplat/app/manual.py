"""The manual of every key, from the classes that check them: `describe` and the sample file."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from inspect import cleandoc
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import attrs
from pydantic.fields import FieldInfo
from zope.interface import implementedBy
from zope.interface.interface import InterfaceClass

from mailplat.app.mistakes import nearest
from mailplat.app.registry import Registry, UnknownComponent, load, settings_class
from mailplat.app.tables import ARRAYS, ROOMS, TABLES, GuardSettings
from mailplat.plugin import Instance, Secret, Settings

WIDTH = 88  # columns of the text


@attrs.frozen
class Key:
    """One key of a table, as the operator should know it."""

    name: str
    kind: str
    default: str  # as TOML; empty if there is none
    required: bool
    manual: str


@attrs.frozen
class Description:
    """A component or one of the house's own tables, with its keys."""

    name: str
    provides: tuple[str, ...]
    manual: str
    keys: tuple[Key, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return attrs.asdict(self)

    def as_text(self) -> str:
        """Return it for people."""
        provides = f" ({', '.join(self.provides)})" if self.provides else ""
        lines = [f"{self.name}{provides}", *wrapped(self.manual, "")]
        for key in self.keys:
            given = "required" if key.required else f"default {key.default or 'none'}"
            lines += ["", f"  {key.name}: {key.kind}, {given}", *wrapped(key.manual, "    ")]
        return "\n".join(lines)


def wrapped(text: str, indent: str) -> list[str]:
    """Return a paragraph as indented lines."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def describe(registry: Registry, name: str) -> list[Description]:
    """Return the components of that name, or the house's own table.

    Raises `UnknownComponent`.
    """
    if kind := TABLES.get(name):
        return [Description(f"[{name}]", (), paragraph(kind), keys(kind))]
    if kind := ARRAYS.get(name):
        return [Description(f"[[{name}]]", (), paragraph(kind), keys(kind))]
    found = [known.component for known in registry.components if known.component.name == name]
    if not found and ":" in name:
        component = registry.find(InterfaceClass("anything"), name)
        declared = tuple(implementedBy(load(component.maker)))  # type: ignore[no-untyped-call]
        found = [attrs.evolve(component, provides=declared)]
    if not found:
        known = {*TABLES, *ARRAYS, *(known.component.name for known in registry.components)}
        raise UnknownComponent(f"there is no component {name!r}{nearest(name, known)}")
    descriptions = []
    for component in found:
        rooms = [room for room in ROOMS if room.interface in component.provides]
        guards = keys(GuardSettings) if any(room.guarded for room in rooms) else ()
        provides = tuple(interface.__name__ for interface in component.provides)
        descriptions.append(
            Description(
                component.name,
                provides,
                paragraph(load(component.maker)),
                (*keys(settings_class(component)), *guards),
            )
        )
    return descriptions


def paragraph(thing: object) -> str:
    """Return the first paragraph of something's docstring, as one line."""
    text = " ".join(cleandoc(thing.__doc__ or "").partition("\n\n")[0].split())
    text = re.sub(r"^Keys of ``[^`]*``[.:]? *", "", text).replace("``", "`")
    return text[:1].upper() + text[1:]


def keys(kind: type[Settings]) -> tuple[Key, ...]:
    """Return the keys of a table, in the order of their class."""
    defaults = kind.model_construct().model_dump()
    return tuple(
        Key(
            name,
            _kind_text(field),
            "" if field.default_factory else toml_text(defaults.get(name)),
            field.is_required(),
            " ".join((field.description or "").split()),
        )
        for name, field in kind.model_fields.items()
    )


def toml_text(value: object) -> str:
    """Return a value as TOML; empty for None, which TOML has no word for."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list() | tuple() | frozenset() | set():
            return f"[{', '.join(map(toml_text, value))}]"
        case dict():
            pairs = [f"{_key_text(k)} = {toml_text(v)}" for k, v in value.items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _key_text(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


_KINDS: Mapping[object, str] = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    Path: "path",
    timedelta: "duration",
    Secret: "secret",
}


def _kind_text(field: FieldInfo) -> str:
    if any("size" in str(getattr(m, "func", "")) for m in field.metadata):
        return "size"
    return _annotation_text(field.annotation)


def _several(kind: str) -> str:
    """Return the plural of a kind of value."""
    first, of, rest = kind.partition(" of ")
    return f"{first}s{of}{rest}"


def _annotation_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotation_text(arguments[0])
    if annotation in _KINDS:
        return _KINDS[annotation]
    if origin is Literal:
        return " or ".join(map(toml_text, arguments))
    if origin is Instance:
        return f"name of an {arguments[0].__name__}"
    if origin in (tuple, list, frozenset, set, Sequence):
        return f"list of {_several(_annotation_text(arguments[0]))}"
    if origin is dict:
        return f"table of {_several(_annotation_text(arguments[1]))}"
    inner = [argument for argument in arguments if argument is not NoneType]
    if inner:
        return " or ".join(dict.fromkeys(map(_annotation_text, inner)))
    return str(getattr(annotation, "__name__", annotation))


# The annotated file ----------------------------------------------------------


@attrs.frozen
class Table:
    """A table of the annotated file: what is set in it, and the manual of all its keys."""

    header: str  # empty for the keys outside every table
    kind: type[Settings] = Settings
    set: Mapping[str, object] = attrs.field(factory=dict)
    manual: str = ""

    def brief(self) -> Table:
        """Return the same table without a manual: another like it has it."""
        return attrs.evolve(self, kind=Settings)

    def as_toml(self) -> str:
        """Return the table with its manual; what has its default is commented out."""
        lines = _comment(self.manual)
        if self.header:
            lines.append(f"[{self.header}]")
        known = keys(self.kind)
        names = {key.name for key in known}
        lines += [f"{n} = {toml_text(v)}" for n, v in self.set.items() if n not in names]
        for key in known:
            lines += _comment(key.manual)
            if key.name in self.set:
                lines.append(f"{key.name} = {toml_text(self.set[key.name])}")
            else:
                lines.append(f"#{key.name} = {key.default or '…'}")
        return "\n".join(lines)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in wrapped(text, "")]


def annotated(title: str, tables: Iterable[Table]) -> str:
    """Return the text of a configuration file."""
    return "\n\n".join(["\n".join(_comment(title)), *(t.as_toml() for t in tables)]) + "\n"
