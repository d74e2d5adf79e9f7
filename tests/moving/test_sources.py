"""Mail in folders and archives, as programs leave it there."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from _compression import DecompressReader
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.mailbox import FLAGGED, SEEN
from mailplat.moving import trees
from mailplat.moving.letters import Letter
from mailplat.moving.sources import FileSource
from mailplat.moving.trees import UNREADABLE, Unreadable, opened

MBOX = b"From a Mon Nov 23 12:00:00 2026\nSubject: %s\n\nbody\n\n"

Files = Mapping[str, bytes]


def on_disk(root: Path, files: Files) -> Path:
    for name, octets in files.items():
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(octets)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root / "tree"


def in_zip(root: Path, files: Files) -> Path:
    with zipfile.ZipFile(root / "mail.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, octets in files.items():
            packed.writestr(name, octets)
    return root / "mail.zip"


def in_tar(root: Path, files: Files) -> Path:
    with tarfile.open(root / "mail.tar.gz", "w:gz") as tape:
        for name, octets in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(octets), 1_700_000_000
            tape.addfile(info, io.BytesIO(octets))
    return root / "mail.tar.gz"


PACKERS = [on_disk, in_zip, in_tar]


def read(path: Path, into: str = "") -> tuple[list[tuple[str, bytes]], list[Letter], int]:
    with opened(path) as tree:
        source = FileSource(tree, into)
        source.boxes()
        found, letters = [], []
        for letter in source.letters():
            letters.append(letter)
            found.append((letter.mailbox, b"".join(letter.pieces)))
        return found, letters, source.passed_over


@pytest.mark.parametrize("pack", PACKERS)
def test_a_folder_of_mailboxes(tmp_path: Path, pack: Callable[..., Path]) -> None:
    files = {
        "Inbox": MBOX % b"1",
        "Inbox.msf": b"an index",
        "Inbox.sbd/Deep.mbox": MBOX % b"2" + MBOX % b"3",
        "Apple.mbox/mbox": MBOX % b"4",
        "notes.txt": b"no mail",
        "letter.eml": b"Subject: 5\n\nbody\n",
    }
    found, _, passed_over = read(pack(tmp_path, files))
    assert sorted(found) == [
        ("Apple", b"Subject: 4\r\n\r\nbody\r\n"),
        ("INBOX", b"Subject: 1\r\n\r\nbody\r\n"),
        ("INBOX", b"Subject: 5\r\n\r\nbody\r\n"),
        ("INBOX/Deep", b"Subject: 2\r\n\r\nbody\r\n"),
        ("INBOX/Deep", b"Subject: 3\r\n\r\nbody\r\n"),
    ]
    assert passed_over == 2
    assert {box for box, _ in read(pack(tmp_path, files), "Old")[0]} == {
        "Old", "Old/Apple", "Old/INBOX", "Old/INBOX/Deep",
    }  # fmt: skip


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("above", ["", "Maildir/"])
def test_a_maildir(tmp_path: Path, pack: Callable[..., Path], above: str) -> None:
    if above and pack is on_disk:
        above = ""  # a folder is named itself, what an archive holds can't be
    files = {
        f"{above}cur/1.a:2,Sa": b"a: 1\n\n",
        f"{above}dovecot-keywords": b"0 $Work\n",
        f"{above}new/2.b": b"a: 2\n\n",
        f"{above}tmp/3.c": b"half\n",
        f"{above}.Entw&APw-rfe.2026/cur/4.d:2,F": b"a: 4\r\n\r\n",
        f"{above}.Entw&APw-rfe.2026/maildirfolder": b"",
    }
    found, letters, passed_over = read(pack(tmp_path, files))
    told = [(one[0], one[1], letter.flags) for one, letter in zip(found, letters, strict=True)]
    assert sorted(told, key=lambda one: one[1]) == [
        ("INBOX", b"a: 1\r\n\r\n", {SEEN, "$Work"}),
        ("INBOX", b"a: 2\r\n\r\n", frozenset()),
        ("Entwürfe/2026", b"a: 4\r\n\r\n", {FLAGGED}),
    ]
    assert passed_over == 0
    if pack is not in_zip:
        assert {letter.received for letter in letters} == {1_700_000_000.0}


def test_a_single_file(tmp_path: Path) -> None:
    box = tmp_path / "Archive.mbox"
    box.write_bytes(MBOX % b"1")
    assert [name for name, _ in read(box)[0]] == ["INBOX"]
    assert [name for name, _ in read(box, "Old")[0]] == ["Old"]
    letter = tmp_path / "letter"
    letter.write_bytes(b"Date: Mon, 23 Nov 2026 12:00:00 +0000\n\nbody\n")
    [one] = read(letter)[1]
    assert one.received == 1_795_435_200.0


def test_what_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="neither a file nor a folder"), opened(tmp_path / "x"):
        pass
    broken = in_zip(tmp_path, {"a.eml": b"x" * 5000})
    octets = bytearray(broken.read_bytes())
    octets[40:60] = b"!" * 20
    broken.write_bytes(octets)
    with pytest.raises((Unreadable, *UNREADABLE)):
        read(broken)


def test_folders_that_may_not_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = b"a: b\n\n"
    root = on_disk(
        tmp_path, {"a.eml": mail, ".Sent/cur/1": mail, "z/z.eml": mail, "b.eml": mail}
    )
    (root / "empty").mkdir()
    scandir, stat = os.scandir, Path.stat

    def refuse(path: str | Path) -> None:
        if Path(path).name in (".Sent", "z", "b.eml"):
            raise PermissionError(13, "Permission denied", str(path))

    def closed(path: str) -> Any:
        refuse(path)
        return scandir(path)

    def hidden(path: Path, **more: bool) -> os.stat_result:
        refuse(path)
        return stat(path, **more)

    monkeypatch.setattr(os, "scandir", closed)  # root may read whatever has no permissions
    monkeypatch.setattr(Path, "stat", hidden)
    with opened(root) as tree:
        source = FileSource(tree)
        source.boxes()
        letters = list(source.letters())
    refused = []
    for letter in letters:
        try:
            b"".join(letter.pieces)
        except PermissionError:
            refused.append(letter.place)
    assert sorted(letter.place for letter in letters) == [".Sent", "a.eml", "b.eml", "z"]
    assert sorted(refused) == [".Sent", "b.eml", "z"]


def test_a_folder_of_which_nothing_may_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(Unreadable, match="Permission denied"), opened(tmp_path) as tree:
        FileSource(tree).boxes()


def test_names_and_facts_that_were_written_down(tmp_path: Path) -> None:
    files = {
        "mailboxes.jsonl": b'{"folder": "%2E", "name": "./a", "role": "\\\\Sent"}\n[]\nnonsense\n',
        "%2E/1.eml": b"a: b\n\n",
        "%2E/messages.jsonl": b'{"file": "1.eml", "flags": ["\\\\Seen", 5], '
        b'"received": "2026-11-23T12:00:00+00:00"}\n{"file": []}\n[[[[\n',
    }
    with opened(on_disk(tmp_path, files)) as tree:
        source = FileSource(tree)
        [box] = source.boxes()
        assert (box.name, box.role, box.subscribed) == ("./a", "\\Sent", None)
        [letter] = source.letters()
    assert (letter.mailbox, letter.flags) == ("./a", {SEEN})
    assert letter.received == 1_795_435_200.0


def refused(path: Path) -> dict[str, str]:
    """Return what of an archive is refused, and why; nothing else is in it."""
    found = {}
    with opened(path) as tree:
        source = FileSource(tree)
        source.boxes()
        for letter in source.letters():
            with pytest.raises(OSError) as why:
                b"".join(letter.pieces)
            found[letter.place] = str(why.value)
    return found


def test_a_member_with_holes_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "mail.tar", "w") as tape:
        header = tarfile.TarInfo("a.mbox")
        header.size = 512
        octets = bytearray(header.tobuf(tarfile.GNU_FORMAT))
        octets[156:157] = tarfile.GNUTYPE_SPARSE
        octets[386:410] = b"%011o\0%011o\0" % (0, 512)
        octets[483:495] = b"\x80" + (10**12).to_bytes(11, "big")  # its size with its holes
        octets[148:156] = b" " * 8
        octets[148:156] = b"%06o\0 " % sum(octets)
        tape.fileobj.write(bytes(octets) + MBOX.ljust(512))  # type: ignore[union-attr]
        tape.offset += 1024
    why = refused(tmp_path / "mail.tar")
    assert why == {"a.mbox": "it has holes (a sparse member), which no mail has"}


@pytest.mark.parametrize("pack", [in_zip, in_tar])
@pytest.mark.parametrize("name", ["a.mbox", "a.eml"])
def test_a_member_that_is_packed_too_well_is_refused(
    tmp_path: Path, pack: Callable[..., Path], name: str
) -> None:
    path = pack(tmp_path, {name: MBOX + b"\0" * (70 << 20)})
    [why] = refused(path).values()
    assert "more than mail is ever packed to" in why


@pytest.mark.parametrize("pack", [in_zip, in_tar])
def test_a_member_that_the_disk_has_no_room_for_is_refused(
    tmp_path: Path, pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path, {"a.mbox": MBOX + os.urandom(5 << 20)})
    monkeypatch.setattr(trees, "LEFT_FREE", 1 << 62)  # more than any disk has
    [why] = refused(path).values()
    assert f"no room for a copy of {len(MBOX) + (5 << 20)} octets" in why


def test_a_packed_tar_is_read_from_its_front_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = os.urandom(20_000).hex().encode()
    files = {"mailboxes.jsonl": b"{}\n"}
    for folder in range(10):
        for name in range(3):
            files[f"f{folder}/{name}.eml"] = b"a: b\n\n" + body
        files[f"f{folder}/messages.jsonl"] = b'{"file": "1.eml", "flags": ["\\\\Seen"]}\n'
        files[f"{folder}.mbox"] = MBOX + body
        files[f"m{folder}/dovecot-keywords"] = b"0 $Work\n"
        files[f"m{folder}/cur/1:2,a"] = b"a: b\n\n" + body
        files[f"{folder}.txt"] = body
    path = in_tar(tmp_path, files)
    rewinds = []
    rewind = DecompressReader._rewind  # type: ignore[attr-defined]
    monkeypatch.setattr(
        DecompressReader, "_rewind", lambda self: (rewinds.append(1), rewind(self))
    )
    found, letters, passed_over = read(path)
    assert (len(found), passed_over) == (50, 10)
    assert sum(letter.flags == {SEEN} for letter in letters) == 10
    assert len(rewinds) <= 3  # to find out what it is, and between two passes


@given(
    st.dictionaries(
        st.lists(
            st.sampled_from(["cur", "new", ".a.b", "x", "..", "m.eml", "mbox", "a.mbox"]),
            min_size=1, max_size=4,
        ).map("/".join),
        st.sampled_from([b"", b"From ", MBOX, b"a: b\n\n", b"\0\xff" * 20, b"{}"]),
        max_size=6,
    )
)  # fmt: skip
def test_any_archive_is_read(tmp_path_factory: pytest.TempPathFactory, files: Files) -> None:
    path = in_zip(tmp_path_factory.mktemp("zip"), files)
    read(path)
