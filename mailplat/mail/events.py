"""What has happened, for the bus; told after the commit, never before."""

from __future__ import annotations

import attrs

from mailplat.mail.mailbox import MailboxId, ModSeq
from mailplat.mail.people import AccountId
from mailplat.mail.transit import MessageRecord


@attrs.frozen
class AccountChanged:
    """Something in an account's mailboxes is new, changed or gone; `changes` says what."""

    account: AccountId
    modseq: ModSeq
    mailboxes: frozenset[MailboxId]


@attrs.frozen
class CredentialsChanged:
    """What an account logs in with is no longer what it was, or the account has gone."""

    account: AccountId


@attrs.frozen
class MessageSettled:
    """A message that came in has been judged and delivered, or refused."""

    record: MessageRecord


Event = AccountChanged | CredentialsChanged | MessageSettled
