"""Holds one configured instance to the contracts of what it provides: ``mailplat plugin verify``.

Each test gets the instance in a house of its own: the same configuration without
its portals, on an empty state folder.  What a component keeps elsewhere, because
its settings say so, is its own: verify such an instance with settings for tests.

Run by pytest, as a plugin, in a process of its own::

    python -m pytest -p mailplat.verifying --mailplat-config FILE --mailplat-instance NAME …
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from zope.interface.interface import InterfaceClass

from mailplat.app.config import Configuration, Entry, read
from mailplat.app.foundation import Foundation, the_reactor
from mailplat.app.lock import Lock
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.app.tables import CONTENTS, PORTALS, DatabaseSettings
from mailplat.app.tree import Tree
from mailplat.app.wiring import build, extractor_of
from mailplat.interfaces import (
    IContentStore,
    IDeliveryAgent,
    IDirectory,
    IDirectoryAdmin,
    IFilter,
    IMailStore,
    IPolicy,
    ITextExtractor,
)
from mailplat.testing.contracts.account import AccountContract
from mailplat.testing.contracts.agents import AgentContract
from mailplat.testing.contracts.annotations import AnnotationsContract
from mailplat.testing.contracts.contents import ContentsContract, scanned
from mailplat.testing.contracts.directory import DirectoryContract
from mailplat.testing.contracts.extractors import ExtractorContract, Sample
from mailplat.testing.contracts.judges import FilterContract, PolicyContract
from mailplat.testing.contracts.quota import QuotaContract
from mailplat.testing.contracts.scripts import ScriptsContract
from mailplat.testing.contracts.search import SearchContract
from mailplat.testing.contracts.sharing import SharingContract
from mailplat.testing.contracts.store import StoreContract
from mailplat.testing.contracts.undelete import UndeleteContract
from mailplat.testing.fakes import FakeBus
from mailplat.testing.fixtures import async_yield_fixture

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.net"


@attrs.frozen
class Kit:
    """The contracts of an interface, and the fixture in which they ask for what provides it."""

    interface: InterfaceClass
    fixture: str
    contracts: tuple[type, ...]


FACETS = (
    QuotaContract,
    UndeleteContract,
    ScriptsContract,
    AnnotationsContract,
    SharingContract,
    SearchContract,
)
"""Of accounts: their tests are left out where a facet is not provided."""

KITS: Sequence[Kit] = (
    Kit(IMailStore, "store", (AccountContract, StoreContract, *FACETS)),
    Kit(IContentStore, "contents", (ContentsContract,)),
    Kit(IDirectory, "directory", (DirectoryContract,)),
    Kit(IDeliveryAgent, "agent", (AgentContract,)),
    Kit(IPolicy, "policy", (PolicyContract,)),
    Kit(IFilter, "filter", (FilterContract,)),
    Kit(ITextExtractor, "extractor", (ExtractorContract,)),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say what is to be verified, and where to write what came of it."""
    group = parser.getgroup("mailplat")
    group.addoption("--mailplat-config", type=Path, help="the configuration file")
    group.addoption("--mailplat-instance", help="its instance that is held to its contracts")
    group.addoption("--mailplat-sample", type=Path, help="a part that an extractor reads")
    group.addoption("--mailplat-type", default="", help="the sample's media type")
    group.addoption("--mailplat-report", type=Path, help="where to write each test's outcome")


def pytest_configure(config: pytest.Config) -> None:
    """Look for the instance, and write down what comes of each test."""
    if file := config.getoption("--mailplat-config"):
        try:
            subject = Subject.find(
                read(file, discover()), config.getoption("--mailplat-instance")
            )
        except (BadConfiguration, LookupError) as problem:
            raise pytest.UsageError(str(problem)) from problem
        config.stash[SUBJECT] = subject
    if report := config.getoption("--mailplat-report"):
        config.pluginmanager.register(_Recorder(report))


class _Recorder:
    """Writes one line of JSON for each test: its contract, its name, what came of it."""

    def __init__(self, report: Path) -> None:
        self._report = report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        _, contract, test = report.nodeid.split("::", 2)
        row = {
            "contract": contract.removeprefix("Test"),
            "test": test,
            "outcome": report.outcome,
        }
        if not report.passed:
            row["problem"] = _problem(report)
        with self._report.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _problem(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr)


# What is verified ------------------------------------------------------------


