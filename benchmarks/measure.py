"""Takes one sample: how fast a subject did something, and what it cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import attrs

from benchmarks.load import Answer, Generator
from benchmarks.processes import cpu_seconds
from benchmarks.subjects import DOMAIN, PEOPLE, Subject


@attrs.frozen
class Sample:
    """One measurement, or the median of several; CPU is user and system time an operation."""

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    client_cpu_us: float

    @classmethod
    def median(cls, samples: Sequence[Sample]) -> Sample:
        return cls(*map(statistics.median, zip(*map(attrs.astuple, samples), strict=True)))


def deliver(subject: Subject, generator: Generator, operations: int, **keys: object) -> Sample:
    """Send messages; the clock stops when every one is in its mailbox."""
    before = subject.stored()
    cpu = settled_cpu(subject.pid)
    answer = generator.run(
        "smtp",
        subject.smtp_port,
        operations=operations,
        people=len(PEOPLE),
        domain=DOMAIN,
        message=generator.message,
        **keys,
    )
    answered = time.monotonic()
    subject.wait_until_stored(before + operations)
    seconds = answer.seconds + time.monotonic() - answered
    sample = _sample(answer, operations / seconds, settled_cpu(subject.pid) - cpu)
    if before >= 0 and subject.stored() != before + operations:
        raise RuntimeError(f"{subject}: {subject.stored() - before} of {operations} arrived")
    return sample


def fetch(pid: int, port: int, generator: Generator, operations: int, **keys: object) -> Sample:
    """Run POP3 sessions, or RETRs."""
    cpu = settled_cpu(pid)
    answer = generator.run("pop3", port, operations=operations, **keys)
    return _sample(answer, answer.rate, settled_cpu(pid) - cpu)


def settled_cpu(pid: int, seconds: float = 10) -> float:
    """Return the family's processor time once it has finished what it does behind."""
    deadline = time.monotonic() + seconds
    used = cpu_seconds(pid)
    while time.monotonic() < deadline:
        time.sleep(0.3)
        before, used = used, cpu_seconds(pid)
        if used - before < 0.02:
            break
    return used


def _sample(answer: Answer, rate: float, cpu: float) -> Sample:
    return Sample(
        rate=rate,
        cpu_us=cpu * 1e6 / answer.operations,
        p50_ms=answer.p50_ms,
        p99_ms=answer.p99_ms,
        client_cpu_us=answer.client_cpu_us,
    )
