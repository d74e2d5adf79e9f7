"""Policies by which domains say that their hosts have TLS, and which these are (MTA-STS, RFC 8461)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Self

import attrs

from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress
from mailplat.mail.limits import KIB
from mailplat.mail.taglist import tags_of
from mailplat.trust.certificates import is_for

LARGEST_POLICY = 64 * KIB  # octets that are fetched (section 3.3)
PATIENCE = 60.0  # seconds for the whole of a fetch (section 3.3)
LONGEST_LIFE = 31_557_600  # seconds (section 3.2)
MOST_HOSTS = 200  # patterns of a policy that are kept
REFRESH = 86_400.0  # seconds after which a policy is fetched anew though its id is the same
RETRY = 300.0  # seconds between two fetches that fail (section 3.3)
MEDIA_TYPE = "text/plain"

_ID = re.compile(rb"[A-Za-z0-9]{1,32}")
_AGE = re.compile(r"[0-9]{1,10}")
_LINE = re.compile(r"[ \t]*+([A-Za-z0-9][A-Za-z0-9_.-]{0,31})[ \t]*+:[ \t]*+([^\r\n]*+)")


class Mode(Enum):
    """What a policy wants done where a host doesn't fit it (section 5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class BadPolicy(ValueError):
    """What was fetched is no policy; the text says why."""


# In the DNS ------------------------------------------------------------------


def name_of(domain: str) -> str:
    """Return where in the DNS a domain says that it has a policy (section 3.1)."""
    return f"_mta-sts.{domain}"


def url_of(domain: str) -> str:
    """Return where the policy is: the certificate there has to be for the host in it.

    No redirect is followed (section 3.3).
    """
    return f"https://mta-sts.{domain}/.well-known/mta-sts.txt"


def id_in(records: Iterable[bytes]) -> str:
    """Return the policy's id that a domain's TXT records name; empty if there is no policy.

    Records that are not for this don't count; of several that are, none does
    (section 3.1).
    """
    found = [one for one in records if one.startswith(b"v=STSv1") and len(one) <= KIB]
    tags = [tags for tags in map(tags_of, found) if tags.raw(b"v") == b"STSv1"]
    if len(tags) != 1 or tags[0].first != b"v":
        return ""
    name = tags[0].raw(b"id")
    return name.decode() if _ID.fullmatch(name) else ""


# Policies --------------------------------------------------------------------


@attrs.frozen
class StsPolicy:
    """What a domain's policy says; ``max_age`` is in seconds."""

    mode: Mode
    hosts: tuple[str, ...]
    max_age: int

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """Return the policy that a text holds; raises `BadPolicy` (section 3.2)."""
        if len(octets) > LARGEST_POLICY:
            raise BadPolicy(f"a policy of over {LARGEST_POLICY} octets")
        values: dict[str, str] = {}
        patterns: list[str] = []
        for name, value in _fields(octets):
            if name == "mx":
                patterns.append(value)
            else:
                values.setdefault(name, value)
        if values.get("version") != "STSv1":
            raise BadPolicy("another version")
        try:
            mode = Mode(values.get("mode", ""))
        except ValueError:
            raise BadPolicy(f"no mode: {values.get('mode', '')[:32]!r}") from None
        age = values.get("max_age", "")
        if not _AGE.fullmatch(age):
            raise BadPolicy(f"no max_age: {age[:32]!r}")
        hosts = tuple(dict.fromkeys(map(_pattern, patterns[:MOST_HOSTS])))
        if not hosts and mode is not Mode.NONE:
            raise BadPolicy("no mx")
        return cls(mode, hosts, min(int(age), LONGEST_LIFE))

    @property
    def lines(self) -> tuple[str, ...]:
        """The policy as it is written, such as for reports and for one's own."""
        hosts = (f"mx: {host}" for host in self.hosts)
        return (
            "version: STSv1",
            f"mode: {self.mode.value}",
            *hosts,
            f"max_age: {self.max_age}",
        )

    @property
    def text(self) -> str:
        """The policy as it is served."""
        return "".join(f"{line}\r\n" for line in self.lines)

    def admits(self, host: str) -> bool:
        """Say whether a domain's MX host, in A-labels, is one of the policy (section 4.1)."""
        return any(is_for(pattern, host) for pattern in self.hosts)


def _fields(octets: bytes) -> Iterable[tuple[str, str]]:
    for line in octets.decode("utf-8", "replace").split("\n"):
        found = _LINE.match(line)
        if found:
            yield found[1], found[2].rstrip(" \t")
        elif line.strip():
            raise BadPolicy(f"no field: {line[:80]!r}")


def _pattern(text: str) -> str:
    wildcard = "*." if text.startswith("*.") else ""
    try:
        domain = domain_of(text.removeprefix(wildcard))
    except BadAddress:
        raise BadPolicy(f"no host: {text[:80]!r}") from None
    if domain.startswith("["):
        raise BadPolicy(f"no host: {text[:80]!r}")
    return wildcard + domain


def read_answer(status: int, media_type: str, octets: bytes) -> StsPolicy:
    """Return the policy in an answer of a domain's web server; raises `BadPolicy`.

    Only 200 counts, and only text/plain (sections 3.2 and 3.3).
    """
    if status != 200:
        raise BadPolicy(f"the server answered {status}")
    name = media_type.partition(";")[0].strip().lower()
    if name != MEDIA_TYPE:
        raise BadPolicy(f"it is {name[:80]!r}, not {MEDIA_TYPE}")
    return StsPolicy.read(octets)


# What is remembered ----------------------------------------------------------


@attrs.frozen
class KnownPolicy:
    """A policy, the id that the DNS named for it, and when it was fetched.

    Times are dates in seconds since 1970: they outlive a restart.  A clock that
    was set back makes nothing older than it is.
    """

    policy: StsPolicy
    id: str
    fetched: float
    tried: float = 0.0  # when it was last tried to fetch it anew

    def is_fresh(self, now: float) -> bool:
        """Say whether it still counts."""
        return now - self.fetched < self.policy.max_age

    def should_be_fetched(self, named: str, now: float) -> bool:
        """Say whether to fetch it anew, given the id that is ``named`` in the DNS by now.

        That is so where the id is another, and where the policy grows old; never
        where the DNS names none, nor when fetching has just failed.  Until another has been fetched, this one counts as long as
        it is fresh, whatever the DNS says (section 5.1).
        """
        if not named or 0 <= now - self.tried < RETRY:
            return False
        age = now - self.fetched
        return named != self.id or age >= min(REFRESH, self.policy.max_age / 2)

    def after_failure(self, now: float) -> Self:
        """Return it as it is when fetching another has failed."""
        return attrs.evolve(self, tried=now)

    @property
    def row(self) -> dict[str, object]:
        """Everything, as JSON can carry it."""
        return {
            "policy": self.policy.text,
            "id": self.id,
            "fetched": self.fetched,
            "tried": self.tried,
        }

    @classmethod
    def of(cls, row: dict[str, object]) -> Self:
        """Return what a `row` says; raises `BadPolicy` for what is none."""
        match row:
            case {
                "policy": str(text),
                "id": str(name),
                "fetched": float() | int() as fetched,
                "tried": float() | int() as tried,
            }:
                return cls(StsPolicy.read(text.encode()), name, float(fetched), float(tried))
        raise BadPolicy("no policy that was remembered")
