"""What components can do besides: small interfaces that they provide as well.

Import them from `mailplat.interfaces`, the only door.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

from zope.interface import Interface

from mailplat.mail.content import Content
from mailplat.mail.errors import OverQuota
from mailplat.mail.finding import Finding
from mailplat.mail.mailbox import (
    Mailbox,
    MailboxId,
    ModSeq,
)
from mailplat.mail.people import Account, AccountId, Alias, Domain
from mailplat.mail.placing import Inheritance, Shown, Sighting
from mailplat.mail.queued import Question, QueuedMessage, QueueStats, Routed, Selection
from mailplat.mail.quota import Allowance, Room, Usage
from mailplat.mail.restoring import Restored
from mailplat.mail.retention import Expunged
from mailplat.mail.searching import Column, Found
from mailplat.mail.sharing import Rights, Shared

# Of any component.


class ILifetime(Interface):
    """Facet of any component: has something to do before the doors open or after they close.

    Need not be declared: a component that has one of the methods is asked.
    """

    def prepare() -> Awaitable[None]:
        """Make ready what others will ask for, such as tables; the neighbours are ready.

        What it raises keeps the house from opening.
        """

    def finish() -> Awaitable[None]:
        """Let go of everything; nobody asks any more, and the neighbours are still there."""


# Of what keeps things.


class IVerified(Interface):
    """Facet of a store or directory: looks through what it keeps for what can't be right."""

    def verify(
        mend: bool, accounts: Collection[AccountId] | None = None
    ) -> Awaitable[Sequence[Finding]]:
        """Return what is wrong, of each kind at most a thousand.

        With ``mend`` what can be put right without guessing is put right, and what was
        done is told; no message is ever removed for it.  ``accounts`` are those that
        there are, for whoever keeps something of each; None says nothing.  It is done
        beside all other work, in units of work that hold up nobody.
        """


# Of a queue.


class IQueueAdmin(Interface):
    """Facet of `IQueue`: what an operator sees of it, and does to it."""

    def messages(selection: Selection) -> Awaitable[Sequence[QueuedMessage]]:
        """Return the messages that are meant, in the order of their coming."""

    def content(queue_id: str) -> Awaitable[Content]:
        """Return a message's octets.  Raises `QueueFailed`."""

    def hold(selection: Selection, why: str) -> Awaitable[int]:
        """Try these messages no more until they are released; return how many."""

    def release(selection: Selection) -> Awaitable[int]:
        """Let messages go that are held or could not be delivered; return how many."""

    def retry(selection: Selection) -> Awaitable[int]:
        """Try these messages now; return how many recipients' shares that are."""

    def reroute(selection: Selection) -> Awaitable[int]:
        """Ask the routes anew; return how many recipients go another way."""

    def remove(selection: Selection, report: bool) -> Awaitable[int]:
        """Give these messages up, with or without telling their senders; return how many.

        What is being tried just then may arrive.
        """

    def stats() -> Awaitable[QueueStats]:
        """Return how much there is."""


class IRoutes(Interface):
    """Knows by whom mail is carried."""

    def route(question: Question, may_hold: bool = True) -> Awaitable[Routed]:
        """Return the way to a recipient; `Routed.agent` is empty where there is none.

        Routes that only hold mail are passed over unless it ``may_hold``.
        """


# Of a directory.


class IDirectoryAdmin(Interface):
    """Facet of `IDirectory`: one whose entries can be changed here.

    Changes are durable when the call returns.  They raise `AlreadyExists`,
    `NoSuchAccount`, `NoSuchAddress` and `BadAddress`.
    """

    def accounts() -> Awaitable[Sequence[Account]]:
        """Return every account, by name."""

    def add_account(name: str, password: bytes) -> Awaitable[Account]:
        """Make an account; its domain must be local."""

    def set_password(name: str, password: bytes) -> Awaitable[Account]:
        """Give an account another password, which ends its sessions."""

    def enable_account(name: str, enabled: bool) -> Awaitable[Account]:
        """Let an account log in and receive, or stop it; its mail stays."""

    def why_needed(name: str) -> Awaitable[str]:
        """Return why an account had better stay, for the operator to read; else nothing.

        It is the last one, or the only one that some postmaster leads to.
        """

    def remove_account(name: str) -> Awaitable[Account]:
        """Forget an account and what leads to it alone; its identity is never reused."""

    def aliases() -> Awaitable[Sequence[Alias]]:
        """Return every alias, by source."""

    def add_alias(source: str, targets: Sequence[str]) -> Awaitable[Alias]:
        """Make an address lead to others; ``@domain`` catches all the rest of a domain."""

    def remove_alias(source: str) -> Awaitable[Alias]:
        """Forget an alias."""

    def domains() -> Awaitable[Sequence[Domain]]:
        """Return every local domain, in the order in which they were added."""

    def add_domain(name: str, postmaster: str) -> Awaitable[Domain]:
        """Take mail for a domain; postmaster@ and abuse@ it lead to ``postmaster``."""

    def remove_domain(name: str) -> Awaitable[Domain]:
        """Take no more mail for a domain.

        Refused while it has accounts, or while aliases of other domains lead into it.
        """