@attrs.frozen
class Subject:
    """One instance of a configuration."""

    configuration: Configuration
    entry: Entry

    @classmethod
    def find(cls, configuration: Configuration, name: str) -> Subject:
        """Return the instance of that name; raises `LookupError` unless there is just one.

        A name without its table, such as ``main`` for ``store.main``, is enough where
        no other instance has it.
        """
        entries = [one for one in configuration.entries if one.room is not PORTALS]
        found = [one for one in entries if name in (one.full_name, one.name)]
        if len(found) != 1:
            names = ", ".join(sorted(one.full_name for one in found or entries))
            raise LookupError(f"there is no one instance {name!r}, but: {names}")
        return cls(configuration, found[0])

    @property
    def name(self) -> str:
        """Its name with its table."""
        return self.entry.full_name

    @property
    def kits(self) -> list[Kit]:
        """What it is held to."""
        provided = {self.entry.room.interface, *self.entry.component.provides}
        return [kit for kit in KITS if any(one.isOrExtends(kit.interface) for one in provided)]

    @asynccontextmanager
    async def opened(self, folder: Path, bus: FakeBus) -> AsyncIterator[Any]:
        """Build a house around it in an empty folder, and give the instance."""
        configuration = self._in(folder)
        foundation = Foundation.lay(configuration, the_reactor(), Lock.take(folder))
        foundation = attrs.evolve(foundation, bus=bus)
        try:
            await foundation.open()
            tree = build(configuration, foundation)
            await tree.prepare()
            try:
                yield self._thing(tree)
            finally:
                await tree.finish()
        finally:
            await foundation.clear()

    def _in(self, folder: Path) -> Configuration:
        """Return the configuration without portals, all that it keeps in one folder.

        A place of contents stands alone: a store would leave its mark there.
        """
        here = self.configuration
        if self.entry.room is CONTENTS:
            here = here.only(CONTENTS)
        database = next(n for n, t in here.tables.items() if isinstance(t, DatabaseSettings))
        own = here.tables[database].model_copy(update={"url": "sqlite:mail.db"})
        return attrs.evolve(
            here,
            house=here.house.model_copy(update={"state": folder}),
            tables={**here.tables, database: own},
            entries=tuple(one for one in here.entries if one.room is not PORTALS),
            pipelines={},
        )

    def _thing(self, tree: Tree) -> Any:
        if self.entry.room.interface is ITextExtractor:
            return extractor_of(self.entry).make()
        return next(made.thing for made in tree.made if made.part.name == self.name)


SUBJECT = pytest.StashKey[Subject]()


# Tests -----------------------------------------------------------------------


def pytest_pycollect_makemodule(module_path: Path, parent: Any) -> pytest.Module | None:
    """Fill the module that stands for the instance with the tests of its contracts."""
    subject = parent.config.stash.get(SUBJECT, None)
    if subject is None or module_path.name != "test_instance.py":
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path)
    for kit in subject.kits:
        for contract in kit.contracts:
            named = contract.__name__.replace("Contract", "")
            setattr(module.obj, f"Test{named}", _tests(subject, kit, contract))
    return module


def _tests(subject: Subject, kit: Kit, contract: type) -> type:
    """Return a contract's tests with the fixtures in which they ask for the instance."""

    @pytest.fixture
    def bus(self: object) -> FakeBus:
        return FakeBus()

    @async_yield_fixture
    async def instance(self: object, tmp_path: Path, bus: FakeBus) -> AsyncIterator[Any]:
        folder = tmp_path / "state"
        folder.mkdir()
        async with subject.opened(folder, bus) as thing:
            if kit.interface is IDirectory:
                await _furnish(thing)
            if kit.interface is IContentStore:
                await _insist_on_emptiness(thing)
            yield thing
            if kit.interface is IContentStore:
                await thing.remove(await scanned(thing))

    fixtures = {"bus": bus, kit.fixture: instance, "sample": sample}
    return type(contract.__name__, (contract,), fixtures)


async def _insist_on_emptiness(contents: IContentStore) -> None:
    """See that nobody's mail is there, since a contract removes all that it finds."""
    if await contents.scan(""):
        pytest.fail("there are contents already; give the instance a place for tests")


async def _furnish(directory: IDirectory) -> None:
    """Make known whom the contract asks for."""
    if not IDirectoryAdmin.providedBy(directory):
        pytest.skip("its people are kept elsewhere; inherit DirectoryContract to say which")
    people: IDirectoryAdmin = directory
    await people.add_domain("example.org", ALICE)
    await people.add_account(ALICE, b"wonderland")
    await people.add_account(BOB, b"builder")
    await people.add_alias("both@example.org", [ALICE, BOB, CAROL])


@pytest.fixture
def sample(pytestconfig: pytest.Config) -> Sample:
    """The part that the command line names."""
    file = pytestconfig.getoption("--mailplat-sample")
    if file is None:
        pytest.skip("there is no part to read; name one by --sample FILE --type TYPE")
    return Sample(file.read_bytes(), pytestconfig.getoption("--mailplat-type"), ())


@pytest.fixture
def reactor() -> Any:
    """The reactor that pytest-twisted runs."""
    return the_reactor()
