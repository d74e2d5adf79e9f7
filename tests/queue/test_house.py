"""The queue in a whole house: mail comes in by SMTP, and goes where routes lead."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mailplat.app.cli import main
from mailplat.app.cli.places import Office
from mailplat.app.config import check
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import discover
from mailplat.mail.errors import MailError
from mailplat.mail.queued import Selection, Standing
from mailplat.mail.status import DELIVERED, Status
from mailplat.pytest_plugin import PASSWORD, MemoryHouse, configuration_text
from mailplat.queue.queue import Queue

ALICE = "alice@example.org"
LETTER = b"From: alice@example.org\r\nSubject: hello\r\n\r\nhello\r\n"
CARRIER = '''
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED, Status

tried = []
answers = []


class Carrier:
    """Carries mail nowhere, and says what it was told to say."""

    async def attempt(self, job):
        tried.append([str(one.address) for one in job.envelope.recipients])
        status = answers.pop(0) if answers else DELIVERED
        return [Outcome(status, "said so", reply=f"{status} so") for _ in job.envelope.recipients]


class Hold:
    """Wants to hold what comes."""

    def judge(self, transit):
        from mailplat.mail.errors import Refused
        from mailplat.mail.transit import Verdict

        return Verdict.hold(Refused("look at this"))
'''
ROUTES = """
[agents.carrier]
use = "{module}:Carrier"

[[routes]]
match = ["*.example.net", "example.net"]
agent = "carrier"

[[routes]]
match = "suspect.example"
agent = "hold"
reason = "who is that"

[[routes]]
match = "gone.example"
agent = "fail"
reason = "They have moved"
"""
names = iter(range(1000))


@pytest.fixture
def carrier(tmp_path: Path) -> str:
    """The name of a module with an agent and a filter."""
    name = f"carrier{next(names)}"
    (tmp_path / f"{name}.py").write_text(CARRIER)
    return name


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse], carrier: str) -> MemoryHouse:
    house = mailplat_house(ROUTES.replace("{module}", carrier))
    house.add_account(ALICE)
    return house


def submit(house: MemoryHouse, *to: str) -> str:
    """Send a letter as Alice, and return the server's last answer."""
    client = house.connect("submission")
    secret = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode())
    client.say(b"EHLO here\r\n")
    assert client.say(b"AUTH PLAIN " + secret + b"\r\n").startswith(b"235")
    answer = client.say(b"MAIL FROM:<alice@example.org>\r\n")
    for one in to:
        answer = client.say(b"RCPT TO:<" + one.encode() + b">\r\n")
        if not answer.startswith(b"250"):
            return answer.decode()
    client.say(b"DATA\r\n")
    answer = client.say(LETTER + b".\r\n")
    settle(house)
    return answer.decode()


def settle(house: MemoryHouse) -> None:
    """Let the queue do what there is to do."""
    for _ in range(20):
        house.clock.advance(0)


def queued(house: MemoryHouse) -> list[tuple[str, Standing]]:
    """Return who is in the queue, and how it stands."""
    found = house.do(house.tree.find(Queue).messages(Selection()))
    return [(one.address, one.standing) for message in found for one in message.recipients]


def module(name: str) -> Any:
    return sys.modules[name]


def test_a_route_carries_what_those_send_who_have_logged_in(
    house: MemoryHouse, carrier: str
) -> None:
    assert submit(house, "x@example.net", "y@mail.example.net", ALICE).startswith("250")
    assert module(carrier).tried == [["x@example.net"], ["y@mail.example.net"]]
    assert len(house.messages(ALICE)) == 1
    assert not queued(house)


def test_strangers_are_not_relayed_for(house: MemoryHouse) -> None:
    answer = house.deliver(LETTER, to="x@example.net", sender="eve@example.com")
    assert answer.startswith("550 5.7.1")


def test_where_no_route_leads_nothing_goes(house: MemoryHouse) -> None:
    assert submit(house, "x@example.com").startswith("550 5.4.4")


def test_what_fails_comes_back(house: MemoryHouse, carrier: str) -> None:
    submit(house)  # which imports the module
    module(carrier).answers.append(Status(5, 1, 1))
    assert submit(house, "x@example.net").startswith("250")
    [report] = house.messages(ALICE)
    assert b"Action: failed" in report
    assert b"x@example.net" in report


def test_a_route_may_hold_or_give_up(house: MemoryHouse) -> None:
    assert submit(house, "x@suspect.example", "y@gone.example").startswith("250")
    assert ("x@suspect.example", Standing.HELD) in queued(house)
    [report] = house.messages(ALICE)
    assert b"They have moved" in report


def test_what_a_filter_holds_waits_for_the_operator(
    mailplat_house: Callable[..., MemoryHouse], carrier: str
) -> None:
    text = f'[filters.hold]\nuse = "{carrier}:Hold"'
    house = mailplat_house(text, inbound=["recipients", "hold"])
    house.add_account(ALICE)
    assert house.deliver(LETTER, to=ALICE, sender="eve@example.com").startswith("250")
    assert queued(house) == [(ALICE, Standing.HELD)]
    assert not house.messages(ALICE)
    assert house.do(house.tree.find(Queue).release(Selection())) == 1
    settle(house)
    assert len(house.messages(ALICE)) == 1
    assert not queued(house)


