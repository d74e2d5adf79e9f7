"""What every `IAccount` promises to tell of what happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred

from mailplat.interfaces import IAccount
from mailplat.mail.events import AccountChanged
from mailplat.mail.mailbox import (
    SEEN,
    Mailbox,
    MailboxEdit,
    MailboxId,
    ModSeq,
    Replaced,
    Uid,
    UidSet,
)
from mailplat.testing.contracts.accounts import (
    ALICE,
    ALL,
    HELLO,
    Accounts,
    add,
    append,
    append_all,
    named,
)
from mailplat.testing.fakes import FakeBus


class HappeningsContract(Accounts):
    """Changes, and events on the bus."""

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
        under_way = Deferred.fromCoroutine(append_all(account, inbox.id, [HELLO]))
        under_way.cancel()
        try:
            await under_way
        except CancelledError:
            pass
        await account.append(inbox.id, [HELLO])
        told = [event.modseq for event in bus.events if isinstance(event, AccountChanged)]
        index = await account.index(inbox.id)
        assert sorted(set(index.modseqs)) == told
