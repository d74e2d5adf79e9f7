"""What one search may cost everybody else."""

from __future__ import annotations

from itertools import count
from typing import Any

import attrs
import pytest

from mailplat.mail.mailbox import UidSet, Wanted

BOTH = pytest.mark.parametrize("scene", ["memory", "sqlite"], indirect=True)

SMALL = b"Subject: small\r\n\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"x" * 100
SECOND = 1.0


async def selected(scene: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[Wanted]]:
    """Return a client with two messages, and the passes over the mailbox from now on."""
    await scene.fill(SMALL, LARGE)
    client = scene.client()
    await client.log_in("INBOX")
    passes: list[Wanted] = []
    kind = type(client.session.account)
    records = kind.records

    def counted(
        self: Any, mailbox: Any, uids: UidSet, wanted: Wanted = Wanted.NOTHING, *more: Any
    ) -> Any:
        passes.append(wanted)
        return records(self, mailbox, uids, wanted, *more)

    monkeypatch.setattr(kind, "records", counted)
    return client, passes


@BOTH
async def test_keys_that_a_record_tells_share_one_pass(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, passes = await selected(scene, monkeypatch)
    sizes = " ".join(f"SMALLER {size}" for size in range(50, 150))
    assert (await client.ask(f"SEARCH {sizes} LARGER 3"))[0] == "* SEARCH 1"
    assert len(passes) == 1
    assert (await client.ask("SEARCH OR SMALLER 50 LARGER 50"))[0] == "* SEARCH 1 2"
    assert len(passes) == 2
    assert (await client.ask("SEARCH OR SMALLER 5 LARGER 500"))[0] == "* SEARCH"
    assert (await client.ask("SEARCH NOT SMALLER 50"))[0] == "* SEARCH 2"


@BOTH
@pytest.mark.parametrize("key", ["NOT NOT SMALLER 999", "NOT SUBJECT b", "NOT KEYWORD a"])
async def test_a_search_that_takes_too_long_is_given_up(
    scene: Any, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    client, _ = await selected(scene, monkeypatch)
    ticks = count()
    rules = attrs.evolve(client.session.rules, seconds=lambda: next(ticks) * SECOND)
    monkeypatch.setattr(client.session, "rules", rules)
    answer = await client.ask(f"SEARCH {' '.join([key] * 100)}")
    assert answer == ["NO [UNAVAILABLE] Took too long, try again later"]
