"""What has been forwarded finds its way back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.errors import BadAddress
from mailplat.trust.srs import DAY, DAYS, BadReturn, Rewriter, is_rewritten, reverse_path

NOW = 1_700_000_000.0
US = Rewriter("forward.example.org", (b"secret",))
OTHER = Rewriter("other.example.net", (b"another",))
THIRD = Rewriter("third.example.com", (b"third",))
ALICE = Address.parse("alice@example.com")


def test_there_and_back() -> None:
    there = US.forwarded(ALICE, NOW)
    assert str(there) == f"{there.local}@forward.example.org"
    assert there.local.startswith("SRS0=")
    assert there.local.endswith("=example.com=alice")
    assert is_rewritten(there)
    assert not is_rewritten(ALICE)
    assert US.returned(there, NOW) == ALICE


def test_over_several_forwarders() -> None:
    first = US.forwarded(ALICE, NOW)
    second = OTHER.forwarded(first, NOW)
    third = THIRD.forwarded(second, NOW)
    rest = first.local.removeprefix("SRS0")
    assert second.local[:5] == third.local[:5] == "SRS1="
    assert second.local.endswith(f"=forward.example.org={rest}")
    assert third.local.endswith(f"=forward.example.org={rest}")
    assert THIRD.returned(third, NOW) == OTHER.returned(second, NOW) == first
    assert US.returned(first, NOW) == ALICE


@pytest.mark.parametrize("separator", "=+-")
def test_other_separators_are_kept(separator: str) -> None:
    first = Address(f"SRS0{separator}HHHH=TT=example.com=alice", "first.example")
    second = US.forwarded(first, NOW)
    assert second.local.endswith(f"=first.example={separator}HHHH=TT=example.com=alice")
    assert US.returned(second, NOW) == first


def test_whatever_becomes_of_its_case() -> None:
    there = US.forwarded(Address.parse("Alice@example.com"), NOW)
    assert US.returned(there, NOW) == Address("Alice", "example.com")
    assert US.returned(Address(there.local.lower(), there.domain), NOW) == ALICE
    assert US.returned(Address(there.local.upper(), there.domain), NOW).local == "ALICE"


@pytest.mark.parametrize("days", [0, 1, 21, -1])
@pytest.mark.parametrize("now", [NOW, DAYS * DAY * 20, DAYS * DAY * 20 - 1])
def test_it_leads_back_for_three_weeks(now: float, days: int) -> None:
    assert US.returned(US.forwarded(ALICE, now), now + days * DAY) == ALICE


@pytest.mark.parametrize("days", [22, 500, -2])
def test_and_no_longer(days: int) -> None:
    with pytest.raises(BadReturn, match="days ago"):
        US.returned(US.forwarded(ALICE, NOW), NOW + days * DAY)


def test_a_secret_can_be_replaced() -> None:
    old = US.forwarded(ALICE, NOW)
    renewed = Rewriter(US.domain, (b"new", *US.secrets))
    assert renewed.forwarded(ALICE, NOW) != old
    assert renewed.returned(old, NOW) == ALICE
    with pytest.raises(BadReturn, match="not written by us"):
        Rewriter(US.domain, (b"new",)).returned(old, NOW)
    with pytest.raises(ValueError):
        Rewriter(US.domain, ())


@given(st.integers(0, 40), st.characters(codec="ascii", categories=["L", "N"]))
def test_what_is_changed_leads_nowhere(place: int, letter: str) -> None:
    there = US.forwarded(ALICE, NOW)
    place %= len(there.local)
    local = there.local[:place] + letter + there.local[place + 1 :]
    if local.lower() != there.local.lower():
        with pytest.raises(BadReturn):
            US.returned(Address(local, there.domain), NOW)


@pytest.mark.parametrize(
    "local",
    ["", "alice", "SRS0", "SRS0=", "SRS0=a=b", "SRS1=a=b=c", "SRS0=AAAA=A1=example.com=alice"],
)
def test_what_nobody_has_rewritten(local: str) -> None:
    with pytest.raises(BadReturn):
        US.returned(Address(local, US.domain), NOW)


LOCAL = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f"), min_size=1
).filter(lambda text: not any("\x7f" <= c < "\xa0" for c in text))


@given(
    LOCAL, st.sampled_from(["example.com", "a_b.example", "[192.0.2.1]", "xn--bcher-kva.de"])
)
def test_every_address_finds_its_way_back(local: str, domain: str) -> None:
    sender = Address(local, domain)
    try:
        there = US.forwarded(sender, NOW)
    except BadAddress:
        assert len(str(sender).encode()) > 150
        return
    assert len(str(there).encode()) <= 254
    assert Address.in_path(str(there)) == there
    back = US.returned(Address.in_path(str(there)), NOW)
    assert back == sender


@given(st.text(st.sampled_from("SRS01=+-ab."), max_size=60))
def test_nothing_fails(local: str) -> None:
    address = Address("SRS" + local, "example.com")
    again = US.forwarded(address, NOW)
    assert US.returned(again, NOW).local.lower() == address.local.lower()
    with pytest.raises(BadReturn):
        US.returned(address, NOW)


def test_who_needs_no_other_path() -> None:
    def is_ours(domain: str) -> bool:
        return domain == "example.com"

    assert reverse_path(None, US, is_ours, NOW) is None
    assert reverse_path(ALICE, US, is_ours, NOW) == ALICE
    bob = Address.parse("bob@example.net")
    assert reverse_path(bob, US, is_ours, NOW) == US.forwarded(bob, NOW)
