"""Keys are kept where only we read them, follow one another, and sign what is submitted."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
import pytest

from mailplat.app.operations import OPERATIONS, Desk
from mailplat.app.service import read_files_of
from mailplat.interfaces import ISigner
from mailplat.mail.errors import AlreadyExists, BadParameter, NotPermitted
from mailplat.pytest_plugin import OUTBOUND, PASSWORD, MemoryHouse
from mailplat.trust.keys import Algorithm, PublicKey, SigningKey

DOMAIN = "example.org"
ED = ["ed25519-sha256"]


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house()
    house.add_account("alice@example.org")
    return house


def again(house: MemoryHouse, operation: str, **arguments: Any) -> Any:
    async def run() -> Any:
        return await OPERATIONS[operation](Desk(house.tree, repeated=True), **arguments)

    return house.do(run())


def phases(house: MemoryHouse) -> dict[str, str]:
    return {row["selector"]: row["phase"] for row in house.operate("dkim.list")}


def folder_of(house: MemoryHouse) -> Path:
    return house.foundation.state / "dkim" / DOMAIN


def signer_of(house: MemoryHouse) -> ISigner:
    return house.tree.find(ISigner)


def test_a_key_waits_signs_and_retires(house: MemoryHouse) -> None:
    assert house.operate("dkim.list") == []
    rows = house.operate("dkim.add", domain=DOMAIN, bits=1024)
    [ed25519, rsa] = phases(house)
    assert rsa.startswith("rsa-")
    assert ed25519.startswith("ed25519-")
    assert {row["type"] for row in rows} == {"TXT"}
    for row in rows:
        PublicKey.read(row["value"].replace('" "', "").strip('"').encode())
    assert signer_of(house).domain_for(DOMAIN) == ""
    changed = house.operate("dkim.rotate", domain=DOMAIN, published=True)
    assert [row["phase"] for row in changed] == ["signing", "signing"]
    assert signer_of(house).domain_for(f"a.b.{DOMAIN}") == DOMAIN
    following = house.operate("dkim.rotate", domain=DOMAIN, bits=1024)
    assert house.operate("dkim.rotate", domain=DOMAIN, bits=1024) == following
    assert sorted(phases(house).values()) == ["signing"] * 2 + ["waiting"] * 2
    changed = house.operate("dkim.rotate", domain=DOMAIN, published=True)
    assert [row["phase"] for row in changed] == ["signing"] * 2 + ["retired"] * 2
    retired = [row for row in house.operate("dkim.list") if row["phase"] == "retired"]
    assert {row["selector"] for row in retired} == {rsa, ed25519}
    for row in retired:
        assert row["removable"] > row["since"]
        gone = house.operate("dkim.remove", domain=DOMAIN, selector=row["selector"])
        assert gone["removable"] == row["removable"]
    assert set(phases(house).values()) == {"signing"}
    assert len(list(folder_of(house).iterdir())) == 2


def test_only_we_can_read_them(house: MemoryHouse) -> None:
    house.operate("dkim.add", domain=DOMAIN, algorithms=ED)
    [file] = folder_of(house).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    for folder in (file.parent, file.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert b"PRIVATE" not in str(house.operate("dkim.list")).encode()


def test_an_algorithm_is_renewed_alone(house: MemoryHouse) -> None:
    house.operate("dkim.add", domain=DOMAIN, bits=1024)
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    house.operate("dkim.add", domain=DOMAIN, algorithms=ED, selector="New-One")
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    found = phases(house)
    assert found.pop("new-one") == "signing"
    assert {name.partition("-")[0]: phase for name, phase in found.items()} == {
        "rsa": "signing",
        "ed25519": "retired",
    }


def test_after_a_server_died_nothing_is_made_twice(house: MemoryHouse) -> None:
    made = house.operate("dkim.add", domain=DOMAIN, algorithms=ED)
    assert again(house, "dkim.add", domain=DOMAIN, algorithms=ED) == made
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    assert again(house, "dkim.rotate", domain=DOMAIN, published=True) == []
    [selector] = phases(house)
    house.operate("dkim.rotate", domain=DOMAIN)
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    house.operate("dkim.remove", domain=DOMAIN, selector=selector)
    again(house, "dkim.remove", domain=DOMAIN, selector=selector)


def test_what_is_refused(house: MemoryHouse) -> None:
    operate = house.operate
    for arguments in (
        {"domain": "example.net"},
        {"domain": DOMAIN, "algorithms": ["rsa-sha1"]},
        {"domain": DOMAIN, "bits": 512},
        {"domain": DOMAIN, "algorithms": ED, "selector": "../x"},
        {"domain": DOMAIN, "selector": "one-for-two"},
    ):
        with pytest.raises(BadParameter):
            operate("dkim.add", **arguments)
    assert house.operate("dkim.list") == []
    for published in (False, True):
        with pytest.raises(BadParameter):
            operate("dkim.rotate", domain=DOMAIN, published=published)
    operate("dkim.add", domain=DOMAIN, algorithms=ED, selector="a")
    with pytest.raises(AlreadyExists):
        operate("dkim.add", domain=DOMAIN, algorithms=ED, selector="A")
    operate("dkim.rotate", domain=DOMAIN, published=True)
    with pytest.raises(NotPermitted, match="rotate it first"):
        operate("dkim.remove", domain=DOMAIN, selector="a")
    with pytest.raises(BadParameter):
        operate("dkim.remove", domain=DOMAIN, selector="b")


def test_keys_of_other_programs_sign(house: MemoryHouse) -> None:
    folder = folder_of(house)
    folder.mkdir(parents=True)
    key = SigningKey.new(DOMAIN, "mail", Algorithm.ED25519_SHA256)
    (folder / "mail.pem").write_bytes(key.pem)
    (folder / "broken.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    (folder / "odd.pem").write_bytes(b"# signing since whenever\n" + key.pem)
    (folder / "with space.pem").write_bytes(key.pem)
    house.do(read_files_of(house.tree))
    assert phases(house) == {"mail": "signing"}
    assert signer_of(house).domain_for(DOMAIN) == DOMAIN
    house.operate("dkim.rotate", domain=DOMAIN)
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    assert phases(house)["mail"] == "retired"


# All together ----------------------------------------------------------------

LETTER = (
    b"From: Alice <alice@example.org>\r\nTo: alice@example.org\r\nSubject: lies\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nl\xc3\xbcgen haben kurze Beine\r\n"
)


def submit(house: MemoryHouse, octets: bytes) -> None:
    client = house.connect("submission")
    secret = base64.b64encode(f"\0alice@example.org\0{PASSWORD}".encode())
    for line, code in (
        (b"EHLO laptop.home", b"250"),
        (b"AUTH PLAIN " + secret, b"235"),
        (b"MAIL FROM:<alice@example.org> BODY=8BITMIME", b"250"),
        (b"RCPT TO:<alice@example.org>", b"250"),
        (b"DATA", b"354"),
        (octets + b".", b"250"),
    ):
        client.heard()
        assert client.say(line + b"\r\n").startswith(code)


def test_what_is_submitted_is_signed_and_verified_by_others(
    mailplat_house: Callable[..., MemoryHouse],
) -> None:
    hiding = '[filters.complete]\nuse = "complete"\nhide_client = true\n'
    house = mailplat_house(hiding, outbound=[*OUTBOUND, "complete", "sign"])
    house.add_account("alice@example.org")
    submit(house, LETTER)
    rows = house.operate("dkim.add", domain=DOMAIN)
    house.operate("dkim.rotate", domain=DOMAIN, published=True)
    submit(house, LETTER)
    before, after = house.messages("alice@example.org")
    assert b"DKIM-Signature:" not in before
    assert b"kurze" in before
    assert b"\r\nMessage-ID: <" in before
    assert b"laptop.home" not in before
    octets = after[after.index(b"DKIM-Signature:") :]
    assert octets.isascii()
    records = {row["name"].encode(): row["value"].replace('" "', "").strip('"') for row in rows}
    for index in range(2):
        verifier = dkim.DKIM(octets)
        assert verifier.verify(index, lambda name, timeout=5: records[name].encode())
    [newest, _] = house.operate("message.explain", message="alice@example.org")
    assert "signed = rsa-" in newest["text"] or "signed = ed25519-" in newest["text"]
