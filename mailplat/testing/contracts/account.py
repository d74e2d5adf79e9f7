"""What every `IAccount` promises, as tests that a backend inherits."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.internet.defer import CancelledError, Deferred
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAccount, IContent, ICursor, IMailStore
from mailplat.mail.content import Octets, whole
from mailplat.mail.errors import (
    AlreadyExists,
    NoSuchMailbox,
    NoSuchMessage,
    NotPermitted,
    StoreFailed,
)
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    DELETED,
    FLAGGED,
    INBOX,
    SEEN,
    Appended,
    Change,
    FlagChange,
    Mailbox,
    MailboxEdit,
    MailboxId,
    ModSeq,
    NewMessage,
    Record,
    Replaced,
    Role,
    Uid,
    UidSet,
    Wanted,
)
from mailplat.mail.people import AccountId
from mailplat.mail.summary import summarise
from mailplat.testing.contracts.histories import histories_of
from mailplat.testing.fakes import FakeBus, FakeContent, new_message
from mailplat.testing.fixtures import async_fixture, plainly

ALICE = AccountId("alice")
HELLO = new_message(b"Message-ID: <hello@x>\r\nSubject: hello\r\n\r\nhello\r\n")
ALL = UidSet.all()
EVERYTHING = Wanted.FLAGS | Wanted.SUMMARY | Wanted.CONTENT
BIG = b"Subject: big\r\n\r\n" + b"".join(b"%07d\n" % n for n in range(3 * 2**17))


def numbered(number: int, *flags: str) -> NewMessage:
    """Return a message that is like no other."""
    return new_message(b"Subject: %d\r\n\r\n%d\r\n" % (number, number), *flags)


def add(*flags: str) -> FlagChange:
    """Return the change that sets flags."""
    return FlagChange(Change.ADD, frozenset(flags))


def take(*flags: str) -> FlagChange:
    """Return the change that clears flags."""
    return FlagChange(Change.REMOVE, frozenset(flags))


async def named(account: IAccount, name: str) -> Mailbox:
    """Return the account's mailbox of that name."""
    [found] = [mailbox for mailbox in await account.mailboxes() if mailbox.name == name]
    return found


async def names(account: IAccount) -> list[str]:
    """Return the names of the account's mailboxes, in their order."""
    return [mailbox.name for mailbox in await account.mailboxes()]


async def records(
    account: IAccount, mailbox: MailboxId, uids: UidSet = ALL, wanted: Wanted = EVERYTHING
) -> list[Record]:
    """Return what a cursor hands out, batches forgotten."""
    found: list[Record] = []
    async with account.records(mailbox, uids, wanted) as cursor:
        while (batch := await cursor.next_batch()) is not None:
            assert len(batch)
            found += batch.records()
    return found


async def uids(account: IAccount, mailbox: MailboxId) -> list[int]:
    """Return the UIDs that a mailbox has."""
    return [record.uid for record in await records(account, mailbox, wanted=Wanted.NOTHING)]


async def octets(account: IAccount, mailbox: MailboxId) -> list[bytes]:
    """Return each message of a mailbox."""
    return [
        await whole(await account.content(record)) for record in await records(account, mailbox)
    ]


async def flags(account: IAccount, mailbox: MailboxId) -> dict[int, set[str]]:
    """Return the flags of each message of a mailbox."""
    return {
        record.uid: set(record.flags or ())
        for record in await records(account, mailbox, wanted=Wanted.FLAGS)
    }


async def append(account: IAccount, mailbox: MailboxId, count: int) -> list[Appended]:
    """Append so many different messages."""
    return list(await account.append(mailbox, [numbered(n) for n in range(count)]))


