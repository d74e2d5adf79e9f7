"""SASL conversations and their framing."""

from __future__ import annotations

from base64 import b64encode

import pytest

from mailplat.mail.errors import BadSyntax, LoginAborted, UnknownMechanism
from mailplat.wire import sasl
from mailplat.wire.sasl import Exchange, Password


def test_plain_with_an_initial_response() -> None:
    assert Exchange("PLAIN").step(b"\0alice\0secret") == Password("alice", b"secret")


def test_plain_without_one() -> None:
    exchange = Exchange("PLAIN")
    assert exchange.step(None) == b""
    assert exchange.step(b"bob\0alice\0s\xc3\xa9") == Password("alice", b"s\xc3\xa9", "bob")


def test_login() -> None:
    exchange = Exchange("LOGIN")
    assert exchange.step(None) == b"Username:"
    assert exchange.step(b"alice") == b"Password:"
    assert exchange.step(b"secret") == Password("alice", b"secret")


def test_login_with_the_name_at_once() -> None:
    exchange = Exchange("LOGIN")
    assert exchange.step(b"alice") == b"Password:"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"alice\0secret",
        b"\0alice\0sec\0ret",
        b"\0\0secret",
        b"\0alice\0",
        b"\0\xff\0secret",
        b"\xff\0alice\0secret",
        b"\0" + b"a" * 321 + b"\0secret",
    ],
)
def test_words_that_make_no_sense(response: bytes) -> None:
    with pytest.raises(BadSyntax):
        Exchange("PLAIN").step(response)


def test_an_exchange_needs_responses() -> None:
    exchange = Exchange("PLAIN")
    exchange.step(None)
    with pytest.raises(BadSyntax):
        exchange.step(None)


def test_unknown_mechanisms() -> None:
    with pytest.raises(UnknownMechanism):
        Exchange("CRAM-MD5")


def test_a_password_shows_itself_to_nobody() -> None:
    assert "secret" not in repr(Password("alice", b"secret"))


def test_framing() -> None:
    assert sasl.response(b64encode(b"\0a\0b")) == b"\0a\0b"
    assert sasl.response(b"") == b""
    assert sasl.initial_response(b"=") == b""
    assert sasl.initial_response(None) is None
    assert sasl.initial_response(b64encode(b"x")) == b"x"
    assert sasl.challenge(b"Username:") == b"VXNlcm5hbWU6"


@pytest.mark.parametrize(
    "line", [b"=", b"a", b"YQ", b"Y Q=", b"YQ==\n", b"YQ==x", b"%", b"YQ==YQ=="]
)
def test_no_base64(line: bytes) -> None:
    with pytest.raises(BadSyntax):
        sasl.response(line)


def test_an_asterisk_cancels() -> None:
    with pytest.raises(LoginAborted):
        sasl.response(b"*")
