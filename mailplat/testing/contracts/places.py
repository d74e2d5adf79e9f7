"""What every `IAccount` promises of the places of messages, of cursors and of threads."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from mailplat.interfaces import IAccount, IMailStore
from mailplat.mail.content import whole
from mailplat.mail.mailbox import (
    FLAGGED,
    INBOX,
    SEEN,
    Mailbox,
    NewMessage,
    Replaced,
    Uid,
    UidSet,
    Wanted,
)
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    BIG,
    EVERYTHING,
    HELLO,
    Accounts,
    add,
    append,
    flags,
    named,
    numbered,
    octets,
    records,
    uids,
)
from mailplat.testing.fakes import new_message


class PlacesContract(Accounts):
    """Copying, moving, expunging, reading on, threads."""

    async def test_copies_share_an_identity_and_go_their_own_ways(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        await account.append(box.id, [numbered(0)])
        before = await account.append(inbox.id, [numbered(1, SEEN), numbered(2), numbered(3)])
        moved = await account.move(inbox.id, UidSet.of(1, 3, 8), box.id, keep=True)
        assert (moved.source, moved.target) == ((1, 3), (2, 3))
        assert moved.uid_validity == box.uid_validity
        copies = await records(account, box.id, UidSet.of(2, 3))
        assert [c.email_id for c in copies] == [before[0].email_id, before[2].email_id]
        assert [c.thread_id for c in copies] == [before[0].thread_id, before[2].thread_id]
        assert [c.flags for c in copies] == [frozenset([SEEN]), frozenset()]
        await account.flag(box.id, UidSet.of(2), add(FLAGGED))
        await account.expunge(inbox.id, ALL)
        assert await flags(account, box.id) == {1: set(), 2: {SEEN, FLAGGED}, 3: set()}
        assert len(await octets(account, box.id)) == 3

    async def test_moved_messages_are_in_one_place(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        before = await append(account, inbox.id, 3)
        moved = await account.move(inbox.id, UidSet.of(1, 3), box.id)
        assert (moved.source, moved.target) == ((1, 3), (1, 2))
        assert (await uids(other, inbox.id), await uids(other, box.id)) == ([2], [1, 2])
        found = await records(other, box.id)
        assert [one.email_id for one in found] == [before[0].email_id, before[2].email_id]
        assert {one.modseq for one in found} == {moved.modseq}
        nothing = await account.move(inbox.id, UidSet.of(1, 3), box.id)
        assert (nothing.source, nothing.target) == ((), ())

    async def test_a_mailbox_can_be_copied_and_moved_to_itself(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 2)
        copied = await account.move(inbox.id, ALL, inbox.id, keep=True)
        assert (copied.source, copied.target) == ((1, 2), (3, 4))
        moved = await account.move(inbox.id, ALL, inbox.id)
        assert (moved.source, moved.target) == ((1, 2, 3, 4), (5, 6, 7, 8))
        found = await octets(account, inbox.id)
        assert found == [b"Subject: %d\r\n\r\n%d\r\n" % (n, n) for n in (0, 1, 0, 1)]
        await account.expunge(inbox.id, UidSet.of(5, 6, 7))
        assert await octets(account, inbox.id) == found[3:]
        assert (await named(account, INBOX)).size == len(found[3])

    async def test_the_time_of_saving_is_that_of_the_place(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        """RFC 8514: a copy was saved later, and received when its original was."""
        received = datetime(2001, 2, 3, tzinfo=UTC)
        await account.append(inbox.id, [new_message(b"", received=received)])
        await account.move(inbox.id, ALL, inbox.id, keep=True)
        first, copy = await records(account, inbox.id)
        assert first.received == copy.received == received
        assert copy.saved >= first.saved > received

    async def test_expunging_says_what_there_was(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 5)
        assert await account.expunge(inbox.id, UidSet.of(2, 4, 9)) == UidSet.of(2, 4)
        assert await other.expunge(inbox.id, UidSet.of(2, 4, 5)) == UidSet.of(5)
        assert await account.expunge(inbox.id, UidSet()) == UidSet()
        assert await uids(account, inbox.id) == [1, 3]

    @pytest.mark.parametrize("message", [HELLO, new_message(BIG)], ids=["small", "big"])
    async def test_who_has_a_message_in_hand_can_read_on(
        self, account: IAccount, store: IMailStore, inbox: Mailbox, message: NewMessage
    ) -> None:
        """Another session's EXPUNGE, DELETE or REPLACE must not tear a RETR apart."""
        box = await account.create("box")
        await account.append(inbox.id, [message, message])
        await account.append(box.id, [message])
        reader = await store.open(ALICE)
        held = [*await records(reader, inbox.id), *await records(reader, box.id)]
        first = await reader.content(held[0])
        half = await first.read(0, 10)
        await account.expunge(inbox.id, UidSet.of(1))
        await account.append(inbox.id, [HELLO], Replaced(inbox.id, Uid(2)))
        await account.remove(box.id)
        del account
        gc.collect()
        for _ in range(3):
            (await store.open(ALICE)).id  # noqa: B018 - opened and let go again
            gc.collect()
        expected = await whole(message.content)
        assert half + await first.read(10, first.size) == expected
        for record in held:
            assert await whole(await reader.content(record)) == expected

    async def test_a_message_can_go_while_a_cursor_stands_before_it(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 2000)
        seen: list[int] = []
        async with account.records(inbox.id, ALL, Wanted.CONTENT) as cursor:
            while (batch := await cursor.next_batch()) is not None:
                seen += batch.uids
                assert list(batch.uids) == sorted(batch.uids)
                await other.expunge(inbox.id, UidSet(((min(seen), max(seen)), (1990, 2000))))
        assert seen == list(range(1, 1990))

    async def test_cursors_go_through_sets_of_uids_in_order(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 40)
        await account.expunge(inbox.id, UidSet(((10, 20),)))
        wanted = UidSet.from_intervals([(35, 90), (3, 3), (8, 22), (4_000_000, 2**32 - 1)])
        found = await records(account, inbox.id, wanted)
        assert [record.uid for record in found] == [3, 8, 9, 21, 22, *range(35, 41)]
        assert await records(account, inbox.id, UidSet()) == []

    async def test_cursors_that_are_left_half_way_leak_nothing(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 5)
        for _ in range(500):
            async with account.records(inbox.id, ALL, EVERYTHING) as cursor:
                await cursor.next_batch()
            left = account.records(inbox.id, ALL, EVERYTHING)
            await left.next_batch()
            with pytest.raises(ZeroDivisionError):
                async with account.records(inbox.id, ALL) as cursor:
                    raise ZeroDivisionError
            assert await cursor.next_batch() is None
        await account.expunge(inbox.id, ALL)
        assert await uids(account, inbox.id) == []

    async def test_the_index_says_what_the_records_say(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 10)
        await account.flag(inbox.id, UidSet.of(2, 3, 7), add(SEEN))
        await account.flag(inbox.id, UidSet.of(3, 9), add("$Work"))
        await account.expunge(inbox.id, UidSet.of(5))
        index = await account.index(inbox.id)
        found = await records(account, inbox.id)
        assert list(index.uids) == [record.uid for record in found]
        assert list(index.modseqs) == [record.modseq for record in found]
        assert [index.flag_sets[n] for n in index.flags] == [record.flags for record in found]
        assert len(set(index.flag_sets)) == len(index.flag_sets) == 4
        assert index.modseq == (await named(account, INBOX)).highest_modseq

    # Threads.

    async def test_messages_that_share_a_reference_share_a_thread(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        """In whatever order they come: the last one here joins two threads."""

        def message(own: str, *references: str) -> NewMessage:
            fields = f"Message-ID: <{own}>\r\nReferences: " + " ".join(
                f"<{one}>" for one in references
            )
            return new_message(fields.encode() + b"\r\n\r\n")

        box = await account.create("box")
        await account.append(inbox.id, [message("c", "b"), message("x"), message("a")])
        await account.append(box.id, [message("d", "c"), message("e", "a")])

        async def threads() -> list[str]:
            return [
                record.thread_id
                for mailbox in (inbox, box)
                for record in await records(account, mailbox.id)
            ]

        c, x, a, d, e = await threads()
        assert (c, a) == (d, e)
        assert len({a, c, x}) == 3
        [late] = await account.append(inbox.id, [message("b", "a")])
        c, x, a, b, d, e = await threads()
        assert a == b == c == d == e == late.thread_id
        assert x != a
        answers = [message(f"answer-to-{one}", one) for one in "abcde"]
        for more in await account.append(inbox.id, answers):
            assert more.thread_id == late.thread_id
        lone, lonely = await account.append(inbox.id, [numbered(1), numbered(1)])
        assert len({lone.thread_id, lonely.thread_id, late.thread_id, x}) == 4
