"""Looks through the index for what can't be right, and mends it, beside all other work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, TypeVar

import attrs
from twisted.logger import Logger

from mailplat.mail.content import Content
from mailplat.mail.errors import MailError
from mailplat.mail.finding import Finding
from mailplat.mail.people import AccountId
from mailplat.mail.summary import summary_of
from mailplat.sql import Database, Row
from mailplat.store.indexed.contents import DatabaseContent
from mailplat.store.indexed.elsewhere import Elsewhere
from mailplat.store.indexed.queries import audit, examining, mending
from mailplat.store.indexed.queries.changes import email_id, mailbox_id

T = TypeVar("T")

MOST = 1000  # findings of one kind
ROUNDS = 20  # what is mended may show what else is to be mended


@attrs.define
class Auditor:
    """One look through the index of a store."""

    log: ClassVar[Logger] = Logger()

    database: Database
    now: float
    elsewhere: Elsewhere | None = None  # where octets lie that are not in the database
    findings: list[Finding] = attrs.field(factory=list)
    touched: set[AccountId] = attrs.field(factory=set)  # accounts in which something was mended
    _names: dict[tuple[str, int], str] = attrs.field(factory=dict)

    async def look(self, mend: bool, accounts: Collection[AccountId] | None) -> None:
        """Note all that is wrong, and mend what can be."""
        if mend:
            await self._mend_all()
        for rule in audit.RULES:
            for row in await self._broken(rule):
                await self._note(rule, row)
        await self._look_at_emails(mend)
        if accounts is not None:
            what = "there is mail of an account that nobody has"
            for one in await self._asked(what, examining.strangers, sorted(accounts)):
                self.findings.append(Finding(what, one))

    async def _asked(
        self, what: str, unit: Callable[..., Sequence[T]], *args: object, tell: bool = True
    ) -> Sequence[T]:
        """Read what is wrong; note if that can't be told."""
        try:
            return await self.database.read(unit, *args)
        except Exception as problem:  # noqa: BLE001 - damage may do anything
            if tell:
                self.findings.append(Finding(f"can't tell whether {what}", detail=str(problem)))
            return []

    # The rules

    async def _broken(self, rule: str, tell: bool = True) -> Sequence[Row]:
        return await self._asked(rule, audit.broken, rule, tell=tell)

    async def _mend_all(self) -> None:
        """Mend round after round, since a row that is back may be miscounted."""
        for _ in range(ROUNDS):
            done = 0
            for rule in audit.RULES:
                if mend := mending.mending_of(rule):
                    for row in await self._broken(rule, tell=False):
                        done += await self._mend(rule, mend, row)
            if not done:
                return

    async def _mend(self, rule: str, mend: mending.Mend, row: Row) -> bool:
        try:
            words = await self.database.write(mend, row, self.now)
        except Exception as problem:  # noqa: BLE001 - it will be told as it is, and why
            self.log.warn(
                "{rule} {row}: not mended: {problem}", rule=rule, row=row, problem=problem
            )
            return False
        if words:
            await self._note(rule, row, words)
            if row[0]:
                self.touched.add(AccountId(str(row[0])))
        return bool(words)

    async def _note(self, rule: str, row: Row, mended: str = "") -> None:
        subject = audit.subject_of(rule, row)
        account, email = str(subject.get("account", "")), subject.get("email")
        places: Sequence[Row] = [(subject.get("mailbox"), subject.get("uid", 0))]
        if email is not None:
            places = await self._places(account, email) or places
        for mailbox, uid in places:
            self.findings.append(
                Finding(
                    rule,
                    account,
                    "" if mailbox is None else await self._name(account, mailbox),
                    uid,
                    "" if email is None else email_id(email),
                    ", ".join(map(str, row[len(subject) :])),
                    mended,
                )
            )

    async def _places(self, account: str, email: int) -> Sequence[Row]:
        try:
            return await self.database.read(examining.places_of_email, account, email)
        except MailError:
            return []

    async def _name(self, account: str, mailbox: Any) -> str:
        key = (account, mailbox)
        if key not in self._names:
            try:
                self._names[key] = await self.database.read(examining.name_of, account, mailbox)
            except MailError:
                self._names[key] = f"{mailbox_id(mailbox)}"
        return self._names[key]

    # Octets and summaries

    async def _look_at_emails(self, mend: bool) -> None:
        """See whether summaries can be read, and octets are there to be read."""
        behind = 0
        rows: Sequence[Row]
        while True:
            try:
                rows, last = await self.database.read(examining.doubtful, behind)
            except Exception:  # noqa: BLE001 - damage may do anything
                rows, last = await self._one_by_one(behind)
            for email, account, problem, before in rows:
                await self._note_email(email, account, problem, before, mend)
            if self.elsewhere:
                await self._look_elsewhere(self.elsewhere, behind, last)
            if not last or len(self.findings) > 10 * MOST:
                return
            behind = last

    async def _look_elsewhere(self, elsewhere: Elsewhere, behind: int, last: int) -> None:
        """See whether the octets of some emails that lie elsewhere are what they were."""
        what = f"octets are there behind {email_id(behind)}"
        for email, account, size in await self._asked(what, examining.kept, behind, last):
            problem = ""
            try:
                if not await elsewhere.is_sound(account, email, size):
                    problem = "its octets are not what they were"
            except MailError as error:
                problem = f"its octets can't be read: {error}"
            if problem and await elsewhere.is_named(account, email):
                await self._note_email(email, account, problem, None, mend=False)

    def _content(self, account: AccountId, email: int, size: int) -> Content:
        if self.elsewhere:
            return self.elsewhere.content(account, email, size)
        return DatabaseContent(self.database, account, email, size)

    async def _one_by_one(self, behind: int) -> tuple[Sequence[Row], int]:
        """Look at each of some emails alone, among which one can't be read."""
        found: list[Row] = []
        try:
            numbers = await self.database.read(examining.numbers_behind, behind)
        except MailError as problem:
            self.findings.append(
                Finding(
                    "messages can't be read", detail=f"behind {email_id(behind)}: {problem}"
                )
            )
            return [], 0
        for number in numbers:
            try:
                rows, _ = await self.database.read(examining.doubtful, number - 1, 1)
                found += rows
            except Exception as problem:  # noqa: BLE001 - damage may do anything
                account = await self._account_of(number)
                found.append((number, account, f"it can't be read: {problem}", None))
        return found, numbers[-1] if len(numbers) == examining.AT_ONCE else 0

    async def _account_of(self, email: int) -> str:
        try:
            return await self.database.read(examining.account_of, email)
        except MailError:
            return ""

    async def _note_email(
        self, email: int, account: str, problem: str, before: bytes | None, mend: bool
    ) -> None:
        mended = ""
        if mend and before is not None:
            mended = await self._summarise(email, AccountId(account), before)
        for mailbox, uid in await self._places(account, email) or [(None, 0)]:
            name = "" if mailbox is None else await self._name(account, mailbox)
            self.findings.append(
                Finding("a message", account, name, uid, email_id(email), problem, mended)
            )

    async def _summarise(self, email: int, account: AccountId, before: bytes) -> str:
        """Make a summary again of the octets; return what was done."""
        try:
            size = await self.database.read(examining.size_of, email)
            summary = await summary_of(self._content(account, email, size))
            done = await self.database.write(
                mending.renew_summary, account, email, before, summary.octets
            )
        except MailError:
            return ""
        self.touched.add(account)
        return "its summary was made again of its octets" if done else ""