def mistakes(text: str) -> Sequence[str]:
    """Return what is wrong with a configuration."""
    with pytest.raises(BadConfiguration) as found:
        check(configuration_text(text), Path("mailplat.toml"), discover())
    return [str(one) for one in found.value.mistakes]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[routes]]\nagent = "pigeon"', "there is no agent 'pigeon'"),
        ('[[routes]]\nmatch = "*"', "agent"),
        ('[[routes]]\nmatch = "a b"\nagent = "hold"', "expected *, DOMAIN"),
        ('[[routes]]\nagent = "discard"\nreason = "x"', "only where the agent is hold or fail"),
        ('[routes]\nagent = "hold"', "expected tables [[routes]]"),
        ('[[routes]]\nagent = "hold"\nlarger_than = 5', "size"),
        ('[queue.destinations."a b"]\nat_once = 1', "expected a domain"),
        ("[queue]\nleast_attempts = 0", "least_attempts"),
    ],
)
def test_mistakes_in_routes_are_named(text: str, said: str) -> None:
    [mistake] = mistakes(text)
    assert said in mistake


# The operator ----------------------------------------------------------------


@pytest.fixture
def run(house: MemoryHouse, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command of the operator's in the house, and return what it prints."""

    def call(_office: Office, operation: str, **arguments: Any) -> Any:
        answer = house.operate(operation, **json.loads(json.dumps(arguments)))
        settle(house)
        return json.loads(json.dumps(answer))

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["--config", "mailplat.toml", *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.output

    monkeypatch.setattr(Office, "call", call)
    return run


def test_commands_about_the_queue(house: MemoryHouse, run: Callable[..., str]) -> None:
    assert run("queue", "list") == ""
    submit(house, "x@suspect.example")
    [line] = run("queue", "list").splitlines()
    words = line.split()
    name = words[0]
    assert words[-7:-4] == [ALICE, "x@suspect.example", "held"] or "held" in words
    assert "who is that" in line
    shown = run("queue", "show", name)
    assert "Subject: hello" in shown
    assert "who is that" in shown
    assert json.loads(run("queue", "list", "--json"))[0]["recipients"][0]["agent"] == "hold"
    assert run("queue", "list", "--standing", "deferred") == ""
    assert "messages  1" in run("queue", "stats")
    assert json.loads(run("queue", "stats", "--json"))["by_standing"] == {"held": 1}
    assert "say --all" in run("queue", "remove")
    assert run("queue", "hold", name, "--why", "more") == "1 message is held\n"
    assert run("queue", "retry", "--all") == "0 attempts come now\n"
    assert (
        run("queue", "reroute", "--to", "x@suspect.example") == "0 recipients go another way\n"
    )
    assert run("queue", "remove", "--domain", "suspect.example", "--report") == (
        "1 message is gone\n"
    )
    [report] = house.messages(ALICE)
    assert b"x@suspect.example" in report
    with pytest.raises(MailError):
        house.operate("queue.show", message=name)
    with pytest.raises(MailError):
        house.operate("queue.list", chosen={"standing": "upright"})


def test_what_is_released_goes_by_the_next_route(
    house: MemoryHouse, run: Callable[..., str]
) -> None:
    """Here there is none, so it comes back."""
    submit(house, "x@suspect.example")
    assert run("queue", "release", "--all") == "1 message goes on\n"
    [report] = house.messages(ALICE)
    assert b"Status: 5.4.4" in report


def test_a_way_is_told_without_sending(house: MemoryHouse, run: Callable[..., str]) -> None:
    house.operate("alias.add", source="info@example.org", targets=[ALICE])
    for address, said in (
        ("x@example.net", "by carrier, since route 1: match"),
        ("x@suspect.example", "by hold, since route 2: match suspect.example: hold; held: who"),
        ("x@gone.example", "by fail, since route 3"),
        ("x@example.com", "nowhere: it would be refused, since no route leads there"),
        (ALICE, f"by local to {ALICE}, since example.org is local"),
        ("info@example.org", f"by local to {ALICE}, by alias info@example.org"),
        ("nobody@example.org", "by local to nobody: it would be refused"),
    ):
        assert said in run("route", address, "--from", ALICE), address


def test_explain_tells_what_the_queue_did(
    house: MemoryHouse, carrier: str, run: Callable[..., str]
) -> None:
    submit(house)
    module(carrier).answers += [Status(4, 2, 2), Status(5, 1, 1)]
    submit(house, "x@example.net")
    [row] = json.loads(run("queue", "list", "--json"))
    text = run("explain", row["id"])
    for said in (
        "2.0.0",
        "queued",
        "attempts",
        "4.2.2",
        "tried again",
        "deferred",
        "by carrier",
    ):
        assert said in text
    run("queue", "retry", row["id"])
    text = run("explain", row["id"])
    assert "failed, reported as " in text
    assert "in the queue" not in text
    report = text.partition("reported as ")[2].split()[0]
    assert "made here" in run("explain", report)
    module(carrier).answers += [DELIVERED, Status(5, 1, 1)]
    submit(house, "y@example.net", "z@other.example.net")
    lines = run("explain", "y@example.net").splitlines()
    [served] = [one for one in lines if "y@example.net" in one and "2.1.5" in one]
    assert "reported" not in served
    with pytest.raises(MailError, match="knows anything"):
        house.operate("message.explain", message="nothing")
