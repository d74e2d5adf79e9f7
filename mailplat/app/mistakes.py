"""What is wrong in a configuration: where it stands, and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mailplat.app import toml
from mailplat.app.changed import what_became_of

if TYPE_CHECKING:  # a command that a server answers knows its mistakes without pydantic
    from pydantic_core import ErrorDetails

    from mailplat.plugin import Settings


@attrs.frozen(order=True)
class Mistake:
    """Something wrong in the configuration, with its place and what would be right."""

    file: Path
    line: int  # 0: the file as a whole
    path: str  # such as ``portals.mx.port``
    problem: str
    cause: BaseException | None = attrs.field(default=None, eq=False, repr=False)

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else str(self.file)
        return (
            f"{where}: {self.path}: {self.problem}" if self.path else f"{where}: {self.problem}"
        )


class BadConfiguration(Exception):
    """The configuration can't be used; ``mistakes`` says all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


@attrs.frozen
class Source:
    """The file, and where in it each key stands."""

    file: Path
    lines: Mapping[toml.Path, int] = attrs.field(factory=dict)

    @property
    def folder(self) -> Path:
        """The folder at which relative paths start."""
        return self.file.parent

    def mistake(
        self, path: toml.Path, problem: str, cause: BaseException | None = None
    ) -> Mistake:
        """Return a mistake at a key, or at the nearest table around it that is written."""
        written = path
        while written and written not in self.lines:
            written = written[:-1]
        return Mistake(self.file, self.lines.get(written, 0), path_text(path), problem, cause)


def path_text(path: toml.Path) -> str:
    """Return a path as people write it: ``portals.mx.listen[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"'
            text += f".{quoted}" if text else quoted
    return text


def is_within(path: str, other: str) -> bool:
    """Say whether a path, as `path_text` writes it, is another or leads through it."""
    return path == other or path.startswith((f"{other}.", f"{other}["))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at what ``name`` may have been meant to be, or at what there is."""
    names = sorted(known)
    if close := difflib.get_close_matches(name, names, 1):
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(names)}" if names else ""


def syntax_mistake(file: Path, problem: str, text: str) -> Mistake:
    """Return what `tomllib` says of a text, with the line that it names in words."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", problem)
    line = int(found[1]) if found else text.count("\n") + 1
    where = f" (column {found[2]})" if found else ""
    return Mistake(file, line, "", f"{re.sub(r' *[(]at [^)]*[)]$', '', problem)}{where}")


def keys_of(kind: type[Settings]) -> list[str]:
    """Return the keys that settings of a class may have in the file."""
    return [*kind.model_fields, *(f"{name}_file" for name in kind.secrets())]


def explained(
    detail: ErrorDetails,
    kind: type[Settings],
    table: toml.Path,
    known: Iterable[str],
    source: Source,
) -> tuple[toml.Path, str]:
    """Return a pydantic error's place in the file, and what was expected there."""
    path = (*table, *detail["loc"])
    if detail["loc"] and detail["loc"][0] in kind.secrets() and path not in source.lines:
        path = (*table, f"{detail['loc'][0]}_file")
    while (
        len(path) > len(table) + 1 and path not in source.lines and detail["type"] != "missing"
    ):
        path = path[:-1]
    match detail["type"]:
        case "extra_forbidden" if became := what_became_of(path):
            return path, became
        case "extra_forbidden" if len(detail["loc"]) == 1:
            return path, f"there is no such key{nearest(str(path[-1]), known)}"
        case "extra_forbidden":
            return path, "there is no such key"
        case "missing":
            field = kind.model_fields.get(str(detail["loc"][0]))
            return path, f"is missing: {(field and field.description) or 'it has no default'}"
    if detail["type"] == "string_pattern_mismatch":
        field = kind.model_fields.get(str(detail["loc"][0]))
        return path, f"expected {(field and field.description) or 'another form'}"
    problem = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    problem = problem.partition(", unable to ")[0]  # which says the same once more
    for pydantic_word, toml_word in (("valid tuple", "list"), ("valid dictionary", "table")):
        problem = problem.replace(pydantic_word, toml_word)
    problem = problem[:1].lower() + problem[1:]
    return path, f"{problem}{_not_this(problem, detail, kind)}"


def _not_this(problem: str, detail: ErrorDetails, kind: type[Settings]) -> str:
    """Return the value that is wrong, where it is short, no secret, and not named already."""
    value = detail["input"]
    if (
        isinstance(value, str | int | float)
        and detail["loc"]
        and detail["loc"][0] not in kind.secrets()
        and not (isinstance(value, str) and repr(value) in problem)
        and "; " not in problem
    ):
        return f", not {str(value)[:60]!r}" if isinstance(value, str) else f", not {value}"
    return ""
