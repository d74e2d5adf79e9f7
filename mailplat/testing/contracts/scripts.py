"""What an `ISieveScripts` promises, as tests that a backend inherits whose accounts provide it."""

from __future__ import annotations

from itertools import count

import pytest

from mailplat.interfaces import IAccount, IMailStore, ISieveScripts
from mailplat.mail.errors import AlreadyExists, NoSuchScript, NotPermitted, TooLarge, TooMany
from mailplat.testing.contracts.accounts import ALICE, Accounts
from mailplat.testing.contracts.store import BOB
from mailplat.testing.fixtures import async_fixture

SCRIPT = b'require "fileinto";\r\nfileinto "box";\r\n'


class ScriptsContract(Accounts):
    """Inherit, and say in a fixture ``store`` how to make a new, empty store."""

    @async_fixture
    async def scripts(self, account: IAccount) -> ISieveScripts:
        """The facet; without it the test is left out."""
        if not ISieveScripts.providedBy(account):
            pytest.skip("its accounts keep no scripts")
        facet: ISieveScripts = account
        return facet

    async def test_there_are_none_at_first(self, scripts: ISieveScripts) -> None:
        assert await scripts.scripts() == {}
        await scripts.activate("")
        for call in (
            scripts.script("a"),
            scripts.activate("a"),
            scripts.remove_script("a"),
            scripts.rename_script("a", "b"),
        ):
            with pytest.raises(NoSuchScript):
                await call

    async def test_a_script_is_kept_as_it_is(
        self, scripts: ISieveScripts, other: IAccount
    ) -> None:
        await scripts.put_script("hl. Grüße", SCRIPT)
        await scripts.put_script("empty", b"")
        elsewhere: ISieveScripts = ISieveScripts(other)
        assert await elsewhere.script("hl. Grüße") == SCRIPT
        assert await scripts.script("empty") == b""
        assert await scripts.scripts() == {"empty": False, "hl. Grüße": False}
        await scripts.put_script("empty", SCRIPT + SCRIPT)
        assert await scripts.script("empty") == SCRIPT + SCRIPT

    async def test_one_is_active(self, scripts: ISieveScripts) -> None:
        for name in "abc":
            await scripts.put_script(name, SCRIPT)
        await scripts.activate("a")
        await scripts.activate("b")
        assert await scripts.scripts() == {"a": False, "b": True, "c": False}
        await scripts.put_script("b", b"keep;\r\n")
        with pytest.raises(NoSuchScript):
            await scripts.activate("d")
        assert (await scripts.scripts())["b"]
        with pytest.raises(NotPermitted):
            await scripts.remove_script("b")
        await scripts.activate("")
        await scripts.remove_script("b")
        assert await scripts.scripts() == {"a": False, "c": False}

    async def test_a_script_gets_another_name(self, scripts: ISieveScripts) -> None:
        await scripts.put_script("a", SCRIPT)
        await scripts.put_script("b", b"")
        await scripts.activate("a")
        with pytest.raises(AlreadyExists):
            await scripts.rename_script("a", "b")
        await scripts.rename_script("a", "c")
        assert await scripts.scripts() == {"b": False, "c": True}
        assert await scripts.script("c") == SCRIPT

    @pytest.mark.parametrize("name", ["", "a\nb", "\x7f", "\u2028", "x" * 129, "\ud800"])
    async def test_no_script_has_such_a_name(self, scripts: ISieveScripts, name: str) -> None:
        await scripts.put_script("a", SCRIPT)
        with pytest.raises(NotPermitted):
            await scripts.put_script(name, SCRIPT)
        with pytest.raises(NotPermitted):
            await scripts.rename_script("a", name)

    async def test_names_are_kept_in_one_spelling(self, scripts: ISieveScripts) -> None:
        await scripts.put_script("u\u0308" * 100, SCRIPT)
        assert await scripts.scripts() == {"ü" * 100: False}

    async def test_there_are_bounds(self, scripts: ISieveScripts) -> None:
        with pytest.raises(TooLarge):
            await scripts.check_script_room("a", 1 << 40)
        numbers = count()

        async def fill() -> None:
            for number in numbers:
                await scripts.put_script(str(number), b"")

        with pytest.raises(TooMany):
            await fill()
        assert len(await scripts.scripts()) == next(numbers) - 1
        await scripts.check_script_room("0", 10)
        with pytest.raises(TooMany):
            await scripts.check_script_room("another", 10)
        await scripts.put_script("0", SCRIPT)

    async def test_accounts_have_their_own(
        self, scripts: ISieveScripts, store: IMailStore
    ) -> None:
        await scripts.put_script("a", SCRIPT)
        stranger: ISieveScripts = ISieveScripts(await store.open(BOB))
        assert await stranger.scripts() == {}
        await store.remove(ALICE)
        again: ISieveScripts = ISieveScripts(await store.open(ALICE))
        assert await again.scripts() == {}
