"""What an `IUndelete` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

import pytest

from mailplat.interfaces import IAccount, IMailStore, IQuota, IUndelete
from mailplat.mail.errors import OverQuota
from mailplat.mail.mailbox import (
    DELETED,
    INBOX,
    SEEN,
    Mailbox,
    MailboxEdit,
    Replaced,
    Uid,
    UidSet,
)
from mailplat.mail.quota import MESSAGE
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    HELLO,
    Accounts,
    append,
    flags,
    named,
    names,
    octets,
    uids,
)
from mailplat.testing.contracts.store import BOB
from mailplat.testing.fakes import FakeBus, new_message
from mailplat.testing.fixtures import async_fixture


class UndeleteContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    It keeps what was expunged for a minute at least.
    """

    @async_fixture
    async def kept(self, account: IAccount, inbox: Mailbox) -> IUndelete:
        """The facet; without it, or where nothing is kept, the test is left out."""
        if not IUndelete.providedBy(account):
            pytest.skip("its accounts keep nothing that was expunged")
        facet: IUndelete = account
        await append(account, inbox.id, 1)
        await account.expunge(inbox.id, ALL)
        ids = [one.id for one in await facet.expunged()]
        if not ids:
            pytest.skip("it keeps nothing that was expunged, by its settings")
        return facet

    async def test_what_was_expunged_comes_back_with_new_uids(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox, bus: FakeBus
    ) -> None:
        message = new_message(b"Subject: another\r\n\r\n", SEEN, DELETED, "$Work")
        [appended] = await account.append(inbox.id, [message])
        await account.expunge(inbox.id, ALL)
        assert (await named(account, INBOX)).messages == 0
        size = message.content.size
        [latest] = [one for one in await kept.expunged() if one.size == size]
        assert latest.name == INBOX
        bus.events.clear()
        assert await kept.undelete([latest.id]) == 1
        assert len(bus.events) == 1
        [uid] = await uids(account, inbox.id)
        assert uid > appended.uid
        assert await flags(account, inbox.id) == {uid: {SEEN, "$Work"}}
        assert latest.id not in [one.id for one in await kept.expunged()]
        assert await kept.undelete([latest.id, "nonsense", "1.2", "9.9.9"]) == 0

    async def test_an_id_that_is_given_twice_is_one_message(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox
    ) -> None:
        [one] = await kept.expunged()
        assert await kept.undelete([one.id, one.id]) == 1
        assert len(await uids(account, inbox.id)) == 1
        assert (await named(account, INBOX)).messages == 1

    async def test_a_large_message_comes_back_whole(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox, store: IMailStore
    ) -> None:
        large = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 50_000
        await account.append(inbox.id, [new_message(large)])
        await account.expunge(inbox.id, ALL)
        await store.open(BOB)
        [found] = [one for one in await kept.expunged() if one.size == len(large)]
        await kept.undelete([found.id])
        assert await octets(account, inbox.id) == [large]

    async def test_mail_of_a_removed_mailbox_comes_back_elsewhere(
        self, account: IAccount, kept: IUndelete
    ) -> None:
        for _ in range(2):
            box = await account.create("box/in it")
            await account.append(box.id, [HELLO])
            await account.remove(box.id)
        found = await kept.expunged(name="box/in it")
        assert len(found) == 2
        await kept.undelete([found[0].id])
        assert await names(account) == [
            INBOX,
            "Restored",
            "Restored/box",
            "Restored/box/in it",
            "box",
        ]
        await account.create("box/in it")
        await kept.undelete([found[1].id])
        for name in ("box/in it", "Restored/box/in it"):
            assert (await named(account, name)).messages == 1

    async def test_a_renamed_mailbox_gets_its_mail_back(
        self, account: IAccount, kept: IUndelete
    ) -> None:
        box = await account.create("box")
        await account.append(box.id, [HELLO])
        await account.expunge(box.id, ALL)
        await account.edit(box.id, MailboxEdit("other"))
        [found] = await kept.expunged(name="other")
        await kept.undelete([found.id])
        assert (await named(account, "other")).messages == 1

    async def test_what_was_moved_or_replaced_is_not_kept(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox
    ) -> None:
        before = await kept.expunged()
        box = await account.create("box")
        await append(account, inbox.id, 2)
        first, _ = await uids(account, inbox.id)
        await account.move(inbox.id, UidSet.of(first), box.id)
        [other] = await uids(account, inbox.id)
        await account.append(inbox.id, [HELLO], Replaced(inbox.id, Uid(other)))
        assert await kept.expunged() == before

    async def test_what_is_kept_takes_no_room(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox
    ) -> None:
        if not IQuota.providedBy(account):
            pytest.skip("its accounts have no quota")
        quota: IQuota = account
        assert (await quota.quota())[MESSAGE].used == 0
        await quota.set_quota({MESSAGE: 1})
        await append(account, inbox.id, 1)
        ids = [one.id for one in await kept.expunged()]
        with pytest.raises(OverQuota):
            await kept.undelete(ids)
        await account.expunge(inbox.id, ALL)
        assert await kept.undelete(ids) == 1

    async def test_what_was_expunged_is_told_by_its_time(
        self, account: IAccount, kept: IUndelete
    ) -> None:
        [one] = await kept.expunged()
        assert await kept.expunged(since=one.at) == [one]
        assert not await kept.expunged(since=one.at + 1)
        assert not await kept.expunged(name="nowhere")

    async def test_one_of_two_places_comes_back(
        self, account: IAccount, kept: IUndelete, inbox: Mailbox
    ) -> None:
        box = await account.create("box")
        await append(account, box.id, 1)
        await account.move(box.id, ALL, inbox.id, keep=True)
        for mailbox in (box, inbox):
            await account.expunge(mailbox.id, ALL)
        [found] = await kept.expunged(name="box")
        assert await kept.undelete([found.id]) == 1
        assert len(await octets(account, box.id)) == 1
        assert not await octets(account, inbox.id)

    async def test_a_removed_account_leaves_nothing(
        self, store: IMailStore, kept: IUndelete
    ) -> None:
        await store.remove(ALICE)
        again: IUndelete = IUndelete(await store.open(ALICE))
        assert not await again.expunged()
