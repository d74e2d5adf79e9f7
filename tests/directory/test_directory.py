"""The directory in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError

from mailplat.directory.directory import Directory, DirectorySettings
from mailplat.interfaces import House
from mailplat.mail.address import POSTMASTER, Address
from mailplat.mail.errors import (
    AlreadyExists,
    BadAddress,
    NoSuchAccount,
    NoSuchAddress,
    NotPermitted,
)
from mailplat.mail.events import CredentialsChanged
from mailplat.mail.people import Domain
from mailplat.sql import Database, SqliteDatabase
from mailplat.sql.postgres import PostgresDatabase
from mailplat.testing.contracts.directory import DirectoryContract, ends
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_fixture, async_yield_fixture
from mailplat.testing.workers import CrewAtOnce, ReactorAtOnce, workers_at_once

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.net"


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


Maker = Callable[..., Database]


@pytest.fixture(params=["sqlite", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    """Make an object for one and the same database, by default one without threads."""
    kind: Any = SqliteDatabase
    where: Any = tmp_path / "mail.db"
    if request.param == "postgres":
        kind, where = PostgresDatabase, request.getfixturevalue("postgres")

    def make(reactor: Any = None) -> Database:
        if reactor:
            return kind(where, reactor)
        return kind(where, ReactorAtOnce(), crew=CrewAtOnce)

    return make


@async_yield_fixture
async def database(make: Maker) -> AsyncIterator[Database]:
    database = make()
    await database.open()
    yield database
    await database.close()


@async_fixture
async def directory(database: Database, bus: FakeBus) -> Directory:
    directory = Directory(DirectorySettings(), database, workers_at_once(), bus)
    await directory.prepare()
    await directory.add_domain("example.org", ALICE)
    await directory.add_account(ALICE, b"wonderland")
    await directory.add_account(BOB, b"builder")
    await directory.add_alias("both@example.org", [ALICE, BOB, CAROL])
    return directory


class TestDirectory(DirectoryContract):
    @async_fixture
    async def directory(self, directory: Directory) -> Directory:
        return directory


async def prove(directory: Directory, name: bytes, password: bytes) -> bytes | tuple[()]:
    return await directory.requestAvatarId(UsernamePassword(name, password))


# Where addresses lead.


async def test_a_subaddress_is_cut_off_and_told(directory: Directory) -> None:
    assert await ends(directory, "Alice+Shop@example.org") == [(ALICE, "Shop")]
    assert await ends(directory, "alice+a+b@example.org") == [(ALICE, "a+b")]
    assert await ends(directory, "both+list@example.org") == [
        (ALICE, "list"),
        (BOB, "list"),
        (CAROL, ""),
    ]
    assert await ends(directory, "+tag@example.org") == []


async def test_an_exact_name_comes_before_one_without_its_subaddress(
    directory: Directory,
) -> None:
    await directory.add_alias("alice+bob@example.org", [BOB])
    assert await ends(directory, "alice+bob@example.org") == [(BOB, "")]


async def test_the_delimiter_is_a_setting(database: Database, bus: FakeBus) -> None:
    for delimiter, expected in (("-", [(ALICE, "tag")]), ("", [])):
        settings = DirectorySettings(delimiter=delimiter)
        other = Directory(settings, database, workers_at_once(), bus)
        await other.prepare()
        if delimiter:
            await other.add_domain("example.org", ALICE)
            await other.add_account(ALICE, b"wonderland")
        assert await ends(other, "alice-tag@example.org") == expected


async def test_a_catch_all_takes_the_rest_only(directory: Directory) -> None:
    await directory.add_alias("@Example.org", [BOB])
    assert await ends(directory, "nobody@example.org") == [(BOB, "")]
    assert await ends(directory, "alice@example.org") == [(ALICE, "")]
    assert await ends(directory, "alice+x@example.org") == [(ALICE, "x")]
    assert await ends(directory, "postmaster@example.org") == [(ALICE, "")]


async def test_an_alias_that_names_itself_means_the_account(directory: Directory) -> None:
    await directory.add_alias(ALICE, [ALICE, CAROL])
    assert await ends(directory, ALICE) == [(ALICE, ""), (CAROL, "")]
    assert await ends(directory, "alice+x@example.org") == [(ALICE, "x"), (CAROL, "")]


async def test_the_aliases_that_were_followed_are_told(directory: Directory) -> None:
    await directory.add_alias("team@example.org", [BOB])
    await directory.add_alias("all@example.org", ["team+x@example.org", "d@example.net", ALICE])
    await directory.add_alias("@example.org", ["all@example.org"])
    places = await directory.places(Address.parse("whoever@example.org"))
    assert {str(p.address or (p.account and p.account.name)): p.via for p in places} == {
        "d@example.net": ("@example.org", "all@example.org"),
        ALICE: ("@example.org", "all@example.org"),
        BOB: ("@example.org", "all@example.org", "team@example.org"),
    }
    await directory.add_alias(ALICE, [ALICE, BOB])
    places = await directory.places(Address.parse(ALICE))
    assert [place.via for place in places] == [(ALICE,), (ALICE,)]
    [place] = await directory.places(Address.parse(BOB))
    assert place.via == ()


async def test_two_ways_to_one_place_are_one_place(directory: Directory) -> None:
    await directory.add_alias("staff@example.org", ["both@example.org", ALICE])
    assert await ends(directory, "staff@example.org") == [(ALICE, ""), (BOB, ""), (CAROL, "")]


async def test_a_circle_is_refused_where_it_would_be_closed(directory: Directory) -> None:
    await directory.add_alias("one@example.org", ["two@example.org", ALICE])
    with pytest.raises(BadAddress):
        await directory.add_alias("two@example.org", ["one@example.org"])
    assert await ends(directory, "one@example.org") == [(ALICE, "")]
    assert await ends(directory, "two@example.org") == []


async def test_a_chain_is_followed_ten_aliases_deep(directory: Directory) -> None:
    for number in range(10):
        await directory.add_alias(f"a{number + 1}@example.org", [f"a{number}@example.org"])
    await directory.add_alias("a0@example.org", [ALICE])
    assert await ends(directory, "a9@example.org") == [(ALICE, "")]
    assert await ends(directory, "a10@example.org") == []


async def test_a_thousand_targets_are_all_reached(directory: Directory) -> None:
    targets = [f"m{number}@example.net" for number in range(1000)]
    await directory.add_alias("list@example.org", targets)
    assert len(await ends(directory, "list@example.org")) == 1000


async def test_postmaster_finds_somebody_whatever_is_missing(directory: Directory) -> None:
    await directory.enable_account(ALICE, False)
    assert await ends(directory, "postmaster@example.org") == [(BOB, "")]
    await directory.remove_account(ALICE)
    assert await ends(directory, "postmaster@example.org") == [(BOB, "")]
    await directory.add_domain("example.com", "gone@example.org")
    assert await ends(directory, "postmaster@example.com") == [(BOB, "")]
    assert await ends(directory, "abuse@example.com") == []


async def test_the_first_domains_postmaster_answers_for_the_others(
    directory: Directory,
) -> None:
    """Else the oldest account that is enabled does, whatever its name."""
    await directory.add_domain("example.com", "gone@example.com")
    await directory.add_domain("a.example", "gone@a.example")
    await directory.add_account("aaron@example.com", b"secret")
    await directory.remove_alias("postmaster@example.org")
    await directory.add_alias("postmaster@example.org", [BOB])
    assert await ends(directory, "postmaster@a.example") == [(BOB, "")]
    assert await ends(directory, "postmaster@example.com") == [(BOB, "")]
    await directory.remove_account(BOB)
    assert await ends(directory, "postmaster@a.example") == [(ALICE, "")]
    await directory.enable_account(ALICE, False)
    assert await ends(directory, "postmaster@example.org") == [("aaron@example.com", "")]


async def test_who_is_needed(directory: Directory) -> None:
    assert await directory.why_needed(BOB) == ""
    assert await directory.why_needed("nobody@example.org") == ""
    why = f"postmaster@example.org leads to {ALICE} alone"
    assert await directory.why_needed(ALICE) == why
    await directory.enable_account(ALICE, False)
    assert await directory.why_needed(ALICE) == why
    await directory.remove_account(ALICE)
    assert await directory.why_needed(BOB) == f"{BOB} is the last account"


async def test_a_domain_that_aliases_lead_into_stays(directory: Directory) -> None:
    await directory.add_domain("example.com", ALICE)
    await directory.add_alias("old@example.com", [ALICE])
    await directory.add_alias("sales@example.org", ["old@example.com"])
    with pytest.raises(NotPermitted, match=r"lead into example\.com: sales@"):
        await directory.remove_domain("example.com")
    await directory.remove_alias("sales@example.org")
    await directory.remove_domain("example.com")


async def test_postmaster_leads_to_an_account_even_where_it_should_lead_elsewhere(
    directory: Directory,
) -> None:
    """Nothing is sent elsewhere yet."""
    await directory.add_domain("example.com", CAROL)
    assert await ends(directory, "postmaster@example.com") == [(ALICE, "")]
    await directory.remove_alias("postmaster@example.com")
    await directory.add_alias("postmaster@example.com", [CAROL, BOB])
    assert await ends(directory, "postmaster@example.com") == [(BOB, "")]
    assert await ends(directory, "postmaster@example.net") == [("postmaster@example.net", "")]


async def test_the_servers_own_name_has_a_postmaster(
    directory: Directory, database: Database, bus: FakeBus, tmp_path: Path
) -> None:
    house = House("Mail.example.org", tmp_path)
    served = Directory(DirectorySettings(), database, workers_at_once(), bus, house)
    assert await served.domain("mail.example.org") == Domain("mail.example.org")
    assert await ends(served, "postmaster@mail.example.org") == await ends(
        served, "postmaster@example.org"
    )
    assert await ends(served, "alice@mail.example.org") == []
    assert await directory.domain("mail.example.org") is None
    assert [one.name for one in await served.domains()] == ["example.org"]


async def test_postmaster_of_an_empty_directory_is_nobody(
    database: Database, bus: FakeBus
) -> None:
    directory = Directory(DirectorySettings(), database, workers_at_once(), bus)
    await directory.prepare()
    assert await directory.places(POSTMASTER) == ()


async def test_a_new_domain_has_postmaster_and_abuse(directory: Directory) -> None:
    await directory.add_domain("Bücher.example", ALICE)
    assert await ends(directory, "abuse@bücher.example") == [(ALICE, "")]
    assert await ends(directory, "postmaster@xn--bcher-kva.example") == [(ALICE, "")]


async def test_an_account_may_be_its_domains_postmaster(directory: Directory) -> None:
    postmaster = "postmaster@example.com"
    await directory.add_domain("example.com", postmaster)
    await directory.add_account(postmaster, b"secret")
    assert await ends(directory, "abuse@example.com") == [(postmaster, "")]
    assert await ends(directory, postmaster) == [(postmaster, "")]


# What is at hand.


async def test_a_known_answer_asks_the_database_nothing(
    directory: Directory, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask_all() -> None:
        assert await directory.domain("example.org")
        assert not await directory.domain("example.net")
        assert await directory.account(ALICE)
        assert await ends(directory, "alice@example.org")
        assert not await ends(directory, "nobody@example.org")

    await ask_all()
    monkeypatch.setattr(database, "read", None)
    await ask_all()


CHANGES: list[Callable[[Directory], Any]] = [
    lambda directory: directory.add_account("carol@example.org", b"secret"),
    lambda directory: directory.add_alias("@example.org", [ALICE]),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_seen_at_once(
    directory: Directory, change: Callable[[Directory], Any]
) -> None:
    assert await ends(directory, "carol@example.org") == []
    await change(directory)
    assert await ends(directory, "carol@example.org") != []


async def test_a_cancelled_change_leaves_nothing_old_at_hand(
    make: Maker, bus: FakeBus, reactor: Any
) -> None:
    database = make(reactor)
    await database.open()
    directory = Directory(DirectorySettings(), database, workers_at_once(), bus)
    await directory.prepare()
    await directory.add_domain("example.org", ALICE)
    await directory.add_account(ALICE, b"wonderland")
    assert await ends(directory, "carol@example.org") == []
    change = directory._change(_add_carol)
    change.cancel()
    with pytest.raises(CancelledError):
        await change
    await directory.add_alias("last@example.org", [ALICE])  # by now the writer had both
    assert await ends(directory, "carol@example.org") == [(ALICE, "")]
    await database.close()


def _add_carol(db: Any) -> None:
    from mailplat.directory import queries

    queries.add_alias(db, "carol@example.org", [ALICE], "+")


# Changing.


async def test_names_are_given_once(directory: Directory) -> None:
    with pytest.raises(AlreadyExists):
        await directory.add_account("ALICE@example.org", b"again")
    with pytest.raises(AlreadyExists):
        await directory.add_account("both@example.org", b"hidden by the alias")
    with pytest.raises(AlreadyExists):
        await directory.add_alias("both@example.org", [ALICE])
    with pytest.raises(AlreadyExists):
        await directory.add_domain("EXAMPLE.org", ALICE)


async def test_only_local_domains_have_accounts_and_aliases(directory: Directory) -> None:
    with pytest.raises(NoSuchAddress):
        await directory.add_account("alice@example.net", b"secret")
    for source in ("sales@example.net", "@example.net"):
        with pytest.raises(NoSuchAddress):
            await directory.add_alias(source, [ALICE])


async def test_what_is_not_there_cannot_be_changed(directory: Directory) -> None:
    with pytest.raises(NoSuchAccount):
        await directory.set_password("nobody@example.org", b"secret")
    with pytest.raises(NoSuchAccount):
        await directory.enable_account("nobody@example.org", True)
    with pytest.raises(NoSuchAccount):
        await directory.remove_account("nobody@example.org")
    with pytest.raises(NoSuchAddress):
        await directory.remove_alias("nobody@example.org")
    with pytest.raises(NoSuchAddress):
        await directory.remove_domain("example.net")


async def test_what_is_no_address_is_refused(directory: Directory) -> None:
    with pytest.raises(BadAddress):
        await directory.add_account("alice", b"secret")
    with pytest.raises(BadAddress):
        await directory.add_alias("sales@example.org", [])
    with pytest.raises(BadAddress):
        await directory.add_alias("sales@example.org", ["not an address"])


async def test_a_removed_account_takes_what_led_to_it_along(directory: Directory) -> None:
    await directory.add_alias("only@example.org", [ALICE])
    gone = await directory.remove_account(ALICE)
    assert await ends(directory, "only@example.org") == []
    assert await ends(directory, "both@example.org") == [(BOB, ""), (CAROL, "")]
    assert "only@example.org" not in [known.source for known in await directory.aliases()]
    again = await directory.add_account(ALICE, b"another")
    assert again.id != gone.id


async def test_a_domain_with_accounts_stays(directory: Directory) -> None:
    with pytest.raises(NotPermitted):
        await directory.remove_domain("example.org")
    await directory.remove_account(ALICE)
    await directory.remove_account(BOB)
    await directory.remove_domain("example.org")
    assert await directory.domains() == []
    assert await directory.aliases() == []


async def test_everything_is_listed(directory: Directory) -> None:
    assert [account.name for account in await directory.accounts()] == [ALICE, BOB]
    assert [(known.source, known.targets) for known in await directory.aliases()] == [
        ("abuse@example.org", (ALICE,)),
        ("both@example.org", (ALICE, BOB, CAROL)),
        ("postmaster@example.org", (ALICE,)),
    ]
    assert [domain.name for domain in await directory.domains()] == ["example.org"]


async def test_everything_is_there_after_a_restart(
    directory: Directory, database: Database, make: Maker, bus: FakeBus
) -> None:
    before = await directory.accounts()
    await database.close()
    again = make()
    await again.open()
    other = Directory(DirectorySettings(), again, workers_at_once(), bus)
    await other.prepare()
    assert await other.accounts() == before
    assert await prove(other, ALICE.encode(), b"wonderland") == ALICE.encode()
    await again.close()


# Proving.


async def test_the_right_password_proves_the_account(directory: Directory) -> None:
    assert await prove(directory, b"alice@example.org", b"wonderland") == ALICE.encode()
    assert await prove(directory, b"ALICE@Example.org", b"wonderland") == ALICE.encode()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        (b"alice@example.org", b"builder"),
        (b"alice@example.org", b""),
        (b"nobody@example.org", b"wonderland"),
        (b"both@example.org", b"wonderland"),
        (b"alice", b"wonderland"),
        (b"\xff\xfe@example.org", b"wonderland"),
        (b"", b""),
        (b"' OR 1=1 --@example.org", b"wonderland"),
    ],
)
async def test_everything_else_proves_nothing(
    directory: Directory, name: bytes, password: bytes
) -> None:
    with pytest.raises(UnauthorizedLogin):
        await prove(directory, name, password)


async def test_unknown_names_cost_the_same_work(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compared differs in nothing that costs time."""
    compared: list[str] = []
    compare = directory._passwords._compare

    def counting(stored: str, password: bytes) -> bool:
        compared.append(stored.rpartition("$")[0].rpartition("$")[0])
        return compare(stored, password)

    monkeypatch.setattr(directory._passwords, "_compare", counting)
    for name in (b"alice@example.org", b"nobody@example.org", b"no name"):
        with pytest.raises(UnauthorizedLogin):
            await prove(directory, name, b"wrong")
    assert compared == ["$argon2id$v=19$m=19456,t=2,p=1"] * 3


