"""Reports of TLS: who wants them, what is counted, what they say."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.addresslist import NamedAddress
from mailplat.mail.compose import Occasion
from mailplat.mail.content import whole
from mailplat.trust.tlsrpt import (
    MOST_DETAILS,
    MOST_DOMAINS,
    AppliedPolicy,
    Counts,
    FailureKind,
    PolicyType,
    Report,
    Reporter,
    ResultType,
    Tally,
    addressees,
    name_of,
    report_letter,
)

STS = AppliedPolicy(
    PolicyType.STS,
    "company-y.example",
    (
        "version: STSv1",
        "mode: testing",
        "mx: *.mail.company-y.example",
        "max_age: 86400",
    ),
    ("*.mail.company-y.example",),
)
COMPANY_X = Reporter(
    organization="Company-X",
    contact="sts-reporting@company-x.example",
    domain="company-x.example",
)


def test_where_the_record_is() -> None:
    assert name_of("example.com") == "_smtp._tls.example.com"


@pytest.mark.parametrize(
    ("records", "uris"),
    [
        # RFC 8460 section 3.1
        ([b"v=TLSRPTv1;rua=mailto:reports@example.com"], ["mailto:reports@example.com"]),
        (
            [b"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"],
            ["https://reporting.example.com/v1/tlsrpt"],
        ),
        ([b"v=TLSRPTv1; rua=mailto:a@b.example , HTTPS://c.example/"], ["mailto:a@b.example", "HTTPS://c.example/"]),
        ([b"v=TLSRPTv1; rua=ftp://x.example/,mailto:a@b,mailto:a@b"], ["mailto:a@b"]),
        ([b"v=spf1", b"v=TLSRPTv1;x=y;rua=mailto:a@b;"], ["mailto:a@b"]),
        ([b"v=TLSRPTv1;rua=mailto:a@b"] * 2, []),
        ([b"v=TLSRPTv2;rua=mailto:a@b"], []),
        ([b"rua=mailto:a@b;v=TLSRPTv1"], []),
        ([b"v=TLSRPTv1;rua=mailto:a"], []),
        ([b"v=TLSRPTv1;rua=http://a.example/"], []),
        ([b"v=TLSRPTv1"], []),
        ([b"v=TLSRPTv1;rua=mailto:a@b" + b";" * 9000], []),
        ([b"v=TLSRPTv1;rua=" + b",".join(b"mailto:%d@b" % n for n in range(50))],
         [f"mailto:{n}@b" for n in range(10)]),
        ([], []),
    ],
)  # fmt: skip
def test_who_wants_reports(records: list[bytes], uris: list[str]) -> None:
    assert addressees(records) == tuple(uris)


@given(st.lists(st.binary(max_size=60)))
def test_any_records_can_be_read(records: list[bytes]) -> None:
    addressees([*records, *(b"v=TLSRPTv1;rua=" + one for one in records)])


def failure(result: ResultType, **more: str) -> FailureKind:
    return FailureKind(result=result, **more)


def report(tally: Tally, domain: str = "company-y.example") -> Report:
    begin = datetime(2016, 4, 1, tzinfo=UTC)
    return Report(
        reporter=COMPANY_X,
        domain=domain,
        begin=begin,
        end=begin + timedelta(days=1, seconds=-1),
        unique="5065427c",
        counts=tally.counts[domain],
    )


def test_the_standards_example() -> None:
    """RFC 8460 appendix B, but for the report's id."""
    tally = Tally()
    expired = failure(
        ResultType.CERTIFICATE_EXPIRED,
        sending_ip="2001:db8:abcd:0012::1",
        receiving_host="mx1.mail.company-y.example",
    )
    plain = failure(
        ResultType.STARTTLS_NOT_SUPPORTED,
        sending_ip="2001:db8:abcd:0013::1",
        receiving_host="mx2.mail.company-y.example",
        receiving_ip="203.0.113.56",
        information="https://reports.company-x.example/report_info?id=5065427c-23d3#StarttlsNotSupported",
    )
    invalid = failure(
        ResultType.VALIDATION_FAILURE,
        sending_ip="198.51.100.62",
        receiving_ip="203.0.113.58",
        receiving_host="mx-backup.mail.company-y.example",
        reason="X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
    )
    for kind, times in ((None, 5326), (expired, 100), (plain, 200), (invalid, 3)):
        for _ in range(times):
            tally.add(STS, kind)
    made = report(tally)
    document = json.loads(made.text)
    assert document.pop("report-id") == made.id
    assert document == {
        "organization-name": "Company-X",
        "date-range": {
            "start-datetime": "2016-04-01T00:00:00Z",
            "end-datetime": "2016-04-01T23:59:59Z",
        },
        "contact-info": "sts-reporting@company-x.example",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": list(STS.strings),
                    "policy-domain": "company-y.example",
                    "mx-host": ["*.mail.company-y.example"],
                },
                "summary": {
                    "total-successful-session-count": 5326,
                    "total-failure-session-count": 303,
                },
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "2001:db8:abcd:0012::1",
                        "receiving-mx-hostname": "mx1.mail.company-y.example",
                        "failed-session-count": 100,
                    },
                    {
                        "result-type": "starttls-not-supported",
                        "sending-mta-ip": "2001:db8:abcd:0013::1",
                        "receiving-mx-hostname": "mx2.mail.company-y.example",
                        "receiving-ip": "203.0.113.56",
                        "failed-session-count": 200,
                        "additional-information": plain.information,
                    },
                    {
                        "result-type": "validation-failure",
                        "sending-mta-ip": "198.51.100.62",
                        "receiving-ip": "203.0.113.58",
                        "receiving-mx-hostname": "mx-backup.mail.company-y.example",
                        "failed-session-count": 3,
                        "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
                    },
                ],
            }
        ],
    }


