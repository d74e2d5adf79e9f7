"""Real programs work with mail by IMAP, and it stays what it was."""

from __future__ import annotations

import imaplib
import itertools
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplat.testing.programs import LOOPBACK, House

pytestmark = pytest.mark.interop

WAYS = pytest.mark.parametrize("way", ["imap", "starttls", "imaps"])
STORES = pytest.mark.parametrize("served", ["sqlite", "memory"], indirect=True)

MESSAGE = b"Subject: number %d\r\nFrom: alice@example.org\r\n\r\nBody of %d\r\n.\r\n"


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def served(
    request: Any, house: House, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """A house that keeps its mail where the parameter says."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield house
        return
    other = House(tmp_path_factory.mktemp("memory"))
    other.make({})
    text = other.config.read_text()
    other.config.write_text(text.replace('use = "indexed"', 'use = "memory"', 1))
    with other.start():
        yield other


NUMBERS = itertools.count()


@pytest.fixture
def account(served: House) -> tuple[House, str, str]:
    """A new account: its house, name and password."""
    name, password = f"imap{next(NUMBERS)}@{served.domain}", "a long enough secret"
    served.run("account", "add", name, "--password-stdin", said=password)
    return served, name, password


def connected(account: tuple[House, str, str], way: str = "imap") -> imaplib.IMAP4:
    house, name, password = account
    if way == "imaps":
        port = house.port("imaps")
        client: imaplib.IMAP4 = imaplib.IMAP4_SSL(LOOPBACK, port, ssl_context=trusting())
    else:
        client = imaplib.IMAP4(LOOPBACK, house.port("imap"))
        if way == "starttls":
            client.starttls(trusting())
    client.login(name, password)
    return client


@STORES
@WAYS
def test_imaplib(account: tuple[House, str, str], way: str) -> None:
    with connected(account, way) as client:
        assert "UIDPLUS" in client.capabilities or client.capability()
        for number in range(1, 4):
            status, _ = client.append("INBOX", "\\Seen", None, MESSAGE % (number, number))
            assert status == "OK"
        assert client.select() == ("OK", [b"3"])
        _, found = client.search(None, "SUBJECT", '"number 2"')
        assert found == [b"2"]
        _, fetched = client.fetch("2", "(RFC822 FLAGS)")
        assert fetched[0][1] == MESSAGE % (2, 2)
        _, fetched = client.uid("FETCH", "1:*", "(ENVELOPE BODYSTRUCTURE INTERNALDATE)")
        assert len(fetched) == 3
        client.store("1", "+FLAGS", "(\\Deleted)")
        assert client.expunge() == ("OK", [b"1"])
        client.create("Work")
        client.copy("1:2", "Work")
        assert client.status("Work", "(MESSAGES UIDNEXT)") == (
            "OK",
            [b"Work (MESSAGES 2 UIDNEXT 3)"],
        )
        client.rename("Work", "Old")
        _, listed = client.list()
        assert b'(\\HasNoChildren) "/" Old' in listed
        assert b'(\\HasNoChildren \\Sent) "/" Sent' in listed
        client.delete("Old")
        client.close()


@STORES
def test_imapclient(account: tuple[House, str, str]) -> None:
    imapclient = pytest.importorskip("imapclient")
    house, name, password = account
    with imapclient.IMAPClient(LOOPBACK, house.port("imap"), ssl=False) as client:
        client.login(name, password)
        client.create_folder("Entwürfe & mehr")
        client.append("Entwürfe & mehr", MESSAGE % (1, 1), flags=["$Work"])
        info = client.select_folder("Entwürfe & mehr")
        assert info[b"EXISTS"] == 1
        [(uid, data)] = client.fetch([1], ["FLAGS", "ENVELOPE", "BODY[]", "MODSEQ"]).items()
        assert data[b"ENVELOPE"].subject == b"number 1"
        assert data[b"BODY[]"] == MESSAGE % (1, 1)
        assert b"\\Seen" in data[b"FLAGS"]
        client.move([uid], "INBOX")
        assert client.folder_status("INBOX")[b"MESSAGES"] == 1
        client.select_folder("INBOX")
        client.idle()
        with connected(account) as other:
            other.append("INBOX", None, None, MESSAGE % (2, 2))
        assert (2, b"EXISTS") in client.idle_check(timeout=10)
        client.idle_done()
        assert client.search(["BODY", "Body of 2"]) == [2]
        assert client.search(["SUBJECT", "nümber"], "UTF-8") == []
        client.set_flags([2], [b"\\Deleted"])
        client.expunge([2])
        assert len(client.list_folders()) == 7
        assert client.namespace().personal == ((b"", b"/"),) or client.namespace()


@WAYS
def test_curl(run: Any, account: tuple[House, str, str], tmp_path: Path, way: str) -> None:
    house, name, password = account
    scheme = "imaps" if way == "imaps" else "imap"
    base = f"{scheme}://{LOOPBACK}:{house.port('imaps' if way == 'imaps' else 'imap')}"
    words = ["-sSk", "--user", f"{name}:{password}"]
    words += ["--ssl-reqd"] if way == "starttls" else []
    (tmp_path / "message").write_bytes(MESSAGE % (1, 1))
    run("curl", "curl", *words, "-T", tmp_path / "message", f"{base}/INBOX")
    assert run("curl", "curl", *words, f"{base}/INBOX;UID=1") == MESSAGE % (1, 1)
    said = run("curl", "curl", *words, f"{base}/INBOX", "-X", "FETCH 1:* (FLAGS)")
    assert b"FLAGS (" in said
    assert b"SEARCH 1" in run("curl", "curl", *words, f"{base}/INBOX?SUBJECT%20number")


@STORES
def test_mbsync(run: Any, account: tuple[House, str, str], tmp_path: Path) -> None:
    """Two ways: messages, flags and mailboxes of either side come to the other."""
    house, name, password = account
    with connected(account) as client:
        client.create("work")
        client.create("work/2026")
        for number in range(1, 30):
            client.append("work/2026", None, None, MESSAGE % (number, number))
    (tmp_path / "rc").write_text(
        f"IMAPAccount a\nHost {LOOPBACK}\nPort {house.port('imap')}\nUser {name}\n"
        f'Pass "{password}"\nSSLType None\nAuthMechs PLAIN\n\n'
        "IMAPStore far\nAccount a\n\n"
        f"MaildirStore near\nPath {tmp_path}/mail/\nInbox {tmp_path}/mail/INBOX\n"
        "SubFolders Verbatim\n\n"
        "Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\n"
        "Sync All\nSyncState *\n"
    )
    (tmp_path / "mail").mkdir()

    def sync() -> None:
        run("isync", "mbsync", "-c", tmp_path / "rc", "-a")

    sync()
    folder = tmp_path / "mail" / "work" / "2026"
    letters = sorted((folder / "new").iterdir()) + sorted((folder / "cur").iterdir())
    assert len(letters) == 29
    assert sorted(map(number_in, letters)) == list(range(1, 30))
    seen = letters[0]
    seen.rename(folder / "cur" / f"{seen.name.partition(':')[0]}:2,FS")
    letters[1].unlink()
    (folder / "new" / "1.mine.here").write_bytes(b"Subject: mine\n\nnew\n")
    with connected(account) as client:
        client.select("work/2026")
        client.store("29", "+FLAGS", "(\\Answered)")
        client.store("28", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.append("work/2026", None, None, MESSAGE % (30, 30))
    sync()
    with connected(account) as client:
        client.select("work/2026")
        _, [flagged] = client.search(None, "FLAGGED", "SEEN")
        _, [mine] = client.search(None, "SUBJECT", "mine")
        _, [everything] = client.search(None, "ALL")
        _, [again] = client.search(None, "SUBJECT", '"number 30"')
    assert len(flagged.split()) == len(mine.split()) == len(again.split()) == 1
    assert len(everything.split()) == 29
    names = [path.name for path in folder.rglob("*") if path.parent.name in ("cur", "new")]
    assert len(names) == 29
    assert sum("R" in name.partition(":2,")[2] for name in names) == 1


def number_in(path: Path) -> int:
    found = re.search(rb"Subject: number (\d+)", path.read_bytes())
    assert found
    return int(found[1])


def test_many_sessions_of_one_account(account: tuple[House, str, str]) -> None:
    """Eight clients append at the same time, and one numbering comes of it."""
    failures: list[BaseException] = []

    def append(start: int) -> None:
        try:
            with connected(account) as client:
                for number in range(start, start + 20):
                    assert (
                        client.append("INBOX", None, None, MESSAGE % (number, number))[0]
                        == "OK"
                    )
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=append, args=(20 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with connected(account) as client:
        assert client.select() == ("OK", [b"160"])
        _, fetched = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    subjects = [one[1] for one in fetched if isinstance(one, tuple)]
    assert len(set(subjects)) == 160
