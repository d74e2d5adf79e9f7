"""One message on its way in, and the verdicts on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from functools import lru_cache
from ipaddress import ip_network

import attrs

from mailplat.mail.content import Content, Octets
from mailplat.mail.draft import Run, run_here
from mailplat.mail.edit import Edits
from mailplat.mail.envelope import Envelope, Recipient
from mailplat.mail.errors import MailError, NotNow, bare
from mailplat.mail.header import Header
from mailplat.mail.mailbox import Outcome
from mailplat.mail.message import Message
from mailplat.mail.people import Account

NOTHING: Mapping[str, object] = {}


class Stage(Enum):
    """The moments at which the pipeline is asked."""

    CONNECT = "connect"
    GREETING = "greeting"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


class Disposition(Enum):
    """What should become of a message, a recipient or a connection."""

    KEEP = "keep"  # no objection; ask the next
    ACCEPT = "accept"  # take it, and ask nobody else at this stage
    JUNK = "junk"  # take it, and file it as junk
    HOLD = "hold"  # take it, and wait for the operator
    DEFER = "defer"  # refuse it for now
    REJECT = "reject"  # refuse it for good
    DISCARD = "discard"  # say that it was taken, and drop it

    @property
    def refuses(self) -> bool:
        """Whether the peer hears that it was not taken."""
        return self in (Disposition.DEFER, Disposition.REJECT)


@attrs.frozen(kw_only=True)
class Verdict:
    """What a policy or filter says of a message.

    ``edits`` may come with any disposition; ``facts`` are kept for those asked
    later and for the record; ``recipients`` gives single recipients (by
    `Address.key`) a verdict of their own.  ``error`` is what the peer will
    hear where the disposition refuses.
    """

    disposition: Disposition = Disposition.KEEP
    error: MailError | None = None
    edits: Edits = Edits()
    facts: Mapping[str, object] = NOTHING
    score: float = 0.0
    recipients: Mapping[str, Verdict] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        bare(self.error)

    @classmethod
    def keep(cls, edits: Edits | None = None, **facts: object) -> Verdict:
        """Let the message pass to the next, with these edits."""
        return cls(edits=edits or Edits(), facts=facts)

    @classmethod
    def accept(cls) -> Verdict:
        """Let it in without asking anyone else at this stage."""
        return cls(disposition=Disposition.ACCEPT)

    @classmethod
    def junk(cls, score: float = 0.0) -> Verdict:
        """Let it in as junk."""
        return cls(disposition=Disposition.JUNK, score=score)

    @classmethod
    def hold(cls, error: MailError) -> Verdict:
        """Keep it for the operator to look at."""
        return cls(disposition=Disposition.HOLD, error=error)

    @classmethod
    def defer(cls, error: MailError | None = None) -> Verdict:
        """Refuse it for now."""
        return cls(disposition=Disposition.DEFER, error=error or NotNow("deferred"))

    @classmethod
    def reject(cls, error: MailError) -> Verdict:
        """Refuse it for good, for this reason."""
        return cls(disposition=Disposition.REJECT, error=error)

    @classmethod
    def discard(cls) -> Verdict:
        """Drop it, and tell nobody."""
        return cls(disposition=Disposition.DISCARD)


KEEP = Verdict()


@attrs.frozen
class Peer:
    """The other end of a connection.

    ``host`` is an address in text, IPv4 never in IPv6's clothes; it is empty
    for UNIX sockets, whose ``path`` is given.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path or not self.host:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@lru_cache(4096)
def network_of(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    if ":" not in host:
        return host
    return str(ip_network((host.partition("%")[0], 64), strict=False).network_address)


@attrs.frozen
class Decision:
    """What one component said at one moment, for the record."""

    stage: Stage
    component: str
    disposition: Disposition
    detail: str = ""  # why, in words for the operator
    seconds: float = 0.0
    facts: Mapping[str, object] = NOTHING
    recipient: str = ""  # whom it was about, where it was about one only
    edits: tuple[str, ...] = ()  # what it changed, in words


@attrs.define(eq=False)
class Transit:
    """One message on its way in; what was learnt of it is filled in as it comes.

    ``id`` names the message everywhere: trace field, log, journal, queue.
    ``content`` is the message with all edits so far; ``original`` what arrived.
    ``header`` is that of ``content``.  At the stage RECIPIENT, ``recipient`` is
    the one asked about; ``envelope`` holds those accepted before.

    ``verdict`` is what policies said of the whole message, ``verdicts`` what
    they said of single recipients, by `Address.key`, and ``edits`` what they
    want changed once there is content: the pipeline keeps them here between
    its stages.
    """

    id: str
    peer: Peer
    portal: str = ""
    protocol: str = "SMTP"  # as RFC 3848 spells it for the trace field
    local: Peer = Peer()
    secured: str = ""  # the version of TLS, where there is any
    greeting: str = ""  # what the peer called itself
    login: Account | None = None
    envelope: Envelope = Envelope(None)
    recipient: Recipient | None = None
    content: Content = Octets(b"")
    original: Content = Octets(b"")
    header: Header = Header()
    arrived: datetime | None = None
    junk: bool = False
    verdict: Verdict = KEEP
    verdicts: dict[str, Verdict] = attrs.field(factory=dict)
    edits: Edits = Edits()
    run: Run = run_here  # calls what may take its time when the message is loaded
    facts: dict[str, object] = attrs.field(factory=dict)
    decisions: list[Decision] = attrs.field(factory=list)

    _message: Message | None = attrs.field(default=None, init=False)

    @property
    def message(self) -> Message:
        """The message as authors of filters like to see it, with all edits so far.

        It is one and the same, with all that has been found out about it, until
        the content changes.
        """
        message = self._message
        if (
            message is None
            or message.content is not self.content
            or message.header is not self.header
        ):
            self._message = message = Message(self.header, self.content, self.run)
        return message

    def edit(self) -> Edits:
        """Begin a plan of changes to the message as it is now."""
        return Edits()


@attrs.frozen
class Job:
    """Some recipients of one message, for a delivery agent to carry one hop."""

    id: str
    envelope: Envelope  # with the recipients of this job only
    content: Content
    arrived: datetime
    junk: bool = False


@attrs.frozen
class MessageRecord:
    """Everything that was decided about one message, and what became of it."""

    id: str
    arrived: datetime
    portal: str
    protocol: str
    peer: str
    greeting: str
    login: str
    sender: str
    recipients: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    decisions: tuple[Decision, ...]
    size: int
    message_id: str = ""
    subject: str = ""
    repeats: int = 0  # how many more like it there were in that minute, and no more is known

    @property
    def refusals(self) -> tuple[Decision, ...]:
        """What kept single recipients out of ``recipients``."""
        return tuple(
            decision
            for decision in self.decisions
            if decision.stage is Stage.RECIPIENT and decision.disposition.refuses
        )
