"""What components there are, whoever brings them; none of them imported by looking."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, get_type_hints

import attrs
from twisted import plugins
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.plugin import getCache
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from mailplat.plugin import Component, IComponent, Settings

ENTRY_POINTS = "mailplat.components"


class UnknownComponent(LookupError):
    """There is no such component, or what it names can't be had; the text says why."""


@attrs.frozen
class Known:
    """A component, and who brought it."""

    component: Component
    _source: str | Callable[[], str]

    @property
    def source(self) -> str:
        """Who brought it: a distribution with its version, or a file."""
        return self._source if isinstance(self._source, str) else self._source()


@attrs.frozen
class Broken:
    """A plugin that can't be imported."""

    source: str
    traceback: str


@attrs.frozen
class Registry:
    """The components by interface and name, and what went wrong on the way to them.

    The same name twice for one interface is an error: neither is taken for the other.
    """

    components: tuple[Known, ...] = ()
    broken: tuple[Broken, ...] = ()

    def find(self, interface: InterfaceClass, use: str) -> Component:
        """Return the component that ``use`` names, or one made of ``package.module:Class``.

        Raises `UnknownComponent`.
        """
        if ":" in use:
            return _direct(interface, use)
        found = [k for k in self.components if k.component.name == use and _is(k, interface)]
        if len(found) > 1:
            raise UnknownComponent(clash(found))
        if not found:
            raise UnknownComponent(f"there is no component {use!r} here")
        return found[0].component

    def names(self, interface: InterfaceClass) -> list[str]:
        """Return the names of the components that provide ``interface``."""
        return sorted({k.component.name for k in self.components if _is(k, interface)})

    def clashes(self) -> list[str]:
        """Return a sentence for each name that was given twice for one interface."""
        seen: dict[tuple[str, InterfaceClass], list[Known]] = {}
        for known in self.components:
            for interface in known.component.provides:
                seen.setdefault((known.component.name, interface), []).append(known)
        return sorted({clash(several) for several in seen.values() if len(several) > 1})


def clash(several: Iterable[Known]) -> str:
    """Say who gave one name to several components."""
    known = list(several)
    sources = " and ".join(one.source for one in known)
    return f"the component {known[0].component.name!r} is there more than once: by {sources}"


def _is(known: Known, interface: InterfaceClass) -> bool:
    return any(provided.isOrExtends(interface) for provided in known.component.provides)


# Looking for them ------------------------------------------------------------


def discover() -> Registry:
    """Look into ``twisted/plugins`` and the entry points; imports no component."""
    broken: list[Broken] = []
    found = [*_from_plugins(broken), *_from_entry_points(broken)]
    return Registry(tuple(sorted(found, key=_order)), tuple(broken))


def _order(known: Known) -> tuple[str, str]:
    return known.component.provides[0].__name__, known.component.name


def _from_plugins(broken: list[Broken]) -> Iterator[Known]:
    @implementer(ILogObserver)
    def note(event: LogEvent) -> None:
        failure = event.get(
            "log_failure", event.get("failure")
        )  # the old name, by twisted.plugin
        if isinstance(failure, Failure):
            broken.append(Broken(_guilty_file(failure), failure.getTraceback()))

    globalLogPublisher.addObserver(note)
    try:
        dropins = getCache(plugins).values()  # type: ignore[no-untyped-call]
    finally:
        globalLogPublisher.removeObserver(note)
    for dropin in dropins:
        for cached in dropin.plugins:
            if any(interface.isOrExtends(IComponent) for interface in cached.provided):
                yield Known(cached.load(), partial(_source_of_module, dropin.moduleName))


def _guilty_file(failure: Failure) -> str:
    if isinstance(failure.value, SyntaxError) and failure.value.filename:
        return str(failure.value.filename)
    files = [frame[1] for frame in failure.frames]
    named = [file for file in files if Path(file).parent.name == "plugins"]
    return str((named or files or ["twisted/plugins"])[-1])


