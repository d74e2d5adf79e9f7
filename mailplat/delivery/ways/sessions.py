"""Counts how TLS went with the hosts of domains that want to hear of it (RFC 8460)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import attrs

from mailplat.mail.hops import Session, Shown, Witness
from mailplat.trust.certificates import NotAuthentic, check_name
from mailplat.trust.tlsrpt import (
    MOST_DETAILS,
    AppliedPolicy,
    Counts,
    FailureKind,
    PolicyType,
    ResultType,
    Tally,
)

MOST_DAYS = 3  # that are kept, should reports not go out

EXPIRED = "error 10 "  # of OpenSSL: X509_V_ERR_CERT_HAS_EXPIRED
Classify = Callable[[Shown], ResultType | None]
"""Says what is wrong with what a host has shown; None if nothing is."""


class Sessions:
    """What happened on each day, in UTC, that has not been reported yet."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self.days: dict[date, Tally] = {}

    def today(self) -> date:
        """Return the date, as reports count days."""
        return datetime.fromtimestamp(self._seconds(), UTC).date()

    def add(self, policy: AppliedPolicy, failure: FailureKind | None) -> None:
        """Count a session of today."""
        today = self.today()
        if today not in self.days:
            while len(self.days) >= MOST_DAYS:
                del self.days[min(self.days)]
            self.days[today] = Tally()
        self.days[today].add(policy, failure)

    def witness(self, policy: AppliedPolicy, classify: Classify) -> Witness:
        """Return what counts the sessions that are held under a policy."""

        def tell(session: Session) -> None:
            self.add(policy, _failure(session, classify))

        return tell

    def past(self) -> list[date]:
        """Return the days that are over, the oldest first."""
        return sorted(day for day in self.days if day < self.today())

    # What outlives a restart.

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Everything, as JSON can carry it."""
        return [
            {"day": day.isoformat(), "policy": _row_of(policy), **_row_of_counts(counts)}
            for day, tally in self.days.items()
            for of_domain in tally.counts.values()
            for policy, counts in of_domain.items()
        ]

    def take(self, rows: list[dict[str, Any]]) -> None:
        """Take what `rows` gave; raises `ValueError`, `KeyError` and `TypeError` for other."""
        days: dict[date, Tally] = {}
        for row in rows:
            day = days.setdefault(date.fromisoformat(row["day"]), Tally())
            kind = PolicyType(row["policy"]["type"])
            strings, hosts = (tuple(row["policy"][name]) for name in ("strings", "hosts"))
            policy = AppliedPolicy(kind, row["policy"]["domain"], strings, hosts)
            counts = Counts(row["successes"])
            for detail, times in row["details"][: MOST_DETAILS + len(ResultType)]:
                result = ResultType(detail.pop("result"))
                counts.add(FailureKind(result=result, **detail), int(times))
            day.counts.setdefault(policy.domain, {})[policy] = counts
        self.days = days


def _row_of(policy: AppliedPolicy) -> dict[str, Any]:
    return {**attrs.asdict(policy), "type": policy.type.value}


def _row_of_counts(counts: Counts) -> dict[str, Any]:
    details = [
        ({**attrs.asdict(kind), "result": kind.result.value}, times)
        for kind, times in counts.details.items()
    ]
    return {"successes": counts.successes, "details": details}


# What went wrong -------------------------------------------------------------


def _failure(session: Session, classify: Classify) -> FailureKind | None:
    if session.shown is not None:
        result = classify(session.shown)
    elif session.failure:
        result = ResultType.VALIDATION_FAILURE
    else:
        result = ResultType.STARTTLS_NOT_SUPPORTED
    if result is None:
        return None
    problem = session.failure or (session.shown.problem if session.shown else "")
    return FailureKind(
        result=result,
        sending_ip=session.local,
        receiving_host=session.host,
        receiving_helo=session.greeting,
        receiving_ip=session.remote,
        reason=problem,
    )


def any_tls(_shown: Shown) -> ResultType | None:
    """Find nothing wrong with any certificate: where there is no policy, any will do."""
    return None


def for_web_names(host: str) -> Classify:
    """Return what finds wrong what MTA-STS does: no trust, or another name (RFC 8461 section 4.2)."""

    def classify(shown: Shown) -> ResultType | None:
        if not shown.trusted:
            has_expired = shown.problem.startswith(EXPIRED)
            expired, other = ResultType.CERTIFICATE_EXPIRED, ResultType.CERTIFICATE_NOT_TRUSTED
            return expired if has_expired else other
        try:
            check_name(shown.chain[0], [host])
        except NotAuthentic as problem:
            return problem.result
        return None

    return classify
