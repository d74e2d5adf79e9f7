"""Modules that lie beside the configuration: an operator's own filters, read anew by a reload.

Such are ``NAME.py`` and ``NAME/`` in the configuration's folder.  If one of them has
changed all of them are imported anew, since they may import each other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

import attrs

OURS = __name__.partition(".")[0]


@attrs.define
class Beside:
    """Knows what the modules in a folder were made of when they were last imported."""

    folder: Path
    _seen: dict[str, bytes] = attrs.field(factory=dict)

    def note(self) -> None:
        """Remember the files of modules that have been imported since."""
        for name, module in self._modules().items():
            if name not in self._seen:
                self._seen[name] = _digest(module)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Have what has changed imported anew; if that ends in an exception the old is back."""
        self.note()
        old, seen = self._modules(), self._seen
        if all(_digest(module) == seen[name] for name, module in old.items()):
            yield
            self.note()
            return
        self._seen = {}
        _forget(old)
        try:
            yield
        except BaseException:
            _forget(self._modules())
            sys.modules.update(old)
            self._seen = seen
            raise
        self.note()

    def _modules(self) -> dict[str, ModuleType]:
        return {name: one for name, one in list(sys.modules.items()) if self._is_here(name)}

    def _is_here(self, name: str) -> bool:
        top = name.partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None)
        if top == OURS or not file:
            return False
        return Path(file) in (self.folder / f"{top}.py", self.folder / top / "__init__.py")


def _digest(module: ModuleType) -> bytes:
    """Return what tells one state of a module's file from another; empty if it is gone."""
    try:
        return blake2b(Path(module.__file__ or "").read_bytes()).digest()
    except OSError:
        return b""


def _forget(modules: dict[str, ModuleType]) -> None:
    """Forget modules, and what was compiled of them: it knows changes by the second only."""
    for name, module in modules.items():
        sys.modules.pop(name, None)
        with suppress(OSError):
            Path(module.__cached__ or "").unlink()
    importlib.invalidate_caches()
