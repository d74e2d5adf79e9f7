"""What an operator does, done once and done again after a server has died."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailplat.app.operations import OPERATIONS, Desk, messages
from mailplat.interfaces import IDirectory, IMailStore
from mailplat.mail.errors import (
    AlreadyExists,
    BadParameter,
    MailError,
    NoSuchAccount,
    NoSuchAddress,
    NotPermitted,
)
from mailplat.plugin import ConfigError
from mailplat.pytest_plugin import MemoryHouse

ALICE = {"name": "alice@example.org", "password": "one"}


@pytest.fixture
def house(mailplat_house: Callable[..., MemoryHouse]) -> MemoryHouse:
    house = mailplat_house()
    house.add_account("bob@example.org")
    return house


def again(house: MemoryHouse, operation: str, **arguments: Any) -> Any:
    async def run() -> Any:
        return await OPERATIONS[operation](Desk(house.tree, repeated=True), **arguments)

    return house.do(run())


def test_accounts(house: MemoryHouse) -> None:
    house.operate("account.add", **ALICE)
    names = [row["name"] for row in house.operate("account.list")]
    assert names == ["alice@example.org", "bob@example.org"]
    assert house.operate("account.disable", name="alice@example.org")["enabled"] is False
    assert house.deliver(b"x\r\n\r\n", to="alice@example.org")[0] in "45"
    assert house.operate("account.enable", name="alice@example.org")["enabled"] is True
    assert house.deliver(b"x\r\n\r\n", to="alice@example.org").startswith("250")
    house.operate("account.passwd", name="alice@example.org", password="two")
    assert len(house.messages("alice@example.org", "two")) == 1
    house.operate("account.remove", name="alice@example.org")
    assert [row["name"] for row in house.operate("account.list")] == ["bob@example.org"]
    house.operate("account.add", **ALICE)
    assert house.messages("alice@example.org", "one") == []


def test_adding_twice(house: MemoryHouse) -> None:
    house.operate("account.add", **ALICE)
    with pytest.raises(AlreadyExists):
        house.operate("account.add", **ALICE)
    assert again(house, "account.add", **ALICE)["name"] == "alice@example.org"
    with pytest.raises(AlreadyExists):
        again(house, "account.add", name="alice@example.org", password="another")


def test_removing_twice(house: MemoryHouse) -> None:
    with pytest.raises(NotPermitted, match="is the last account; --force removes it all"):
        house.operate("account.remove", name="bob@example.org")
    house.operate("account.remove", name="bob@example.org", force=True)
    with pytest.raises(NoSuchAccount):
        house.operate("account.remove", name="bob@example.org")
    assert again(house, "account.remove", name="bob@example.org")["enabled"] is False


def test_aliases(house: MemoryHouse) -> None:
    alias = {"source": "sales@example.org", "targets": ["bob@example.org"]}
    house.operate("alias.add", **alias)
    house.operate("alias.add", **alias)
    respelt = {"source": '"Sales"@Example.ORG.', "targets": ['"BOB"@example.ORG']}
    assert house.operate("alias.add", **respelt) == alias
    with pytest.raises(AlreadyExists):
        house.operate("alias.add", source="sales@example.org", targets=["abuse@example.org"])
    assert alias in house.operate("alias.list")
    house.operate("alias.remove", source="sales@example.org")
    with pytest.raises(NoSuchAddress):
        house.operate("alias.remove", source="sales@example.org")
    again(house, "alias.remove", source="sales@example.org")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("gone@example.org", "no account and no alias has that address"),
        ("carol@example.net", "nothing is sent to other hosts yet"),
        ("out@example.org", "can't lead to carol@example.net: nothing is sent"),
    ],
)
def test_an_alias_that_would_lead_nowhere(house: MemoryHouse, target: str, why: str) -> None:
    people = house.tree.find(IDirectory)
    house.do(people.add_alias("out@example.org", ["carol@example.net"]))
    with pytest.raises(MailError, match=why):
        house.operate(
            "alias.add", source="info@example.org", targets=["bob@example.org", target]
        )
    assert "info@example.org" not in str(house.operate("alias.list"))


def test_an_alias_hides_no_account(house: MemoryHouse) -> None:
    house.operate("account.add", **ALICE)
    alias = {"source": "alice@example.org", "targets": ["bob@example.org"]}
    with pytest.raises(AlreadyExists, match="is an account's address"):
        house.operate("alias.add", **alias)
    both = {**alias, "targets": ["alice@example.org", "bob@example.org"]}
    assert house.operate("alias.add", **both) == both


def test_a_postmaster_elsewhere_is_refused(house: MemoryHouse) -> None:
    with pytest.raises(NotPermitted, match="nothing is sent to other hosts yet"):
        house.operate("domain.add", name="a.example", postmaster="carol@example.net")


def test_domains(house: MemoryHouse) -> None:
    house.operate("domain.add", name="example.com", postmaster="bob@example.org")
    with pytest.raises(AlreadyExists):
        house.operate("domain.add", name="example.com", postmaster="bob@example.org")
    again(house, "domain.add", name="example.com", postmaster="bob@example.org")
    assert {"name": "example.com"} in house.operate("domain.list")
    assert house.deliver(b"x\r\n\r\n", to="abuse@example.com").startswith("250")
    house.operate("domain.remove", name="example.com")
    with pytest.raises(NoSuchAddress):
        house.operate("domain.remove", name="example.com")
    again(house, "domain.remove", name="example.com")


def test_a_domains_postmaster_is_the_first_domains(house: MemoryHouse) -> None:
    """Not the one of the first by name."""
    assert house.operate("domain.list")[0] == {"name": "example.org"}
    for name in ("b.example", "a.example"):
        added = house.operate("domain.add", name=name)
        assert added["postmaster"] == "postmaster@example.org"


@pytest.mark.parametrize("limit", ["9223372036854775808", "9" * 5000, "9" * 30 + " GiB", "٣³"])
@pytest.mark.parametrize("resource", ["storage", "messages"])
def test_a_limit_that_nobody_can_count_to_is_refused(
    house: MemoryHouse, resource: str, limit: str
) -> None:
    with pytest.raises(BadParameter, match="is no limit"):
        house.operate("account.quota", name="bob@example.org", **{resource: limit})


def test_a_house_is_furnished_once(house: MemoryHouse) -> None:
    first = {"domain": "example.net", "name": "postmaster@example.net", "password": "one"}
    house.operate("server.furnish", **first)
    house.operate("server.furnish", **{**first, "password": "two"})
    assert house.messages("postmaster@example.net", "two") == []


def test_media_types(house: MemoryHouse) -> None:
    [pdf] = house.operate("mime.show", name="pdf")
    assert (pdf["type"], pdf["origin"]) == ("application/pdf", "built in")
    add = {"name": "Application/X-Report", "extensions": [".RPT"]}
    added = {"type": "application/x-report", "extensions": ["rpt"]}
    assert house.operate("mime.add", **add) == added
    assert house.operate("mime.add", **add) == added
    house.operate("mime.add", name="application/x-report", extensions=["pdf", "rpt.gz"])
    shown = house.operate("mime.show", name=".pdf")
    assert [row["type"] for row in shown] == ["application/x-report", "application/pdf"]
    file = house.foundation.state / "mime.types"
    assert (shown[0]["origin"], shown[0]["place"]) == ("operator", str(file))
    assert "\napplication/x-report rpt pdf rpt.gz\n" in file.read_text()
    assert house.operate("mime.guess", name="x.rpt.gz")["type"] == "application/x-report"
    assert len(house.operate("mime.list")) > 900
    assert len(house.operate("mime.list", origin="operator")) == 1
    with pytest.raises(AlreadyExists, match="rpt belongs to application/x-report"):
        house.operate("mime.add", name="application/x-other", extensions=["rpt"])
    left = house.operate("mime.remove", name="application/x-report", extensions=["pdf"])
    assert left["extensions"] == ["rpt", "rpt.gz"]
    again(house, "mime.remove", name="application/x-report", extensions=["pdf"])
    with pytest.raises(BadParameter, match="has no extension pdf"):
        house.operate("mime.remove", name="application/x-report", extensions=["pdf"])
    house.operate("mime.remove", name="application/x-report", extensions=[])
    with pytest.raises(BadParameter, match="there is no type"):
        house.operate("mime.remove", name="application/x-report", extensions=[])
    again(house, "mime.remove", name="application/x-report", extensions=[])
    with pytest.raises(BadParameter, match="nobody knows"):
        house.operate("mime.show", name="application/x-report")


def test_only_what_was_added_can_go(mailplat_house: Callable[..., MemoryHouse]) -> None:
    house = mailplat_house('[mime.types]\n"application/x-report" = ["rpt"]')
    for name, why in (
        ("application/pdf", "the types of mailplat"),
        ("application/x-report", "mime"),
    ):
        with pytest.raises(NotPermitted, match=why):
            house.operate("mime.remove", name=name, extensions=[])
    with pytest.raises(BadParameter, match="expected a media type"):
        house.operate("mime.add", name="nonsense", extensions=["x"])


def test_what_the_operator_wrote_beside_stays(house: MemoryHouse) -> None:
    file = house.foundation.state / "mime.types"
    file.write_text("# mine\nnonsense\napplication/x-a aa\n  \nAPPLICATION/X-B bb # why\nx/c c")
    house.operate("mime.add", name="application/x-a", extensions=["a2"])
    house.operate("mime.add", name="application/x-d", extensions=["dd"])
    house.operate("mime.remove", name="application/x-b", extensions=[])
    assert file.read_text() == (
        "# mine\nnonsense\napplication/x-a aa a2\n  \nx/c c\napplication/x-d dd\n"
    )
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="can't be read"):
        house.operate("mime.add", name="application/x-a", extensions=["a3"])
    assert file.read_bytes() == b"\xff"


def test_the_hosts_types_fill_gaps(
    mailplat_house: Callable[..., MemoryHouse], tmp_path: Path
) -> None:
    system = tmp_path / "system.types"
    system.write_text("application/x-wrong pdf\napplication/x-host hst\n")
    house = mailplat_house(f'[mime]\nsystem = "{system}"')
    assert house.operate("mime.guess", name="x.pdf")["type"] == "application/pdf"
    [row] = house.operate("mime.show", name="hst")
    assert row == {
        "type": "application/x-host",
        "extensions": ["hst"],
        "origin": "system",
        "place": str(system),
        "handler": "",
    }
    [row] = house.operate("mime.show", name="ics")
    assert (row["type"], row["handler"]) == ("text/calendar", "calendar")
    folder = mailplat_house(f'[mime]\nsystem = "{tmp_path}"')
    assert folder.operate("mime.guess", name="x.hst")["by"] == "nothing"


def test_status(house: MemoryHouse) -> None:
    status = house.operate("server.status")
    assert (status["running"], status["accounts"], status["domains"]) == (False, 1, 1)


def test_explain(house: MemoryHouse) -> None:
    house.deliver(b"Message-ID: <one@x>\r\n\r\nx\r\n", to="bob@example.org")
    [record] = house.operate("message.explain", message="<one@x>")
    assert "bob@example.org" in record["text"]


def test_explain_says_who_has_it_in_which_mailbox(house: MemoryHouse) -> None:
    """Also of an alias that leads to several, and after a mailbox was renamed or removed."""
    house.operate("account.add", **ALICE)
    both = ["alice@example.org", "bob@example.org"]
    house.operate("alias.add", source="both@example.org", targets=both)
    house.deliver(b"Message-ID: <two@x>\r\n\r\n", to="both@example.org")
    [record] = house.operate("message.explain", message="two@x")
    by = "by alias both@example.org"
    said = f"alice@example.org INBOX, UID 1, {by}; bob@example.org INBOX, UID 1, {by}"
    assert record["outcomes"] == [["2.1.5", said]]
    assert f"both@example.org  2.1.5  {said}\n" in record["text"]


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("bob@example.org F1:7, F2:1", "bob@example.org INBOX, UID 7 and Later, UID 1"),
        ("bob@example.org F9:7", "bob@example.org F9 (gone), UID 7"),
        ("gone@example.org F1:7; discarded", "gone@example.org F1 (gone), UID 7; discarded"),
        ("bob@example.org F1:7, by alias b@c", "bob@example.org INBOX, UID 7, by alias b@c"),
        ("F1:7", "F1:7"),
        ("", ""),
    ],
)
def test_mailboxes_are_called_as_they_are_today(
    house: MemoryHouse, detail: str, said: str
) -> None:
    async def named() -> str:
        directory, store = house.tree.find(IDirectory), house.tree.find(IMailStore)
        bob = await directory.account("bob@example.org")
        assert bob
        await (await store.open(bob.id)).create("Later")
        return await messages.Mailboxes(Desk(house.tree)).named_in(detail)

    assert house.do(named()) == said
