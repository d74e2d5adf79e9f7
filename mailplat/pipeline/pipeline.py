"""Asks policies and filters in their order, notes what they said, and hands the message on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailplat.interfaces import IBus, IDeliveryAgent, IDirectory, IPipeline, IQueue, WallClock
from mailplat.mail.address import Address
from mailplat.mail.content import FIRST_LOOK, Content
from mailplat.mail.draft import run_here
from mailplat.mail.envelope import Recipient
from mailplat.mail.errors import HeaderTooLarge, MailError, Refused
from mailplat.mail.events import MessageSettled
from mailplat.mail.header import Header
from mailplat.mail.limits import Limits
from mailplat.mail.mailbox import Outcome
from mailplat.mail.status import DELIVERED, Status
from mailplat.mail.transit import (
    KEEP,
    Decision,
    Disposition,
    MessageRecord,
    Stage,
    Transit,
    Verdict,
    network_of,
)
from mailplat.mail.words import shown
from mailplat.pipeline.handing import Handing
from mailplat.pipeline.judge import Judge, amend, described
from mailplat.pipeline.waiting import begin_for_good
from mailplat.tally import Tally

PEER_LEFT = Status(4, 4, 2)
FEW = 5  # refused messages of a kind that are told one by one in a minute
LONGEST_TEXT = 256  # octets or characters of a field that go into the record

_BEFORE_MAIL = (Stage.CONNECT, Stage.GREETING)  # what is refused here has no record


@implementer(IPipeline)
class Pipeline:
    """One chain of policies and filters, and what it leads to.

    Mail for the postmaster, without a domain or at a local one, is let in by
    nobody's leave: no policy is asked about that recipient (RFC 5321 section
    4.5.1).  So that this holds against those asked at SENDER too, their
    refusals are put off until a recipient is named, and told to every other
    recipient.  Filters see such a message like any other.

    Without a queue HOLD is told as a refusal for now.
    """

    log = Logger()

    def __init__(
        self,
        policies: Sequence[Judge],
        filters: Sequence[Judge],
        directory: IDirectory,
        agent: IDeliveryAgent,
        bus: IBus,
        clock: IReactorTime,
        wall: WallClock,
        limits: Limits,
        queue: IQueue | None = None,
    ) -> None:
        self._policies = {
            stage: [judge for judge in policies if stage in judge.component.stages]
            for stage in Stage
        }
        self._filters = filters
        self._run = next((judge.workers.run for judge in (*policies, *filters)), run_here)
        self._directory = directory
        self._may_hold = queue is not None
        self._handing = Handing(agent, queue, directory, clock, limits.answer_within)
        self._bus = bus
        self._wall = wall
        self._limits = limits
        self._refused: Tally[Hashable, MessageRecord] = Tally(clock, self._tell, few=FEW)

    def finish(self) -> None:
        """Tell of what was refused and not yet told."""
        self._refused.finish()

    # The envelope.

    async def ask(self, stage: Stage, transit: Transit) -> Verdict:
        recipient = transit.recipient if stage is Stage.RECIPIENT else None
        if recipient:
            if recipient.address.is_postmaster and await self._is_local(recipient.address):
                transit.decisions.append(_postmaster(recipient))
                return Verdict.accept()
            if transit.verdict.disposition.refuses:
                transit.decisions.append(_put_off(transit.verdict, recipient))
                return transit.verdict
        for judge in self._policies[stage]:
            verdict = await judge.judge(stage, transit, stage, transit)
            if verdict is KEEP:
                continue
            verdict = self._possible(verdict)
            _merge(transit, verdict)
            if not verdict.disposition.refuses:
                transit.edits += verdict.edits
            elif stage in _BEFORE_MAIL:
                self.log.info(
                    "{peer} was refused at {stage} by {component}: {detail}",
                    peer=str(transit.peer),
                    stage=stage.value,
                    component=judge.name,
                    detail=described(verdict.error) if verdict.error else "",
                )
            if verdict.disposition is not Disposition.KEEP:
                return _at_stage(stage, transit, verdict)
        return KEEP

    def _possible(self, verdict: Verdict) -> Verdict:
        """Return a verdict; one that wants to hold refuses for now where nothing can."""
        if verdict.disposition is not Disposition.HOLD or self._may_hold:
            return verdict
        return attrs.evolve(verdict, disposition=Disposition.DEFER)

    async def _is_local(self, address: Address) -> bool:
        return not address.domain or bool(await self._directory.domain(address.domain))

    def drop(self, transit: Transit) -> None:
        if any(decision.disposition.refuses for decision in transit.decisions):
            self._settle(transit, ())

    # The content.

    async def accept(self, transit: Transit) -> Sequence[Outcome]:
        transit.arrived = transit.arrived or self._now()
        transit.original = transit.content
        try:
            fates = await self._judge(transit)
        except CancelledError:
            left = Outcome(PEER_LEFT, "the peer left before the message was taken")
            self._settle(transit, [left] * len(transit.envelope.recipients))
            raise
        outcomes = begin_for_good(self._hand_on(transit, fates))
        return await outcomes if isinstance(outcomes, Deferred) else outcomes

    async def _judge(self, transit: Transit) -> Sequence[Verdict]:
        """Return what shall become of each recipient's copy."""
        own = {
            key: verdict
            for key, verdict in transit.verdicts.items()
            if verdict.disposition in (Disposition.DISCARD, Disposition.HOLD)
        }
        try:
            whole = await self._filter(transit, own)
        except MailError as error:
            whole = Verdict.defer(error) if error.status.is_transient else Verdict.reject(error)
        transit.junk = transit.junk or Disposition.JUNK in (
            whole.disposition,
            transit.verdict.disposition,
        )
        recipients = transit.envelope.recipients
        fates = [_fate(transit, recipient, whole, own) for recipient in recipients]
        return fates if "LMTP" in transit.protocol else together(fates)

    async def _filter(self, transit: Transit, own: dict[str, Verdict]) -> Verdict:
        """Return the filters' verdict on the whole; note in ``own`` those on one recipient."""
        if transit.verdict.disposition is Disposition.DISCARD:
            return transit.verdict
        transit.header = await self._header(transit.content)
        await self._amend_for_policies(transit)
        for judge in self._filters:
            verdict = await judge.judge(Stage.CONTENT, transit, transit)
            if verdict is KEEP:
                continue
            verdict = self._possible(verdict)
            _merge(transit, verdict)
            for key, single in verdict.recipients.items():
                if single.disposition is not Disposition.KEEP:
                    own.setdefault(key, self._possible(single))
            if verdict.disposition is not Disposition.KEEP:
                return _held_if_so(transit, verdict)
        return _held_if_so(transit, KEEP)

    async def _amend_for_policies(self, transit: Transit) -> None:
        try:
            await amend(transit, transit.edits, self._run)
        except Exception as error:
            self.log.failure("{id}: the edits of policies failed", id=transit.id)
            raise MailError(f"the edits of policies: {described(error)}") from error

    async def _header(self, content: Content) -> Header:
        header = Header.parse(await content.read(0, min(content.size, FIRST_LOOK)))
        if len(header.octets) >= FIRST_LOOK:
            whole = min(content.size, self._limits.header_size + 4)
            header = Header.parse(await content.read(0, whole))
        if len(header.octets) > self._limits.header_size:
            raise HeaderTooLarge(f"a header of over {self._limits.header_size} octets")
        if len(header.lines) > self._limits.header_fields:
            raise HeaderTooLarge(f"a header of {len(header.lines)} fields")
        return header

    async def _hand_on(self, transit: Transit, fates: Sequence[Verdict]) -> Sequence[Outcome]:
        """Deliver to those who get it, and say what became of everyone."""
        outcomes = [_outcome(fate) for fate in fates]
        busy = await self._handing.hand_on(transit, fates, outcomes)
        complete = [outcome for outcome in outcomes if outcome]
        self._settle(transit, complete, busy)
        return complete

    # The record.

    def _settle(
        self,
        transit: Transit,
        outcomes: Sequence[Outcome],
        busy: Deferred[None] | None = None,
    ) -> None:
        """Put on record what became of a message, and close its content when nobody reads it."""
        transit.arrived = transit.arrived or self._now()
        record = record_of(transit, transit.arrived, outcomes)
        if any(outcome.status.is_success for outcome in outcomes):
            self._tell(record)
        else:
            self._refused.add(_kind(transit, record), record)
        if busy:
            busy.addBoth(lambda _nothing: transit.original.close())
        else:
            transit.original.close()

    def _tell(self, record: MessageRecord, counted: int = 0) -> None:
        told = attrs.evolve(record, repeats=counted - 1) if counted else record
        self._bus.publish([MessageSettled(told)])

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall.seconds(), UTC)


