"""What the rooms know of a database: units of work, and where they run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

from twisted.internet.defer import Deferred

from mailplat.mail.errors import MailError, StoreFailed, Unsupported
from mailplat.sql.migrations import Step, upgrade

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A")

Value: TypeAlias = bytes | str | int | float | None
Row: TypeAlias = tuple[Any, ...]


ROOM_MAKERS: set[object] = set()
"""The units that make room on the disk."""

U = TypeVar("U", bound=Callable[..., object])


def makes_room(unit: U) -> U:
    """Say of a unit that it makes room, so that it is done also where there is none."""
    ROOM_MAKERS.add(unit)
    return unit


class Connection(Protocol):
    """What a unit of work may do, the same on every kind of database.

    Statements are constant text with ``?`` for each value; for many rows at once
    there is `mailplat.sql.bulk`.  A room's ``queries`` say only what SQLite and
    PostgreSQL both understand, and alike (INSERT … ON CONFLICT, RETURNING, WITH,
    FILTER, LIKE … ESCAPE, CASE for the larger of two).
    """

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; return how many rows it inserted, changed or removed.

        For statements that change nothing the number means nothing.
        """

    def executemany(self, sql: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run a statement once for each row of values."""

    def one(self, sql: str, values: Sequence[Value] = ()) -> Row | None:
        """Run a statement; return its first row, or None if it has none."""

    def all(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run a statement; return all its rows."""

    def bulk(self, sql: str, rows: Sequence[Sequence[Value]]) -> list[Row]:
        """Run a statement for many rows (see `mailplat.sql.bulk`), of which there are some."""

    def tables(self) -> set[str]:
        """Return the names of all tables."""

    def tell(self, word: str) -> None:
        """Tell other nodes of the database a word, when what the unit did is committed.

        They may also hear of what was undone in the end.
        """

    def damage(self) -> list[str]:
        """Return what is wrong with the database itself, below all tables, if it can tell."""


class Database(ABC):
    """One database.  Its rooms hand it units of work: ``unit(connection, *args)``.

    A unit is a pure function of its connection and arguments: it may run more
    than once before it counts, so it changes nothing else, and it may not block.
    It refuses by raising a `MailError`; whatever it raises undoes what it did,
    reaches whoever asked, and leaves the other units alone.
    """

    folder: Path | None = None  # where its files lie, if that is on a disk of ours

    dialect: ClassVar[str] = "sqlite"
    """Whose scripts make the tables; see `mailplat.sql.steps_of`."""

    @property
    def is_shared(self) -> bool:
        """Whether other nodes may be at the same database."""
        return False

    @abstractmethod
    async def open(self) -> None:
        """Open the database; raises `UnusableDatabase` if that can't be done here and now."""

    @abstractmethod
    def write(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run the unit; the answer comes when what it wrote is durable.

        Units that arrive together share one commit.  Cancelled before its turn
        the unit never runs; cancelled later it runs to its end and only the
        answer is dropped.

        Fails with `Overloaded` when too much waits, `DiskFull`, or
        `StoreFailed`: in all three nothing was kept.
        """

    @abstractmethod
    def write_each(
        self, unit: Callable[[Connection, Sequence[A]], Sequence[T]], item: A
    ) -> Deferred[T]:
        """Let the unit do one item, together with those of others that wait just then.

        It is given all of them in one call, and answers each.  What it raises undoes
        them all; then each is done alone, so that one who is refused leaves the
        others alone.  Else as `write`.
        """

    @abstractmethod
    def read(
        self, unit: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run the unit on one snapshot, which holds every write answered before.

        Fails with `Overloaded` when too much waits, and `StoreFailed`.
        """

    @abstractmethod
    def hear(self, heard: Callable[[str | None], None]) -> None:
        """Have each word given to it, on the reactor, that another node of the database tells.

        None is given when words may have been missed.  A database that is all ours
        tells nothing.
        """

    @abstractmethod
    async def shrink(self) -> None:
        """Give space that has long been free back to the disk; for a quiet hour."""

    async def extent(self) -> dict[str, int]:
        """Return how many octets it has on the disk, and how many of them are free."""
        return {}

    async def overwrite_deleted(self) -> None:
        """Overwrite from now on what is deleted.  Raises `Unsupported`."""
        raise Unsupported("this kind of database doesn't overwrite what is deleted")

    async def examine(self) -> Sequence[str]:
        """Return what is wrong with the database below all tables, if it can tell."""
        return await self.read(damage_of)

    @abstractmethod
    async def close(self) -> None:
        """Take no more units, finish those that wait, and let go of the database."""

    async def migrate(self, room: str, steps: Sequence[Step]) -> None:
        """Bring a room's tables up to date: step n makes schema n out of n - 1.

        Scripts that lack are one transaction, and of a step in batches each batch is one
        (see `mailplat.sql.migrations.Batches`).  Raises `SchemaTooNew` when a later
        version of mailplat has been here, and `UnusableDatabase` when the tables are not
        those that their number promises.
        """
        try:
            while await self.write(upgrade, room, steps):
                pass
        except MailError:
            raise
        except Exception as error:
            raise UnusableDatabase(
                f"the tables of {room} can't be brought up to date: {error}"
            ) from error


def damage_of(db: Connection) -> list[str]:
    """Return what is wrong with the database below all tables, if it can tell."""
    return db.damage()


class UnusableDatabase(StoreFailed):
    """The database can't be opened by this program, here, now; the detail says why."""
