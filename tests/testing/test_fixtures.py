"""Waiting in plain functions leaves the reactor where it was."""

from __future__ import annotations

from typing import Any

import pytest
from greenlet import getcurrent
from twisted.internet.task import deferLater

from mailplat.testing.fixtures import plainly, wait_for


async def test_whoever_waits_goes_on_in_the_greenlet_he_was_in(reactor: Any) -> None:
    async def soon() -> int:
        await deferLater(reactor, 0)
        return 7

    await soon()
    before = getcurrent()
    assert await plainly(lambda: wait_for(soon())) == 7
    assert getcurrent() is before
    with pytest.raises(ZeroDivisionError):
        await plainly(lambda: wait_for(soon()) // 0)
    assert getcurrent() is before
