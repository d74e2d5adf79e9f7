"""What every `IAccount` promises of its mailboxes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import IAccount, IContent, ICursor
from mailplat.mail.errors import (
    AlreadyExists,
    NoSuchMailbox,
    NotPermitted,
)
from mailplat.mail.mailbox import (
    INBOX,
    SEEN,
    Mailbox,
    MailboxEdit,
    MailboxId,
    ModSeq,
    Role,
    UidSet,
)
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    HELLO,
    Accounts,
    add,
    named,
    names,
    records,
    uids,
)


class MailboxesContract(Accounts):
    """Names, roles, hierarchy, subscriptions."""

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