class IStoredKeys(Interface):
    """Facet of `IDirectory`: one that keeps SCRAM keys (RFC 5802 section 3)."""

    def keys(name: str, mechanism: str) -> Awaitable[Mapping[str, bytes | int] | None]:
        """Return salt, iteration count, stored key and server key, or None."""


# Of a store, and of its accounts.


class IDeliveryKeys(Interface):
    """Facet of `IMailStore`: says which deliveries it would recognise as repeats."""

    def known(account: AccountId, keys: Sequence[str]) -> Awaitable[Collection[str]]:
        """Return those of the keys that the account's deliveries were made under.

        Whoever has many messages to deliver again need not fetch these.
        """


class IRestorable(Interface):
    """Facet of `IAccount`: takes an account as another store has it, with its numbers.

    Both methods may be called again, for what has changed since; nobody else works at
    the account meanwhile, and `restore_mailboxes` is what ends it.  Afterwards
    `IAccount.changes` begins at the mod-sequence that was restored.  Identities of
    mailboxes, emails and threads are kept where the store can; what shared one shares
    one in any case.
    """

    def restore_mailboxes(
        mailboxes: Sequence[Mailbox], subscribed: Collection[str], modseq: ModSeq
    ) -> Awaitable[Sequence[MailboxId]]:
        """Have these mailboxes and no others; return who they are here, in their order.

        They get the names, roles, UIDVALIDITYs, UIDNEXTs and mod-sequences given; one
        that is there already, by its identity or else its name, keeps its messages
        unless its UIDVALIDITY is another.
        """

    def restore(mailbox: MailboxId, messages: Sequence[Restored]) -> Awaitable[None]:
        """Have these messages at their UIDs, all or none.

        Those that are there already get the flags and mod-sequences.
        """


class ISearchable(Interface):
    """Facet of `IAccount`: finds text by an index instead of reading everything."""

    def search_text(
        mailbox: MailboxId, words: Sequence[str], columns: Collection[Column] = tuple(Column)
    ) -> Awaitable[Found]:
        """Return the messages in which each of the words is, as a substring.

        Each may be in any of the columns; that is meant of a message's text as
        `mailplat.mail.search` makes it, and of words folded as it is.  The answer
        is right at any time: what isn't indexed yet, what has been indexed only in
        part, and what the index can't tell (words that are too short for it) is
        unsure, and is for the asker to read.
        """


class IQuota(Interface):
    """Facet of `IAccount`: bounded room (RFC 9208).

    What comes by `IAccount.append`, by `move` that keeps, or by a delivery, and
    would not fit, raises `OverQuota`, or is refused with it.  A message that
    replaces another needs room for what it is larger.  A delivery is refused with
    `LongOverQuota` when nothing has fitted for as long as the allowance says.

    The store tells `AccountNearlyFull` of an account that should be warned.
    """

    def quota() -> Awaitable[Mapping[str, Room]]:
        """Return how `STORAGE`, in octets, and `MESSAGE` are used and bounded."""

    def set_quota(limits: Mapping[str, int | None]) -> Awaitable[None]:
        """Give the account these limits of its own instead of those it had.

        None: no limit.  For a resource that is left out the house's counts.
        """


class IQuotaStore(Interface):
    """Facet of `IMailStore` whose accounts provide `IQuota`."""

    def why_full(account: AccountId, size: int) -> Awaitable[OverQuota | None]:
        """Return why a message of so many octets would be refused now, if it would.

        That may be a little old: what counts is what a delivery hears.
        """


