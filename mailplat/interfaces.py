"""Everything that can be plugged in, and nothing else.

A method returns an Awaitable: write ``async def``, or return a Deferred.  For
`IPolicy` and `IFilter`, which people write most, a plain ``def`` is welcome
too: it runs in a worker thread, so that it may block.  Values are frozen and
come from `mailplat.mail`.  What a component cannot do it raises as a
`mailplat.mail.errors.MailError`; any other exception is a bug.  A policy or
filter says no by its verdict: whatever it raises is treated as the instance's
``on_error`` says, and so is a judgement that comes too late or makes no sense.

What a component can do *besides* is a facet: a further, small interface that
it also provides; they stand in `mailplat.facets` and are imported from here.
Capabilities are announced only where the facet is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

import attrs
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
)
from zope.interface import Attribute, Interface, classImplements

from mailplat.mail.address import Address
from mailplat.mail.canonical import RELAXED, Style
from mailplat.mail.content import Content, Excerpt, Joined, Octets
from mailplat.mail.dns import Answer, ResourceRecord
from mailplat.mail.header import Header
from mailplat.mail.hops import Exchange, Requirement
from mailplat.mail.mailbox import (
    Appended,
    Batch,
    Changes,
    Delivery,
    FlagChange,
    Flagged,
    Mailbox,
    MailboxEdit,
    MailboxId,
    MailboxIndex,
    ModSeq,
    Moved,
    NewMessage,
    Outcome,
    Record,
    Replaced,
    Role,
    UidSet,
    Wanted,
)
from mailplat.mail.mimetypes import MediaTypes
from mailplat.mail.people import Account, AccountId, Domain, Place
from mailplat.mail.queued import Posting
from mailplat.mail.search import SearchText
from mailplat.mail.transit import Job, Stage, Transit, Verdict

# isort: off
from mailplat.facets import (  # one door for all: they are imported from here
    IAllowances as IAllowances,
    IAddressedContents as IAddressedContents,
    IAnnotations as IAnnotations,
    IBatchedContents as IBatchedContents,
    IDeliveryKeys as IDeliveryKeys,
    IDirectoryAdmin as IDirectoryAdmin,
    IExaminedContents as IExaminedContents,
    IHeldContents as IHeldContents,
    ILifetime as ILifetime,
    IPlacedContents as IPlacedContents,
    IQueueAdmin as IQueueAdmin,
    IQuota as IQuota,
    IQuotaStore as IQuotaStore,
    IRestorable as IRestorable,
    IRoutes as IRoutes,
    ISearchable as ISearchable,
    ISharedContents as ISharedContents,
    ISharedStore as ISharedStore,
    ISharing as ISharing,
    ISieveScripts as ISieveScripts,
    IStoredKeys as IStoredKeys,
    IUndelete as IUndelete,
    IUsage as IUsage,
    IVerified as IVerified,
    IViewedContents as IViewedContents,
)
# isort: on

E = TypeVar("E")
R = TypeVar("R", bound=ResourceRecord)


@attrs.frozen
class House:
    """What every component may know of the installation it serves."""

    hostname: str  # what we call ourselves in greetings and trace fields
    state: Path  # the folder that everything durable lies in
    is_of_then: bool = False  # whether it is a copy of the past that is only read


class WallClock(Protocol):
    """Tells the date.

    It jumps when somebody sets it: whoever waits or measures asks for an
    ``IReactorTime`` instead, whose seconds only ever go on, and mean no date.
    """

    def seconds(self) -> float:
        """Return the seconds since 1970 (UTC)."""


# The message.


class IContent(Interface):
    """The octets of one message, wherever they lie; they never change."""

    size = Attribute("How many octets there are.")

    def read(start: int, stop: int) -> Awaitable[bytes]:
        """Return the octets from ``start`` up to, not including, ``stop``.

        Fewer come back only where the content ends.  Ask for pieces of 64 KiB
        to 1 MiB of what may be large.
        """

    def close() -> None:
        """Let go of a file or whatever else holds the octets; may be called again.

        That is for whoever the content was made for: a pipeline closes what it
        has accepted, a session what it has asked a store for.  All others may
        read until their answer is given, and are to keep no reference.
        """


classImplements(Octets, IContent)
classImplements(Joined, IContent)
classImplements(Excerpt, IContent)


# Judging.


class IPolicy(Interface):
    """Judges the envelope while it is being said, before there is any content."""

    stages = Attribute("The `Stage`s at which to be asked; a collection.")

    def judge(stage: Stage, transit: Transit) -> Awaitable[Verdict]:
        """Say whether to go on; `KEEP` has no objection.

        At RECIPIENT ``transit.recipient`` is the one asked about, and
        ``transit.envelope`` holds those accepted before.  Cancelled when the
        peer leaves.
        """


class IFilter(Interface):
    """Judges, and may amend, one message after its content has arrived."""

    def judge(transit: Transit) -> Awaitable[Verdict]:
        """Say what should become of the message; `KEEP` lets it pass unchanged.

        Asked once a message, whatever the number of recipients.  The content
        is spooled, so it may be read as often as needed, best by
        ``transit.message``; keep no reference to ``transit`` afterwards.
        """


class IPipeline(Interface):
    """Asks policies and filters in their order, and hands the message on."""

    def ask(stage: Stage, transit: Transit) -> Awaitable[Verdict]:
        """Return the first verdict at ``stage`` that is not KEEP, else KEEP.

        Never raises for what a policy did wrong: that has become a verdict.
        DEFER and REJECT refuse, with an ``error``; all others let it go on.  A
        refusal at SENDER is told at RECIPIENT, so that it can't keep mail from
        the postmaster.
        """

    def accept(transit: Transit) -> Awaitable[Sequence[Outcome]]:
        """Judge the content and deliver or queue it; one outcome a recipient, in order.

        An outcome that is a success says that the message is durable.  Until
        then the caller's cancelling stops everything; from the first durable
        step on it stops nothing, and only the answer is lost.  When it is all
        over the content is closed.
        """

    def drop(transit: Transit) -> None:
        """Put on record what was refused of a transaction that ends without content."""


# Carrying.


class IQueue(Interface):
    """Keeps accepted messages until each recipient has a final outcome."""

    def enqueue(posting: Posting) -> Awaitable[str]:
        """Keep a message durably and return its id; a known ``key`` adds nothing.

        The content may be closed when this returns.
        """

    def hurry(queue_id: str) -> Awaitable[None]:
        """Try the message's waiting recipients now."""


