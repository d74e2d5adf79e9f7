"""What an `ISharing` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

from itertools import count

import pytest

from mailplat.interfaces import IAccount, IMailStore, ISharedStore, ISharing
from mailplat.mail.errors import NoSuchMailbox, NotPermitted, TooMany
from mailplat.mail.mailbox import INBOX, Mailbox
from mailplat.mail.people import AccountId
from mailplat.mail.sharing import ANYONE, RIGHTS
from mailplat.testing.contracts.accounts import ALICE, HELLO, Accounts
from mailplat.testing.contracts.store import BOB
from mailplat.testing.fixtures import async_fixture

CAROL = AccountId("carol")
READ = frozenset("lr")


class SharingContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store."""

    @async_fixture
    async def sharing(self, account: IAccount) -> ISharing:
        """The facet; without it the test is left out."""
        if not ISharing.providedBy(account):
            pytest.skip("its accounts share nothing")
        facet: ISharing = account
        return facet

    async def shown(self, store: IMailStore, account: AccountId) -> dict[str, str]:
        """Return what others share with an account, by the mailbox's name."""
        asked: ISharedStore = ISharedStore(store)
        found = await asked.shared_with(account)
        assert all(one.owner == ALICE for one in found)
        return {one.mailbox.name: "".join(sorted(one.rights)) for one in found}

    async def test_rights_are_given_changed_and_taken(
        self, sharing: ISharing, inbox: Mailbox
    ) -> None:
        assert await sharing.rights(inbox.id) == {}
        await sharing.set_rights(inbox.id, BOB, READ)
        await sharing.set_rights(inbox.id, ANYONE, frozenset("p"))
        await sharing.set_rights(inbox.id, f"-{BOB}", frozenset("w"))
        await sharing.set_rights(inbox.id, BOB, RIGHTS)
        assert await sharing.rights(inbox.id) == {
            ANYONE: {"p"},
            BOB: RIGHTS,
            f"-{BOB}": {"w"},
        }
        await sharing.set_rights(inbox.id, BOB, frozenset())
        await sharing.set_rights(inbox.id, CAROL, frozenset())
        assert await sharing.rights(inbox.id) == {ANYONE: {"p"}, f"-{BOB}": {"w"}}

    async def test_changes_tell_of_it(
        self, sharing: ISharing, account: IAccount, inbox: Mailbox
    ) -> None:
        before = (await account.index(inbox.id)).modseq
        await sharing.set_rights(inbox.id, BOB, READ)
        changes = await account.changes(before)
        assert changes.edited == {inbox.id}
        assert changes.modseq > before

    @pytest.mark.parametrize(
        ("identifier", "rights"),
        [(ALICE, "lr"), (f"-{ALICE}", "lr"), ("", "lr"), ("-", "lr"), (BOB, "lz"), (BOB, "L")],
    )
    async def test_what_makes_no_sense_is_refused(
        self, sharing: ISharing, inbox: Mailbox, identifier: str, rights: str
    ) -> None:
        with pytest.raises(NotPermitted):
            await sharing.set_rights(inbox.id, identifier, frozenset(rights))
        assert await sharing.rights(inbox.id) == {}

    async def test_others_are_shown_what_they_may_look_up(
        self, sharing: ISharing, account: IAccount, inbox: Mailbox, store: IMailStore
    ) -> None:
        box = await account.create("box")
        hidden = await account.create("hidden")
        await account.append(box.id, [HELLO])
        await sharing.set_rights(inbox.id, ANYONE, READ)
        await sharing.set_rights(box.id, BOB, READ | {"i"})
        await sharing.set_rights(hidden.id, BOB, frozenset("rp"))
        assert await self.shown(store, BOB) == {INBOX: "lr", "box": "ilr"}
        assert await self.shown(store, CAROL) == {INBOX: "lr"}
        assert await self.shown(store, ALICE) == {}
        await sharing.set_rights(inbox.id, f"-{BOB}", READ)
        await sharing.set_rights(box.id, f"-{ANYONE}", frozenset("i"))
        assert await self.shown(store, BOB) == {"box": "lr"}
        await account.remove(box.id)
        assert await self.shown(store, BOB) == {}

    async def test_rights_go_with_their_mailbox(
        self, sharing: ISharing, account: IAccount
    ) -> None:
        box = await account.create("box")
        await sharing.set_rights(box.id, BOB, READ)
        await account.remove(box.id)
        with pytest.raises(NoSuchMailbox):
            await sharing.rights(box.id)
        with pytest.raises(NoSuchMailbox):
            await sharing.set_rights(box.id, BOB, READ)
        again = await account.create("box")
        assert await sharing.rights(again.id) == {}

    async def test_rights_go_with_whom_they_were_given_to(
        self, sharing: ISharing, inbox: Mailbox, store: IMailStore
    ) -> None:
        await store.open(BOB)
        await sharing.set_rights(inbox.id, BOB, READ)
        await sharing.set_rights(inbox.id, f"-{BOB}", READ)
        await sharing.set_rights(inbox.id, CAROL, READ)
        await store.remove(BOB)
        assert await sharing.rights(inbox.id) == {CAROL: READ}

    async def test_there_are_bounds(self, sharing: ISharing, inbox: Mailbox) -> None:
        numbers = count()

        async def fill() -> None:
            for number in numbers:
                await sharing.set_rights(inbox.id, f"account {number}", READ)

        with pytest.raises(TooMany):
            await fill()
        assert len(await sharing.rights(inbox.id)) == next(numbers) - 1