class IUndelete(Interface):
    """Facet of `IAccount`: what was expunged is kept for some time, and can be brought back.

    So it is for what `IAccount.expunge` and `remove` have removed, not for what was
    moved or replaced.  It counts as no room that is taken, and no session sees it.
    """

    def expunged(since: float = 0.0, name: str = "") -> Awaitable[Sequence[Expunged]]:
        """Return what was expunged since a time, of all mailboxes or the one of that name.

        The latest comes first; of very much only a part is told.
        """

    def undelete(ids: Sequence[str]) -> Awaitable[int]:
        """Bring messages back, all or none and each once, and return how many there were.

        They get new UIDs in the mailbox where they were, or one of its name, or else
        in one below ``Restored``.  Raises `OverQuota`.
        """


class IUsage(Interface):
    """Facet of `IMailStore`: tells what it keeps for whom."""

    def extent() -> Awaitable[Mapping[str, int]]:
        """Return octets by name: ``size`` of the database, ``free`` of it; what is known."""

    def usage() -> Awaitable[Mapping[AccountId, Usage]]:
        """Return what each account takes that has any mail."""


class ISieveScripts(Interface):
    """Facet of `IAccount`: keeps Sieve scripts (RFC 5804).

    It keeps them and doesn't read them.  `proper_script_name` says how names are
    kept.  Raises `NoSuchScript`, `NotPermitted` for a name that none can have,
    `TooMany` and `TooLarge`.
    """

    def scripts() -> Awaitable[Mapping[str, bool]]:
        """Return the scripts' names, and which of them is active."""

    def script(name: str) -> Awaitable[bytes]:
        """Return a script's text."""

    def check_script_room(name: str, size: int) -> Awaitable[None]:
        """Raise what `put_script` would for a script of so many octets."""

    def put_script(name: str, octets: bytes) -> Awaitable[None]:
        """Keep a script, in place of one of that name, which stays active if it is."""

    def activate(name: str) -> Awaitable[None]:
        """Make a script the active one; an empty name leaves none active."""

    def rename_script(old: str, new: str) -> Awaitable[None]:
        """Give a script another name; raises `AlreadyExists`."""

    def remove_script(name: str) -> Awaitable[None]:
        """Forget a script; raises `NotPermitted` if it is active."""


class IAnnotations(Interface):
    """Facet of `IAccount`: annotations of mailboxes and of the account (RFC 5464).

    `proper_entry` says how entries are called.  Those below ``/shared/`` are the same
    for all; those below ``/private/`` are ``reader``'s own, who is the account itself
    if left out.
    """

    def annotations(
        mailbox: MailboxId | None, reader: AccountId | None = None
    ) -> Awaitable[Mapping[str, bytes]]:
        """Return the entries of a mailbox, or of the account, that the reader sees."""

    def annotate(
        mailbox: MailboxId | None,
        entries: Mapping[str, bytes | None],
        reader: AccountId | None = None,
    ) -> Awaitable[ModSeq]:
        """Set entries, all or none; None removes one.  `changes` tells of it.

        Raises `NotPermitted` for a name that no entry can have, `TooMany` and
        `TooLarge`.
        """


class ISharing(Interface):
    """Facet of `IAccount`: rights of other accounts on its mailboxes (RFC 4314).

    `mailplat.mail.sharing` says what identifiers and rights are.  A store keeps them;
    who carries out commands for others asks `effective`.
    """

    def rights(mailbox: MailboxId) -> Awaitable[Mapping[str, Rights]]:
        """Return the rights by identifier; the owner, who has all, is not among them."""

    def set_rights(mailbox: MailboxId, identifier: str, rights: Rights) -> Awaitable[None]:
        """Give an identifier these rights and no others.  `changes` tells of it.

        Raises `NotPermitted` for the owner, for nobody, and for a right that there
        isn't; and `TooMany`.
        """


class ISharedStore(Interface):
    """Facet of `IMailStore` whose accounts provide `ISharing`."""

    def shared_with(account: AccountId) -> Awaitable[Sequence[Shared]]:
        """Return the mailboxes of others that an account may look up, by their owners."""


# Of what a store asks for.


