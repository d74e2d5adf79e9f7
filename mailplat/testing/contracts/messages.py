"""What every `IAccount` promises of messages that are added, and of their flags."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from twisted.internet.defer import CancelledError, Deferred

from mailplat.interfaces import IAccount
from mailplat.mail.content import Octets
from mailplat.mail.errors import (
    NoSuchMailbox,
    NoSuchMessage,
    StoreFailed,
)
from mailplat.mail.limits import MIB
from mailplat.mail.mailbox import (
    BATCH_OCTETS,
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Change,
    FlagChange,
    Mailbox,
    MailboxId,
    NewMessage,
    Replaced,
    Uid,
    UidSet,
    Wanted,
)
from mailplat.mail.summary import Summary, summarise
from mailplat.testing.contracts.accounts import (
    ALL,
    BIG,
    HELLO,
    Accounts,
    add,
    append,
    append_all,
    flags,
    named,
    numbered,
    octets,
    records,
    take,
    uids,
)
from mailplat.testing.fakes import FakeBus, FakeContent, new_message


class MessagesContract(Accounts):
    """Appending and flags."""

    async def test_what_was_appended_is_read_back(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        received = datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)
        message = new_message(BIG[:5000], SEEN, "$Forwarded", received=received)
        [appended] = await account.append(inbox.id, [message])
        [record] = await records(other, inbox.id)
        assert record.uid == appended.uid == 1
        assert record.modseq == appended.modseq
        assert (record.email_id, record.thread_id) == (appended.email_id, appended.thread_id)
        assert record.flags == frozenset([SEEN, "$Forwarded"])
        assert (record.size, record.received) == (5000, received)
        assert record.summary == message.summary.octets
        assert record.content == BIG[:5000]
        assert await octets(other, inbox.id) == [BIG[:5000]]

    async def test_a_message_without_a_date_was_received_when_it_was_kept(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await account.append(inbox.id, [HELLO])
        [record] = await records(account, inbox.id)
        assert abs(record.received - record.saved) < timedelta(seconds=1)

    async def test_columns_that_are_not_wanted_are_not_there(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await account.append(inbox.id, [HELLO])
        for wanted in Wanted:
            [record] = await records(account, inbox.id, wanted=wanted)
            assert (record.flags is not None) == (wanted is Wanted.FLAGS)
            assert (record.summary is not None) == (wanted is Wanted.SUMMARY)
            assert (record.content is not None) == (wanted is Wanted.CONTENT)

    async def test_a_batch_has_only_so_many_octets(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        sizes = [BATCH_OCTETS + 1, *[MIB] * 9, 1, BATCH_OCTETS, 1]
        await account.append(
            inbox.id,
            [attrs.evolve(HELLO, summary=Summary(bytes(size), 0)) for size in sizes],
        )
        for asked in (ALL, UidSet.from_sorted(range(1, len(sizes) + 1, 2))):
            found: list[int] = []
            async with account.records(inbox.id, asked, Wanted.SUMMARY) as cursor:
                while (batch := await cursor.next_batch()) is not None:
                    some = [len(summary) for summary in batch.summaries]
                    assert len(some) == 1 or sum(some) <= BATCH_OCTETS
                    found += some
            assert found == [sizes[uid - 1] for uid in asked.among(range(1, len(sizes) + 1))]
        async with account.records(inbox.id, ALL, Wanted.FLAGS) as cursor:
            batch = await cursor.next_batch()
        assert batch is not None
        assert len(batch) == len(sizes)

    async def test_a_uid_is_never_given_twice(self, account: IAccount, inbox: Mailbox) -> None:
        """Expunging the newest message does not free its UID (RFC 9051, 2.3.1.1)."""
        [first] = await account.append(inbox.id, [HELLO])
        await account.expunge(inbox.id, UidSet.of(first.uid))
        assert (await named(account, INBOX)).uid_next > first.uid
        [second] = await account.append(inbox.id, [HELLO])
        assert second.uid > first.uid

    async def test_messages_appended_together_follow_one_another(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        appended = await append(account, inbox.id, 300)
        assert [one.uid for one in appended] == list(range(1, 301))
        assert len({one.modseq for one in appended}) == 1
        assert len({one.email_id for one in appended}) == 300
        assert await octets(account, inbox.id) == [
            b"Subject: %d\r\n\r\n%d\r\n" % (n, n) for n in range(300)
        ]

    async def test_nothing_appended_changes_nothing(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        assert list(await account.append(inbox.id, [])) == []
        assert await account.mailboxes() == [inbox]

    @pytest.mark.parametrize("size", [100, len(BIG)])
    async def test_an_append_that_fails_adds_nothing(
        self, account: IAccount, inbox: Mailbox, size: int
    ) -> None:
        summary = summarise(b"")
        for broken in (
            FakeContent(BIG[:size], fails_at=size - 1),
            FakeContent(BIG[: size - 1], promised=size),
        ):
            messages = [HELLO, NewMessage(broken, summary), HELLO]
            with pytest.raises(StoreFailed):
                await account.append(inbox.id, messages)
        assert await account.mailboxes() == [inbox]

    @pytest.mark.parametrize("size", [100, len(BIG)])
    async def test_an_append_that_is_cancelled_adds_all_or_nothing(
        self, account: IAccount, other: IAccount, inbox: Mailbox, size: int
    ) -> None:
        messages = [HELLO, new_message(BIG[:size]), HELLO]
        for waits in range(6):
            before = await named(other, INBOX)
            under_way = Deferred.fromCoroutine(append_all(account, inbox.id, messages))
            for _ in range(waits):
                await other.mailboxes()  # lets it get a little further each time
            under_way.cancel()
            try:
                await under_way
            except CancelledError:
                pass
            await account.append(inbox.id, [HELLO])  # has its turn behind the other
            after = await named(other, INBOX)
            assert after.messages - before.messages in (1, 4)
            assert len(await octets(other, inbox.id)) == after.messages

    async def test_a_message_is_replaced_in_one_step(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        """RFC 8508; the target may be another mailbox than the message's own."""
        drafts = await account.create("Drafts")
        [draft, _] = await append(account, drafts.id, 2)
        [second] = await account.append(
            drafts.id, [numbered(7)], Replaced(drafts.id, draft.uid)
        )
        assert await uids(account, drafts.id) == [2, second.uid]
        [sent] = await account.append(inbox.id, [HELLO], Replaced(drafts.id, second.uid))
        assert await uids(account, drafts.id) == [2]
        assert await uids(account, inbox.id) == [sent.uid]
        assert (await named(account, "Drafts")).messages == 1

    async def test_what_is_to_be_replaced_must_be_there(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        with pytest.raises(NoSuchMessage):
            await account.append(inbox.id, [HELLO], Replaced(inbox.id, Uid(1)))
        with pytest.raises(NoSuchMailbox):
            await account.append(inbox.id, [HELLO], Replaced(MailboxId("no"), Uid(1)))
        assert await account.mailboxes() == [inbox]

    async def test_large_contents_are_read_by_ranges(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        content = FakeContent(BIG)
        await account.append(inbox.id, [NewMessage(content, summarise(BIG[:100]))])
        assert (
            all(stop - start <= 2**20 for start, stop in content.reads)
            or len(content.reads) == 1
        )
        [record] = await records(account, inbox.id)
        kept = await account.content(record)
        assert (record.size, kept.size) == (len(BIG), len(BIG))
        assert record.content in (None, BIG)
        edges = (0, 1, 2**16 - 1, 2**16, 2**18, 2**20 + 1, len(BIG) - 1, len(BIG))
        for start in edges:
            for stop in edges:
                assert await kept.read(start, stop) == BIG[start:stop]
        assert await kept.read(len(BIG) - 3, len(BIG) + 5) == BIG[-3:]
        assert await kept.read(len(BIG) + 1, len(BIG) + 5) == b""

    @pytest.mark.parametrize("size", [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 2**18, 2**18 + 1])
    async def test_contents_of_every_size_come_back_whole(
        self, account: IAccount, inbox: Mailbox, size: int
    ) -> None:
        await account.append(inbox.id, [NewMessage(Octets(BIG[:size]), summarise(b""))])
        assert await octets(account, inbox.id) == [BIG[:size]]
        assert (await named(account, INBOX)).size == size

    # Flags.

    async def test_flags_are_added_removed_and_replaced(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 3)
        flagged = await account.flag(inbox.id, UidSet.of(1, 2, 9), add(SEEN, "$Work"))
        assert flagged.changed == UidSet.of(1, 2)
        assert not flagged.failed
        await account.flag(inbox.id, UidSet.of(2, 3), take("$Work", FLAGGED))
        await other.flag(
            inbox.id, UidSet.of(1), FlagChange(Change.REPLACE, frozenset([DELETED]))
        )
        assert await flags(account, inbox.id) == {1: {DELETED}, 2: {SEEN}, 3: set()}

    async def test_names_of_flags_match_without_case(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await account.append(inbox.id, [numbered(1, "$Work", "\\SEEN"), numbered(2, "$WORK")])
        assert await flags(account, inbox.id) == {1: {"$Work", SEEN}, 2: {"$Work"}}
        flagged = await account.flag(inbox.id, ALL, add("$work", "\\seen"))
        assert flagged.changed == UidSet.of(2)
        await account.flag(inbox.id, ALL, take("$wORK"))
        assert await flags(account, inbox.id) == {1: {SEEN}, 2: {SEEN}}

    async def test_a_flag_that_is_there_already_is_no_change(
        self, account: IAccount, bus: FakeBus, inbox: Mailbox
    ) -> None:
        await account.append(inbox.id, [numbered(1, SEEN)])
        before = await account.mailboxes()
        bus.events.clear()
        flagged = await account.flag(inbox.id, ALL, add(SEEN))
        assert not flagged.changed
        assert flagged.modseq == before[0].highest_modseq
        assert await account.mailboxes() == before
        assert not bus.events

    async def test_flags_are_changed_unless_someone_was_faster(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        """RFC 7162 section 3.1.3: nobody's change is lost unseen."""
        appended = await append(account, inbox.id, 4)
        known = appended[-1].modseq
        faster = await other.flag(inbox.id, UidSet.of(2, 3), add(FLAGGED))
        flagged = await account.flag(inbox.id, UidSet.of(1, 2, 3), add(SEEN), known)
        assert (flagged.changed, flagged.failed) == (UidSet.of(1), UidSet.of(2, 3))
        assert flagged.modseq > faster.modseq
        assert await flags(account, inbox.id) == {
            1: {SEEN},
            2: {FLAGGED},
            3: {FLAGGED},
            4: set(),
        }
        later = await account.flag(inbox.id, UidSet.of(2, 3), add(SEEN), faster.modseq)
        assert not later.failed

    async def test_only_what_changed_gets_a_new_modseq(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        appended = await append(account, inbox.id, 3)
        flagged = await account.flag(inbox.id, UidSet.of(2), add(SEEN))
        index = await account.index(inbox.id)
        assert list(index.modseqs) == [appended[0].modseq, flagged.modseq, appended[0].modseq]
        assert flagged.modseq > appended[0].modseq
        assert (await named(account, INBOX)).highest_modseq == flagged.modseq

    async def test_counts_follow_every_change(self, account: IAccount, inbox: Mailbox) -> None:
        box = await account.create("box")

        async def counts(name: str) -> tuple[int, int, int]:
            found = await named(account, name)
            size = sum(record.size for record in await records(account, found.id))
            assert found.size == size
            return found.messages, found.unseen, found.deleted

        await account.append(
            inbox.id, [numbered(1, SEEN), numbered(22), numbered(333, DELETED)]
        )
        assert await counts(INBOX) == (3, 2, 1)
        await account.flag(inbox.id, UidSet.of(1, 2), add(DELETED, SEEN))
        assert await counts(INBOX) == (3, 1, 3)
        await account.move(inbox.id, UidSet.of(1), box.id, keep=True)
        assert (await counts(INBOX), await counts("box")) == ((3, 1, 3), (1, 0, 1))
        await account.move(inbox.id, UidSet.of(3), box.id)
        assert (await counts(INBOX), await counts("box")) == ((2, 0, 2), (2, 1, 2))
        await account.flag(box.id, ALL, take(DELETED, SEEN))
        await account.expunge(inbox.id, ALL)
        assert (await counts(INBOX), await counts("box")) == ((0, 0, 0), (2, 2, 0))