def test_how_it_travels() -> None:
    tally = Tally()
    tally.add(AppliedPolicy(PolicyType.NONE, "example.com"))
    made = report(tally, "example.com")
    assert made.file_name == (
        "company-x.example!example.com!1459468800!1459555199!5065427c.json.gz"
    )
    assert made.subject == (
        f"Report Domain: example.com Submitter: company-x.example Report-ID: <{made.id}>"
    )
    assert made.fields == {
        b"TLS-Report-Domain": "example.com",
        b"TLS-Report-Submitter": "company-x.example",
        b"TLS-Required": "No",
    }
    [told] = json.loads(made.text)["policies"]
    assert told["policy"] == {"policy-type": "no-policy-found", "policy-domain": "example.com"}
    assert "failure-details" not in told


async def test_a_letter_carries_it() -> None:
    tally = Tally()
    for kind in (None, None, failure(ResultType.CERTIFICATE_EXPIRED)):
        tally.add(STS, kind)
    made = report(tally)
    author = NamedAddress.of(Address("tls-reports", "company-x.example"))
    occasion = Occasion(
        author=author, hostname="mx.company-x.example", now=made.end, unique="4f2a4f2a4f2a"
    )
    letter = await report_letter(made, Address.parse("reports@company-y.example"), occasion)
    assert letter.envelope.sender is None
    parsed = email.message_from_bytes(await whole(letter.content), policy=email.policy.default)
    assert parsed["TLS-Report-Domain"] == "company-y.example"
    assert parsed["TLS-Report-Submitter"] == "company-x.example"
    assert parsed["TLS-Required"] == "No"
    assert " ".join(parsed["Subject"].split()) == made.subject
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "tlsrpt"
    text, packed = parsed.iter_parts()
    assert "failed: 1" in text.get_content()
    assert packed.get_content_type() == "application/tlsrpt+gzip"
    assert packed.get_filename() == made.file_name
    assert gzip.decompress(packed.get_content()).decode() == made.text


def test_times_are_told_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    begin = datetime(2016, 4, 1, 2, tzinfo=zone)
    made = Report(
        reporter=COMPANY_X, domain="x.example", begin=begin, end=begin, unique="a", counts={}
    )
    assert "2016-04-01T00:00:00Z" in made.text
    assert made.id == "2016-04-01T00:00:00Z_a@x.example"


def test_what_is_counted_has_a_bound() -> None:
    counts = Counts()
    for number in range(3 * MOST_DETAILS):
        counts.add(failure(ResultType.CERTIFICATE_EXPIRED, receiving_ip=str(number)))
    assert len(counts.details) == MOST_DETAILS + 1
    assert counts.failures == sum(counts.details.values()) == 3 * MOST_DETAILS
    assert len(failure(ResultType.TLSA_INVALID, information="x" * 9999).information) == 512
    tally = Tally()
    for number in range(3 * MOST_DETAILS):
        tally.add(AppliedPolicy(PolicyType.TLSA, "example.com", (f"3 1 1 {number:064x}",)))
    assert len(tally.counts["example.com"]) == MOST_DETAILS + 1
    for number in range(MOST_DOMAINS + 10):
        tally.add(AppliedPolicy(PolicyType.NONE, f"{number}.example"))
    assert len(tally.counts) == MOST_DOMAINS
    tally.add(AppliedPolicy(PolicyType.NONE, "5.example"))
    [counts] = tally.counts["5.example"].values()
    assert counts.successes == 2
