"""The commands of ``docs/keeping-it-safe.md``, run one after the other in a house."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import apsw

from mailplat.testing.programs import House

MANUAL = Path(__file__).parents[2] / "docs" / "keeping-it-safe.md"


def test_the_commands_of_the_manual(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    house.make({"alice": "secret"})
    scripts = re.findall(r"```sh\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    assert len(scripts) == 8
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "MAILPLAT_CONFIG": str(house.config),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }
    said = []
    with house.start():
        for script in scripts:
            text = script.replace("/tmp/", f"{tmp_path}/").replace("/srv/", f"{tmp_path}/")
            done = subprocess.run(
                ["sh", "-e", "-c", text],
                env=environment,
                capture_output=True,
                text=True,
                cwd=house.folder,
            )
            assert done.returncode == 0, (script, done.stdout, done.stderr)
            said.append(done.stdout)
    made, _by_hand, listed, accounts, house_again, sound, mended, upgrade = said
    generation = made.partition(":")[0]
    assert listed.startswith(generation)
    assert f"{generation} is sound" in listed
    assert accounts == "Restored/INBOX: 0 messages added\nAgain/INBOX: 0 messages added\n"
    assert f"{generation} is in {tmp_path}/new" in house_again
    assert sound == mended == "sound\n"
    assert "store: its tables have number" in upgrade
    copy = apsw.Connection(str(tmp_path / "mail.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()
