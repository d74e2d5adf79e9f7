"""What every `IAccount` promises, as tests that a backend inherits."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from mailplat.interfaces import IMailStore
from mailplat.testing.contracts.happenings import HappeningsContract
from mailplat.testing.contracts.histories import histories_of
from mailplat.testing.contracts.mailboxes import MailboxesContract
from mailplat.testing.contracts.messages import MessagesContract
from mailplat.testing.contracts.places import PlacesContract
from mailplat.testing.fixtures import plainly


class AccountContract(MailboxesContract, MessagesContract, PlacesContract, HappeningsContract):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store.

    It tells the fixture ``bus`` what happens.
    """

    examples = 25  # random histories that are tried

    async def test_random_histories_agree_with_a_model(self, store: IMailStore) -> None:
        effort = settings(max_examples=self.examples, stateful_step_count=30, deadline=None)
        machine = histories_of(store)
        await plainly(lambda: run_state_machine_as_test(machine, settings=effort))
