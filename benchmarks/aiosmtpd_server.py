"""The aiosmtpd peer: one durable file for each message, written in a thread.

python aiosmtpd_server.py PORT FOLDER
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class SyncingHandler:
    """Answers 250 when the message and its name are on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._threads = ThreadPoolExecutor(16)

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._keep, envelope.original_content or b"")
        return "250 kept"

    def _keep(self, octets: bytes) -> None:
        name = f"{next(self._numbers)}"
        temporary = self._folder / f"tmp.{name}"
        with temporary.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


async def serve(port: int, folder: Path) -> None:
    handler = SyncingHandler(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, enable_SMTPUTF8=False), "127.0.0.1", port, backlog=1024
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
