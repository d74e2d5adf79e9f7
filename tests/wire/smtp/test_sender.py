"""Every transcript in tests/dialogues/sender is what really happens, however it is cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplat.mail.address import Address
from mailplat.mail.envelope import (
    Body,
    DeliverBy,
    Envelope,
    Notify,
    OriginalRecipient,
    Recipient,
    Return,
)
from mailplat.testing.cuts import cuttings
from mailplat.testing.dialogues import Dialogue, Step
from mailplat.wire.smtp.sender import Awaited, Carried, Credentials, Failed, Offered, Sender
from mailplat.wire.smtp.transaction import CHUNKS_FROM, Transaction

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues" / "sender").glob("*.txt"))
NOW = datetime(2026, 11, 23, tzinfo=UTC)
HELLO = rb"Subject: hello\r\n\r\nhello\r\n"


def address(text: str) -> Address:
    return Address.parse(text)


@attrs.define
class Conversation:
    """Steers an engine through a dialogue: its settings say what is to be sent."""

    settings: dict[str, str]
    sender: Sender = attrs.field(init=False)
    said: bytearray = attrs.field(factory=bytearray, init=False)
    outcomes: list[str] = attrs.field(factory=list, init=False)
    failed: str = attrs.field(default="", init=False)
    secured: bool = attrs.field(default=False, init=False)
    fed: bool = attrs.field(default=False, init=False)
    _steps: Iterator[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.sender = Sender(
            "out.example.net", "mx.example.org", lmtp=self.settings.get("lmtp") == "yes"
        )
        self._steps = self._order()
        self.go_on()

    @property
    def content(self) -> bytes:
        text = self.settings.get("content", HELLO.decode())
        return text.encode().decode("unicode_escape").encode("latin-1")

    @property
    def transaction(self) -> Transaction:
        settings = self.settings
        names = settings.get("notify", "")
        notify = Notify.NEVER if names else None
        for name in filter(None, names.split(",")):
            assert notify is not None
            notify |= Notify[name]
        original = settings.get("orcpt")
        recipients = tuple(
            Recipient(
                address(text),
                OriginalRecipient("rfc822", original) if original else None,
                notify,
            )
            for text in settings["to"].split()
        )
        seconds, _, mode = settings.get("by", "").partition(" ")
        envelope = Envelope(
            address(settings.get("from", "carol@example.net")),
            recipients,
            returns=Return(settings["ret"]) if "ret" in settings else None,
            envelope_id=settings.get("envid", ""),
            requires_tls="requiretls" in settings,
            deliver_by=DeliverBy(NOW, mode == "R") if mode else None,
            priority=int(settings.get("priority", 0)),
        )
        body = Body(settings.get("body", "7BIT"))
        return Transaction(envelope, len(self.content), body, seconds_left=int(seconds or 0))

    def _order(self) -> Iterator[None]:
        """Give the orders that a relay would give; yields while it waits for a result."""
        sender = self.sender
        sender.greet()
        yield from self._done()
        if self.settings.get("tls") == "yes" and not self.failed:
            sender.start_tls()
            yield from self._done()
            self.secured = not self.failed
            if self.secured:
                sender.hello()
                yield from self._done()
        if (login := self.settings.get("login")) and not self.failed:
            sender.login(Credentials(*login.split(" ")))
            yield from self._done()
        for _ in range(int(self.settings.get("messages", 1))):
            if not self.failed:
                self.fed = False
                sender.send(self.transaction)
                yield from self._done()
        if not sender.closing:
            sender.quit()
            yield from self._done()

    def _done(self) -> Iterator[None]:
        while self.sender.result is None:
            yield
        match self.sender.result:
            case Failed(outcome):
                self.failed = str(outcome.status)
            case Carried(outcomes):
                self.outcomes += [str(outcome.status) for outcome in outcomes]

    def receive(self, octets: bytes) -> None:
        self.sender.receive(octets)
        self.go_on()

    def lose(self, why: str) -> None:
        self.sender.lost(why)
        self.go_on()

    def go_on(self) -> None:
        next(self._steps, None)
        self.said += self.sender.take()
        pieces = int(self.settings.get("pieces", 1))
        content, size = self.content, -(-len(self.content) // pieces)
        parts = [content[at : at + size] for at in range(0, len(content), size)]
        if self.sender.wants_content and not self.fed:
            self.fed = True
            fed = parts[:1] if pieces > 1 else parts
            for number, part in enumerate(fed, 1):
                self.sender.feed(part, is_last=number == len(parts))
            self.said += self.sender.take()


def octets_of(step: Step, repeat: int) -> bytes:
    text = step.text.encode()
    if step.who == "R":
        return text.decode("unicode_escape").encode("latin-1") * repeat
    return (text + b"\r\n") * repeat


def groups(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    """Yield what is said in one go; octets escaped belong to whose turn it is."""
    group: list[Step] = []
    who = ""
    for step in steps:
        mine = who if step.who == "R" and who else "S" if step.who == "R" else step.who
        if step.who == "R" and who == "S":
            mine = "C"
        if group and (mine != who or mine not in "CS"):
            yield who, group
            group = []
        who = mine
        group.append(step)
    yield who, group


def play(dialogue: Dialogue, cut: Sequence[int] | None = None) -> Conversation:
    """Play a dialogue; ``cut`` is which of its groups is cut, and which of its cuttings."""
    settings = dict(dialogue.settings)
    repeat = int(settings.get("repeat", 1))
    talk = Conversation(settings)
    for number, (who, group) in enumerate(groups(dialogue.steps)):
        octets = b"".join(octets_of(step, repeat) for step in group)
        if who == "S":
            assert not talk.said, f"before line {group[0].line}: {bytes(talk.said)!r}"
            pieces = [octets]
            if cut and cut[0] == number:
                pieces = list(cuttings(octets))[cut[1]]
            for piece in pieces:
                talk.receive(piece)
        elif who == "C":
            assert bytes(talk.said) == octets, f"line {group[0].line}"
            talk.said.clear()
            talk.go_on()
        elif who == "TLS":
            assert talk.secured
        elif who == "closed":
            assert talk.sender.closing
        else:
            talk.lose({"late": "it was too slow", "hangs up": "it hung up"}[who])
    return talk


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path: Path) -> None:
    dialogue = Dialogue.read(path)
    settings = dict(dialogue.settings)
    expected = (settings.get("outcomes", "").split(), settings.get("fails", ""))
    talk = play(dialogue)
    assert (talk.outcomes, talk.failed) == expected
    if path.stem in ("unasked", "starttls-injection", "content-interrupted"):
        return  # what comes later, or earlier, means something else
    for number, (who, group) in enumerate(groups(dialogue.steps)):
        octets = b"".join(octets_of(step, 1) for step in group)
        if who != "S" or "repeat" in settings:
            continue
        for cut in range(len(octets) + 1):
            talk = play(dialogue, (number, cut))
            assert (talk.outcomes, talk.failed) == expected, cut


def test_octets_behind_starttls_are_never_heard_as_answers() -> None:
    talk = Conversation({"tls": "yes", "to": "alice@example.org"})
    talk.receive(b"220 mx\r\n")
    talk.receive(b"250-mx\r\n250 STARTTLS\r\n")
    talk.receive(b"220 ready\r\n2")
    assert talk.failed
    assert talk.sender.closing


def large_transaction() -> Transaction:
    envelope = Envelope(None, (Recipient(address("alice@example.org")),))
    return Transaction(envelope, CHUNKS_FROM)


def begun(*extensions: str) -> Sender:
    sender = Sender("out.example.net")
    sender.greet()
    sender.receive(b"220 mx\r\n")
    lines = ["mx", *extensions]
    text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
    sender.receive(text.encode())
    assert isinstance(sender.result, Offered)
    sender.take()
    return sender


def test_a_large_message_goes_in_counted_chunks_where_they_are_offered() -> None:
    sender = begun("CHUNKING")
    sender.send(large_transaction())
    for _ in range(2):
        sender.take()
        sender.receive(b"250 ok\r\n")
    sender.feed(b"a\r", is_last=False)
    assert sender.take() == b"BDAT 1\r\na"
    assert sender.awaited is Awaited.END
    sender.receive(b"250 ok\r\n")
    sender.feed(b"\nb", is_last=True)
    assert sender.take() == b"BDAT 3 LAST\r\n\r\nb"
    sender.receive(b"250 2.0.0 kept\r\n")
    assert isinstance(sender.result, Carried)
    assert sender.result.outcomes[0].relayed


def test_a_chunk_that_is_refused_ends_the_transaction() -> None:
    sender = begun("CHUNKING")
    sender.send(large_transaction())
    sender.receive(b"250 ok\r\n")
    sender.receive(b"250 ok\r\n")
    sender.feed(b"a", is_last=False)
    sender.receive(b"552 5.3.4 enough\r\n")
    assert isinstance(sender.result, Carried)
    assert str(sender.result.outcomes[0].status) == "5.3.4"
    assert not sender.closing
    sender.take()
    sender.send(large_transaction())
    assert sender.take().startswith(b"RSET\r\n")


def test_success_at_the_wrong_place_is_none() -> None:
    """A 250 in the middle of the content says nothing that can be relied on."""
    sender = begun("PIPELINING")
    sender.send(Transaction(large_transaction().envelope, 10))
    sender.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n250 2.0.0 kept\r\n")
    assert isinstance(sender.result, Carried)
    assert sender.result.outcomes[0].status.is_transient
    assert sender.closing


def test_a_connection_that_is_lost_while_idle_fails_the_next_order_as_a_whole() -> None:
    for octets in (b"421 4.4.2 idle\r\n", b"250 what?\r\n", b"25"):
        sender = begun("PIPELINING")
        sender.receive(octets)
        sender.send(large_transaction())
        assert isinstance(sender.result, Failed)
        assert sender.result.outcome.status.is_transient
        assert not sender.take()


@pytest.mark.parametrize("code", range(200, 560, 10))
def test_a_final_answer_is_success_only_if_it_says_so(code: int) -> None:
    if code == 421:
        return
    sender = begun("PIPELINING")
    sender.send(Transaction(large_transaction().envelope, 10))
    sender.receive(b"250 ok\r\n250 ok\r\n354 go on\r\n")
    sender.feed(b"hello\r\n", is_last=True)
    sender.receive(b"%d 2.0.0 what\r\n" % code)
    assert isinstance(sender.result, Carried)
    [outcome] = sender.result.outcomes
    assert outcome.status.is_success == (code < 300)
    assert outcome.status.klass == (code // 100 if code >= 400 or code < 300 else 4)
    assert outcome.relayed == (code < 300)


REPLY = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"250 ok\r\n",
            b"250-a\r\n",
            b"250 STARTTLS\r\n",
            b"354 go on\r\n",
            b"550 5.1.1 no\r\n",
            b"451 4.0.0 wait\r\n",
            b"421 bye\r\n",
            b"220 mx\r\n",
            b"334 \r\n",
            b"235 ok\r\n",
            b"999 what\r\n",
        ]
    ),
)


@given(st.lists(REPLY, max_size=30), st.booleans(), st.booleans(), st.booleans())
def test_whatever_a_server_says(
    said: list[bytes], pipelining: bool, lmtp: bool, login: bool
) -> None:
    settings = {"to": "alice@example.org bob@example.org", "tls": "yes" if lmtp else "no"}
    settings |= {"lmtp": "yes"} if lmtp else {}
    settings |= {"login": "carol secret"} if login else {}
    talk = Conversation(settings)
    if pipelining:
        said = [b"220 mx\r\n", b"250-mx\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n", *said]
    for octets in said:
        talk.said.clear()
        talk.receive(octets)
    talk.said.clear()
    talk.lose("it hung up")
    assert talk.sender.closing
    assert talk.sender.result is not None
    accepted = sum(outcome.startswith("2") for outcome in talk.outcomes)
    assert accepted <= 2
    if accepted:
        assert b"".join(said).count(b"250") >= 1
