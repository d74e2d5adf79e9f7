"""What every `IContentStore` promises, as tests that a backend inherits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAddressedContents, IBatchedContents, IContentStore
from mailplat.mail.content import Octets
from mailplat.mail.errors import NoSuchMessage, StoreFailed
from mailplat.mail.people import AccountId
from mailplat.testing.contracts.accounts import ALICE
from mailplat.testing.fakes import FakeContent

BOB = AccountId("bob")
SIZES = (0, 1, 1000, 65536, 262143, 262144, 262145, 700_000)
LONGEST_KEY = 200  # characters
NO_KEYS = (
    "",
    "nothing",
    "..",
    "/etc/passwd",
    "../../../../etc/passwd",
    ".",
    "a\0b",
    "x" * 5000,
)


def octets_of(size: int) -> bytes:
    """Return so many octets, of which no two pieces are alike."""
    return b"".join(b"%08d\r\n" % n for n in range(size // 10 + 1))[:size]


async def add(contents: IContentStore, octets: bytes, account: AccountId = ALICE) -> str:
    """Add a content."""
    return await contents.add(account, Octets(octets))


async def scanned(contents: IContentStore, after: str = "") -> list[str]:
    """Return all keys that a scan finds."""
    found: list[str] = []
    while keys := list(await contents.scan(after)):
        assert all(key > after for key in keys)
        found += keys
        after = keys[-1]
    return found


class ContentsContract:
    """Inherit, and say in a fixture ``contents`` how to make a new, empty place of contents."""

    contents: Any

    async def reopened(self, contents: IContentStore) -> IContentStore:
        """Return what there is after a restart; the same object where there is no other."""
        return contents

    async def test_it_is_what_it_says(self, contents: IContentStore) -> None:
        assert verifyObject(IContentStore, contents)

    # Adding and reading.

    @pytest.mark.parametrize("size", SIZES)
    async def test_what_is_added_is_read(self, contents: IContentStore, size: int) -> None:
        octets = octets_of(size)
        key = await add(contents, octets)
        for place in (contents, await self.reopened(contents)):
            assert await place.read(key, 0, size) == octets

    @pytest.mark.parametrize("size", [0, 10, 700_000])
    async def test_any_piece_is_read(self, contents: IContentStore, size: int) -> None:
        octets = octets_of(size)
        key = await add(contents, octets)
        edges = sorted({0, 1, 5, 10, 262143, 262144, 262145, 524288, size - 1, size, size + 9})
        for start in edges:
            for stop in edges:
                if start >= 0 <= stop:
                    found = await contents.read(key, start, stop)
                    assert found == octets[start:stop]

    async def test_every_octet_comes_back(self, contents: IContentStore) -> None:
        octets = bytes(range(256)) * 3 + b"\r\n.\r\n\n\r\r\0"
        assert await contents.read(await add(contents, octets), 0, 1000) == octets

    async def test_a_content_is_read_as_it_is_given(self, contents: IContentStore) -> None:
        """In pieces or at once; it has no other octets than it promises."""
        octets = octets_of(700_000)
        content = FakeContent(octets, promised=600_000)
        key = await contents.add(ALICE, content)
        assert await contents.read(key, 0, 1_000_000) == octets[:600_000]
        assert not content.closed

    @pytest.mark.parametrize("size", [100, 700_000])
    async def test_what_cannot_be_read_is_not_kept(
        self, contents: IContentStore, size: int
    ) -> None:
        broken = FakeContent(octets_of(size), fails_at=size - 1)
        early = FakeContent(octets_of(size), promised=size + 1)
        for content in (broken, early):
            with pytest.raises(StoreFailed):
                await contents.add(ALICE, content)
        key = await add(contents, b"another")
        await contents.remove([one for one in await scanned(contents) if one != key])
        assert await scanned(contents) == [key]

    async def test_many_at_once_are_kept_apart(self, contents: IContentStore) -> None:
        sizes = [n * 1001 for n in range(60)]
        work = [Deferred.fromCoroutine(add(contents, octets_of(size))) for size in sizes]
        keys = [await one for one in work]
        assert len(set(keys)) == len(keys)
        for key, size in zip(keys, sizes, strict=True):
            assert await contents.read(key, 0, size + 1) == octets_of(size)

    async def test_who_leaves_harms_nobody(self, contents: IContentStore) -> None:
        """An addition that is cancelled is made or not; those beside it are made."""
        work = [Deferred.fromCoroutine(add(contents, octets_of(9000 + n))) for n in range(20)]
        for one in work[::2]:
            one.cancel()
        outcomes: list[tuple[bool, Any]] = await DeferredList(work, consumeErrors=True)
        for n, (is_done, outcome) in enumerate(outcomes):
            assert is_done or (n % 2 == 0 and isinstance(outcome.value, CancelledError))
            if is_done:
                assert await contents.read(outcome, 0, 10_000) == octets_of(9000 + n)

    # Keys.

    async def test_keys_are_short_texts(self, contents: IContentStore) -> None:
        for account in (ALICE, BOB, AccountId("a/../b\0 ü" * 30)):
            key = await add(contents, b"octets", account)
            assert 0 < len(key) <= LONGEST_KEY
            assert key.isprintable()
            assert await contents.read(key, 0, 6) == b"octets"

    async def test_no_key_is_given_twice(self, contents: IContentStore) -> None:
        """Neither for the same octets, nor when what had it is gone."""
        keys = [await add(contents, b"the same") for _ in range(3)]
        await contents.remove(keys)
        keys += [await add(contents, b"the same", who) for who in (ALICE, BOB)]
        assert len(set(keys)) == 5
        await contents.remove(keys[:4])
        assert await contents.read(keys[4], 0, 8) == b"the same"

    @pytest.mark.parametrize("key", NO_KEYS)
    async def test_what_is_no_key_leads_to_nothing(
        self, contents: IContentStore, key: str
    ) -> None:
        there = await add(contents, b"octets")
        for no_key in (key, f"{there}/{key}x", f"{key}/{there}", f"{there}x"):
            with pytest.raises(NoSuchMessage):
                await contents.read(no_key, 0, 10)
            await contents.remove([no_key])
        assert await contents.read(there, 0, 10) == b"octets"

    # Removing.

    async def test_what_is_removed_is_gone(self, contents: IContentStore) -> None:
        keys = [await add(contents, octets_of(size)) for size in (0, 10, 700_000, 20)]
        await contents.remove(keys[:3])
        await contents.remove([])
        await contents.remove(keys[:2])  # again
        for key in keys[:3]:
            with pytest.raises(NoSuchMessage):
                await contents.read(key, 0, 10)
        assert await contents.read(keys[3], 0, 20) == octets_of(20)

    # Scanning.

    async def test_a_scan_finds_every_content_in_order(self, contents: IContentStore) -> None:
        assert await scanned(contents) == []
        keys = [await add(contents, b"%d" % (n % 7)) for n in range(40)]
        for place in (contents, await self.reopened(contents)):
            assert await scanned(place) == sorted(keys)
        await contents.remove(keys[::2])
        left = sorted(keys[1::2])
        assert await scanned(contents) == left
        assert await scanned(contents, left[9]) == left[10:]
        assert await scanned(contents, left[-1]) == []

    async def test_a_scan_goes_on_behind_what_is_removed(self, contents: IContentStore) -> None:
        keys = [await add(contents, b"%d" % n) for n in range(40)]
        found: list[str] = []
        after = ""
        while some := list(await contents.scan(after)):
            found += some[:3]
            after = some[:3][-1]
            await contents.remove(some[:3])
        assert found == sorted(keys)
        assert await scanned(contents) == []

    # Facets.

    async def test_equal_contents_have_one_address(self, contents: IContentStore) -> None:
        if not IAddressedContents.providedBy(contents):
            return
        addressed: IAddressedContents = contents
        sizes = (0, 10, 11, 700_000, 700_000, 11, 10, 0)
        keys = [await add(contents, octets_of(size)) for size in sizes]
        addresses = [addressed.address(key) for key in keys]
        assert addresses == addresses[::-1]
        assert len(set(addresses)) == 4
        assert all(0 < len(address) <= 32 for address in addresses)
        assert isinstance(addressed.address("no key"), bytes)

    async def test_many_are_read_together(self, contents: IContentStore) -> None:
        if not IBatchedContents.providedBy(contents):
            return
        batched: IBatchedContents = contents
        sizes = [n * 1000 for n in range(50)]
        keys = [await add(contents, octets_of(size)) for size in sizes]
        await contents.remove(keys[:2])
        expected: Sequence[bytes | None] = [None, None, *map(octets_of, sizes[2:])]
        assert await batched.read_each(keys) == expected
        assert await batched.read_each(["", *keys[::-1]]) == [None, *expected[::-1]]
        assert await batched.read_each([]) == []