class IDeliveryAgent(Interface):
    """Carries a message one hop: into a mailbox, to another host, to a program."""

    def attempt(job: Job) -> Awaitable[Sequence[Outcome]]:
        """Try once, and return one outcome a recipient, in the job's order.

        Failures are outcomes and never raised.  A job may be tried again after
        a crash; what can recognise the repeat by ``job.id`` and recipient
        shall not deliver twice.
        """


class IWayPolicies(Interface):
    """Knows what the way to other hosts has to prove: DANE, MTA-STS."""

    def policy(domain: str) -> Awaitable[Hashable]:
        """Return what a domain itself asks for, None if nothing.

        Recipients in domains that have equal policies and the same hosts travel
        together.
        """

    def requirement(policy: Hashable, exchange: Exchange) -> Awaitable[Requirement]:
        """Return what a host has to prove; raises `MailError` where it may not be used."""


# People.


class IDirectory(Interface):
    """Knows whose domains these are, where an address leads, who the people are."""

    def domain(name: str) -> Awaitable[Domain | None]:
        """Return the domain if its mail is kept here."""

    def places(address: Address) -> Awaitable[Sequence[Place]]:
        """Return every end of an address's way, aliases followed; empty if unknown.

        ``postmaster`` without a domain and at each local domain always leads
        somewhere (RFC 5321 section 4.5.1).
        """

    def account(name: str) -> Awaitable[Account | None]:
        """Return the account that logs in by that name, whatever its case."""

    def holder(account: AccountId) -> Awaitable[Account | None]:
        """Return the account of that identity."""

    def may_send_as(account: Account, address: Address) -> Awaitable[bool]:
        """Say whether the account may use an address as its reverse-path."""


# Names and types.


class INetwork(IReactorTCP, IReactorUDP, IReactorUNIX, IReactorTime):
    """The reactor, for those who speak to other hosts."""


class IResolver(Interface):
    """Answers questions of the DNS, and says whether DNSSEC proved the answer."""

    def lookup(name: str, kind: type[R]) -> Awaitable[Answer[R]]:
        """Return the records of one type, aliases followed; that there are none is an answer.

        Raises `LookupFailed` where there is no answer now, and `NoSuchDomain` for
        what can't be a name.  Aliases are not followed to answer for `Cname`.
        """


class ISigner(Interface):
    """Signs messages by DKIM for the domains whose keys the house has."""

    def domain_for(domain: str) -> str:
        """Return the nearest domain, itself or above it, that has a key; empty if none has."""

    def signed(
        domain: str, header: Header, content: Content, style: Style = RELAXED
    ) -> Awaitable[Sequence[bytes]]:
        """Return a field for each key of a domain, to be put on top of the message.

        Raises `BadContent` for a message without From, and `StoreFailed`.
        """


