"""What tests of every room may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

from mailplat.pytest_plugin import mailplat_house, mailplat_server

__all__ = ["mailplat_house", "mailplat_server"]

settings.register_profile("house", deadline=None)  # how busy the machine is proves nothing
settings.load_profile("house")


@pytest.fixture
def reactor() -> Any:
    """The reactor that pytest-twisted runs; everything of ours takes it as an argument."""
    from twisted.internet import reactor  # noqa: TID251 - the tests' application is pytest

    return reactor


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rounds", type=int, default=3, help="how often the server is killed under load"
    )
    parser.addoption(
        "--fuzz-seconds", type=float, default=3, help="how long all fuzz targets run together"
    )
    parser.addoption(
        "--messages", type=int, default=2000, help="how many messages readers are compared on"
    )
