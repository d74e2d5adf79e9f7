"""Accounts: who has mail here."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin

from mailplat.app.operations import room
from mailplat.app.operations.desk import Desk
from mailplat.mail.errors import AlreadyExists, NoSuchAccount, NotPermitted
from mailplat.mail.people import Account

Row = dict[str, Any]


def _row(account: Account) -> Row:
    return {"name": account.name, "enabled": account.enabled, "id": account.id}


async def list_accounts(desk: Desk) -> list[Row]:
    """Return every account, and how much room it takes, if the store can tell."""
    used = await room.usage(desk)
    accounts = await desk.people.accounts()
    if used is None:
        return [_row(account) for account in accounts]
    return [{**_row(one), **await room.rooms_of(desk, one, used)} for one in accounts]


async def add_account(desk: Desk, name: str, password: str) -> Row:
    """Make an account with its INBOX.

    Repeated after a server died, an account of that name and password counts as made.
    """
    try:
        account = await desk.people.add_account(name, password.encode())
    except AlreadyExists:
        found = await desk.directory.account(name)
        if not (found and desk.repeated and await _opens(desk, name, password)):
            raise
        account = found
    await desk.store.open(account.id)
    return _row(account)


async def _opens(desk: Desk, name: str, password: str) -> bool:
    """Say whether the password is the account's, if the directory can tell."""
    if not ICredentialsChecker.providedBy(desk.directory):
        return False
    checker: ICredentialsChecker = desk.directory
    try:
        await checker.requestAvatarId(UsernamePassword(name.encode(), password.encode()))
    except UnauthorizedLogin:
        return False
    return True


async def set_password(desk: Desk, name: str, password: str) -> Row:
    """Give an account another password; its sessions end."""
    return _row(await desk.people.set_password(name, password.encode()))


async def disable_account(desk: Desk, name: str) -> Row:
    """Let an account neither log in nor receive; its mail stays."""
    return _row(await desk.people.enable_account(name, False))


async def enable_account(desk: Desk, name: str) -> Row:
    """Let a disabled account log in and receive again."""
    return _row(await desk.people.enable_account(name, True))


async def remove_account(desk: Desk, name: str, force: bool = False) -> Row:
    """Remove an account with all its mail; one that is needed only by ``force``.

    It is disabled first and goes last, so that a repeat after a crash finds what is left.
    """
    if not (force or desk.repeated) and (why := await desk.people.why_needed(name)):
        raise NotPermitted(f"{why}; --force removes it all the same")
    try:
        account = await desk.people.enable_account(name, False)
    except NoSuchAccount:
        if not desk.repeated:
            raise
        return {"name": name, "enabled": False, "id": ""}
    for store in desk.stores.values():
        await store.remove(account.id)
    return _row(await desk.people.remove_account(name))
