"""Compiles and runs the load generator (`load.c`)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import attrs

SOURCE = Path(__file__).with_name("load.c")

ALTERNATIVES = "".join(
    f"--benchmark\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
    f"Content-Transfer-Encoding: 7bit\r\n\r\n{line * count}\r\n"
    for subtype, line, count in (
        ("plain", "The quick brown fox jumps over the lazy dog, and so do we.\r\n", 28),
        ("html", "<p>The quick brown fox jumps over the <b>lazy</b> dog.</p>\r\n", 46),
    )
)
MESSAGE = f"""\
From: A Sender <sender@example.net>\r
To: A Reader <reader@example.org>\r
Subject: Benchmark message\r
Date: Mon, 23 Nov 2026 12:00:00 +0000\r
Message-ID: <@@@@@@@@@@.benchmark@example.net>\r
MIME-Version: 1.0\r
Content-Type: multipart/alternative; boundary="benchmark"\r
\r
{ALTERNATIVES}--benchmark--\r
""".encode()


@attrs.frozen
class Answer:
    """What the load generator saw."""

    operations: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    client_cpu_us: float


@attrs.frozen
class Generator:
    """A compiled load generator in ``folder``."""

    folder: Path

    @property
    def message(self) -> Path:
        return self.folder / "message"

    def compile(self) -> None:
        """Raise `subprocess.CalledProcessError` if the C compiler refuses."""
        self.message.write_bytes(MESSAGE)
        program = self.folder / "load"
        subprocess.run(["cc", "-O2", "-Wall", "-o", program, SOURCE], check=True)

    def run(self, protocol: str, port: int, **keys: object) -> Answer:
        """Raise `RuntimeError` with what went wrong, such as a reply that wasn't expected."""
        words = [f"{key}={value}" for key, value in keys.items()]
        command = [str(self.folder / "load"), protocol, str(port), *words]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{protocol} {' '.join(words)}: {done.stderr}")
        return Answer(**json.loads(done.stdout))
