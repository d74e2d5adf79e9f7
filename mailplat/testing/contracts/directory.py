"""What every `IDirectory` promises, as tests that an implementation inherits."""

from __future__ import annotations

from mailplat.interfaces import IDirectory
from mailplat.mail.address import POSTMASTER, Address
from mailplat.mail.people import AccountId
from mailplat.testing.fixtures import async_fixture


async def ends(directory: IDirectory, text: str) -> list[tuple[str, str]]:
    """Return where an address leads, as names with subaddresses, sorted."""
    places = await directory.places(Address.parse(text))
    return sorted(
        (place.account.name if place.account else str(place.address), place.detail)
        for place in places
    )


class DirectoryContract:
    """Inherit, and say how to make a directory that knows

    - the local domain ``example.org``, whose postmaster is ``alice@example.org``;
    - the accounts ``alice@example.org`` and ``bob@example.org``;
    - the alias ``both@example.org``, which leads to both and to ``carol@example.net``.
    """

    @async_fixture
    async def directory(self) -> IDirectory:
        raise NotImplementedError("an implementation returns its directory here")

    async def test_it_knows_its_domains_in_every_spelling(self, directory: IDirectory) -> None:
        for spelling in ("example.org", "EXAMPLE.org", "example.org."):
            found = await directory.domain(spelling)
            assert found
            assert found.name == "example.org"
        assert await directory.domain("example.net") is None
        assert await directory.domain("no domain!") is None

    async def test_it_knows_its_accounts_in_every_case(self, directory: IDirectory) -> None:
        found = await directory.account("Alice@Example.ORG")
        assert found
        assert found.name == "alice@example.org"
        assert found.enabled
        assert await directory.account("nobody@example.org") is None
        assert await directory.account("no address") is None

    async def test_two_accounts_have_two_identities(self, directory: IDirectory) -> None:
        alice = await directory.account("alice@example.org")
        bob = await directory.account("bob@example.org")
        assert alice
        assert bob
        assert alice.id != bob.id

    async def test_an_account_is_found_by_its_identity(self, directory: IDirectory) -> None:
        alice = await directory.account("alice@example.org")
        assert alice
        assert await directory.holder(alice.id) == alice
        assert await directory.holder(AccountId("nobody")) is None

    async def test_an_account_is_its_own_place(self, directory: IDirectory) -> None:
        assert await ends(directory, "alice@example.org") == [("alice@example.org", "")]
        assert await ends(directory, "ALICE@example.org") == [("alice@example.org", "")]

    async def test_nobody_is_nowhere(self, directory: IDirectory) -> None:
        assert await ends(directory, "nobody@example.org") == []

    async def test_an_address_elsewhere_leads_there(self, directory: IDirectory) -> None:
        assert await ends(directory, "Carol@example.net") == [("Carol@example.net", "")]

    async def test_an_alias_leads_to_all_its_targets(self, directory: IDirectory) -> None:
        assert await ends(directory, "both@example.org") == [
            ("alice@example.org", ""),
            ("bob@example.org", ""),
            ("carol@example.net", ""),
        ]

    async def test_postmaster_always_leads_somewhere(self, directory: IDirectory) -> None:
        """RFC 5321 section 4.5.1: with each local domain, without one, in any case."""
        for text in ("postmaster@example.org", "PostMaster@Example.Org"):
            assert await ends(directory, text) == [("alice@example.org", "")]
        [place] = await directory.places(POSTMASTER)
        assert place.account
        assert place.account.name == "alice@example.org"

    async def test_an_account_sends_as_what_leads_to_it(self, directory: IDirectory) -> None:
        alice = await directory.account("alice@example.org")
        assert alice
        for text in ("alice@example.org", "both@example.org", "Alice@Example.Org"):
            assert await directory.may_send_as(alice, Address.parse(text))
        for text in ("bob@example.org", "nobody@example.org", "alice@example.net"):
            assert not await directory.may_send_as(alice, Address.parse(text))