def _kind(transit: Transit, record: MessageRecord) -> Hashable:
    """Return what refused messages have in common that are counted together."""
    who = record.login or network_of(transit.peer.host)
    decisions = (decision for decision in record.decisions if decision.disposition.refuses)
    whys = {(one.component, one.detail.partition(":")[0]) for one in decisions}
    return who, frozenset(whys), frozenset(outcome.status for outcome in record.outcomes)


def _merge(transit: Transit, verdict: Verdict) -> None:
    transit.facts.update(verdict.facts)
    if verdict.score:
        sum_so_far = transit.facts.get("score", 0.0)
        if isinstance(sum_so_far, (int, float)):
            transit.facts["score"] = sum_so_far + verdict.score


def _at_stage(stage: Stage, transit: Transit, verdict: Verdict) -> Verdict:
    """Return what the portal does at once, and remember what takes effect later."""
    if verdict.disposition.refuses:
        if stage is not Stage.SENDER:
            return verdict
        transit.verdict = verdict
        return KEEP
    if verdict.disposition in _LASTING:
        if stage is Stage.RECIPIENT and transit.recipient:
            transit.verdicts[transit.recipient.address.key] = verdict
        else:
            transit.verdict = verdict
    return verdict


_LASTING = (Disposition.JUNK, Disposition.DISCARD, Disposition.HOLD)
_TAKEN = (Disposition.KEEP, Disposition.ACCEPT, Disposition.JUNK)


