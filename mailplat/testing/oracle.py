"""What Dovecot says of messages, asked without a server: its imap program on a pipe."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mailplat.testing.programs import NOBODY, NotStarted

IMAP = Path("/usr/lib/dovecot/imap")  # of Debian's package dovecot-imapd
_LAST = b"the-last-0815"  # a tag that begins no line of a message
_ANSWER = re.compile(rb"\* (\d+) FETCH \((.*)\)\r\n", re.DOTALL)
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


def fetched_by_dovecot(folder: Path, messages: Sequence[bytes], items: str) -> list[bytes]:
    """Return Dovecot's answers to a FETCH of ``items``, one for each message, in order.

    ``folder`` is an empty one that everybody may enter.  Raises `NotStarted`
    with what the program said if it doesn't answer for each message.
    """
    maildir = folder / "mail"
    for name in ("new", "cur", "tmp"):
        (maildir / name).mkdir(parents=True)
    for number, message in enumerate(messages):
        (maildir / "new" / f"{1_000_000_000 + number}.{number}.x").write_bytes(message)
    owner = NOBODY if os.getuid() == 0 else os.getuid()
    for path in (folder, maildir, *maildir.rglob("*")):
        shutil.chown(path, owner, NOBODY if os.getuid() == 0 else os.getgid())
    (folder / "dovecot.conf").write_text(_configuration(folder, owner))
    said = _dialogue(
        folder, b"a SELECT INBOX\r\n%b FETCH 1:* (%b)\r\n" % (_LAST, items.encode())
    )
    numbers = _numbers(maildir / "dovecot-uidlist")
    answers = {
        numbers[int(uid)]: words for uid, words in map(_taken_apart, _lines(said)) if uid
    }
    if len(answers) != len(messages):
        raise NotStarted(
            f"{len(answers)} answers for {len(messages)} messages: {said[-500:]!r}"
        )
    return [answers[number] for number in range(len(messages))]


def _configuration(folder: Path, owner: int) -> str:
    group = NOBODY if os.getuid() == 0 else os.getgid()
    return f"""\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = /dev/stderr
protocols = imap
ssl = no
first_valid_uid = 0
first_valid_gid = 0
mail_uid = {owner}
mail_gid = {group}
mail_home = {folder}
mail_location = maildir:{folder}/mail
"""


def _dialogue(folder: Path, commands: bytes) -> bytes:
    """Say commands, the last with the tag `_LAST`, and return all answers."""
    with subprocess.Popen(  # noqa: S603
        [IMAP, "-c", str(folder / "dovecot.conf")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, "USER": "nobody", "HOME": str(folder)},
    ) as program:
        if program.stdin is None or program.stdout is None:
            raise NotStarted("no pipe")
        program.stdin.write(commands)
        program.stdin.flush()
        said: list[bytes] = []
        while not said or not said[-1].startswith(_LAST):
            line = program.stdout.readline()
            if not line:
                break
            said.append(line)
        program.stdin.close()
    return b"".join(said)


def _numbers(uidlist: Path) -> dict[int, int]:
    """Return the numbers that we gave the messages, by the UIDs that Dovecot did."""
    numbers: dict[int, int] = {}
    for line in uidlist.read_text().splitlines()[1:]:
        uid, _, name = line.partition(" ")
        numbers[int(uid)] = int(name.partition(":")[2].split(".")[1])
    return numbers


def _lines(said: bytes) -> list[bytes]:
    """Cut what was said into lines, literals inside of them."""
    lines: list[bytes] = []
    start = at = 0
    while (end := said.find(b"\r\n", at)) >= 0:
        at = end + 2
        if literal := _LITERAL.search(said, max(start, end - 20), at):
            at += int(literal[1])
        else:
            lines.append(said[start:at])
            start = at
    return lines


def _taken_apart(line: bytes) -> tuple[bytes, bytes]:
    """Return message number, which is the UID in a new maildir, and the items."""
    found = _ANSWER.fullmatch(line)
    return (found[1], found[2]) if found else (b"", b"")
