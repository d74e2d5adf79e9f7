"""What runs in a child process: takes jobs from standard input and answers them, one by one.

`mailplat.workers` is the other side.  A job is four octets of length and a pickle
of its allowance, a function and its arguments; the parent is trusted with that.
An answer is a status, four octets of length and so many octets, never a pickle:
what has read a stranger's document isn't trusted.

Only the standard library is imported here; the function's own module comes with
the first job that names it.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable
from struct import Struct
from typing import BinaryIO

REQUEST = Struct(">I")
ANSWER = Struct(">BI")
DONE, FAILED, LAST = 0, 1, 2  # the last is added by a child that ends with this answer
NICENESS = 5
LONGEST_FAILURE = 512  # octets of text

Job = tuple[float, int, int, Callable[..., bytes], tuple[object, ...]]
"""Seconds, octets of memory, octets of the answer, the function and its arguments."""


def main() -> None:
    """Serve until standard input ends, or memory or threads are left that shouldn't be."""
    jobs, answers = _take_over_the_pipes()
    os.setsid()  # whoever ends us ends what we have started too
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _answer(answers, DONE, b"")  # we are ready
    while job := _next_job(jobs):
        status, octets = _perform(job)
        _answer(answers, status, octets)
        if status & LAST:
            return


def _take_over_the_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes to ourselves: what a job prints goes to the log, and it reads nothing."""
    jobs, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return jobs, answers


def _next_job(jobs: BinaryIO) -> bytes:
    """Return the next job's pickle; empty when there will be none."""
    head = jobs.read(REQUEST.size)
    if len(head) < REQUEST.size:
        return b""
    [length] = REQUEST.unpack(head)
    return jobs.read(length)


def _answer(answers: BinaryIO, status: int, octets: bytes) -> None:
    answers.write(ANSWER.pack(status, len(octets)) + octets)
    answers.flush()


def _perform(pickled: bytes) -> tuple[int, bytes]:
    """Do one job; return its status and its answer."""
    try:
        job: Job = pickle.loads(pickled)  # noqa: S301 - the parent has made it
        seconds, memory, most, function, arguments = job
        _limit(seconds, memory)
        answer = function(*arguments)
        if not isinstance(answer, bytes):
            raise TypeError(f"{type(answer).__name__} in place of octets")
        if len(answer) > most:
            raise ValueError(f"an answer of {len(answer)} octets, {most} are allowed")
    except BaseException as error:  # noqa: BLE001 - whoever asked hears of it
        text = f"{type(error).__name__}: {error}".encode("utf-8", "replace")
        is_harmless = isinstance(error, Exception) and not isinstance(error, MemoryError)
        return FAILED | (0 if is_harmless and _is_tidy() else LAST), text[:LONGEST_FAILURE]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return DONE | (0 if _is_tidy() else LAST), answer


def _is_tidy() -> bool:
    return threading.active_count() == 1


def _limit(seconds: float, memory: int) -> None:
    """Let the kernel end us if a job takes too much, even if the parent has gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, hardest))
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_FSIZE):
        _, hardest = resource.getrlimit(kind)
        resource.setrlimit(kind, (memory, hardest))
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)


if __name__ == "__main__":
    main()