async def test_a_disabled_account_is_there_and_proves_nothing(directory: Directory) -> None:
    await directory.enable_account(ALICE, False)
    with pytest.raises(UnauthorizedLogin):
        await prove(directory, ALICE.encode(), b"wonderland")
    [place] = await directory.places(Address.parse(ALICE))
    assert place.account
    assert not place.account.enabled
    await directory.enable_account(ALICE, True)
    assert await prove(directory, ALICE.encode(), b"wonderland")


async def test_what_ends_sessions_changes_the_version_and_is_told(
    directory: Directory, bus: FakeBus
) -> None:
    first = await directory.account(ALICE)
    assert first
    bus.events.clear()
    changed = await directory.set_password(ALICE, b"looking glass")
    disabled = await directory.enable_account(ALICE, False)
    gone = await directory.remove_account(ALICE)
    assert (
        len({first.credential_version, changed.credential_version, disabled.credential_version})
        == 3
    )
    assert gone.id == first.id
    assert bus.events == [CredentialsChanged(first.id)] * 3


async def test_the_new_password_replaces_the_old(directory: Directory) -> None:
    await directory.set_password(ALICE, b"looking glass")
    assert await prove(directory, ALICE.encode(), b"looking glass")
    with pytest.raises(UnauthorizedLogin):
        await prove(directory, ALICE.encode(), b"wonderland")