class IMediaTypes(Interface):
    """Knows what types of files there are, those of the operator among them."""

    types: MediaTypes = Attribute("All of them; ask anew each time, for they may be added to.")


# Text for the index.


class ITextReader(Interface):
    """Reads what can be found in messages, for an index; none of it holds the reactor."""

    def text_of(content: Content, about: str = "") -> Awaitable[SearchText]:
        """Return a message's text; ``about`` names it in the log.

        What can't be read, or not in time, is left out, and the log says so; a
        text whose body was left out is not whole.  Raises `Overloaded`,
        `ShuttingDown`, `StoreFailed` and `NoSuchMessage`.
        """

    def texts_of(contents: Sequence[bytes]) -> Awaitable[Sequence[SearchText | None]]:
        """Return the texts of small messages that are at hand, all in one go.

        None for one that can't be read.  Raises `ShuttingDown` and `Overloaded`.
        """


class ITextExtractor(Interface):
    """Gives the text in parts of some type to the index, such as that of a document.

    ``[mime.handlers]`` says which types it is asked about.  It is made of its
    settings alone, in a child process, and works there: it may use a library that
    crashes, hangs or eats memory, and may not ask for neighbours.  Maker and
    settings stand at the top of a module, so that they can be sent there.
    """

    def text(octets: bytes, media_type: str, charset: str, limit: int) -> str:
        """Return the text in a part's octets, their transfer encoding undone.

        ``media_type`` is in lower case, without parameters; ``charset`` is that of
        the part, empty if it names none.  Return ``limit`` characters at most, the
        rest is cut off.  Words are all that counts: white space is put together
        and case is folded later.

        Raise whatever you like for octets that make no sense.  Then, and when it
        takes longer or more memory than ``[limits]`` allow, the message is indexed
        without the part, and the log says so.
        """


# Keeping.


