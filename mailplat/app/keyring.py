"""Keeps DKIM's keys in the state folder, signs with them, and follows their rotation.

A key is one file, ``dkim/DOMAIN/SELECTOR.pem``: a line that says where it is in
its life, and the private key in PEM.  A file without that line, such as one from
another program, signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

import attrs
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.files import Disk
from mailplat.interfaces import House, ISigner, WallClock
from mailplat.mail.canonical import RELAXED, Style
from mailplat.mail.content import Content
from mailplat.mail.errors import AlreadyExists, BadContent, BadParameter, NotPermitted
from mailplat.mail.header import Header
from mailplat.trust.dkim import signed
from mailplat.trust.keys import Algorithm, BadKey, SigningKey, checked_domain
from mailplat.workers import Workers

FOLDER = "dkim"  # in the state folder
ENDING = ".pem"
LONGEST_FILE = 65536  # octets
STAYS = timedelta(days=7)
"""How long a record is looked up after its key has signed for the last time: mail waits for
days in queues, and is verified again by those who filter it later (RFC 6376 section 3.1)."""

_LIFE = re.compile(r"# (waiting|signing|retired) since (\S{1,40})\n")


class Phase(Enum):
    """Where a key is in its life."""

    WAITING = "waiting"  # until its record is in the DNS
    SIGNING = "signing"
    RETIRED = "retired"  # it signs no more, and its record stays for a while


@attrs.frozen
class KeptKey:
    """A key, and since when it is where it is in its life."""

    key: SigningKey
    phase: Phase = Phase.SIGNING
    since: datetime | None = None

    @property
    def removable(self) -> datetime | None:
        """When its record may go; None unless it has retired."""
        if self.phase is not Phase.RETIRED or not self.since:
            return None
        return self.since + STAYS

    @property
    def octets(self) -> bytes:
        """What its file holds."""
        since = f"# {self.phase.value} since {self.since.isoformat()}\n" if self.since else ""
        return since.encode() + self.key.pem

    @classmethod
    def read(cls, domain: str, selector: str, octets: bytes) -> KeptKey:
        """Return the key of a file; raises `BadKey`."""
        key = SigningKey.read(domain, selector, octets)
        life = _LIFE.match(octets[:200].decode("ascii", "replace"))
        if not life:
            return cls(key)
        try:
            since = datetime.fromisoformat(life[2])
        except ValueError:
            raise BadKey(f"{life[2]} is no date") from None
        return cls(key, Phase(life[1]), since)


@implementer(ISigner)
class KeyRing:
    """All keys of the house."""

    log = Logger()

    def __init__(self, house: House, disk: Disk, workers: Workers, wall: WallClock) -> None:
        self._folder = house.state / FOLDER
        self._disk = disk
        self._workers = workers
        self._wall = wall
        self._kept: Mapping[str, tuple[KeptKey, ...]] = {}
        self._signing: Mapping[str, tuple[SigningKey, ...]] = {}
        self._lock = DeferredLock()  # held from a look at the keys to their change

    async def prepare(self) -> None:
        """Read all files, also again; what is no key is told in the log and passed over."""
        kept, wrong = await self._workers.files.ask(_read_all, self._folder)
        for file, problem in wrong:
            self.log.warn("{file} is no key: {problem}", file=str(file), problem=problem)
        self._take(kept)

    def _take(self, kept: Iterable[KeptKey]) -> None:
        by_domain: dict[str, list[KeptKey]] = {}
        for one in sorted(
            kept, key=lambda one: (one.key.domain, _order(one), one.key.selector)
        ):
            by_domain.setdefault(one.key.domain, []).append(one)
        self._kept = {domain: tuple(keys) for domain, keys in by_domain.items()}
        self._signing = {
            domain: tuple(one.key for one in keys if one.phase is Phase.SIGNING)
            for domain, keys in by_domain.items()
        }

    # Signing.

    def domain_for(self, domain: str) -> str:
        while domain and not self._signing.get(domain):
            domain = domain.partition(".")[2]
        return domain

    async def signed(
        self, domain: str, header: Header, content: Content, style: Style = RELAXED
    ) -> Sequence[bytes]:
        keys = self._signing.get(domain, ())
        try:
            return await signed(header, content, keys, self._wall.seconds(), style)
        except ValueError as problem:
            raise BadContent(str(problem)) from None

    # What an operator does.

    def keys(self, domain: str = "") -> Sequence[KeptKey]:
        """Return all keys, or those of one domain: waiting, signing, then retired."""
        if domain:
            return self._kept.get(_domain(domain), ())
        return [one for keys in self._kept.values() for one in keys]

    async def add(
        self, domain: str, algorithms: Sequence[Algorithm], selector: str = "", bits: int = 2048
    ) -> Sequence[KeptKey]:
        """Make a key for each algorithm, that waits until its record is in the DNS.

        Without a ``selector`` each is named for its algorithm and the day.  Raises
        `BadParameter`, and `AlreadyExists` for a selector that is taken.
        """
        if selector and len(algorithms) != 1:
            raise BadParameter("a selector is the name of one key")
        async with self._lock:
            await self.prepare()
            return await self._add(_domain(domain), algorithms, selector, bits)

    async def _add(
        self, domain: str, algorithms: Sequence[Algorithm], selector: str, bits: int
    ) -> Sequence[KeptKey]:
        taken = {one.key.selector for one in self._kept.get(domain, ())}
        if selector.lower() in taken:
            raise AlreadyExists(f"{domain} has a key {selector}")
        made = []
        for algorithm in algorithms:
            name = selector or self._new_selector(algorithm, taken)
            try:
                new = SigningKey.new
                key = await self._workers.hashes.ask(new, domain, name, algorithm, bits)
            except BadKey as problem:
                raise BadParameter(str(problem)) from None
            made.append(KeptKey(key, Phase.WAITING, self._now()))
        await self._keep(*made)
        return made

    async def rotate(self, domain: str, bits: int = 2048) -> Sequence[KeptKey]:
        """Make new keys like those that sign, if none is waiting; return those that wait."""
        domain = _domain(domain)
        async with self._lock:
            await self.prepare()
            waiting = self._of(domain, Phase.WAITING)
            if waiting:
                return waiting
            signing = self._of(domain, Phase.SIGNING)
            if not signing:
                raise BadParameter(f"{domain} has no key that signs")
            algorithms = list(dict.fromkeys(one.key.algorithm for one in signing))
            bits = max(bits, *(one.key.bits for one in signing))
            return await self._add(domain, algorithms, "", bits)

    async def begin(self, domain: str, repeated: bool = False) -> Sequence[KeptKey]:
        """Sign with the keys that wait, and retire those of their algorithms that signed.

        Return all that have changed.  Raises `BadParameter` if none is waiting.
        """
        domain = _domain(domain)
        async with self._lock:
            await self.prepare()
            waiting = self._of(domain, Phase.WAITING)
            if not waiting:
                if repeated:
                    return ()
                raise BadParameter(f"{domain} has no key that waits for its record")
            renewed = {one.key.algorithm for one in waiting}
            old = [k for k in self._of(domain, Phase.SIGNING) if k.key.algorithm in renewed]
            now = self._now()
            changed = [KeptKey(one.key, Phase.SIGNING, now) for one in waiting]
            changed += [KeptKey(one.key, Phase.RETIRED, now) for one in old]
            await self._keep(*changed)  # the new ones first: a crash leaves one that signs
            return changed

    async def remove(
        self, domain: str, selector: str, repeated: bool = False
    ) -> datetime | None:
        """Forget a key that doesn't sign; raises `BadParameter` and `NotPermitted`.

        Return until when its record is still needed, if it is.
        """
        domain = _domain(domain)
        async with self._lock:
            await self.prepare()
            found = [
                k for k in self._kept.get(domain, ()) if k.key.selector == selector.lower()
            ]
            if not found and not repeated:
                raise BadParameter(f"{domain} has no key {selector}")
            for one in found:
                if one.phase is Phase.SIGNING:
                    raise NotPermitted(f"{one.key.name} signs; rotate it first")
                await self._workers.files.ask(_unlink, self._disk, self._file(one))
            await self.prepare()
            ends = [one.removable for one in found if one.removable]
            return max((end for end in ends if end > self._now()), default=None)

    def _of(self, domain: str, phase: Phase) -> Sequence[KeptKey]:
        return [one for one in self._kept.get(domain, ()) if one.phase is phase]

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._wall.seconds()), UTC)

    def _new_selector(self, algorithm: Algorithm, taken: set[str]) -> str:
        name = f"{algorithm.key_type}-{self._now():%Y%m%d}"
        number = 1
        while (selector := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        taken.add(selector)
        return selector

    def _file(self, kept: KeptKey) -> Path:
        return self._folder / kept.key.domain / f"{kept.key.selector}{ENDING}"

    async def _keep(self, *kept: KeptKey) -> None:
        for one in kept:
            await self._workers.files.ask(_write, self._disk, self._file(one), one.octets)
        await self.prepare()


def _order(kept: KeptKey) -> int:
    return list(Phase).index(kept.phase)


def _domain(text: str) -> str:
    try:
        return checked_domain(text)
    except BadKey as problem:
        raise BadParameter(str(problem)) from None


# In a thread -----------------------------------------------------------------


def _read_all(folder: Path) -> tuple[list[KeptKey], list[tuple[Path, str]]]:
    kept: list[KeptKey] = []
    wrong: list[tuple[Path, str]] = []
    for file in _files(folder):
        try:
            with file.open("rb") as opened:
                octets = opened.read(LONGEST_FILE)
            kept.append(KeptKey.read(file.parent.name, file.stem, octets))
        except (BadKey, OSError) as problem:
            wrong.append((file, str(problem)))
    return kept, wrong


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.glob(f"*/*{ENDING}")):
        if not file.name.startswith("."):
            yield file


def _write(disk: Disk, file: Path, octets: bytes) -> None:
    disk.make_folder(file.parent.parent)
    disk.make_folder(file.parent)
    disk.replace(file, octets)


def _unlink(disk: Disk, file: Path) -> None:
    disk.unlink(file)
    disk.sync_folder(file.parent)
