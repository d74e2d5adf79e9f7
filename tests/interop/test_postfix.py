"""A real Postfix relays to us, over STARTTLS and by LMTP."""

from __future__ import annotations

import contextlib
import smtplib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mailplat.testing.programs import LOOPBACK, House, Postfix, Program, wait_until

pytestmark = pytest.mark.interop

NEXT_HOPS = {
    "smtp": "relay:[{host}]:{port}",
    "lmtp": "lmtp:inet:{host}:{port}",
}


@pytest.fixture
def relay(real, house: House):
    """Start a Postfix that sends all mail for the house's domain to one of its services."""
    real("postfix", "postfix")
    with contextlib.ExitStack() as stack:
        # Not below pytest's own folder: Postfix's processes reach their queue as another user.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="postfix."))

        def relay(service: str, **main: str) -> tuple[int, Program]:
            next_hop = NEXT_HOPS[service].format(host=LOOPBACK, port=house.port(service))
            postfix = Postfix(
                Path(folder),
                main={
                    "myhostname": "relay.example.net",
                    "virtual_mailbox_domains": "",
                    "relay_domains": house.domain,
                    "relay_recipient_maps": "",
                    "transport_maps": f"inline:{{ {house.domain}={next_hop} }}",
                    "smtp_tls_loglevel": "1",
                    **main,
                },
            )
            return postfix.port, stack.enter_context(postfix.start())

        yield relay


def send(port: int, recipients: list[str], message: bytes) -> None:
    with smtplib.SMTP(LOOPBACK, port) as client:
        client.sendmail("alice@example.net", recipients, message, ["BODY=8BITMIME"])


def outcome(program: Program, address: str) -> str:
    """Wait for Postfix's line about a recipient, and return it."""

    def lines() -> list[str]:
        text = program.output()
        return [line for line in text.splitlines() if f"to=<{address}>" in line]

    wait_until(lambda: bool(lines()), f"outcome for {address}")
    return lines()[0]


def test_relay_over_starttls(
    relay, person, assert_same: Callable[[bytes], None], message_file: Path
) -> None:
    port, postfix = relay("smtp", smtp_tls_security_level="encrypt")
    send(port, [person.address], message_file.read_bytes())
    assert "status=sent (250 2." in outcome(postfix, person.address)
    assert "TLS connection established" in postfix.output()
    [message] = person.received()
    assert_same(message)
    assert b"with ESMTPS" in message.partition(b"\r\n\r\n")[0]


def test_relay_of_an_unknown_recipient_bounces_at_once(
    relay, house: House, message_file: Path
) -> None:
    port, postfix = relay("smtp", smtp_tls_security_level="encrypt")
    send(port, [f"nobody@{house.domain}"], message_file.read_bytes())
    line = outcome(postfix, f"nobody@{house.domain}")
    assert "dsn=5.1.1, status=bounced" in line


def test_lmtp_answers_for_each_recipient(
    relay,
    house: House,
    new_person,
    assert_same: Callable[[bytes], None],
    message_file: Path,
) -> None:
    port, postfix = relay("lmtp")
    people = [new_person(), new_person()]
    nobody = f"nobody@{house.domain}"
    send(port, [people[0].address, nobody, people[1].address], message_file.read_bytes())
    assert "status=bounced" in outcome(postfix, nobody)
    for person in people:
        assert "status=sent (250 2." in outcome(postfix, person.address)
        [message] = person.received()
        assert_same(message)


def test_many_messages_over_one_connection(relay, new_person, message_file: Path) -> None:
    """Postfix keeps a connection open and sends the next message through it."""
    port, postfix = relay(
        "smtp", smtp_tls_security_level="may", smtp_connection_cache_on_demand="yes"
    )
    person = new_person()
    for _ in range(20):
        send(port, [person.address], message_file.read_bytes())
    wait_until(lambda: postfix.output().count("status=sent") == 20, "20 deliveries")
    assert len(person.received()) == 20