class ICursor(Interface):
    """Hands out messages in batches; ``async with`` it, so that it is always closed."""

    def next_batch() -> Awaitable[Batch | None]:
        """Return some more messages, or None at the end.

        It is as many as are good to have at once: summaries and contents of not
        more than `BATCH_OCTETS`, or else a single message.
        """

    def __aenter__() -> Awaitable[ICursor]:
        """Open it."""

    def __aexit__(
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Awaitable[None]:
        """Close it, wherever it stands."""


class IMailStore(Interface):
    """Every account's mail."""

    def open(account: AccountId) -> Awaitable[IAccount]:
        """Return the account's mail; INBOX is made where there is none yet."""

    def deliver(deliveries: Sequence[Delivery]) -> Awaitable[Sequence[Outcome]]:
        """Keep each delivery durably, and return one outcome each, in order.

        All placements of a delivery are made together with its key, or none.
        A key that is known returns its first outcome and adds nothing.
        Deliveries stand alone: one that fails does not touch the others.
        """

    def remove(account: AccountId) -> Awaitable[None]:
        """Forget all mail of an account that has been removed; nothing is raised if none."""


class IAccount(Interface):
    """One account's mailboxes and messages; each call is atomic and durable.

    Everything is a batch, by `UidSet`; UIDs that a mailbox does not have are
    passed over.  UIDs and mod-sequences only rise; a mod-sequence counts for
    the whole account.  Names of keywords match without case, and keep the
    spelling that the account saw first.  Raises `NoSuchMailbox`,
    `NoSuchMessage`, `AlreadyExists`, `NotPermitted` and `OverQuota`, in which
    case nothing has changed.  A call that is cancelled has been carried out
    whole or not at all.

    A message that was there when this object was opened, and whose `Record`
    its holder has, can be read by `content` as long as the object is held,
    even if another session expunges it meanwhile.
    """

    id = Attribute("The `AccountId`.")

    def mailboxes() -> Awaitable[Sequence[Mailbox]]:
        """Return every mailbox with its counts, by name, INBOX first."""

    def subscriptions() -> Awaitable[Collection[str]]:
        """Return the subscribed names, whether there are such mailboxes or not."""

    def create(name: str, role: Role = Role.NONE) -> Awaitable[Mailbox]:
        """Make a mailbox, and those above it that are missing; its UIDVALIDITY is new.

        `proper_name` says how names are kept.  Only one mailbox has a role.
        """

    def edit(mailbox: MailboxId, edit: MailboxEdit) -> Awaitable[Mailbox]:
        """Rename a mailbox with those below it, or change its role; its identity stays.

        Mailboxes above the new name that are missing are made.  INBOX can't be
        renamed here: what RFC 9051 section 6.3.6 says of it is made of `create`
        and `move`.
        """

    def remove(mailbox: MailboxId) -> Awaitable[None]:
        """Remove a mailbox and its messages; INBOX and those with others below can't be."""

    def subscribe(names: Collection[str], on: bool) -> Awaitable[None]:
        """Subscribe names, or end it; they need not exist (RFC 9051 section 6.3.7)."""

    def index(mailbox: MailboxId) -> Awaitable[MailboxIndex]:
        """Return the mailbox's numbers as columns, all at one mod-sequence."""

    def records(mailbox: MailboxId, uids: UidSet, wanted: Wanted = Wanted.NOTHING) -> ICursor:
        """Return a cursor over these messages, by ascending UID.

        What is expunged before its batch is fetched is passed over.
        """

    def content(record: Record) -> Awaitable[Content]:
        """Return a message's octets, which may be read piece by piece.

        Raises `NoSuchMessage`, here or in reading, if they have gone.
        """

    def append(
        mailbox: MailboxId, messages: Sequence[NewMessage], replacing: Replaced | None = None
    ) -> Awaitable[Sequence[Appended]]:
        """Add messages, all or none, in place of ``replacing`` where it is given (RFC 8508).

        Raises `NoSuchMessage` if what is to be replaced has gone.
        """

    def flag(
        mailbox: MailboxId,
        uids: UidSet,
        change: FlagChange,
        unless_after: ModSeq | None = None,
    ) -> Awaitable[Flagged]:
        """Change flags, except of messages changed after ``unless_after`` (RFC 7162).

        A message that has these flags already is not changed.
        """

    def move(
        mailbox: MailboxId, uids: UidSet, target: MailboxId, keep: bool = False
    ) -> Awaitable[Moved]:
        """Give messages a place in ``target``; with ``keep`` they stay here as well (COPY).

        The target may be the mailbox itself: then they get new UIDs there.
        """

    def expunge(mailbox: MailboxId, uids: UidSet) -> Awaitable[UidSet]:
        """Remove messages, whatever their flags, and return which there were."""

    def changes(since: ModSeq, mailbox: MailboxId | None = None) -> Awaitable[Changes]:
        """Return what happened after ``since``, in all mailboxes or one.

        Mailboxes that have been removed are only named.
        """


class IContentStore(Interface):
    """The small storage plugin: keeps octets, while the house's index does the rest.

    What is asked of it comes in this order.  A content is added, and then a commit
    of the index names its key; so `add` returns when it is durable.  A commit
    forgets the key, and then the content is removed.  A crash in between leaves a
    content that nobody names, which the index finds by `scan` after its next start.

    Raises `DiskFull`, `StoreFailed`, `Overloaded` and `NoSuchMessage`.
    """

    def add(account: AccountId, content: Content) -> Awaitable[str]:
        """Keep a content durably, and return the key to find it by.

        Each call has a key of its own, which is given once and never again: also
        for octets that are there already, and for a key that has been removed.  So
        nobody who removes a key can mean what another has just added.  A key has
        200 characters at most, none of them a control.

        ``account`` is whose mail it is, for those who keep each one's apart.  What
        this raises leaves nothing, or what `scan` will find.
        """

    def read(key: str, start: int, stop: int) -> Awaitable[bytes]:
        """Return octets of a content, as `IContent.read` does; raises `NoSuchMessage`.

        Whatever is asked for as a key, only contents are read.
        """

    def remove(keys: Collection[str]) -> Awaitable[None]:
        """Forget contents; keys that are not there are passed over."""

    def scan(after: str) -> Awaitable[Sequence[str]]:
        """Return some keys that come after ``after``, in the order of their text.

        A thousand or so at a time, none at the end.  One begins after ``""``.
        Contents that were there before the first call and still are may not be
        passed over; others may.
        """


# The house's own joints.


class IBus(Interface):
    """Tells the rooms what happened, after the commit, on the reactor's next turn."""

    def publish(events: Iterable[object]) -> None:
        """Tell everyone who subscribed to the events' classes, in order."""

    def subscribe(kind: type[E], hear: Callable[[E], None]) -> Callable[[], None]:
        """Call ``hear`` for each event of a class; return what ends it."""


class IPortal(IProtocolFactory):
    """Answers the door of one protocol: a factory of sessions, and their end."""

    addresses = Attribute("Where to listen, in the words of the portal's settings.")
    sessions = Attribute("How many connections are being served.")

    def drain(patience: float) -> Awaitable[None]:
        """Begin nothing new, say goodbye, and return when the last session has ended.

        Idle sessions are ended at once; what runs may finish within
        ``patience`` seconds and is cut off then.
        """
