"""What people do to their mail, step by step, and what must be left of it whatever happens."""

from __future__ import annotations

import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock

from mailplat.delivery.local import LocalDelivery, LocalSettings
from mailplat.files import Disk
from mailplat.interfaces import House, IAccount
from mailplat.mail.address import Address
from mailplat.mail.content import Octets
from mailplat.mail.envelope import Envelope
from mailplat.mail.errors import MailError, StoreFailed
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import (
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Change,
    Delivery,
    FlagChange,
    MailboxEdit,
    MailboxId,
    Placement,
    Replaced,
    Role,
    Uid,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.retention import NOTHING_KEPT, Retention
from mailplat.mail.transit import Job, Peer
from mailplat.plugin import ConfigError, Instance
from mailplat.portals.connection import Connection
from mailplat.portals.doorkeeper import Doorkeeper
from mailplat.portals.indexes import Indexes
from mailplat.portals.pop3.attendance import Attendance
from mailplat.portals.pop3.service import Pop3Portal, Pop3PortalSettings
from mailplat.sql import SqliteDatabase
from mailplat.store.contents.files import ContentFiles, ContentFilesSettings
from mailplat.store.contents.maildir import folders
from mailplat.store.contents.maildir.folders import Folder
from mailplat.store.contents.maildir.names import folder_of, safe
from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
from mailplat.store.indexed import queries
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.contents import scanned
from mailplat.testing.disk import FakeDisk, FakeVfs, Tape, Trouble, quick_folder
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.transits import FakeDirectory, account, recipient
from mailplat.testing.workers import ChildrenAtOnce, CrewAtOnce, ReactorAtOnce
from mailplat.workers import Job as WorkersJob
from mailplat.workers import Workers

ALICE, BOB = (account(f"{name}@example.org").id for name in ("alice", "bob"))
LARGE = 600 * 1024  # octets; kept in pieces, over several rows


def letter(number: int, size: int = 0, replies_to: Sequence[int] = ()) -> bytes:
    """Return a message like no other, of that size at least."""
    references = "".join(f" <{other}@example.net>" for other in replies_to).encode()
    head = b"Subject: %d\r\nMessage-ID: <%d@example.net>\r\nReferences:%s\r\n\r\n" % (
        number, number, references,
    )  # fmt: skip
    line = b"%d and more of it, up to the end of the line\r\n" % number
    return head + line * (1 + size // len(line))


@attrs.frozen
class State:
    """An account's mailboxes, and what each of their messages is, but for its mod-sequence."""

    mailboxes: Hashable = None  # nothing: there is no such account
    modseq: int = attrs.field(default=0, eq=False)  # where steps are repeated it may be higher


class GatheringCrew(CrewAtOnce):
    """Does each job at once, or several together when all of them have been asked for."""

    gathered: list[WorkersJob] | None = None

    def ask(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Deferred[Any]:
        if self.gathered is None:
            return super().ask(function, *args, **kwargs)
        self.gathered.append(WorkersJob(function, args, kwargs, Deferred()))
        return self.gathered[-1].answer

    def serve_gathered(self) -> None:
        assert self._bench
        jobs, self.gathered = self.gathered or [], None
        self._bench.serve(jobs)
        self._bench.rest()
        for job in jobs:
            job.tell()


@attrs.frozen
class Scene:
    """A store on a disk that may fail, and what stands before it."""

    database: SqliteDatabase
    store: IndexedStore
    bus: FakeBus
    clock: Clock
    contents: ContentFiles | Maildirs | None

    @classmethod
    @asynccontextmanager
    async def at(
        cls,
        folder: Path,
        vfs: str | None = None,
        disk: Disk | None = None,
        place: str = "",
        retention: Retention = NOTHING_KEPT,
    ) -> AsyncIterator[Scene]:
        """Open the store as a start of the server does, and close it at the end.

        Where there is a ``place``, contents lie there on ``disk``.
        """
        path, bus, clock = folder / "mail.db", FakeBus(), Clock()
        database = SqliteDatabase(path, ReactorAtOnce(), vfs=vfs, crew=GatheringCrew)
        contents = _contents(place, folder, disk or Disk(), database) if place else None
        settings = IndexedStoreSettings(contents=Instance(place) if place else "database")
        try:
            await database.open()
            if contents:
                await contents.prepare()
            store = IndexedStore(
                settings, database, bus, clock, clock, contents, retention=retention
            )
            await store.prepare()
            yield cls(database, store, bus, clock, contents)
        finally:
            if contents:
                contents.finish()
            await database.close()

    @contextmanager
    def one_commit(self) -> Iterator[None]:
        """Let everything be written in one group that is asked for meanwhile."""
        writer: Any = self.database._writer
        writer.gathered = []
        try:
            yield
        finally:
            writer.serve_gathered()

    async def audit(self) -> list[str]:
        """Return what is wrong with the index, or with the files of contents that it names."""
        wrong = await self.database.read(wrong_in, RULES)
        if self.contents:
            rows = await self.database.read(lambda db: db.all("SELECT key FROM store_keys"))
            [[mark]] = await self.database.read(
                lambda db: db.all("SELECT mark FROM store_place")
            )
            there, named = set(await scanned(self.contents)), {mark, *(key for [key] in rows)}
            wrong += [f"{key} is named by no email" for key in there - named]
            wrong += [f"{key} is not there" for key in named - there]
        if isinstance(self.contents, Maildirs):
            wrong += await self._wrong_names(self.contents)
        return wrong

    async def _wrong_names(self, contents: Maildirs) -> list[str]:
        """Return what is wrong with the names in maildirs."""
        rows = await self.database.read(lambda db: db.all("SELECT account FROM store_accounts"))
        wrong: list[str] = []
        for [who] in rows:
            mail = await self.store.open(who)
            root = contents.folder / "id" / safe(who)
            for box in await mail.mailboxes():
                index = await mail.index(box.id)
                expected = {
                    (uid, index.flag_sets[flags])
                    for uid, flags in zip(index.uids, index.flags, strict=True)
                }
                folder = Folder(
                    root / (folder_of(box.name) if box.name != INBOX else ""), box.id
                )
                if folder.is_there or expected:
                    folder.look(contents._namer, {})
                found = {
                    (uid, folder.lexicon.flags(folder.letters(base)))
                    for base, uid in folder.uids.items()
                }
                wrong += [f"{who} {box.name}: {one}" for one in found ^ expected]
        return wrong

    async def states(self) -> dict[AccountId, State]:
        """Return what there is, account by account."""
        accounts = "SELECT account FROM store_accounts"
        rows = await self.database.read(lambda db: db.all(accounts))
        return {who: await _state(await self.store.open(who)) for [who] in rows}

    async def pop3(self, on_delete: str) -> Pop3Client:
        portal = Pop3Portal(
            Pop3PortalSettings(port=0, tls="off", on_delete=on_delete),
            house=House("mail.example.org", Path()),
            store=self.store,
            logins=OpenDoor(),
            attendance=Attendance(self.clock),
            indexes=Indexes(),
            clock=self.clock,
            wall=self.clock,
            limits=Limits(),
            doorkeeper=Doorkeeper(Limits(), self.clock),
        )
        return Pop3Client(portal)


def _contents(
    place: str, folder: Path, disk: Disk, database: SqliteDatabase
) -> ContentFiles | Maildirs:
    reactor: Any = ReactorAtOnce()
    workers = Workers(reactor, crew=CrewAtOnce, children=ChildrenAtOnce)
    house = House("mail.example.org", folder)
    if place == "maildir":
        folders.TICK = 0.001  # nobody else works there
        return Maildirs(MaildirSettings(), house, workers, disk, database)
    return ContentFiles(ContentFilesSettings(compression="zstd"), house, workers, disk)


async def _state(mail: IAccount) -> State:
    found = []
    threads: dict[str, int] = {}
    for box in await mail.mailboxes():
        messages = []
        wanted = Wanted.FLAGS | Wanted.CONTENT
        async with mail.records(box.id, UidSet.all(), wanted) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                for record in batch.records():
                    octets = await (await mail.content(record)).read(0, record.size)
                    assert len(octets) == record.size
                    digest = blake2b(octets, digest_size=6).hexdigest()
                    thread = threads.setdefault(record.thread_id, len(threads))
                    flags = " ".join(sorted(record.flags))
                    messages.append((record.uid, flags, thread, digest))
        counts = box.uid_next, box.messages, box.unseen, box.deleted, box.size
        found.append((box.name, box.role, box.subscribed, counts, tuple(messages)))
    return State(tuple(found), mail.opened_at)


class OpenDoor:
    """Stands in for logins where everybody may come in."""

    def insist_on_privacy(self, _connection: Connection) -> None:
        pass

    async def by_password(self, name: str, _password: bytes, **_facts: Any) -> Any:
        return account(name)

    def join(self, _account: AccountId, _connection: Connection) -> None:
        pass

    def leave(self, _account: AccountId, _connection: Connection) -> None:
        pass


class Pop3Client:
    """Talks to a session of the portal; there is no transport between them."""

    def __init__(self, portal: Pop3Portal) -> None:
        connection = Connection(Peer("127.0.0.1", 4711), Peer("127.0.0.1", 110), None)
        self.engine, self.session = portal.connect(connection)

    async def say(self, *lines: str) -> None:
        """Say lines; raises `StoreFailed` if one of them is not answered by +OK."""
        for line in lines:
            self.engine.receive(f"{line}\r\n".encode())
            answer = self.engine.send(await self.session.answer(self.engine.next_event()))
            if not answer.startswith(b"+OK"):
                raise StoreFailed(f"{line}: {answer!r}")


# Steps: each is answered for when it has returned, and raises a `MailError` else.

Step = Callable[[Scene], Awaitable[object]]


def deliver(
    number: int,
    *placements: Placement,
    to: Sequence[str] = (ALICE,),
    size: int = 0,
    replies_to: Sequence[int] = (),
) -> Step:
    async def step(scene: Scene) -> None:
        message = new_message(letter(number, size, replies_to), SEEN)
        where = placements or (Placement(),)
        deliveries = [Delivery(f"{number} {who}", who, message, where) for who in to]
        _insist(await scene.store.deliver(deliveries))

    return step


def together(*steps: Step) -> Step:
    """Take steps that share one commit."""

    async def step(scene: Scene) -> None:
        with scene.one_commit():
            work = [Deferred.fromCoroutine(one(scene)) for one in steps]
        for is_done, outcome in await DeferredList(work, consumeErrors=True):
            if not is_done:
                raise outcome.value

    return step


def refused(step: Step) -> Step:
    """Take a step that fails whatever the disk does."""

    async def other(scene: Scene) -> None:
        with pytest.raises(MailError):
            await step(scene)

    return other


def carry(number: int, *to: str):
    """Let the delivery agent carry a message."""

    async def step(scene: Scene) -> None:
        recipients = tuple(recipient(f"{name}@example.org") for name in to)
        envelope = Envelope(Address.parse("carol@example.net"), recipients)
        arrived = datetime.fromtimestamp(number, UTC)
        agent = LocalDelivery(LocalSettings(), FakeDirectory(), scene.store, scene.clock)
        _insist(
            await agent.attempt(Job(str(number), envelope, Octets(letter(number)), arrived))
        )

    return step


def _insist(outcomes: Sequence[Any]) -> None:
    for outcome in outcomes:
        if not outcome.status.is_success:
            raise outcome.error


def on_mail(
    act: Callable[[IAccount, Callable[[str], Any]], Awaitable[object]],
) -> Step:
    """Do something to Alice's mail; ``act`` gets it, and its mailboxes' identities by name."""

    async def step(scene: Scene) -> None:
        mail = await scene.store.open(ALICE)
        boxes = {box.name: box.id for box in await mail.mailboxes()}
        await act(mail, boxes.__getitem__)

    return step


def append(
    name: str, *numbers: int, size: int = 0, replacing: int = 0, flags: str = ""
) -> Step:
    messages = [new_message(letter(n, size), *flags.split()) for n in numbers]
    return on_mail(
        lambda mail, box: mail.append(
            box(name), messages, Replaced(box(INBOX), Uid(replacing)) if replacing else None
        )
    )


def flag(change: Change, flags: str, *uids: int) -> Step:
    what = FlagChange(change, frozenset(flags.split()))
    return on_mail(lambda mail, box: mail.flag(box(INBOX), UidSet.of(*uids), what))


def move(target: str, *uids: int, keep: bool = False) -> Step:
    return on_mail(lambda mail, box: mail.move(box(INBOX), UidSet.of(*uids), box(target), keep))


def expunge(*uids: int) -> Step:
    return on_mail(lambda mail, box: mail.expunge(box(INBOX), UidSet.of(*uids)))


def undelete(name: str) -> Step:
    async def act(mail: Any, _box: object) -> None:
        await mail.undelete([one.id for one in await mail.expunged(name=name)])

    return on_mail(act)


async def let_go(scene: Scene) -> None:
    """Forget everything that was expunged."""
    at: Any = ("", 0, 0, 0)
    while at:
        at, accounts = await scene.database.write(
            queries.expunged.forget_expunged, at, math.inf
        )
        for who in accounts:
            scene.store.sweeper.sweep(who)


def create(name: str, role: Role = Role.NONE) -> Step:
    return on_mail(lambda mail, _box: mail.create(name, role))


def rename(old: str, new: str) -> Step:
    return on_mail(lambda mail, box: mail.edit(box(old), MailboxEdit(name=new)))


def remove(name: str) -> Step:
    return on_mail(lambda mail, box: mail.remove(box(name)))


def subscribe(name: str) -> Step:
    return on_mail(lambda mail, _box: mail.subscribe([name], True))


def fetch(on_delete: str, *numbers: int) -> Step:
    """Read Alice's mail by POP3, and delete these messages of it."""

    async def step(scene: Scene) -> None:
        client = await scene.pop3(on_delete)
        try:
            await client.say(
                "USER alice@example.org", "PASS any", *[f"DELE {n}" for n in numbers]
            )
            await client.say("QUIT")
        finally:
            client.session.lost()

    return step


async def forget(scene: Scene) -> None:
    await scene.store.remove(ALICE)


# Flows.


@attrs.define
class Flow:
    """Some steps, and every state that they lead through.

    ``again`` says that whoever doesn't know what came of them takes them all
    again from the first, and that then everything is as if nothing had happened.
    """

    steps: Sequence[Step]
    again: bool = False
    retention: Retention = NOTHING_KEPT
    place: str = ""  # where contents lie, if not in the database
    states: dict[AccountId, list[State]] = attrs.field(factory=dict)
    reached: list[Mapping[AccountId, int]] = attrs.field(factory=list)  # after each step

    async def rehearse(self) -> None:
        """Go through all states where nothing goes wrong."""
        self.states = {who: [State()] for who in (ALICE, BOB)}
        with quick_folder() as folder:
            await self._rehearse(folder)

    def _scene(
        self, folder: Path, vfs: FakeVfs | None = None, disk: Disk | None = None
    ) -> AbstractAsyncContextManager[Scene]:
        name = vfs.name if vfs else None
        return Scene.at(folder, name, disk, self.place, self.retention)

    async def _rehearse(self, folder: Path) -> None:
        async with self._scene(folder) as scene:
            scene.bus.subscribe(object, lambda _event: self._note(scene))
            for step in self.steps:
                await step(scene)
                await self._note_all(scene)
                self.reached.append({who: len(seen) - 1 for who, seen in self.states.items()})
            assert not await scene.audit()
        for seen in self.states.values():
            there = [state for state in seen if state != State()]
            assert len(set(there)) == len(there), "they can't be told apart"
            modseqs = [state.modseq for state in seen]
            assert modseqs == sorted(set(modseqs)) or State() in seen[1:]

    def _note(self, scene: Scene) -> None:
        work = Deferred.fromCoroutine(self._note_all(scene))
        assert work.called

    async def _note_all(self, scene: Scene) -> None:
        now = await scene.states()
        for who, seen in self.states.items():
            if now.get(who, State()) != seen[-1]:
                seen.append(now.get(who, State()))

    async def record(self) -> tuple[Tape, int]:
        """Take all steps on a disk that remembers; return at which operation they begin."""
        with quick_folder() as folder, FakeVfs(tape := Tape(folder)) as vfs:
            async with self._scene(folder, vfs, FakeDisk(tape)) as scene:
                begun = len(tape.operations)
                for step, reached in zip(self.steps, self.reached, strict=True):
                    await step(scene)
                    for fact in reached.items():
                        tape.acknowledge(fact)
        return tape, begun

    async def calls(self, *, start: bool = False) -> int:
        """Return how many calls to the disk the steps make, maybe with a start before them."""
        trouble = Trouble()
        await self.withstand(trouble, start=start)
        return trouble.steps

    async def withstand(self, trouble: Trouble, *, start: bool = False) -> None:
        """Take the steps on a disk that fails, and see whether all is kept that was said.

        A step that failed is tried again; who failed three times gives up.
        """
        told: set[Hashable] = set()
        with quick_folder() as folder:
            first = trouble if start else None
            disk = FakeDisk(tape := Tape(folder), first)
            with FakeVfs(tape, first) as vfs, suppress(MailError, ConfigError):
                async with self._scene(folder, vfs, disk) as scene:
                    # A full disk has it let go what could be brought back: not one of the states.
                    scene.store._retainer.make_room = lambda _octets: None
                    vfs.trouble = disk.trouble = trouble
                    for step, reached in zip(self.steps, self.reached, strict=True):
                        if not await _tried(step, scene):
                            break
                        told |= set(reached.items())
            assert told <= await self.recover(folder)

    async def recover(self, folder: Path) -> set[Hashable]:
        """Start again in a folder; return what is true there, or raise what is wrong."""
        async with self._scene(folder) as scene:
            assert await scene.audit() == []
            facts = self._facts(await scene.states())
            if self.again:
                for step in self.steps:
                    await step(scene)
                assert await scene.audit() == []
                now = await scene.states()
                for who, seen in self.states.items():
                    assert now.get(who, State()) == seen[-1]
        return facts

    def _facts(self, found: Mapping[AccountId, State]) -> set[Hashable]:
        facts = set()
        for who, seen in self.states.items():
            now = found.get(who, State())
            there = [at for at, state in enumerate(seen) if state == now]
            assert there, f"{who} has never had {now}"
            assert now.modseq >= seen[there[-1]].modseq
            facts |= {(who, at) for at in range(there[-1] + 1)}
        return facts


async def _tried(step: Step, scene: Scene) -> bool:
    for _ in range(3):
        try:
            await step(scene)
        except MailError:
            continue
        return True
    return False


def flows() -> dict[str, Flow]:
    """Return every flow by name, and some of them with contents elsewhere."""
    found = flows_in_database()
    for name in ("small", "placements", "append", "move", "expunge", "removal"):
        found[f"{name}, files"] = attrs.evolve(flows_in_database()[name], place="files")
    for name in ("append", "move", "mailboxes", "removal"):
        found[f"{name}, maildir"] = attrs.evolve(flows_in_database()[name], place="maildir")
    return found


def flows_in_database() -> dict[str, Flow]:
    junk = Placement("Junk", Role.JUNK, create=True)
    deep = Placement("a/b", flags=frozenset({"$Work"}), create=True)
    fill = append(INBOX, 1, 2, 3, 4)
    enter = on_mail(lambda mail, _box: mail.mailboxes())
    nowhere = on_mail(
        lambda mail, _box: mail.append(MailboxId("F99"), [new_message(letter(4))])
    )
    return {
        "small": Flow([deliver(1), deliver(2), deliver(1)], again=True),
        "two accounts": Flow([deliver(n, to=(ALICE, BOB)) for n in (1, 2)], again=True),
        "agent": Flow([carry(1, "alice", "bob", "alice"), carry(2, "bob")], again=True),
        "one commit": Flow(
            [
                together(deliver(1, to=(BOB,)), deliver(2, to=(ALICE, BOB))),
                together(
                    deliver(3),
                    refused(nowhere),
                    deliver(5, to=(ALICE, BOB)),
                ),
            ],
            again=True,
        ),
        "threads": Flow(
            [
                *[deliver(number) for number in range(1, 6)],
                deliver(6, replies_to=(4, 5)),
                deliver(7, replies_to=(2, 5)),
                deliver(8, replies_to=(1, 7, 3)),
                deliver(9, replies_to=(5,)),
            ],
            again=True,
        ),
        "placements": Flow([deliver(1, junk, Placement(), deep), deliver(2, junk)], again=True),
        "large": Flow(
            [deliver(1, to=(ALICE, BOB)), deliver(2, to=(ALICE, BOB), size=LARGE)], again=True
        ),
        "append": Flow(
            [
                enter,
                append(INBOX, 1, 2, flags=f"{SEEN} $Work"),
                append(INBOX, 3, size=100_000),
                append(INBOX, 4, replacing=2, flags=DELETED),
                append(INBOX, 5, size=LARGE, replacing=3),
            ]
        ),
        "flags": Flow(
            [
                enter,
                fill,
                flag(Change.ADD, f"{SEEN} {FLAGGED}", 1, 2, 4),
                flag(Change.REPLACE, f"{DELETED} $Work", 2, 3),
                flag(Change.REMOVE, FLAGGED, 1),
            ]
        ),
        "move": Flow(
            [
                enter,
                fill,
                create("Trash", Role.TRASH),
                move("Trash", 1, 3),
                move("Trash", 2, keep=True),
                move(INBOX, 2, 4),
                move(INBOX, 5, keep=True),
                expunge(5),
                expunge(6, 7),
            ]
        ),
        "expunge": Flow(
            [enter, fill, append(INBOX, 5, size=LARGE), expunge(2, 3), expunge(1, 5)]
        ),
        "undelete": Flow(
            [
                enter,
                fill,
                append(INBOX, 5, size=LARGE),
                create("a/b"),
                move("a/b", 1, 2),
                expunge(3, 5),
                remove("a/b"),
                undelete("a/b"),
                expunge(4),
                undelete(INBOX),
                expunge(6, 7),
                let_go,
            ],
            retention=Retention(),
        ),
        "mailboxes": Flow(
            [
                enter,
                fill,
                create("a/b/c", Role.ARCHIVE),
                move("a/b", 1, 2),
                subscribe("a/b"),
                rename("a", "x/y"),
                remove("x/y/b/c"),
                remove("x/y/b"),
            ]
        ),
        "removal": Flow(
            [deliver(n, to=(ALICE, BOB), size=n * 50_000) for n in range(1, 4)]
            + [forget, deliver(4)]
        ),
        "quit, remove": Flow([enter, fill, fetch("remove", 1, 3), fetch("remove", 1, 2)]),
        "quit, keep": Flow([enter, fill, fetch("keep", 1, 3), fetch("keep", 1, 2)]),
        "quit, move": Flow([enter, fill, fetch("move:Trash", 1, 3), fetch("move:Trash", 1, 2)]),
    }


@pytest.fixture(params=flows())
def flow(request: pytest.FixtureRequest) -> Flow:
    return flows()[request.param]