class AccountContract:
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    It tells the fixture ``bus`` what happens.
    """

    store: Any
    examples = 25  # random histories that are tried

    @pytest.fixture
    def bus(self) -> FakeBus:
        return FakeBus()

    @async_fixture
    async def account(self, store: IMailStore) -> IAccount:
        return await store.open(ALICE)

    @async_fixture
    async def other(self, store: IMailStore, account: IAccount) -> IAccount:
        """A second session of the same account."""
        return await store.open(ALICE)

    @async_fixture
    async def inbox(self, account: IAccount) -> Mailbox:
        return await named(account, INBOX)

    # Mailboxes.

    async def test_it_is_what_it_says(self, account: IAccount, inbox: Mailbox) -> None:
        assert verifyObject(IAccount, account)
        assert account.id == ALICE
        await account.append(inbox.id, [HELLO])
        [record] = await records(account, inbox.id)
        assert verifyObject(IContent, await account.content(record))
        assert verifyObject(ICursor, account.records(inbox.id, ALL))

    async def test_a_new_account_has_an_empty_inbox(self, account: IAccount) -> None:
        [inbox] = await account.mailboxes()
        assert (inbox.name, inbox.role, inbox.subscribed) == (INBOX, Role.INBOX, False)
        assert (inbox.messages, inbox.unseen, inbox.deleted, inbox.size) == (0, 0, 0, 0)
        assert inbox.uid_next == 1
        assert 0 < inbox.uid_validity < 2**32
        assert inbox.highest_modseq > 0

    async def test_the_inbox_stands_before_the_others(self, account: IAccount) -> None:
        for name in ("Zoo", "Archive", "inbox/sub"):
            await account.create(name)
        assert await names(account) == [INBOX, "Archive", "INBOX/sub", "Zoo"]

    async def test_what_is_missing_above_a_mailbox_is_made(self, account: IAccount) -> None:
        made = await account.create("a/b/c")
        assert made.name == "a/b/c"
        assert await names(account) == [INBOX, "a", "a/b", "a/b/c"]
        validities = [mailbox.uid_validity for mailbox in await account.mailboxes()]
        assert len(set(validities)) == len(validities)

    @pytest.mark.parametrize(
        "name", ["INBOX", "inbox", "Taken", "Taken/\u00e9", "Taken/e\u0301"]
    )
    async def test_a_name_is_not_given_twice(self, account: IAccount, name: str) -> None:
        await account.create("Taken/\u00e9")
        with pytest.raises(AlreadyExists):
            await account.create(name)

    @pytest.mark.parametrize("name", ["", "a//b", "/a", "a/", "a\r\nb", "x" * 2000])
    async def test_not_every_text_is_a_name(self, account: IAccount, name: str) -> None:
        with pytest.raises(NotPermitted):
            await account.create(name)
        box = await account.create("box")
        with pytest.raises(NotPermitted):
            await account.edit(box.id, MailboxEdit(name=name))
        assert await names(account) == [INBOX, "box"]

    async def test_a_name_made_again_gets_another_uidvalidity(self, account: IAccount) -> None:
        """A client that kept what it knew of the old one must see that it is another."""
        seen: list[tuple[int, MailboxId]] = []
        for _ in range(5):
            made = await account.create("box")
            seen.append((made.uid_validity, made.id))
            await account.remove(made.id)
        assert [validity for validity, _ in seen] == sorted({validity for validity, _ in seen})
        assert len({identity for _, identity in seen}) == 5

    async def test_a_rename_keeps_the_identity_and_takes_along_what_is_inside(
        self, account: IAccount
    ) -> None:
        inner = await account.create("old/inner")
        outer = await named(account, "old")
        alike = await account.create("older")
        await account.append(inner.id, [HELLO])
        before = await named(account, "old/inner")
        renamed = await account.edit(outer.id, MailboxEdit(name="new/place"))
        assert (renamed.id, renamed.name) == (outer.id, "new/place")
        assert await names(account) == [INBOX, "new", "new/place", "new/place/inner", "older"]
        after = await named(account, "new/place/inner")
        assert after.id == inner.id
        assert after.uid_validity == before.uid_validity
        assert await uids(account, inner.id) == [1]
        assert (await named(account, "older")).id == alike.id

    async def test_a_mailbox_is_not_renamed_over_another_or_into_itself(
        self, account: IAccount
    ) -> None:
        box = await account.create("box")
        await account.create("taken")
        for name, error in (("taken", AlreadyExists), ("Inbox", AlreadyExists)):
            with pytest.raises(error):
                await account.edit(box.id, MailboxEdit(name=name))
        with pytest.raises(NotPermitted):
            await account.edit(box.id, MailboxEdit(name="box/inside"))
        assert await names(account) == [INBOX, "box", "taken"]

    async def test_a_rename_to_the_same_name_changes_nothing(self, account: IAccount) -> None:
        box = await account.create("box")
        assert (await account.edit(box.id, MailboxEdit(name="box"))).name == "box"
        assert await names(account) == [INBOX, "box"]

    async def test_a_name_can_be_too_long_only_for_what_is_inside(
        self, account: IAccount
    ) -> None:
        """Then nothing at all is renamed."""
        await account.create("box/" + "y" * 900)
        box = await named(account, "box")
        with pytest.raises(NotPermitted):
            await account.edit(box.id, MailboxEdit(name="x" * 900))
        assert await names(account) == [INBOX, "box", "box/" + "y" * 900]

    async def test_the_inbox_stays_what_it_is(self, account: IAccount, inbox: Mailbox) -> None:
        for edit in (MailboxEdit(name="else"), MailboxEdit(role=Role.TRASH)):
            with pytest.raises(NotPermitted):
                await account.edit(inbox.id, edit)
        with pytest.raises(NotPermitted):
            await account.remove(inbox.id)
        with pytest.raises(NotPermitted):
            await account.create("another", Role.INBOX)
        assert await account.mailboxes() == [inbox]

    async def test_what_lies_in_the_inbox_may_move(self, account: IAccount) -> None:
        inner = await account.create("inbox/inner")
        await account.edit(inner.id, MailboxEdit(name="outer"))
        assert await names(account) == [INBOX, "outer"]

    async def test_only_empty_shells_can_be_removed(self, account: IAccount) -> None:
        inner = await account.create("outer/inner")
        outer = await named(account, "outer")
        with pytest.raises(NotPermitted):
            await account.remove(outer.id)
        await account.remove(inner.id)
        await account.remove(outer.id)
        assert await names(account) == [INBOX]

    async def test_a_removed_mailbox_is_gone_for_every_call(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        await account.append(box.id, [HELLO])
        await account.remove(box.id)
        one = UidSet.of(1)
        calls: list[Callable[[MailboxId], Awaitable[object]]] = [
            lambda gone: other.edit(gone, MailboxEdit(name="new")),
            lambda gone: other.remove(gone),
            lambda gone: other.index(gone),
            lambda gone: other.append(gone, [HELLO]),
            lambda gone: other.flag(gone, one, add(SEEN)),
            lambda gone: other.move(gone, one, inbox.id),
            lambda gone: other.move(inbox.id, one, gone),
            lambda gone: other.expunge(gone, one),
            lambda gone: other.changes(ModSeq(0), gone),
            lambda gone: records(other, gone),
        ]
        for gone in (box.id, MailboxId(""), MailboxId("nonsense")):
            for call in calls:
                with pytest.raises(NoSuchMailbox):
                    await call(gone)

    async def test_a_role_is_held_by_one_mailbox(self, account: IAccount) -> None:
        trash = await account.create("Bin", Role.TRASH)
        assert (await named(account, "Bin")).role is Role.TRASH
        with pytest.raises(NotPermitted):
            await account.create("Trash", Role.TRASH)
        junk = await account.create("Junk")
        with pytest.raises(NotPermitted):
            await account.edit(junk.id, MailboxEdit(role=Role.TRASH))
        await account.edit(trash.id, MailboxEdit(role=Role.NONE))
        edited = await account.edit(junk.id, MailboxEdit(name="Rubbish", role=Role.TRASH))
        assert (edited.name, edited.role) == ("Rubbish", Role.TRASH)
        assert await names(account) == [INBOX, "Bin", "Rubbish"]

    async def test_a_refused_edit_changes_neither_name_nor_role(
        self, account: IAccount
    ) -> None:
        box = await account.create("box")
        await account.create("taken", Role.JUNK)
        with pytest.raises(AlreadyExists):
            await account.edit(box.id, MailboxEdit(name="taken", role=Role.SENT))
        with pytest.raises(NotPermitted):
            await account.edit(box.id, MailboxEdit(name="free", role=Role.JUNK))
        found = await named(account, "box")
        assert (found.id, found.role) == (box.id, Role.NONE)

    async def test_what_does_not_exist_can_be_subscribed(
        self, account: IAccount, other: IAccount
    ) -> None:
        """RFC 9051 section 6.3.7."""
        box = await account.create("box")
        await account.subscribe(["box", "nothing/here", "inbox"], True)
        assert set(await other.subscriptions()) == {"box", "nothing/here", INBOX}
        assert [m.subscribed for m in await other.mailboxes()] == [True, True]
        await account.remove(box.id)
        assert "box" in await other.subscriptions()
        assert (await account.create("box")).subscribed
        await other.subscribe(["box", "never/subscribed"], False)
        assert set(await account.subscriptions()) == {"nothing/here", INBOX}

    # Messages.

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
            under_way = Deferred.fromCoroutine(_appended(account, inbox.id, messages))
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

    # Places.

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

    # What happened.

    async def test_changes_are_told_by_kind(
        self, account: IAccount, other: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 6)
        doomed = await account.create("doomed")
        renamed = await account.create("old")
        since = (await other.index(inbox.id)).modseq
        await append(account, inbox.id, 2)
        await account.flag(inbox.id, UidSet.of(1, 2, 7), add(SEEN))
        await account.expunge(inbox.id, UidSet.of(2, 3, 8))
        await account.remove(doomed.id)
        await account.edit(renamed.id, MailboxEdit(name="new"))
        made = await account.create("made")
        fleeting = await account.create("fleeting")
        await account.remove(fleeting.id)
        await account.append(made.id, [HELLO])
        changes = await other.changes(since)
        assert changes.complete
        assert changes.made == {made.id}
        assert changes.edited == {renamed.id}
        assert changes.removed == {doomed.id}
        found = {one.mailbox: one for one in changes.mailboxes}
        assert set(found) == {inbox.id, made.id}
        assert found[made.id].added == UidSet.of(1)
        assert found[inbox.id].added == UidSet.of(7)
        assert found[inbox.id].changed == UidSet.of(1)
        assert found[inbox.id].removed == UidSet.of(2, 3)
        [only] = (await other.changes(since, inbox.id)).mailboxes
        assert only == found[inbox.id]
        assert not (await other.changes(changes.modseq)).mailboxes

    async def test_everything_since_the_beginning(
        self, account: IAccount, inbox: Mailbox
    ) -> None:
        await append(account, inbox.id, 2)
        changes = await account.changes(ModSeq(0))
        assert changes.made == {inbox.id}
        assert [one.added for one in changes.mailboxes] == [UidSet.of(1, 2)]

    async def test_a_mailbox_that_changed_has_a_higher_modseq(self, account: IAccount) -> None:
        box = await account.create("box")
        goal = await account.create("goal")
        steps: list[Callable[[], Awaitable[object]]] = [
            lambda: account.append(box.id, [HELLO, HELLO, HELLO]),
            lambda: account.flag(box.id, UidSet.of(1), add(SEEN)),
            lambda: account.move(box.id, UidSet.of(1), goal.id),
            lambda: account.expunge(box.id, UidSet.of(2)),
            lambda: account.append(box.id, [HELLO], Replaced(box.id, Uid(3))),
        ]
        newest = box.highest_modseq
        for step in steps:
            await step()
            found = await named(account, "box")
            assert found.highest_modseq > newest
            newest = found.highest_modseq
        assert (await named(account, "goal")).highest_modseq < newest

    async def test_every_change_is_told_to_the_bus(
        self, account: IAccount, bus: FakeBus, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        inner = await account.create("box/inner")
        steps: list[tuple[Callable[[], Awaitable[object]], set[MailboxId]]] = [
            (lambda: account.append(inbox.id, [HELLO, HELLO, HELLO]), {inbox.id}),
            (lambda: account.flag(inbox.id, UidSet.of(1), add(SEEN)), {inbox.id}),
            (lambda: account.move(inbox.id, UidSet.of(1), box.id), {inbox.id, box.id}),
            (lambda: account.move(inbox.id, UidSet.of(2), box.id, keep=True), {box.id}),
            (lambda: account.expunge(inbox.id, UidSet.of(2)), {inbox.id}),
            (
                lambda: account.append(box.id, [HELLO], Replaced(inbox.id, Uid(3))),
                {inbox.id, box.id},
            ),
            (lambda: account.edit(box.id, MailboxEdit(name="new")), {box.id, inner.id}),
            (lambda: account.subscribe(["new"], True), {box.id}),
            (lambda: account.remove(inner.id), {inner.id}),
            (lambda: account.expunge(inbox.id, ALL), set()),
            (lambda: account.subscribe(["nothing"], True), set()),
        ]
        for step, touched in steps:
            bus.events.clear()
            await step()
            modseq = (await account.index(inbox.id)).modseq
            expected = [AccountChanged(ALICE, modseq, frozenset(touched))] if touched else []
            assert bus.events == expected

    async def test_an_event_is_told_though_nobody_waits_any_more(
        self, account: IAccount, bus: FakeBus, inbox: Mailbox
    ) -> None:
        """Other sessions must hear of what was done, whoever has gone meanwhile."""
        bus.events.clear()
        under_way = Deferred.fromCoroutine(_appended(account, inbox.id, [HELLO]))
        under_way.cancel()
        try:
            await under_way
        except CancelledError:
            pass
        await account.append(inbox.id, [HELLO])
        told = [event.modseq for event in bus.events if isinstance(event, AccountChanged)]
        index = await account.index(inbox.id)
        assert sorted(set(index.modseqs)) == told

    # All of it together.

    async def test_random_histories_agree_with_a_model(self, store: IMailStore) -> None:
        effort = settings(max_examples=self.examples, stateful_step_count=30, deadline=None)
        machine = histories_of(store)
        await plainly(lambda: run_state_machine_as_test(machine, settings=effort))


async def _appended(
    account: IAccount, mailbox: MailboxId, messages: list[NewMessage]
) -> list[Appended]:
    return list(await account.append(mailbox, messages))
