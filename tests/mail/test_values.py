"""The small values: statuses, contents, peers, verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail import errors
from mailplat.mail.content import Joined, Octets, join
from mailplat.mail.status import Status
from mailplat.mail.transit import KEEP, Disposition, Peer, Verdict


def test_the_class_digit_says_whether_to_try_again() -> None:
    assert Status(4, 2, 2).is_transient
    assert Status(2, 1, 5).is_success
    assert not Status(5, 1, 1).is_transient
    with pytest.raises(ValueError, match="no status class 3"):
        Status(3, 0, 0)


def test_every_error_has_a_status_of_its_class() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    for kind in (k for k in kinds if issubclass(k, errors.MailError)):
        assert kind.status.klass in (4, 5)
        assert kind.__doc__


@given(st.lists(st.binary(max_size=9)), st.integers(0, 40), st.integers(0, 40))
async def test_joined_contents_read_as_one(pieces: list[bytes], start: int, stop: int) -> None:
    whole = b"".join(pieces)
    joined = Joined(tuple(Octets(piece) for piece in pieces))
    assert joined.size == len(whole)
    assert await joined.read(start, max(start, stop)) == whole[start : max(start, stop)]


def test_small_contents_join_in_one_buffer() -> None:
    assert join(Octets(b"a"), Octets(b"b")) == Octets(b"ab")


def test_a_peer_in_words() -> None:
    assert str(Peer("192.0.2.1", 25)) == "192.0.2.1:25"
    assert str(Peer("2001:db8::1", 25)) == "[2001:db8::1]:25"
    assert str(Peer(path="/run/mail")) == "unix:/run/mail"


def test_verdicts_say_their_disposition() -> None:
    assert Verdict.keep() == KEEP
    assert Verdict.defer().error is not None
    assert Verdict.keep(hops=3).facts == {"hops": 3}
    assert Verdict.discard().disposition is Disposition.DISCARD
