"""What an operator does, done once and done again after a server has died."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mailplat.app.operations import OPERATIONS, Desk
from mailplat.mail.errors import AlreadyExists, NoSuchAccount, NoSuchAddress
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
    house.operate("account.remove", name="bob@example.org")
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
        house.operate("alias.add", source="sales@example.org", targets=["x@example.net"])
    assert alias in house.operate("alias.list")
    house.operate("alias.remove", source="sales@example.org")
    with pytest.raises(NoSuchAddress):
        house.operate("alias.remove", source="sales@example.org")
    again(house, "alias.remove", source="sales@example.org")


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


def test_a_house_is_furnished_once(house: MemoryHouse) -> None:
    first = {"domain": "example.net", "name": "postmaster@example.net", "password": "one"}
    house.operate("server.furnish", **first)
    house.operate("server.furnish", **{**first, "password": "two"})
    assert house.messages("postmaster@example.net", "two") == []


def test_status(house: MemoryHouse) -> None:
    status = house.operate("server.status")
    assert (status["running"], status["accounts"], status["domains"]) == (False, 1, 1)


def test_explain(house: MemoryHouse) -> None:
    house.deliver(b"Message-ID: <one@x>\r\n\r\nx\r\n", to="bob@example.org")
    [record] = house.operate("message.explain", message="<one@x>")
    assert "bob@example.org" in record["text"]
