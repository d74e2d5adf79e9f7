"""What an `IAnnotations` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

import pytest

from mailplat.interfaces import IAccount, IAnnotations, IMailStore
from mailplat.mail.errors import NoSuchMailbox, NotPermitted, TooLarge, TooMany
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import Mailbox, MailboxId, ModSeq
from mailplat.testing.contracts.accounts import ALICE, Accounts
from mailplat.testing.contracts.store import BOB
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_fixture

COMMENT, OWN = "/shared/comment", "/private/vendor/x/colour"


class AnnotationsContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store."""

    @async_fixture
    async def notes(self, account: IAccount) -> IAnnotations:
        """The facet; without it the test is left out."""
        if not IAnnotations.providedBy(account):
            pytest.skip("its accounts have no annotations")
        facet: IAnnotations = account
        return facet

    async def test_they_are_set_and_removed(
        self, notes: IAnnotations, inbox: Mailbox, account: IAccount
    ) -> None:
        box = await account.create("box")
        for mailbox in (None, inbox.id, box.id):
            assert await notes.annotations(mailbox) == {}
            await notes.annotate(mailbox, {COMMENT: b"one\0two", OWN: b"red"})
            await notes.annotate(mailbox, {COMMENT: b"three", "/shared/x": None})
            assert await notes.annotations(mailbox) == {COMMENT: b"three", OWN: b"red"}
            await notes.annotate(mailbox, {COMMENT: None})
            assert await notes.annotations(mailbox) == {OWN: b"red"}
        await account.remove(box.id)
        with pytest.raises(NoSuchMailbox):
            await notes.annotations(box.id)
        with pytest.raises(NoSuchMailbox):
            await notes.annotate(MailboxId("F99"), {COMMENT: b""})
        again = await account.create("box")
        assert await notes.annotations(again.id) == {}

    async def test_changes_tell_of_those_of_a_mailbox(
        self, notes: IAnnotations, inbox: Mailbox, account: IAccount, bus: FakeBus
    ) -> None:
        before = (await account.index(inbox.id)).modseq
        bus.events.clear()
        modseq = await notes.annotate(inbox.id, {COMMENT: b"x"})
        assert modseq > before
        assert bus.events == [AccountChanged(ALICE, modseq, frozenset({inbox.id}))]
        changes = await account.changes(before)
        assert changes.modseq == modseq
        assert changes.edited == {inbox.id}
        assert not changes.annotated
        [shown] = await account.mailboxes()
        assert shown.highest_modseq == modseq

    async def test_changes_tell_of_those_of_the_account(
        self, notes: IAnnotations, inbox: Mailbox, account: IAccount, bus: FakeBus
    ) -> None:
        before = (await account.index(inbox.id)).modseq
        bus.events.clear()
        modseq = await notes.annotate(None, {COMMENT: b"x"})
        assert bus.events == [AccountChanged(ALICE, modseq, frozenset())]
        changes = await account.changes(before)
        assert changes.annotated
        assert not changes.edited
        assert not (await account.changes(modseq)).annotated
        assert not (await account.changes(before, inbox.id)).annotated
        assert (await account.changes(ModSeq(0))).made == {inbox.id}

    async def test_what_is_private_is_its_readers(
        self, notes: IAnnotations, inbox: Mailbox
    ) -> None:
        await notes.annotate(inbox.id, {COMMENT: b"all", OWN: b"red"})
        await notes.annotate(inbox.id, {OWN: b"blue"}, BOB)
        assert await notes.annotations(inbox.id) == {COMMENT: b"all", OWN: b"red"}
        assert await notes.annotations(inbox.id, BOB) == {COMMENT: b"all", OWN: b"blue"}
        await notes.annotate(inbox.id, {COMMENT: b"both", OWN: None}, BOB)
        assert await notes.annotations(inbox.id) == {COMMENT: b"both", OWN: b"red"}
        assert await notes.annotations(inbox.id, BOB) == {COMMENT: b"both"}

    async def test_case_means_nothing(self, notes: IAnnotations) -> None:
        await notes.annotate(None, {"/Shared/Comment": b"x"})
        assert await notes.annotations(None) == {COMMENT: b"x"}

    @pytest.mark.parametrize(
        "entry",
        [
            "", "/", "/shared", "/shared/", "/shared//x", "/shared/x/", "shared/x", "/other/x",
            "/shared/a*", "/shared/%", "/shared/ü", "/shared/a b", "/shared/a\n", "/shared/" + "x" * 1000,
        ],
    )  # fmt: skip
    async def test_no_entry_has_such_a_name(self, notes: IAnnotations, entry: str) -> None:
        with pytest.raises(NotPermitted):
            await notes.annotate(None, {COMMENT: b"x", entry: b"x"})
        assert await notes.annotations(None) == {}

    async def test_there_are_bounds(self, notes: IAnnotations) -> None:
        with pytest.raises(TooLarge):
            await notes.annotate(None, {COMMENT: b"x" * (1 << 24)})
        with pytest.raises(TooMany):
            await notes.annotate(None, {f"/shared/{n}": b"" for n in range(10_000)})
        assert await notes.annotations(None) == {}

    async def test_a_removed_account_leaves_none(
        self, notes: IAnnotations, store: IMailStore
    ) -> None:
        await notes.annotate(None, {COMMENT: b"x"})
        await store.remove(ALICE)
        again: IAnnotations = IAnnotations(await store.open(ALICE))
        assert await again.annotations(None) == {}