class IAllowances(Interface):
    """Knows how much room the house gives to whom."""

    def allowance(account: AccountId) -> Awaitable[Allowance]:
        """Return it; for an account that nobody knows, that of the house."""


# Of a place of contents.


class IAddressedContents(Interface):
    """Facet of `IContentStore`: one that tells by two keys whether their contents are the same.

    Of contents that are, the index keeps one.
    """

    def address(key: str) -> bytes:
        """Return what the keys of the same octets have in common, and no others.

        32 octets at most; a cryptographic hash will do.  It is asked on the
        reactor, and reads no file.
        """


class IBatchedContents(Interface):
    """Facet of `IContentStore`: one that reads many contents faster than each alone."""

    def read_each(keys: Sequence[str]) -> Awaitable[Sequence[bytes | None]]:
        """Return the whole of each content, in order, and None where there is none.

        So too where one can't be read: why that is, `IContentStore.read` says.  The index asks for up to 50, each of 64 KiB at most.
        """


class IPlacedContents(Interface):
    """Facet of `IContentStore`: one that shows where messages lie and how they are flagged.

    A maildir does, for other programs to see.  What counts is the index; it tells this
    behind its commits, for each account one thing after the other.  What was under way
    in a crash, or failed, is told once more, with what has come since: as things are
    then.  So whatever is told may have been done already.
    """

    def show(account: AccountId, mailboxes: Sequence[Shown]) -> Awaitable[None]:
        """Make what lies there say the same; durable when it returns.

        A content that is not there any more is passed over: that its message has gone
        is told next.
        """

    def forget(account: AccountId) -> Awaitable[None]:
        """Show nothing more of an account that has been removed."""


class ISharedContents(Interface):
    """Facet of `IPlacedContents`: one in which other programs work as well.

    They bring messages, flag them and take them away; mailboxes too.  Of each account
    it is asked by one at a time, and nothing is shown meanwhile but by `show`, which
    raises `Unshown` where all that it had shown of an account is gone.
    """

    def begin_anew(account: AccountId) -> Awaitable[None]:
        """Be ready to be shown all of an account, of which `Unshown` was said."""

    def look(
        account: AccountId, mailboxes: Sequence[tuple[MailboxId, str]]
    ) -> Awaitable[Sequence[Sighting]]:
        """Return the mailboxes in which another program may have done anything.

        ``mailboxes`` are all there are, with their names; everything has been shown.
        """

    def agree(account: AccountId, found: Sighting) -> None:
        """Note that the index knows all this, so that it isn't to be found again."""

    def arrival(
        account: AccountId, mailbox: MailboxId, name: str
    ) -> Awaitable[tuple[Content, str, float]]:
        """Return what a file holds, with CRLF, to be added by `IContentStore.add`.

        Besides: what tells it from every other file, and when it came, in seconds since
        1970.  Once it is shown under the key that it got there, the file has the UID.
        Raises `NoSuchMessage` if it has gone.
        """

    def inheritance(account: AccountId) -> Awaitable[Inheritance | None]:
        """Return what another program has left with its numbers, unless it was taken over."""

    def inherited(account: AccountId) -> Awaitable[None]:
        """Note that there is nothing more to be taken over."""

    def watch(hear: Callable[[AccountId], None]) -> None:
        """Call ``hear`` in the reactor when something may have been done to an account.

        Where nothing tells, nobody is called, and `look` is asked when somebody comes.
        """


class IExaminedContents(Interface):
    """Facet of `IContentStore`: one that can say how much it holds, and whether it is sound."""

    def used() -> Awaitable[tuple[int, int]]:
        """Return how many contents there are, and how many octets they take."""

    def is_sound(key: str) -> Awaitable[bool]:
        """Read a content, and say whether it is what it was; raises `NoSuchMessage`."""


class IViewedContents(Interface):
    """Facet of `IContentStore`: one whose folder holds more than contents.

    What it shows is made anew of contents and index, so a backup does without; it would
    be of another moment than the index.
    """

    def is_view(path: Path) -> bool:
        """Say whether a file, which may have gone, is only shown; blocks."""


# Of a store, for backups.


class IHeldContents(Interface):
    """Facet of `IMailStore`: one that can keep all contents for a while, whoever deletes."""

    def hold() -> Callable[[], None]:
        """Remove no content from now on until what is returned is called."""
