"""Contents shown as maildirs: the contracts, and what lies in the maildirs."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mailplat.files import Disk
from mailplat.interfaces import (
    House,
    IAccount,
    IBus,
    IContentStore,
    IMailStore,
    IPlacedContents,
    ISharedContents,
)
from mailplat.mail.errors import MailError, NotPermitted
from mailplat.mail.mailbox import (
    ANSWERED,
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Change,
    Delivery,
    FlagChange,
    MailboxEdit,
    MailboxId,
    UidSet,
    proper_name,
)
from mailplat.mail.people import AccountId
from mailplat.plugin import Instance
from mailplat.sql import Database, SqliteDatabase
from mailplat.sql.postgres import PostgresDatabase, Target
from mailplat.store.contents.maildir import names
from mailplat.store.contents.maildir.place import Maildirs, MaildirSettings
from mailplat.store.contents.maildir.uidlist import read_uidlist
from mailplat.store.indexed.queries.audit import RULES
from mailplat.store.indexed.store import IndexedStore, IndexedStoreSettings
from mailplat.testing.audit import wrong_in
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.accounts import (
    ALICE,
    HELLO,
    add,
    flags,
    named,
    numbered,
)
from mailplat.testing.contracts.contents import ContentsContract
from mailplat.testing.contracts.restoring import RestorableContract
from mailplat.testing.contracts.store import StoreContract
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.workers import Workers

MAILDIR = IndexedStoreSettings(contents=Instance("maildir"))
ONE = b"Subject: one\n\nfrom another program\n"
BOB = AccountId("bob")


# The contracts ---------------------------------------------------------------


@asynccontextmanager
async def on_maildir(
    folder: Path, reactor: Any, bus: IBus, database: Database | None = None
) -> AsyncIterator[IndexedStore]:
    clock = Clock()
    clock.advance(1_700_000_000)
    workers = Workers(reactor)
    database = database or SqliteDatabase(folder / "mail.db", reactor)
    await database.open()
    house = House("mail.example.org", folder)
    contents = Maildirs(MaildirSettings(), house, workers, Disk(), database, reactor)
    await contents.prepare()
    store = IndexedStore(MAILDIR, database, bus, clock, clock, contents)
    await store.prepare()
    yield store
    assert store.showing
    await DeferredList(list(store.showing._under_way.values()))
    assert not await database.read(wrong_in, RULES, at_rest=False)
    store.finish()
    await workers.stop()
    contents.finish()
    await database.close()


class TestContents(ContentsContract):
    @pytest.fixture
    def contents(self, empty: Any) -> IContentStore:
        place: IContentStore = empty.place
        return place

    async def test_it_is_what_it_says(self, contents: IContentStore) -> None:
        for interface in (IContentStore, IPlacedContents, ISharedContents):
            assert verifyObject(interface, contents)


class OnMaildir:
    """What the contracts of a store are held on."""

    @async_yield_fixture
    async def store(
        self, tmp_path: Path, reactor: IReactorFromThreads, bus: IBus
    ) -> AsyncIterator[IMailStore]:
        async with on_maildir(tmp_path, reactor, bus) as store:
            yield store


class TestAccount(OnMaildir, AccountContract):
    examples = 4


class TestStore(OnMaildir, StoreContract):
    pass


class TestRestoring(OnMaildir, RestorableContract):
    pass


# What we do ------------------------------------------------------------------


async def act(scene: Any, account: IAccount, chance: random.Random) -> None:
    """Do something or other to an account."""
    boxes = await account.mailboxes()
    box, other = chance.choice(boxes), chance.choice(boxes)
    some = UidSet.of(*chance.sample(range(1, 12), 3))
    name = chance.choice(["a", "b", "c.d", "a/b", "Entwürfe & mehr", "x" * 300])
    match chance.randrange(9):
        case 0 | 1:
            await account.append(box.id, [numbered(chance.randrange(9), SEEN), HELLO])
        case 2:
            await scene.store.deliver([Delivery(f"{chance.random()}", ALICE, HELLO)])
        case 3:
            flag = chance.choice([DELETED, FLAGGED, "$Work", "$Forwarded"])
            await account.flag(box.id, some, add(flag))
        case 4:
            await account.move(box.id, some, other.id, keep=chance.random() < 0.5)
        case 5:
            await account.expunge(box.id, some)
        case 6:
            await account.create(name)
        case 7:
            await account.edit(box.id, MailboxEdit(name=name))
        case 8:
            await account.remove(box.id)


def meddle(root: Path, chance: random.Random) -> None:
    """Do to a maildir what another program may do."""
    folders = [root, *(one for one in root.glob(".*") if (one / "cur").is_dir())]
    folder = chance.choice(folders)
    files = [path for part in ("new", "cur") for path in (folder / part).iterdir()]
    path = chance.choice(files) if files else None
    match chance.randrange(5):
        case 0:
            name = f"{chance.randrange(10**9)}.M1P1.other"
            (folder / "tmp" / name).write_bytes(ONE)
            (folder / "tmp" / name).rename(folder / "new" / name)
        case 1 if path:
            base, letters = names.split(path.name)
            other = "".join(sorted(set(letters) ^ {chance.choice("FRS")}))
            path.rename(folder / "cur" / names.joined(base, other))
        case 2 if path:
            path.unlink()
        case 3:
            made = root / chance.choice([".new", ".new.er", ".a"])
            for part in ("cur", "new", "tmp"):
                (made / part).mkdir(parents=True, exist_ok=True)
        case 4 if folder != root and not (root / ".moved").exists():
            folder.rename(root / ".moved")


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_done_maildir_and_index_agree(scene: Any, seed: int) -> None:
    """By us, by others, and when the server is stopped before it has shown all."""
    chance = random.Random(seed)
    account = await scene.store.open(ALICE)
    for _ in range(60):
        try:
            await act(scene, account, chance)
        except MailError:
            pass
        if seed % 2 and chance.random() < 0.5:
            meddle(scene.root, chance)
        if chance.random() < 0.1:
            await scene.stop()
            await scene.start()
            account = await scene.store.open(ALICE)
            await scene.store.open(ALICE)
            await scene.agrees()
    await scene.store.open(ALICE)
    await scene.agrees()


async def test_messages_lie_where_other_programs_look(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    box = await account.create("Entwürfe/v1.0")
    await account.append(box.id, [numbered(1, SEEN, "$Work")])
    folder = scene.root / ".Entw&APw-rfe.v1&AC4-0"
    [path] = (folder / "cur").iterdir()
    size = path.stat().st_size
    assert path.name.endswith(f".mail.example.org,S={size},W={size}:2,Sa")
    assert (folder / "dovecot-keywords").read_text() == "0 $Work\n"
    assert (folder / "maildirfolder").exists()
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    await account.flag(box.id, UidSet.of(1), FlagChange(Change.REPLACE, frozenset([ANSWERED])))
    assert [one.name[-4:] for one in (folder / "cur").iterdir()] == [":2,R"]
    await account.expunge(box.id, UidSet.of(1))
    assert not list((folder / "cur").iterdir())


async def test_keywords_are_written_down_where_there_are_any(scene: Any) -> None:
    for who in (ALICE, BOB):
        account = await scene.store.open(who)
        [inbox] = await account.mailboxes()
        for number in range(3):
            await account.append(inbox.id, [numbered(number)])
        assert not (scene.root.with_name(who) / "dovecot-keywords").exists()


async def test_the_quota_file_of_others_is_kept_up(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    box = await account.create("box")
    sizes = scene.root / "maildirsize"
    await account.append(inbox.id, [numbered(1)])
    assert not sizes.exists()
    sizes.write_text("1000000S,1000C\n17 1\n")
    await account.append(inbox.id, [numbered(2), numbered(3)])
    await account.move(inbox.id, UidSet.of(1), box.id)
    await account.expunge(inbox.id, UidSet.of(2))
    await account.remove(box.id)
    lines = [line.split() for line in sizes.read_text().splitlines()[1:]]
    assert [sum(map(int, column)) for column in zip(*lines, strict=True)] == [17, 1]
    sizes.write_text("1000000S,1000C\n" + "17 1\n" * 2000)
    await account.append(inbox.id, [numbered(4)])
    assert not sizes.exists()


@given(st.text(max_size=60))
def test_no_mailbox_lies_outside_of_the_root(text: str) -> None:
    try:
        name = proper_name(text)
    except NotPermitted:
        return
    folder = names.folder_of(name)
    assert folder == ("" if name == INBOX else folder)
    assert "/" not in folder
    assert folder not in (".", "..")
    assert not folder or (folder[0] == "." and folder[1] != "." and len(folder) <= 255)
    assert "~" in folder or names.mailbox_of(folder) == name


@given(st.text())
def test_no_account_lies_outside_of_the_folder(text: str) -> None:
    name = names.safe(text)
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name) < 200


async def test_a_removed_account_leaves_nothing(scene: Any) -> None:
    for who in (ALICE, BOB):
        await scene.store.deliver([Delivery("1", who, HELLO)])
    await scene.store.remove(ALICE)
    assert not scene.root.exists()
    await scene.agrees(BOB)


# What others do --------------------------------------------------------------


def bring(folder: Path, name: str, octets: bytes = ONE) -> None:
    (folder / "tmp/some").write_bytes(octets)
    (folder / "tmp/some").rename(folder / name)


async def test_what_others_bring_gets_a_uid_and_keeps_its_name(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [HELLO])
    bring(scene.root, "new/1.M2P3.other")
    bring(scene.root, "cur/2.M2P3.other,S=33:2,FS", ONE * 70_000)
    before = sorted(path.name for path in scene.root.glob("[cn]*/*"))
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) in (
        {1: set(), 2: set(), 3: {FLAGGED, SEEN}},
        {1: set(), 3: set(), 2: {FLAGGED, SEEN}},
    )
    await scene.stop()
    await scene.start()
    account = await scene.store.open(ALICE)
    assert sorted(path.name for path in scene.root.glob("[cn]*/*")) == before
    assert (await named(account, INBOX)).uid_next == 4
    await account.flag(inbox.id, UidSet.all(), add(ANSWERED))
    await scene.agrees()
    assert (scene.root / "cur/2.M2P3.other,S=33:2,FRS").exists()


async def test_flags_in_names_are_the_truth(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [numbered(n, FLAGGED, "$Work") for n in range(3)])
    some = sorted((scene.root / "cur").iterdir())
    some[0].rename(str(some[0])[: -len("Fa")] + "S")
    some[1].unlink()
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) == {1: {SEEN}, 3: {FLAGGED, "$Work"}}
    await scene.agrees()


async def test_flags_that_two_change_at_once_are_all_kept(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [numbered(1, FLAGGED)])
    [path] = (scene.root / "cur").iterdir()
    path.rename(str(path)[:-1] + "S")
    await account.flag(inbox.id, UidSet.of(1), add(ANSWERED))
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) == {1: {SEEN, ANSWERED}}
    await scene.agrees()


async def test_a_maildir_that_is_not_there_takes_nothing_away(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [HELLO])
    scene.root.rename(scene.root.with_name("elsewhere"))
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) == {1: set()}
    scene.root.mkdir()
    for part in ("cur", "new", "tmp"):
        (scene.root / part).mkdir()
    account = await scene.store.open(ALICE)
    assert await flags(account, inbox.id) == {1: set()}


async def test_a_maildir_that_is_not_there_is_shown_anew(scene: Any) -> None:
    """Else what comes next would be all there is, and the rest taken for removed."""
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    await account.append(inbox.id, [numbered(1, FLAGGED), HELLO])
    bring(scene.root, "new/1.M1P1.other")
    await account.create("a/b")
    account = await scene.store.open(ALICE)
    for again in (False, True):
        shutil.rmtree(scene.root)
        if again:
            await scene.stop()
            await scene.start()
        await scene.store.deliver([Delivery(f"{again}", ALICE, HELLO)])
        await scene.agrees()
    account = await scene.store.open(ALICE)
    assert (await named(account, INBOX)).messages == 5


async def test_a_renamed_folder_stays_the_mailbox_that_it_is(scene: Any) -> None:
    account = await scene.store.open(ALICE)
    box = await account.create("box")
    await account.append(box.id, [HELLO])
    (scene.root / ".box").rename(scene.root / ".other")
    account = await scene.store.open(ALICE)
    other = await named(account, "other")
    assert (other.id, other.messages, other.uid_validity) == (box.id, 1, box.uid_validity)
    await scene.agrees()


DOINGS: dict[str, tuple[Callable[[IAccount, MailboxId], Awaitable[Any]], set[str]]] = {
    "made": (lambda account, _: account.create("late"), {INBOX, "box", "late"}),
    "renamed": (
        lambda account, box: account.edit(box, MailboxEdit(name="new")),
        {INBOX, "new"},
    ),
    "removed": (lambda account, box: account.remove(box), {INBOX}),
}


@pytest.mark.parametrize("done", DOINGS)
async def test_a_mailbox_that_a_client_changes_meanwhile_stays_so(
    tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    do, expected = DOINGS[done]
    async with on_maildir(tmp_path, reactor, FakeBus()) as store:
        account = await store.open(ALICE)
        box = await account.create("box")
        assert store.showing
        assert store.looking
        catch_up = store.showing._catch_up

        async def and_then_do(shown: AccountId) -> None:
            await catch_up(shown)
            monkeypatch.undo()
            await do(account, box.id)

        monkeypatch.setattr(store.showing, "_catch_up", and_then_do)
        for _ in range(2):
            await store.looking.look(ALICE)
            assert {one.name for one in await account.mailboxes()} == expected


async def test_what_comes_into_a_mailbox_that_others_remove_stays(
    tmp_path: Path, reactor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with on_maildir(tmp_path, reactor, FakeBus()) as store:
        account = await store.open(ALICE)
        box = await account.create("box")
        await account.append(box.id, [numbered(1)])
        assert store.showing
        assert store.looking
        place: Any = store.looking._place
        look = place.look

        async def and_then_append(*args: Any) -> Any:
            found = await look(*args)
            monkeypatch.undo()
            await account.append(box.id, [numbered(2)])
            return found

        async with store.showing.quiet(ALICE):
            shutil.rmtree(tmp_path / "maildir/id/alice/.box")
        monkeypatch.setattr(place, "look", and_then_append)
        for _ in range(2):
            await store.looking.look(ALICE)
            assert list((await account.index(box.id)).uids) == [2]


async def test_what_others_do_is_heard_of(tmp_path: Path, reactor: Any) -> None:
    """Without anybody who asks, and also in a mailbox that has just been made."""
    bus, waiting = FakeBus(), []
    bus.subscribe(object, lambda _event: [waiting.pop().callback(None) for _ in [*waiting]])
    async with on_maildir(tmp_path, reactor, bus) as store:
        account = await store.open(ALICE)
        assert store.showing
        async with store.showing.quiet(ALICE):
            root = tmp_path / "maildir/id/alice"
        inbox = await named(account, INBOX)

        async def heard(done: Callable[[], Awaitable[bool]]) -> None:
            while True:
                happened: Deferred[None] = Deferred()
                waiting.append(happened)
                if await done():
                    return
                await happened

        async def count(name: str) -> int:
            found = [box.messages for box in await account.mailboxes() if box.name == name]
            return found[0] if found else 0

        bring(root, "new/1.M1P1.other")
        await heard(lambda: is_true(count(INBOX), 1))
        [path] = (root / "new").iterdir()
        path.rename(root / "cur" / f"{path.name}:2,S")
        await heard(lambda: is_true(flags(account, inbox.id), {1: {SEEN}}))
        for part in ("cur", "new", "tmp"):
            (root / ".made" / part).mkdir(parents=True)
        bring(root / ".made", "new/2.M1P1.other")
        await heard(lambda: is_true(count("made"), 1))
        (root / f"cur/{path.name}:2,S").unlink()
        await heard(lambda: is_true(count(INBOX), 0))
        shutil.rmtree(root / ".made")
        await heard(lambda: is_true(names_of(account), [INBOX]))


async def test_it_is_the_same_on_postgres(
    tmp_path: Path, reactor: Any, postgres: Target
) -> None:
    root = tmp_path / "maildir/id/alice"
    (tmp_path / "maildir/id").mkdir(parents=True)
    left_by_dovecot(root, 5)
    for _ in range(2):
        database = PostgresDatabase(postgres, reactor)
        async with on_maildir(tmp_path, reactor, FakeBus(), database) as store:
            account = await store.open(ALICE)
            inbox = await named(account, INBOX)
            assert sorted(await flags(account, inbox.id)) == [10, 12, 14, 16, 18, 90001]
            await account.flag(inbox.id, UidSet.of(10), add(FLAGGED))
            await store.remove(BOB)
    bring(root, "new/2.M2P3.other")
    async with on_maildir(
        tmp_path, reactor, FakeBus(), PostgresDatabase(postgres, reactor)
    ) as store:
        account = await store.open(ALICE)
        assert (await named(account, INBOX)).uid_next == 90003
        await account.expunge(inbox.id, UidSet.all())
        await store.remove(ALICE)
        assert not root.exists()


async def names_of(account: IAccount) -> list[str]:
    return [box.name for box in await account.mailboxes()]


async def is_true(found: Awaitable[Any], expected: object) -> bool:
    return bool(await found == expected)


# What Dovecot left -----------------------------------------------------------


def left_by_dovecot(root: Path, count: int) -> None:
    """Make a maildir with numbers of Dovecot's."""
    for folder in (root, root / ".Sent"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    lines = ["3 V1600000000 N90001 Gf00"]
    for n in range(count):
        base = f"16000{n:05}.M{n}P1.host,S={len(ONE)},W={len(ONE) + 3}"
        (root / f"cur/{base}:2,{'Sa' if n % 2 else ''}").write_bytes(ONE + b"%d\n" % n)
        lines.append(f"{n * 2 + 10} W{n} :{base}")
    (root / "dovecot-uidlist").write_text("\n".join([*lines, ""]))
    (root / "dovecot-keywords").write_text("0 $Work\n")
    (root / "subscriptions").write_text("V\t2\n\nSent\nNowhere\n")
    (root / "new/1700000000.M1P1.host").write_bytes(ONE)


async def test_numbers_that_dovecot_gave_are_kept(scene: Any) -> None:
    left_by_dovecot(scene.root, 40)
    before = {path.name for path in (scene.root / "cur").iterdir()}
    await scene.store.deliver([Delivery("1", ALICE, HELLO)])
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    assert (inbox.uid_validity, inbox.messages) == (1_600_000_000, 42)
    expected = {n * 2 + 10: {SEEN, "$Work"} if n % 2 else set() for n in range(40)}
    found = await flags(account, inbox.id)
    assert {uid: found[uid] for uid in expected} == expected
    assert sorted(found.keys() - expected.keys()) == [90001, 90002]
    assert before < {path.name for path in (scene.root / "cur").iterdir()}
    assert await account.subscriptions() == {"Sent", "Nowhere"}
    await scene.agrees()
    await scene.stop()
    await scene.start()
    await scene.agrees()
    assert await flags(await scene.store.open(ALICE), inbox.id) == found


async def test_another_index_gives_other_numbers_and_keeps_all(scene: Any) -> None:
    """Where the database is lost, also what Dovecot had given long ago counts no more."""
    left_by_dovecot(scene.root, 3)
    account = await scene.store.open(ALICE)
    await account.append((await named(account, INBOX)).id, [numbered(1, SEEN, "$Work")])
    before = scene.files_of(scene.root)
    await scene.stop()
    for path in scene.folder.glob("mail.db*"):
        path.unlink()
    (scene.folder / "maildir/.contents").rename(scene.folder / "maildir/.contents.lost")
    await scene.start()
    await scene.store.open(ALICE)
    account = await scene.store.open(ALICE)
    inbox = await named(account, INBOX)
    assert inbox.uid_validity > 1_600_000_000
    assert scene.files_of(scene.root) == before
    await scene.agrees()


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_uidlist_is_read(octets: bytes, at: int) -> None:
    good = b"3 V5 N9\n1 W7 S5 :a,S=5:2,S\n4 :b\nx\n2 :c\n"
    for given_ in (octets, b"3 V5 N9\n" + octets, good[:at] + octets + good[at:]):
        found = read_uidlist(given_)
        if found:
            assert list(found.uids.values()) == sorted(set(found.uids.values()))
            assert found.uid_next > max(found.uids.values(), default=0)


def test_both_kinds_of_uidlist_are_read() -> None:
    new = read_uidlist(b"3 V5 N9 Gab\n1 W7 S5 :a,S=5\n4 :b\nx\n2 :c\n")
    assert new
    assert (new.uid_validity, new.uid_next, new.uids) == (5, 9, {"a,S=5": 1, "b": 4})
    old = read_uidlist(b"1 5 9\n1 a:2,S\n4 b\n")
    assert old
    assert (old.uid_validity, old.uid_next, old.uids) == (5, 9, {"a": 1, "b": 4})
