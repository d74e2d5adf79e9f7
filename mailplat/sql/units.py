"""Running the units of one group: all of them together, or each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Protocol, TypeAlias

import attrs

from mailplat.mail.errors import MailError
from mailplat.sql.database import Connection
from mailplat.workers import Job

Kinds: TypeAlias = tuple[type[BaseException], ...]


@attrs.frozen
class Together:
    """A unit that does many items in one call; jobs of the same one run together."""

    unit: Callable[[Connection, Sequence[Any]], Sequence[Any]]

    def __call__(self, db: Connection, item: object) -> object:
        [answer] = self.unit(db, [item])
        return answer


class Transacting(Connection, Protocol):
    """A connection as those see it who begin and end its transactions."""

    @property
    def run(self) -> Callable[[str], object]:
        """Run a statement without values."""

    def settle(self) -> None:
        """Run what was put off; see `mailplat.sql.postgres.connection`."""


def run_together(connection: Transacting, jobs: Sequence[Job], lost: Kinds) -> bool:
    """Run the units one after the other until one refuses; return whether none did.

    Errors of the kinds ``lost`` end the whole group and go on to the caller.
    """
    try:
        for function, alike in groupby(jobs, _what_is_alike):
            _run_alike(connection, function, list(alike))
    except lost:
        raise
    except Exception:  # noqa: BLE001 - it will be met again
        return False
    return True


def _what_is_alike(job: Job) -> object:
    return job.function


def _run_alike(connection: Transacting, function: object, jobs: Sequence[Job]) -> None:
    if isinstance(function, Together):
        answers = function.unit(connection, [job.args[0] for job in jobs])
    else:
        answers = [job.function(connection, *job.args, **job.kwargs) for job in jobs]
    for job, answer in zip(jobs, answers, strict=True):
        job.failure, job.outcome = None, answer


def run_apart(connection: Transacting, job: Job, lost: Kinds) -> None:
    """Run one unit inside a savepoint, so that its refusal leaves the others alone."""
    connection.run("SAVEPOINT unit")
    job.failure = None
    try:
        job.outcome = job.function(connection, *job.args, **job.kwargs)
        connection.settle()
    except lost:
        raise
    except Exception as error:  # noqa: BLE001 - whoever asked gets it
        job.failure = error
        connection.run("ROLLBACK TO unit")
    connection.run("RELEASE unit")


def refuse(jobs: Sequence[Job], error: MailError) -> None:
    """Answer all of them with one error."""
    for job in jobs:
        job.failure = error
