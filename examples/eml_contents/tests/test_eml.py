"""The folder of .eml files, held to what mailplat promises of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mailplat_eml import EmlFolder, EmlSettings

from mailplat.files import Disk
from mailplat.interfaces import House
from mailplat.mail.content import Octets
from mailplat.mail.people import AccountId
from mailplat.testing.contracts.contents import ContentsContract
from mailplat.testing.fixtures import async_yield_fixture
from mailplat.workers import Workers


@pytest.fixture
def reactor() -> Any:
    from twisted.internet import reactor

    return reactor


class TestEml(ContentsContract):
    @async_yield_fixture
    async def contents(self, tmp_path: Path, reactor: Any) -> AsyncIterator[EmlFolder]:
        workers = Workers(reactor)
        house = House("mail.example.org", tmp_path)
        contents = EmlFolder(EmlSettings(), house, workers, Disk())
        await contents.prepare()
        yield contents
        await workers.stop()

    async def test_messages_are_files_of_their_account(self, contents: EmlFolder) -> None:
        await contents.add(AccountId("alice"), Octets(b"Subject: hello\r\n\r\n"))
        [path] = contents.folder.glob("~alice/*.eml")
        assert path.read_bytes() == b"Subject: hello\r\n\r\n"