def _held_if_so(transit: Transit, verdict: Verdict) -> Verdict:
    """Return a filter's verdict, or that of a policy that wants to hold what filters take."""
    is_held = transit.verdict.disposition is Disposition.HOLD
    return transit.verdict if is_held and verdict.disposition in _TAKEN else verdict


def _fate(
    transit: Transit, recipient: Recipient, whole: Verdict, own: Mapping[str, Verdict]
) -> Verdict:
    """Return the verdict on one recipient: their own, else that on the whole message."""
    if not own and not transit.verdicts and not transit.junk:
        return whole
    key = recipient.address.key
    fate = own.get(key, whole)
    if fate.disposition not in (Disposition.KEEP, Disposition.ACCEPT):
        return fate
    early = transit.verdicts.get(key, KEEP)
    is_junk = transit.junk or early.disposition is Disposition.JUNK
    return Verdict.junk() if is_junk else fate


def together(fates: Sequence[Verdict]) -> Sequence[Verdict]:
    """Return verdicts that one answer for all recipients can carry, as SMTP has it.

    Where somebody would get the message and another only later, nobody gets it
    now, so that nobody gets it twice.  Where somebody gets it and another's copy
    is refused, that copy is filed as junk, since nobody would hear of its refusal.
    """
    if all(fate.disposition.refuses for fate in fates):
        return fates
    for fate in fates:
        if fate.disposition is Disposition.DEFER:
            return [fate] * len(fates)
    return [
        Verdict.junk() if fate.disposition is Disposition.REJECT else fate for fate in fates
    ]


def _outcome(fate: Verdict) -> Outcome | None:
    """Return what becomes of a copy that isn't delivered; None for one that is."""
    if fate.disposition is Disposition.DISCARD:
        return Outcome(DELIVERED, "discarded")
    if fate.disposition.refuses:
        error = fate.error or Refused("refused")
        return Outcome(error.status, described(error), error)
    return None


def _postmaster(recipient: Recipient) -> Decision:
    return Decision(
        Stage.RECIPIENT,
        "postmaster",
        Disposition.ACCEPT,
        "mail for the postmaster is always let in",
        recipient=str(recipient.address),
    )


def _put_off(verdict: Verdict, recipient: Recipient) -> Decision:
    return Decision(
        Stage.RECIPIENT,
        "sender",
        verdict.disposition,
        described(verdict.error) if verdict.error else "",
        recipient=str(recipient.address),
    )


def record_of(
    transit: Transit, arrived: datetime, outcomes: Sequence[Outcome]
) -> MessageRecord:
    """Return what is to be remembered of a message."""
    envelope = transit.envelope
    return MessageRecord(
        id=transit.id,
        arrived=arrived,
        portal=transit.portal,
        protocol=transit.protocol,
        peer=str(transit.peer),
        greeting=transit.greeting,
        login=transit.login.name if transit.login else "",
        sender=str(envelope.sender or ""),
        recipients=tuple(str(recipient.address) for recipient in envelope.recipients),
        outcomes=tuple(outcomes),
        decisions=tuple(transit.decisions),
        size=transit.content.size,
        message_id=shown(transit.header.body(b"Message-ID")[:LONGEST_TEXT]),
        subject=shown(transit.header.body(b"Subject")[: 64 * LONGEST_TEXT])[:LONGEST_TEXT],
    )
