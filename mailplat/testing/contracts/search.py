"""What an `ISearchable` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from mailplat.interfaces import IAccount, IMailStore, ISearchable
from mailplat.mail.errors import NoSuchMailbox
from mailplat.mail.mailbox import Delivery, Mailbox, MailboxId, UidSet
from mailplat.mail.searching import Column
from mailplat.testing.contracts.accounts import ALICE, ALL, Accounts
from mailplat.testing.contracts.store import BOB
from mailplat.testing.fakes import new_message
from mailplat.testing.fixtures import async_fixture

LARGE = b"0123456789abcdef padding of some words\r\n" * 4000
TO_PAY = "From: Zoë <zoe@example.net>\r\nSubject: Invoice 4711\r\n\r\nPlease pay soon, by AND by.\r\n"
GREETING = """From: bob@example.org\r
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r
\r
The sooner the "better" (* NEAR).\r
"""
MARKED_UP = """To: carol@example.org\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Stra<b>sse</b> 12</p><p>東京都渋谷\r
"""
IN_PARTS = """Subject: parts\r
Content-Type: multipart/mixed; boundary=x\r
\r
--x\r
\r
inside\r
--x\r
Content-Disposition: attachment; filename="Report-2026.pdf"\r
\r
%PDF\r
--x--\r
"""
LETTERS = (
    TO_PAY.encode(),
    GREETING.encode(),
    MARKED_UP.encode(),
    b"Subject: large\r\n\r\n" + LARGE + b"the needle\r\n",
    IN_PARTS.encode(),
)
EVERYWHERE = tuple(Column)


class SearchContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    ``settle`` is where a backend lets its index catch up; without it the answers
    are right all the same, and may be unsure.
    """

    async def settle(self, store: IMailStore) -> None:
        """Let the index catch up."""

    @async_fixture
    async def searchable(
        self, store: IMailStore, account: IAccount, inbox: Mailbox
    ) -> ISearchable:
        """The facet of an account with some letters; without it the test is left out."""
        if not ISearchable.providedBy(account):
            pytest.skip("its accounts have no index")
        facet: ISearchable = account
        await account.append(inbox.id, [new_message(octets) for octets in LETTERS])
        await store.deliver([Delivery("1", BOB, new_message(LETTERS[0]))])
        await self.settle(store)
        return facet

    async def found(
        self,
        searchable: ISearchable,
        mailbox: MailboxId,
        *words: str,
        columns: Collection[Column] = EVERYWHERE,
    ) -> tuple[set[int], set[int]]:
        """Return what is sure, and what might be."""
        found = await searchable.search_text(mailbox, words, columns)
        assert not set(found.uids) & set(found.unsure)
        return set(found.uids), set(found.unsure)

    @pytest.mark.parametrize(
        ("words", "uids"),
        [
            (["invoice"], {1}),
            (["VOICE 47"], {1}),
            (["soon"], {1, 2}),
            (["Soon", "invoice"], {1}),
            (["soon", "nowhere"], set()),
            (["Gru\u0308SSE"], {2}),
            (["strasse"], {3}),
            (["stra\u00dfe"], {3}),
            (["\u6771\u4eac\u90fd"], {3}),
            (["\u4eac\u90fd"], {3}),
            (["the needle"], {4}),
            (["9abcdef  padding"], {4}),
            (['"better" (* near)'], {2}),
            (["by and by"], {1}),
            (['"'], {2}),
            (["*"], {2}),
            (["inside"], {5}),
            (["report-2026"], {5}),
            (["zoe\u0308"], {1}),
            (["example.org"], {2, 3}),
            (["by"], {1}),
            (["b", "soon"], {1, 2}),
            (["", "soon"], {1, 2}),
            (["subject: invoice"], set()),
            (["x" * 10_000], set()),
            (["a\0b"], set()),
            (["inv", "oic"] * 40, {1}),
        ],
    )
    async def test_words_are_found_as_substrings(
        self, searchable: ISearchable, inbox: Mailbox, words: list[str], uids: set[int]
    ) -> None:
        sure, unsure = await self.found(searchable, inbox.id, *words)
        assert sure <= uids <= sure | unsure

    @pytest.mark.parametrize(
        ("word", "columns"),
        [
            ("invoice", {Column.SUBJECT}),
            ("zoe@example", {Column.PEOPLE}),
            ("please pay", {Column.BODY}),
        ],
    )
    async def test_words_are_found_where_they_are_looked_for(
        self, searchable: ISearchable, inbox: Mailbox, word: str, columns: set[Column]
    ) -> None:
        sure, unsure = await self.found(searchable, inbox.id, word, columns=columns)
        assert 1 in sure | unsure
        others = set(Column) - columns
        sure, _ = await self.found(searchable, inbox.id, word, columns=others)
        assert not sure

    async def test_nothing_is_found_elsewhere(
        self, searchable: ISearchable, account: IAccount, store: IMailStore, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        assert await self.found(searchable, box.id, "soon") == (set(), set())
        stranger = await store.open(BOB)
        [theirs] = await stranger.mailboxes()
        there: ISearchable = ISearchable(stranger)
        sure, unsure = await self.found(there, theirs.id, "soon")
        assert sure | unsure == {1}
        sure, unsure = await self.found(there, theirs.id, "needle")
        assert sure == set()
        with pytest.raises(NoSuchMailbox):
            await searchable.search_text(MailboxId("F99"), ["soon"])

    async def test_what_is_moved_copied_or_gone_is_found_where_it_is(
        self, searchable: ISearchable, account: IAccount, store: IMailStore, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        await account.move(inbox.id, UidSet.of(1), box.id)
        await account.move(inbox.id, UidSet.of(2), box.id, keep=True)
        await self.settle(store)
        for mailbox, uids in ((inbox, {2}), (box, {1, 2})):
            sure, unsure = await self.found(searchable, mailbox.id, "soon")
            assert sure <= uids <= sure | unsure
        await account.expunge(box.id, ALL)
        assert await self.found(searchable, box.id, "soon") == (set(), set())

    async def test_what_has_just_come_is_not_missed(
        self, searchable: ISearchable, account: IAccount, inbox: Mailbox, store: IMailStore
    ) -> None:
        [late] = await account.append(inbox.id, [new_message(b"\r\nmuch sooner\r\n")])
        sure, unsure = await self.found(searchable, inbox.id, "sooner")
        assert {2, late.uid} <= sure | unsure
        await store.remove(ALICE)
        again = await store.open(ALICE)
        [inbox] = await again.mailboxes()
        fresh: ISearchable = ISearchable(again)
        assert await self.found(fresh, inbox.id, "sooner") == (set(), set())
