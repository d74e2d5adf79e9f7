"""DKIM's keys: which there are, which sign, and what to publish in the DNS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from mailplat.app.keyring import KeptKey, KeyRing, Phase
from mailplat.app.operations.desk import Desk
from mailplat.mail.errors import BadParameter
from mailplat.trust.keys import LEAST_BITS, MOST_BITS, Algorithm, strings_of_record

Row = dict[str, Any]


def _ring(desk: Desk) -> KeyRing:
    return desk.tree.find(KeyRing)


def _row(kept: KeptKey) -> Row:
    key = kept.key
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm.value,
        "bits": key.bits,
        "phase": kept.phase.value,
        "since": _text(kept.since),
        "removable": _text(kept.removable),
    }


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _records(kept: Iterable[KeptKey]) -> list[Row]:
    """Return what is to stand in the DNS, as zone files have it."""
    return [
        {
            "name": f"{one.key.name}.",
            "type": "TXT",
            "value": " ".join(f'"{part}"' for part in strings_of_record(one.key.record)),
            **{name: value for name, value in _row(one).items() if name in _SHOWN},
        }
        for one in kept
    ]


_SHOWN = ("phase", "removable")


def _algorithms(names: list[str]) -> list[Algorithm]:
    try:
        return [Algorithm(name) for name in dict.fromkeys(names)] or list(Algorithm)
    except ValueError as problem:
        raise BadParameter(str(problem)) from None


def _check_bits(bits: int) -> None:
    if not LEAST_BITS <= bits <= MOST_BITS or bits % 256:
        raise BadParameter(f"a key of RSA has 2048 bits or so, not {bits}")


async def list_keys(desk: Desk, domain: str = "") -> list[Row]:
    """Return all keys, or those of one domain, and where each is in its life."""
    return [_row(one) for one in _ring(desk).keys(domain)]


async def add_keys(
    desk: Desk,
    domain: str,
    algorithms: list[str] | None = None,
    selector: str = "",
    bits: int = 2048,
) -> list[Row]:
    """Make keys for a domain of ours, and return what to publish; they don't sign yet.

    Once more while they wait changes nothing, unless a ``selector`` is named.
    """
    wanted = _algorithms(algorithms or [])
    _check_bits(bits)
    ring = _ring(desk)
    if not await desk.directory.domain(domain):
        raise BadParameter(f"{domain} is no domain of ours")
    waiting = [one for one in ring.keys(domain) if one.phase is Phase.WAITING]
    if desk.repeated and waiting:
        return _records(waiting)
    missing = [one for one in wanted if one not in {k.key.algorithm for k in waiting}]
    if selector:
        return _records(await ring.add(domain, wanted, selector, bits))
    if missing:
        await ring.add(domain, missing, bits=bits)
    waiting = [one for one in ring.keys(domain) if one.phase is Phase.WAITING]
    return _records(one for one in waiting if one.key.algorithm in wanted)


async def rotate_keys(
    desk: Desk, domain: str, published: bool = False, bits: int = 2048
) -> list[Row]:
    """Make the keys that are to follow, or with ``published`` let them sign.

    Return the records that matter now: of the keys that wait, or of all that have
    changed, those that may go some day among them.
    """
    _check_bits(bits)
    ring = _ring(desk)
    if published:
        return _records(await ring.begin(domain, desk.repeated))
    return _records(await ring.rotate(domain, bits))


async def records(desk: Desk, domain: str = "") -> list[Row]:
    """Return what is to stand in the DNS for all keys, or those of one domain."""
    return _records(_ring(desk).keys(domain))


async def remove_key(desk: Desk, domain: str, selector: str) -> Row:
    """Forget a key that waits or has retired."""
    needed = await _ring(desk).remove(domain, selector, desk.repeated)
    return {"domain": domain, "selector": selector, "removable": _text(needed)}
