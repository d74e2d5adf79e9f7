"""Counts how TLS went with other hosts, and writes the report that their domains asked for (RFC 8460)."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import attrs

from mailplat.mail.address import Address
from mailplat.mail.compose import Letter, Occasion, notice
from mailplat.mail.content import Octets, join
from mailplat.mail.multipart import attachment, multipart, text_part
from mailplat.mail.taglist import tags_of
from mailplat.mail.words import text_field

MEDIA_TYPE = "application/tlsrpt+gzip"  # also where it is sent by HTTPS (section 5.4)

LONGEST_RECORD = 8192  # octets of a record that are read
MOST_URIS = 10  # of a record that are kept
MOST_DOMAINS = 10_000  # of which a day is counted
MOST_DETAILS = 100  # kinds of failure of one policy that are told apart
LONGEST_DETAIL = 512  # characters of what is said of one

_URI = re.compile(
    r"(?:mailto:[^\s@,;!]{1,200}@[^\s@,;!]{1,255}|https://[^\s,;!]{1,1000})", re.IGNORECASE
)


class ResultType(Enum):
    """What went wrong (section 4.3)."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


class PolicyType(Enum):
    """By which policy TLS was judged (section 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


# Where reports go ------------------------------------------------------------


def name_of(domain: str) -> str:
    """Return where in the DNS a domain says that it wants reports (section 3)."""
    return f"_smtp._tls.{domain}"


def addressees(records: Iterable[bytes]) -> tuple[str, ...]:
    """Return the URIs that a domain's TXT records name; nothing unless exactly one is for this.

    They are mailto: and https: ones; others, and what is no URI, are left out.
    """
    found = [one for one in records if _is_for_reports(one)]
    if len(found) != 1:
        return ()
    tags = tags_of(found[0])
    text = tags.value(b"rua").decode("utf-8", "replace")
    uris = [uri for uri in text.split(",", MOST_URIS)[:MOST_URIS] if _URI.fullmatch(uri)]
    return tuple(dict.fromkeys(uris))


def _is_for_reports(record: bytes) -> bool:
    if not record.startswith(b"v=TLSRPTv1") or len(record) > LONGEST_RECORD:
        return False
    tags = tags_of(record)
    return tags.first == b"v" and tags.raw(b"v") == b"TLSRPTv1"


# What happened ---------------------------------------------------------------


@attrs.frozen
class AppliedPolicy:
    """The policy by which sessions were judged, as the report has to name it (section 4.4).

    ``strings`` are the lines of an MTA-STS policy, or TLSA records; ``hosts`` the
    patterns of an MTA-STS policy, or the MX host.
    """

    type: PolicyType
    domain: str
    strings: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def _cut(text: str) -> str:
    return text[:LONGEST_DETAIL]


@attrs.frozen(kw_only=True)
class FailureKind:
    """What failed sessions have in common; empty texts are left out of the report."""

    result: ResultType
    sending_ip: str = ""
    receiving_host: str = ""
    receiving_helo: str = ""
    receiving_ip: str = ""
    information: str = attrs.field(default="", converter=_cut)
    reason: str = attrs.field(default="", converter=_cut)


@attrs.define
class Counts:
    """How sessions under one policy went."""

    successes: int = 0
    failures: int = 0
    details: dict[FailureKind, int] = attrs.field(factory=dict)

    def add(self, failure: FailureKind | None, times: int = 1) -> None:
        """Count sessions that went well, or failed in one way.

        Of more than `MOST_DETAILS` ways only the result is told apart.
        """
        if failure is None:
            self.successes += times
            return
        self.failures += times
        if failure not in self.details and len(self.details) >= MOST_DETAILS:
            failure = FailureKind(result=failure.result)
        self.details[failure] = self.details.get(failure, 0) + times


@attrs.define
class Tally:
    """What happened in a day, by the domains whose mail it was."""

    counts: dict[str, dict[AppliedPolicy, Counts]] = attrs.field(factory=dict)

    def add(self, policy: AppliedPolicy, failure: FailureKind | None = None) -> None:
        """Count one session; of more than `MOST_DOMAINS` nothing more is counted."""
        of_domain = self.counts.get(policy.domain)
        if of_domain is None:
            if len(self.counts) >= MOST_DOMAINS:
                return
            of_domain = self.counts.setdefault(policy.domain, {})
        if policy not in of_domain and len(of_domain) >= MOST_DETAILS:
            policy = AppliedPolicy(policy.type, policy.domain)
        of_domain.setdefault(policy, Counts()).add(failure)


# Reports ---------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Reporter:
    """Who reports: the organization, how to reach it, and the domain it sends for."""

    organization: str
    contact: str
    domain: str


@attrs.frozen(kw_only=True)
class Report:
    """What one domain is told of a time (section 4.4); ``begin`` and ``end`` have a time zone."""

    reporter: Reporter
    domain: str
    begin: datetime
    end: datetime
    unique: str  # letters and digits that no other report has
    counts: Mapping[AppliedPolicy, Counts]

    @property
    def id(self) -> str:
        """What no other report is called."""
        return f"{self.begin.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}_{self.unique}@{self.domain}"

    @property
    def file_name(self) -> str:
        """What its file is called (section 5.1)."""
        begin, end = (int(one.timestamp()) for one in (self.begin, self.end))
        sender = self.reporter.domain
        return f"{sender}!{self.domain}!{begin}!{end}!{self.unique}.json.gz"

    @property
    def subject(self) -> str:
        """The subject of the message that carries it (section 5.3)."""
        submitter = self.reporter.domain
        return f"Report Domain: {self.domain} Submitter: {submitter} Report-ID: <{self.id}>"

    @property
    def fields(self) -> dict[bytes, str]:
        """The fields that the message has besides (section 5.3)."""
        return {
            b"TLS-Report-Domain": self.domain,
            b"TLS-Report-Submitter": self.reporter.domain,
            b"TLS-Required": "No",
        }

    @property
    def octets(self) -> bytes:
        """The report as it is carried: its text in UTF-8, and packed (section 5.1)."""
        return gzip.compress(self.text.encode(), mtime=int(self.end.timestamp()))

    @property
    def text(self) -> str:
        """The report itself, in JSON."""
        document = {
            "organization-name": self.reporter.organization,
            "date-range": {
                "start-datetime": _moment(self.begin),
                "end-datetime": _moment(self.end),
            },
            "contact-info": self.reporter.contact,
            "report-id": self.id,
            "policies": [_policy(*pair) for pair in self.counts.items()],
        }
        return json.dumps(document, indent=2, ensure_ascii=False)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _policy(policy: AppliedPolicy, counts: Counts) -> dict[str, Any]:
    described: dict[str, Any] = {
        "policy-type": policy.type.value,
        "policy-string": list(policy.strings),
        "policy-domain": policy.domain,
        "mx-host": list(policy.hosts),
    }
    summed = {
        "total-successful-session-count": counts.successes,
        "total-failure-session-count": counts.failures,
    }
    told: dict[str, Any] = {
        "policy": {name: value for name, value in described.items() if value},
        "summary": summed,
    }
    if counts.details:
        told["failure-details"] = [_failure(*pair) for pair in counts.details.items()]
    return told


def _failure(kind: FailureKind, times: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "result-type": kind.result.value,
        "sending-mta-ip": kind.sending_ip,
        "receiving-mx-hostname": kind.receiving_host,
        "receiving-mx-helo": kind.receiving_helo,
        "receiving-ip": kind.receiving_ip,
        "failed-session-count": times,
        "additional-information": kind.information,
        "failure-reason-code": kind.reason,
    }
    return {name: value for name, value in told.items() if value != ""}


# Letters ---------------------------------------------------------------------


async def report_letter(report: Report, to: Address, occasion: Occasion) -> Letter:
    """Return the message that carries a report (section 5.3); not yet signed.

    Whoever takes it may be the one whose TLS is broken, so it asks to be sent
    all the same (RFC 8689 section 5).
    """
    successes = sum(counts.successes for counts in report.counts.values())
    failures = sum(counts.failures for counts in report.counts.values())
    told = (
        f"This is a report of TLS for mail to {report.domain},\n"
        f"from {_moment(report.begin)} to {_moment(report.end)},\n"
        f"sent by {report.reporter.organization}.\n\n"
        f"Sessions that went well: {successes}\nSessions that failed: {failures}\n"
    )
    packed = await attachment(Octets(report.octets), MEDIA_TYPE, report.file_name)
    parts = [text_part(told), packed]
    body = await multipart("report", parts, occasion.unique, {"report-type": "tlsrpt"})
    letter = notice(to, report.subject, body, occasion)
    fields = [text_field(name, text) for name, text in report.fields.items()]
    return attrs.evolve(letter, content=join(Octets(b"".join(fields)), letter.content))
