"""Whatever call to the disk fails, mail that was answered for is there, whole, and once."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from mailplat.testing.disk import Trouble

pytestmark = [
    pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["full", "broken"]),
    pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"]),
    pytest.mark.parametrize(
        "at_most", [12, pytest.param(None, marks=pytest.mark.long)], ids=["some", "all"]
    ),
]


async def test_whatever_call_fails_nothing_is_lost(
    flow: Any, error: int, for_good: bool, at_most: int | None
) -> None:
    await fail_everywhere(flow, error, for_good, at_most, start=False)


@pytest.mark.parametrize("flow", ["small"], indirect=True)
async def test_a_disk_that_fails_when_the_server_starts(
    flow: Any, error: int, for_good: bool, at_most: int | None
) -> None:
    await fail_everywhere(flow, error, for_good, at_most, start=True)


async def fail_everywhere(
    flow: Any, error: int, for_good: bool, at_most: int | None, *, start: bool
) -> None:
    await flow.rehearse()
    calls = await flow.calls(start=start)
    apart = max(1, calls // at_most) if at_most else 1
    for at in range(1, calls + 1, apart):
        try:
            await flow.withstand(Trouble(at, error, for_good), start=start)
        except Exception as failure:
            failure.add_note(f"at call {at} of {calls}")
            raise
