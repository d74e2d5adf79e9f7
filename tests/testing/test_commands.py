"""A forked command is what it would be in a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mailplat.testing.commands import mailplat


def test_words_and_status() -> None:
    assert "Look after a mailplat house" in mailplat("--help").stdout
    wrong = mailplat("statsu")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "No such command 'statsu'" in wrong.stderr


def test_folder_and_environment(tmp_path: Path) -> None:
    (tmp_path / "mailplat.toml").write_text("nonsense")
    here = mailplat("check", folder=tmp_path)
    assert (here.returncode, here.stderr.startswith(f"{tmp_path}/mailplat.toml:1: ")) == (
        1,
        True,
    )
    there = mailplat("check", environment={"MAILPLAT_CONFIG": "/nowhere/mailplat.toml"})
    assert there.stderr.startswith("/nowhere/mailplat.toml: can't be read: ")


def test_standard_input(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "mailplat.toml").write_text("hostname = 'localhost'\n")
    words = ("account", "add", "alice@example.org", "--password-stdin")
    none = mailplat(*words, folder=tmp_path)
    assert none.stderr == "mailplat: there is no password on standard input\n"
    mailplat("domain", "add", "example.org", folder=tmp_path).check_returncode()
    assert mailplat(*words, said="secret\n", folder=tmp_path).returncode == 0


def test_no_reactor_is_chosen_before_the_fork() -> None:
    asked = "import sys, mailplat.testing.imported; print('twisted.internet.reactor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert done.stdout == "False\n"
