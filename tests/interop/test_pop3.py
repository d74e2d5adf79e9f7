"""Real programs fetch a message by POP3, and it is the one that was sent."""

from __future__ import annotations

import poplib
import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.testing.programs import LOOPBACK, House

pytestmark = pytest.mark.interop

WAYS = pytest.mark.parametrize("way", ["pop3", "stls", "pop3s"])


@pytest.fixture
def reader(house: House, person, message_file: Path):
    """Somebody with one message."""
    with smtplib.SMTP(LOOPBACK, house.port("smtp")) as client:
        client.sendmail("alice@example.net", [person.address], message_file.read_bytes())
    return person


def port_of(house: House, way: str) -> int:
    return house.port("pop3s" if way == "pop3s" else "pop3")


@WAYS
def test_curl(run, house: House, reader, assert_same, way: str) -> None:
    scheme = "pop3s" if way == "pop3s" else "pop3"
    words = ["--ssl-reqd"] if way == "stls" else []
    url = f"{scheme}://{LOOPBACK}:{port_of(house, way)}/1"
    login = f"{reader.address}:{reader.password}"
    assert_same(run("curl", "curl", "-sSk", *words, "--user", login, url))


@WAYS
def test_fetchmail(run, house: House, reader, assert_same, tmp_path: Path, way: str) -> None:
    security = {
        "pop3": "sslproto ''",
        "stls": "sslproto 'auto' no sslcertck",
        "pop3s": "ssl no sslcertck",
    }[way]
    fetched, rc = tmp_path / "fetched", tmp_path / "fetchmailrc"
    rc.write_text(
        f"poll {LOOPBACK} protocol POP3 port {port_of(house, way)} uidl\n"
        f"user '{reader.address}' password '{reader.password}' {security}\n"
        f"no rewrite fetchall mda 'cat >> {fetched}'\n"
    )
    rc.chmod(0o600)
    run("fetchmail", "fetchmail", "-f", rc, "--auth", "password", "--invisible", "--nosyslog")
    assert_same(fetched.read_bytes())
    assert reader.received() == []


@pytest.mark.parametrize("way", ["pop3", "pop3s"])
def test_getmail(run, house: House, reader, assert_same, tmp_path: Path, way: str) -> None:
    fetched = tmp_path / "fetched"
    kind = {"pop3": "SimplePOP3Retriever", "pop3s": "SimplePOP3SSLRetriever"}[way]
    (tmp_path / "rc").write_text(
        f"[retriever]\ntype = {kind}\nserver = {LOOPBACK}\nport = {port_of(house, way)}\n"
        f"username = {reader.address}\npassword = {reader.password}\n"
        "[destination]\ntype = MDA_external\npath = /usr/bin/tee\n"
        f'arguments = ("{fetched}",)\nallow_root_commands = true\n'
        "[options]\ndelete = true\ndelivered_to = false\nreceived = false\n"
    )
    run("getmail6", "getmail", f"--getmaildir={tmp_path}", "--rcfile=rc")
    assert_same(fetched.read_bytes())
    assert reader.received() == []


@WAYS
def test_mpop(run, house: House, reader, assert_same, tmp_path: Path, way: str) -> None:
    fetched = tmp_path / "fetched"
    run(
        *("mpop", "mpop", f"--host={LOOPBACK}", f"--port={port_of(house, way)}"),
        *(f"--user={reader.address}", f"--passwordeval=echo {reader.password}"),
        f"--tls={'off' if way == 'pop3' else 'on'}",
        *([] if way == "pop3" else ["--tls-certcheck=off"]),
        f"--tls-starttls={'on' if way == 'stls' else 'off'}",
        *("--auth=user", "--keep=off", "--received-header=off"),
        *(f"--uidls-file={tmp_path}/uidls", f"--delivery=mda,cat >> {fetched}"),
    )
    assert_same(fetched.read_bytes())
    assert reader.received() == []


@pytest.fixture
def poplib_client(house: House) -> Callable[[str], poplib.POP3]:
    def poplib_client(way: str) -> poplib.POP3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if way == "pop3s":
            return poplib.POP3_SSL(LOOPBACK, port_of(house, way), context=context)
        client = poplib.POP3(LOOPBACK, port_of(house, way))
        if way == "stls":
            client.stls(context)
        return client

    return poplib_client


@WAYS
def test_poplib(poplib_client, reader, assert_same, way: str) -> None:
    client = poplib_client(way)
    assert "UIDL" in client.capa()
    client.user(reader.address)
    client.pass_(reader.password)
    count, size = client.stat()
    assert count == 1
    _, lines, octets = client.retr(1)
    assert octets == size
    assert_same(b"".join(line + b"\r\n" for line in lines))
    _, top, _ = client.top(1, 0)
    assert top == lines[: lines.index(b"") + 1]
    _, [listed], _ = client.uidl()
    client.dele(1)
    client.rset()
    client.quit()
    again = poplib_client(way)
    again.user(reader.address)
    again.pass_(reader.password)
    assert again.uidl()[1] == [listed]
    again.quit()


def test_a_wrong_password_is_refused(poplib_client, reader) -> None:
    client = poplib_client("pop3s")
    client.user(reader.address)
    with pytest.raises(poplib.error_proto, match="AUTH"):
        client.pass_("not the password")
    client.close()