def _from_entry_points(broken: list[Broken]) -> Iterator[Known]:
    for point in metadata.entry_points(group=ENTRY_POINTS):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        try:
            component = point.load()
            if not isinstance(component, Component):
                raise TypeError(f"{point.value} is no mailplat.plugin.Component")
        except Exception:  # noqa: BLE001 - whatever a stranger's module does, we report it
            broken.append(Broken(source, traceback.format_exc()))
        else:
            yield Known(component, source)


def _source_of_module(name: str) -> str:
    """Return the distribution that installed a plugin module, or else the module's file."""
    file = f"{name.replace('.', '/')}.py"
    for distribution in metadata.distributions():
        if f"{file}," in (distribution.read_text("RECORD") or ""):
            return f"{distribution.name} {distribution.version}"
    return str(getattr(import_module(name), "__file__", None) or name)


# What they name --------------------------------------------------------------


def load(dotted: str) -> Any:
    """Import what ``package.module.Class`` or ``package.module:Class`` names.

    Raises `UnknownComponent`, with the traceback's end where an import failed.
    """
    module, _, name = dotted.partition(":") if ":" in dotted else dotted.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except AttributeError:
        raise UnknownComponent(f"{module} has no {name}") from None
    except Exception as problem:
        raise UnknownComponent(
            f"{module} can't be imported: {type(problem).__name__}: {problem}{_where(problem)}"
        ) from problem


def _where(problem: Exception) -> str:
    """Return the place of an error in a stranger's module, if it was raised in one."""
    machinery = ("<", import_module.__code__.co_filename, __file__)
    frames = traceback.extract_tb(problem.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(machinery)]
    return f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""


def is_settings(annotation: object) -> bool:
    """Say whether a maker's parameter is its settings."""
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def settings_class(component: Component) -> type[Settings]:
    """Return the class that checks the component's keys; `Settings` itself allows none."""
    if not component.settings:
        return Settings
    found = load(component.settings)
    if not is_settings(found):
        raise UnknownComponent(f"{component.settings} is no mailplat.plugin.Settings")
    kind: type[Settings] = found
    return kind


@attrs.frozen
class Wish:
    """One parameter of a maker."""

    name: str
    annotation: Any
    required: bool


def wishes(maker: Callable[..., object]) -> list[Wish]:
    """Return what a maker asks for: its settings, and its neighbours by annotation.

    Raises `UnknownComponent` if it doesn't say what it asks for.
    """
    kind = inspect.Parameter
    hints = _hints(maker)
    wanted = []
    for parameter in _parameters(maker):
        if parameter.kind in (kind.VAR_POSITIONAL, kind.VAR_KEYWORD):
            continue
        required = parameter.default is kind.empty
        if parameter.name in hints:
            wanted.append(Wish(parameter.name, hints[parameter.name], required))
        elif required:
            raise UnknownComponent(f"{maker!r} doesn't say what its {parameter.name} is")
    return wanted


def _parameters(maker: Callable[..., object]) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(maker).parameters.values()
    except ValueError as problem:
        raise UnknownComponent(str(problem)) from None


def _hints(maker: Callable[..., object]) -> Mapping[str, Any]:
    try:
        if not isinstance(maker, type):
            return get_type_hints(maker)
        names: dict[str, Any] = {}
        for ancestor in reversed(maker.__mro__):
            names |= vars(sys.modules[ancestor.__module__])
        return get_type_hints(maker.__init__, names)  # type: ignore[misc]
    except NameError as problem:
        raise UnknownComponent(f"what {maker!r} needs can't be found: {problem}") from None


def _direct(interface: InterfaceClass, use: str) -> Component:
    """Make a component of a class that the configuration names itself."""
    maker = load(use)
    if not callable(maker):
        raise UnknownComponent(f"{use} can't be called")
    for wish in wishes(maker):
        if is_settings(wish.annotation):
            settings = f"{wish.annotation.__module__}:{wish.annotation.__qualname__}"
            return Component(name=use, provides=interface, settings=settings, maker=use)
    return Component(name=use, provides=interface, maker=use)


def importable_from(folder: Path) -> None:
    """Let ``use = "module:Class"`` find modules beside the configuration file."""
    if (text := str(folder)) not in sys.path:
        sys.path.append(text)
