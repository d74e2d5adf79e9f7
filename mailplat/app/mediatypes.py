"""Reads the sources of media types, and keeps those that the operator adds by command.

What stands in the configuration is the operator's own text and stays so; what
``mailplat mime add`` adds is kept in ``mime.types`` of the state folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.app.tables import MimeSettings
from mailplat.files import Disk
from mailplat.interfaces import IMediaTypes
from mailplat.mail import mimetypes
from mailplat.mail.errors import AlreadyExists, BadParameter, NotPermitted
from mailplat.mail.mimetypes import KnownType, MediaTypes, Origin
from mailplat.plugin import ConfigError
from mailplat.workers import Workers

FILE = "mime.types"  # in the state folder
TABLE = "[mime.types]"  # in the configuration
BUILT_IN = "mailplat"
HEAD = "# The operator's media types, kept by `mailplat mime add` and `mailplat mime remove`.\n"


class AddedTypes:
    """The types that were added by command, in a file that is changed durably.

    It outlives reloads, so that two changes never meet in the file.
    """

    log = Logger()

    def __init__(self, file: Path, disk: Disk, workers: Workers) -> None:
        self._file = file
        self._disk = disk
        self._workers = workers
        self._text = ""
        self.types: tuple[KnownType, ...] = ()
        self.lock = DeferredLock()  # held from a look at the types to their change

    async def prepare(self) -> None:
        """Read the file, also again; raises `ConfigError` if it can't be read."""
        try:
            self._take(await self._workers.files.ask(_text_of, self._file))
        except (OSError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{self._file} can't be read: {problem}") from None

    async def change(self, name: str, wanted: tuple[str, ...] | None) -> None:
        """Give a type these extensions, or forget it; durable when it returns."""
        text = mimetypes.changed(self._text or HEAD, name, wanted)
        await self._workers.files.ask(self._disk.replace, self._file, text.encode())
        self._take(text)

    def extensions(self, name: str) -> tuple[str, ...] | None:
        """Return the extensions that were added to a type; None if it wasn't added."""
        found = [one.extensions for one in self.types if one.name == name]
        return tuple(dict.fromkeys(e for several in found for e in several)) if found else None

    def _take(self, text: str) -> None:
        self._text = text
        self.types, wrong = mimetypes.read(text, Origin.OPERATOR, str(self._file))
        for line in wrong:
            self.log.warn(
                "{file}:{line}: no media type with extensions, passed over",
                file=str(self._file),
                line=line,
            )


@implementer(IMediaTypes)
class TypeRegistry:
    """All sources together: configuration, added, built in, the host's."""

    log = Logger()

    def __init__(self, settings: MimeSettings, added: AddedTypes) -> None:
        self._settings = settings
        self._added = added
        self._seen: tuple[KnownType, ...] | None = None  # what was added when we looked last
        self._types = MediaTypes.of()

    @property
    def handlers(self) -> Mapping[str, str]:
        """What gives the text of parts to the index, by type."""
        return self._settings.handlers

    @property
    def types(self) -> MediaTypes:
        """All types that are known now; made when they are first asked for."""
        if self._seen is not self._added.types:
            self._seen = self._added.types
            self._types = MediaTypes.of(
                configured(self._settings.types), self._seen, built_in(), self._of_the_host()
            )
        return self._types

    async def reload(self) -> None:
        """Read the files again."""
        await self._added.prepare()
        self._seen = None

    def _of_the_host(self) -> tuple[KnownType, ...]:
        file = self._settings.system
        try:
            text = file.read_text("utf-8", "replace")
        except FileNotFoundError:
            return ()
        except OSError as problem:
            self.log.warn("{file} can't be read: {why}", file=str(file), why=str(problem))
            return ()
        types, _ = mimetypes.read(text, Origin.SYSTEM, str(file))
        return types

    # What an operator does.

    async def add(self, name: str, extensions: tuple[str, ...]) -> tuple[str, ...]:
        """Add a type or extensions of it, and return those that were added so far.

        What is there already stays.  Raises `BadParameter` for what can be no type
        or extension, and `AlreadyExists` if another type of the operator's has one.
        """
        entry = _entry(name, extensions)
        async with self._added.lock:
            await self._added.prepare()
            for ending in entry.extensions:
                self._refuse_if_taken(ending, entry.name)
            before = self._added.extensions(entry.name)
            after = tuple(dict.fromkeys((*(before or ()), *entry.extensions)))
            if after != before:
                await self._added.change(entry.name, after)
            return after

    def _refuse_if_taken(self, ending: str, name: str) -> None:
        for other in self.types.claims(ending):
            if other.origin is Origin.OPERATOR and other.name != name:
                raise AlreadyExists(f"{ending} belongs to {other.name}, in {other.place}")

    async def remove(
        self, name: str, extensions: tuple[str, ...] = (), repeated: bool = False
    ) -> tuple[str, ...]:
        """Forget what was added: some extensions or a whole type; return what is left.

        Raises `BadParameter` if there is no such thing, and `NotPermitted` for types
        that come from elsewhere.  ``repeated``: it may be gone already.
        """
        entry = _entry(name, extensions)
        async with self._added.lock:
            await self._added.prepare()
            before = self._added.extensions(entry.name)
            missing = [one for one in entry.extensions if one not in (before or ())]
            if (before is None or missing) and not repeated:
                raise self._why_not(entry.name, missing)
            if before is None or not entry.extensions:
                left: tuple[str, ...] = ()
            else:
                left = tuple(one for one in before if one not in entry.extensions)
            if left != before:
                await self._added.change(entry.name, left or None)
            return left

    def _why_not(self, name: str, missing: list[str]) -> Exception:
        entries = self.types.entries(name)
        for entry in entries:
            if entry.origin is not Origin.OPERATOR or entry.place == TABLE:
                where = TABLE if entry.place == TABLE else f"the types of {entry.place}"
                return NotPermitted(f"{name} stands in {where}; only what was added can go")
        if entries:
            return BadParameter(f"{name} has no extension {', '.join(missing)}")
        return BadParameter(f"there is no type {name}")


def configured(table: Mapping[str, tuple[str, ...]]) -> Iterator[KnownType]:
    """Return the types that stand in the configuration."""
    return (KnownType(name, endings, place=TABLE) for name, endings in table.items())


def built_in() -> tuple[KnownType, ...]:
    """Return the types that we bring."""
    text = resources.files("mailplat.mail").joinpath("mime.types").read_text("utf-8")
    return mimetypes.read(text, Origin.BUILT_IN, BUILT_IN)[0]


def _text_of(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _entry(name: str, extensions: tuple[str, ...]) -> KnownType:
    try:
        return KnownType.of(name, extensions)
    except ValueError as problem:
        raise BadParameter(str(problem)) from None
