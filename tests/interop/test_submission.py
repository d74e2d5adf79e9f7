"""Real programs submit a message with TLS and login, and it arrives unspoiled."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.testing.programs import LOOPBACK, House

pytestmark = pytest.mark.interop

TLS = pytest.mark.parametrize("service", ["submission", "submissions"])


@pytest.fixture
def arrived(person, assert_same) -> Callable[[str], None]:
    """Check that the one message is there, and came by the way its trace field tells."""

    def arrived() -> None:
        [message] = person.received()
        assert_same(message)
        assert b"with ESMTPSA" in message.partition(b"\r\n\r\n")[0]

    return arrived


@TLS
def test_curl(run, house: House, person, arrived, message_file: Path, service: str) -> None:
    scheme = {"submission": "smtp", "submissions": "smtps"}[service]
    run(
        *("curl", "curl", "-sSk", "--ssl-reqd"),
        *("--url", f"{scheme}://{LOOPBACK}:{house.port(service)}/client.example.net"),
        *("--user", f"{person.address}:{person.password}"),
        *("--mail-from", person.address, "--mail-rcpt", person.address, "-T", message_file),
    )
    arrived()


@TLS
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(
    run, house: House, person, arrived, unix_message_file: Path, service: str, mechanism: str
) -> None:
    run(
        *("swaks", "swaks", "--server", LOOPBACK, "--port", house.port(service)),
        "--tls" if service == "submission" else "--tls-on-connect",
        *("--auth", mechanism, "--auth-user", person.address),
        *("--auth-password", person.password),
        *("--from", person.address, "--to", person.address),
        *("--data", unix_message_file.read_text().removesuffix("\n")),  # it adds the last one
    )
    arrived()


@TLS
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_msmtp(
    run, house: House, person, arrived, unix_message_file: Path, service: str, mechanism: str
) -> None:
    run(
        *("msmtp", "msmtp", f"--host={LOOPBACK}", f"--port={house.port(service)}"),
        *("--tls=on", "--tls-certcheck=off"),
        f"--tls-starttls={'on' if service == 'submission' else 'off'}",
        *(f"--auth={mechanism}", f"--user={person.address}"),
        f"--passwordeval=echo {person.password}",
        *(f"--from={person.address}", "--", person.address),
        said=unix_message_file.read_bytes(),
    )
    arrived()


@TLS
def test_smtplib(house: House, person, arrived, message_file: Path, service: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = house.port(service)
    with (
        smtplib.SMTP(LOOPBACK, port)
        if service == "submission"
        else smtplib.SMTP_SSL(LOOPBACK, port, context=context)
    ) as client:
        if service == "submission":
            client.starttls(context=context)
        client.login(person.address, person.password)
        content = message_file.read_bytes()
        client.sendmail(person.address, [person.address], content, ["BODY=8BITMIME"])
    arrived()


def test_a_stranger_may_not_relay(house: House) -> None:
    with smtplib.SMTP(LOOPBACK, house.port("smtp")) as client:
        client.ehlo()
        client.mail("stranger@example.net")
        code, _ = client.rcpt("somebody@elsewhere.example.com")
        assert 550 <= code <= 554
