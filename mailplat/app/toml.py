"""Where in a TOML text each key stands: what `tomllib` knows and doesn't tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

import attrs

Path = tuple[str | int, ...]
"""The way to a value: names of keys, and numbers in arrays."""

_SPACE = re.compile(r"[ \t\r\n,]*(?:#[^\n]*[ \t\r\n,]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRINGS = (
    re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def lines_of_keys(text: str) -> dict[Path, int]:
    """Return the line, from 1, at which each key, table and array item begins.

    ``text`` must be TOML that `tomllib` accepts.
    """
    scanner = _Scanner(text)
    scanner.scan()
    return scanner.lines


def _ends_of_lines(text: str) -> list[int]:
    return [match.start() for match in re.finditer("\n", text)]


@attrs.define
class _Scanner:
    text: str
    lines: dict[Path, int] = attrs.field(factory=dict, init=False)
    _at: int = attrs.field(default=0, init=False)
    _ends: list[int] = attrs.field(
        init=False, default=attrs.Factory(lambda self: _ends_of_lines(self.text), True)
    )
    _tables: dict[Path, int] = attrs.field(factory=dict, init=False)  # length of each array

    def scan(self) -> None:
        table: Path = ()
        self._skip(_SPACE)
        while self._at < len(self.text):
            if self.text[self._at] == "[":
                table = self._header()
            else:
                start = self._at
                path = self._under(table, self._key(), start)
                self._at = self.text.index("=", self._at) + 1
                self._value(path, start)
            self._skip(_SPACE)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]

    def _note(self, path: Path, offset: int) -> None:
        self.lines.setdefault(path, bisect_left(self._ends, offset) + 1)

    def _under(self, table: Path, key: list[str], offset: int) -> Path:
        """Return the path of a dotted ``key``, its way noted."""
        for name in key:
            table = (*table, name)
            self._note(table, offset)
        return table

    def _header(self) -> Path:
        start = self._at
        is_array = self.text.startswith("[[", start)
        self._at += 1 + is_array
        *parents, last = self._key()
        self._at = self.text.index("]", self._at) + 1 + is_array
        path: Path = ()
        for name in parents:
            path = (*path, name)
            self._note(path, start)
            path = self._newest(path)
        path = (*path, last)
        self._note(path, start)
        if is_array:
            self._tables[path] = self._tables.get(path, 0) + 1
            path = self._newest(path)
            self._note(path, start)
        return path

    def _newest(self, path: Path) -> Path:
        length = self._tables.get(path)
        return path if length is None else (*path, length - 1)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            names.append(self._skip(_BARE) or tomllib.loads(f"v = {self._string()}")["v"])
            self._skip(_SPACE)
            if self.text[self._at] != ".":
                return names
            self._at += 1

    def _string(self) -> str:
        return next(filter(None, map(self._skip, _STRINGS)), "")

    def _value(self, path: Path, offset: int) -> None:
        """Pass over a value, noting what is inside it; ``offset`` is where its key began."""
        inside: list[tuple[Path, int | None]] = []  # open arrays with their length, and tables
        while True:
            self._skip(_SPACE)
            self._note(path, offset)
            if self.text[self._at] in "[{":
                inside.append((path, 0 if self.text[self._at] == "[" else None))
                self._at += 1
            elif not self._string():
                self._skip(_SCALAR)
            while inside and self._closes():
                inside.pop()
            if not inside:
                return
            offset = self._at
            container, length = inside.pop()
            if length is None:
                inside.append((container, None))
                path = self._under(container, self._key(), offset)
                self._at = self.text.index("=", self._at) + 1
            else:
                inside.append((container, length + 1))
                path = (*container, length)

    def _closes(self) -> bool:
        self._skip(_SPACE)
        closes = self.text[self._at] in "]}"
        self._at += closes
        return closes
