"""What a generation of a backup holds, as a file that anything can read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs

from mailplat.app.keeping.chunks import Chunks, Damaged, make_folders
from mailplat.files import Disk
from mailplat.mail.errors import BadParameter

FORMAT = 1
CHUNKS = "chunks"
GENERATIONS = "generations"
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d+)?")
STATE, CONFIGURATION, OUTSIDE = "state", "config", "contents"
DATABASE = "database"
"""What names of files begin with: contents are outside where they lie in no state folder.

The database has files of its own where it is on a server.
"""


@attrs.frozen
class KeptFile:
    """A file of a house, and the pieces that it is made of."""

    name: str  # such as ``state/mail.db``
    size: int  # in octets
    sha256: str
    mode: int
    modified: int  # in nanoseconds since 1970; 0 for a database, which is read anew
    chunks: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Its name, which is known to lead nowhere but into the folder that it is put into."""
        path = Path(self.name)
        if path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise Damaged(f"{self.name!r} is no name of a file in a backup")
        return path


@attrs.frozen
class Manifest:
    """One generation: all that was kept of a house at one moment."""

    generation: str
    version: str  # of mailplat
    hostname: str
    files: tuple[KeptFile, ...]
    damaged: tuple[str, ...] = ()  # what was damaged in the house itself, in words

    @property
    def size(self) -> int:
        """How many octets the files have."""
        return sum(file.size for file in self.files)

    @property
    def chunks(self) -> set[str]:
        """The pieces of all files."""
        return {name for file in self.files for name in file.chunks}

    @property
    def named(self) -> Mapping[str, KeptFile]:
        """The files by their names."""
        return {file.name: file for file in self.files}


@attrs.frozen
class Backup:
    """A folder that holds generations of a backup.  All of this blocks."""

    folder: Path
    disk: Disk = attrs.field(factory=Disk)

    @property
    def chunks(self) -> Chunks:
        """Where the octets lie."""
        return Chunks(self.folder / CHUNKS, self.disk)

    def generations(self) -> list[str]:
        """Return the names of all generations, the oldest first."""
        found = [path.stem for path in (self.folder / GENERATIONS).glob("*.json")]
        return sorted(name for name in found if NAME.fullmatch(name))

    def manifest(self, generation: str = "") -> Manifest:
        """Return a generation, the newest if none is named.

        Raises `BadParameter` if there is none, and `Damaged`.
        """
        there = self.generations()
        if not there:
            raise BadParameter(f"there is no backup in {self.folder}")
        if generation and generation not in there:
            raise BadParameter(
                f"{self.folder} has no generation {generation}; there are {', '.join(there)}"
            )
        path = self._path(generation or there[-1])
        try:
            return _read(path.read_bytes())
        except (OSError, ValueError, TypeError, LookupError, AttributeError) as problem:
            raise Damaged(f"{path} can't be read: {problem}") from problem

    def add(self, manifest: Manifest) -> None:
        """Make a generation of what has been kept: from now on it is there, durably."""
        folder = self.folder / GENERATIONS
        self.disk.make_folder(folder)
        self.chunks.sync()
        self.disk.replace(self._path(manifest.generation), _written(manifest))
        self.disk.sync_folder(self.folder)

    def keep_only(self, count: int) -> list[str]:
        """Forget all but the newest generations; return what is gone.

        What one of those that stay can't say that it needs, nobody may take away: then
        no piece is forgotten.
        """
        there = self.generations()
        gone = there[:-count]
        stay = [self.manifest(name) for name in there[-count:]]
        for name in gone:
            self.disk.unlink(self._path(name))
        self.disk.sync_folder(self.folder / GENERATIONS)
        self.chunks.prune(set().union(*(one.chunks for one in stay)))
        return gone

    def problems(self, manifest: Manifest, *, set_aside: bool = False) -> list[str]:
        """Return what of a generation is not as it was written.

        Pieces that are damaged are ``set_aside`` if wanted, so that the next run keeps
        them anew where the house has them still.
        """
        found = []
        for file in manifest.files:
            whole, size, damaged = sha256(), 0, ""
            for name in file.chunks:
                try:
                    octets = self.chunks.read(name)
                except Damaged as problem:
                    damaged = damaged or f"{file.name}: {problem}"
                    if set_aside:
                        self.chunks.set_aside(name)
                    continue
                whole.update(octets)
                size += len(octets)
            if damaged:
                found.append(damaged)
            elif (size, whole.hexdigest()) != (file.size, file.sha256):
                found.append(f"{file.name}: its pieces do not make the file that was kept")
        return found

    def put(self, file: KeptFile, path: Path) -> None:
        """Write a file of a generation to a place where there is none, durably."""
        make_folders(self.disk, path.parent)
        with self.disk.create(path) as written:
            for name in file.chunks:
                self.disk.write(written, self.chunks.read(name))
            self.disk.sync(written)
        path.chmod(file.mode & 0o777)
        self.disk.sync_folder(path.parent)

    def _path(self, generation: str) -> Path:
        return self.folder / GENERATIONS / f"{generation}.json"


def _written(manifest: Manifest) -> bytes:
    """Return a manifest as JSON, whose last key is the SHA-256 of all that stands before it."""
    fields = {"format": FORMAT, **attrs.asdict(manifest)}
    return json.dumps({**fields, "digest": _digest(fields)}, indent=1).encode() + b"\n"


def _digest(fields: Any) -> str:
    return sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _read(octets: bytes) -> Manifest:
    """Read a manifest; raises whatever a text raises that is none."""
    fields = json.loads(octets)
    digest = fields.pop("digest")
    if digest != _digest(fields):
        raise ValueError("it is not what it was when it was written")
    if fields.pop("format") != FORMAT:
        raise ValueError("it was written by a later version of mailplat")
    files: Sequence[dict[str, Any]] = fields.pop("files")
    kept = tuple(KeptFile(**{**file, "chunks": tuple(file["chunks"])}) for file in files)
    damaged = tuple(fields.pop("damaged"))
    return Manifest(**fields, files=kept, damaged=damaged)
