"""Policies of MTA-STS: what is one, which hosts it admits, how long it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.trust.mtasts import (
    LARGEST_POLICY,
    LONGEST_LIFE,
    BadPolicy,
    KnownPolicy,
    Mode,
    StsPolicy,
    id_in,
    name_of,
    read_answer,
    url_of,
)

# RFC 8461 sections 3.1 and 3.2
RECORD = b"v=STSv1; id=20160831085700Z;"
EXAMPLE = (
    b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
    b"mx: backupmx.example.com\nmax_age: 604800\n"
)
POLICY = StsPolicy.read(EXAMPLE)


def test_where_things_are() -> None:
    assert name_of("example.com") == "_mta-sts.example.com"
    assert url_of("example.com") == "https://mta-sts.example.com/.well-known/mta-sts.txt"


@pytest.mark.parametrize(
    ("records", "name"),
    [
        ([RECORD], "20160831085700Z"),
        ([b"v=STSv1;id=a"], "a"),
        ([b"v=STSv1 ; other=x y ; id = a1 "], "a1"),
        ([b"v=spf1 -all", RECORD], "20160831085700Z"),
        ([RECORD, RECORD], ""),
        ([RECORD, b"v=STSv1; id=b"], ""),
        ([b"v=STSv12; id=a"], ""),
        ([b"id=a; v=STSv1"], ""),
        ([b" v=STSv1; id=a"], ""),
        ([b"v=STSv1"], ""),
        ([b"v=STSv1; id="], ""),
        ([b"v=STSv1; id=a-b"], ""),
        ([b"v=STSv1; id=" + b"a" * 32], "a" * 32),
        ([b"v=STSv1; id=" + b"a" * 33], ""),
        ([b"v=STSv1; id=a" + b";" * 5000], ""),
        ([], ""),
    ],
)
def test_ids(records: list[bytes], name: str) -> None:
    assert id_in(records) == name


def test_the_standards_example() -> None:
    hosts = ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert StsPolicy(Mode.ENFORCE, hosts, 604800) == POLICY
    for host in ("mail.example.com", "MAIL.example.com.", "mx1.example.net"):
        assert POLICY.admits(host)
    for host in ("example.net", "a.b.example.net", "x.mail.example.com", "example.com", ""):
        assert not POLICY.admits(host)


def policy(**changes: str | None) -> bytes:
    fields = {"version": "STSv1", "mode": "testing", "mx": "mx.example.org", "max_age": "60"}
    return "".join(
        f"{name}: {value}\r\n"
        for name, value in {**fields, **changes}.items()
        if value is not None
    ).encode()


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (policy(), StsPolicy(Mode.TESTING, ("mx.example.org",), 60)),
        (policy(mode="none", mx=None), StsPolicy(Mode.NONE, (), 60)),
        (
            policy(max_age="4000000000"),
            StsPolicy(Mode.TESTING, ("mx.example.org",), LONGEST_LIFE),
        ),
        (policy(mx="MX.Example.org."), StsPolicy(Mode.TESTING, ("mx.example.org",), 60)),
        (
            policy(mx="b\u00fccher.example"),
            StsPolicy(Mode.TESTING, ("xn--bcher-kva.example",), 60),
        ),
        (policy(other="\u00fc: b", x_1="y"), StsPolicy(Mode.TESTING, ("mx.example.org",), 60)),
        (
            policy() + b"mode: enforce\nmax_age: x\n\n",
            StsPolicy(Mode.TESTING, ("mx.example.org",), 60),
        ),
        (policy().replace(b": ", b" :\t"), StsPolicy(Mode.TESTING, ("mx.example.org",), 60)),
    ],
)
def test_what_is_a_policy(octets: bytes, expected: StsPolicy) -> None:
    found = StsPolicy.read(octets)
    assert found == expected
    assert StsPolicy.read(found.text.encode()) == found
    assert read_answer(200, "Text/Plain; charset=utf-8", octets) == found


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "version"),
        (policy(version=None), "version"),
        (policy(version="STSv2"), "version"),
        (policy(mode=None), "mode"),
        (policy(mode="Enforce"), "mode"),
        (policy(max_age=None), "max_age"),
        (policy(max_age="-1"), "max_age"),
        (policy(max_age="1 day"), "max_age"),
        (policy(max_age="9" * 11), "max_age"),
        (policy(mx=None), "no mx"),
        (policy(mx="*"), "no host"),
        (policy(mx="*.*.example.org"), "no host"),
        (policy(mx="[192.0.2.1]"), "no host"),
        (policy(mx=".example.org"), "no host"),
        (policy() + b"words\n", "no field"),
        (b"<html>", "no field"),
        (policy() + b"\n" * LARGEST_POLICY, "octets"),
    ],
)
def test_what_is_none(octets: bytes, why: str) -> None:
    with pytest.raises(BadPolicy, match=why):
        StsPolicy.read(octets)


@pytest.mark.parametrize(
    ("status", "media_type"),
    [
        (404, "text/plain"),
        (301, "text/plain"),
        (204, "text/plain"),
        (200, "text/html"),
        (200, ""),
    ],
)
def test_which_answers_do_not_count(status: int, media_type: str) -> None:
    with pytest.raises(BadPolicy):
        read_answer(status, media_type, EXAMPLE)


def test_a_policy_may_be_as_large_as_it_may() -> None:
    lines = b"".join(b"mx: mx%d.example.org\n" % number for number in range(2000))
    found = StsPolicy.read(EXAMPLE + lines)
    assert len(found.hosts) == 200


# What is remembered ----------------------------------------------------------

KNOWN = KnownPolicy(POLICY, "one", fetched=1_000_000.0)
DAY = 86400.0


def test_how_long_it_counts() -> None:
    assert KNOWN.is_fresh(1_000_000 + 604_799)
    assert not KNOWN.is_fresh(1_000_000 + 604_800)
    assert KNOWN.is_fresh(0)  # a clock that was set back


@pytest.mark.parametrize(
    ("name", "age", "fetched"),
    [
        ("one", 0, False),
        ("one", DAY - 1, False),
        ("one", DAY, True),
        ("two", 0, True),
        ("two", -DAY, True),
        ("", 10 * DAY, False),
    ],
)
def test_when_another_is_fetched(name: str, age: float, fetched: bool) -> None:
    assert KNOWN.should_be_fetched(name, KNOWN.fetched + age) is fetched


def test_a_short_one_is_fetched_in_time() -> None:
    short = KnownPolicy(StsPolicy.read(policy(max_age="600")), "one", 0.0, tried=-1000.0)
    assert not short.should_be_fetched("one", 299)
    assert short.should_be_fetched("one", 300)


def test_after_a_failure_it_is_left_alone_for_a_while() -> None:
    failed = KNOWN.after_failure(KNOWN.fetched + 10)
    assert not failed.should_be_fetched("two", KNOWN.fetched + 11)
    assert failed.should_be_fetched("two", KNOWN.fetched + 10 + 300)
    assert failed.should_be_fetched("two", KNOWN.fetched)  # a clock that was set back
    assert failed.is_fresh(KNOWN.fetched + 11)


def test_it_outlives_a_restart() -> None:
    row = json.loads(json.dumps(KNOWN.after_failure(5.0).row))
    assert KnownPolicy.of(row) == KNOWN.after_failure(5.0)


@pytest.mark.parametrize(
    "row", [{}, {"policy": "x"}, {**KNOWN.row, "id": 1}, {**KNOWN.row, "policy": "x: y"}]
)
def test_what_was_not_remembered(row: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy):
        KnownPolicy.of(row)


PIECES = st.lists(
    st.sampled_from([b"version: STSv1\n", b"mode:", b"none", b"enforce", b"\r\n", b"\n", b"mx: ",
                     b"*.", b"a", b".", b"max_age: ", b"1", b":", b" ", b"\xff", b"\0"])
).map(b"".join)  # fmt: skip


@given(PIECES | st.binary())
def test_any_octets_can_be_read(octets: bytes) -> None:
    id_in([octets, b"v=STSv1" + octets])
    try:
        found = StsPolicy.read(octets)
    except BadPolicy:
        return
    assert StsPolicy.read(found.text.encode()) == found
