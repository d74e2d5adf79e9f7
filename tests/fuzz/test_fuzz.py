"""Throws mutated octets at everything that reads what strangers send.

    python -m pytest tests/fuzz --fuzz-seconds 60

No input may raise what its reader doesn't document, depend on how the network cut it, or
take long.  A failure prints the input; put it among the seeds.
"""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest

from mailplat.mail.address import Address
from mailplat.mail.addresslist import addresses_in
from mailplat.mail.bodystructure import describe
from mailplat.mail.charsets import charset_of, text_by_codec
from mailplat.mail.dates import date_in, imap_date_time_of
from mailplat.mail.dns import Tlsa
from mailplat.mail.downgrade import downgraded_header
from mailplat.mail.edit import Edits
from mailplat.mail.encodings import (
    Base64Decoder,
    Base64Encoder,
    QuotedPrintableDecoder,
    QuotedPrintableEncoder,
    UuDecoder,
)
from mailplat.mail.envelope import Envelope, Recipient
from mailplat.mail.errors import BadAddress, MailError
from mailplat.mail.filenames import file_names, safe_file_name
from mailplat.mail.header import Header
from mailplat.mail.identifiers import relatives_of
from mailplat.mail.imapwords import address_list, envelope
from mailplat.mail.layout import Layout
from mailplat.mail.limits import Limits
from mailplat.mail.message import Message
from mailplat.mail.parameters import disposition, media_type, tokens
from mailplat.mail.recoding import Level, Recoder, Survey, plan
from mailplat.mail.signatures import signatures_of
from mailplat.mail.sortkeys import address_keys, moment_key, subject_key
from mailplat.mail.structure import Scanner, scan
from mailplat.mail.summary import read_summary, summarise
from mailplat.mail.words import decoded_words, shown
from mailplat.moving import maildir, mbox
from mailplat.moving.letters import mailbox_name, proper_flags
from mailplat.portals.imap.commands import COMMANDS as IMAP
from mailplat.portals.imap.commands.search import Search
from mailplat.testing.corpus import samples
from mailplat.testing.growth import GROWTH, in_linear_time, repeated
from mailplat.testing.imapwords import words_of
from mailplat.testing.issuing import NOW, issue
from mailplat.trust import dane, mtasts, tlsrpt
from mailplat.trust.certificates import NotAuthentic, key_info
from mailplat.trust.dkim import BadSignature, check
from mailplat.trust.keys import BadKey, PublicKey
from mailplat.wire.dns import BadMessage, Question
from mailplat.wire.dns import read as read_response
from mailplat.wire.engine import After, Engine
from mailplat.wire.imap.receiver import Announced, Piece, Said
from mailplat.wire.imap.receiver import Mistake as Unheard
from mailplat.wire.imap.receiver import Receiver as ImapReceiver
from mailplat.wire.imap.reply import Effect, Expecting, GoOn, Tagged
from mailplat.wire.imap.search import Reading, read_keys
from mailplat.wire.pop3 import Auth as Pop3Auth
from mailplat.wire.pop3 import Challenge, Err, Ok, Pop3Engine
from mailplat.wire.smtp.commands import Auth, Data, Offer
from mailplat.wire.smtp.data import Body, DotReader, EndOfData
from mailplat.wire.smtp.receiver import Mistake, Receiver
from mailplat.wire.smtp.reply import Reply
from mailplat.wire.smtp.sender import Carried, Failed, Sender
from mailplat.wire.smtp.transaction import Transaction

LONGEST = 65536  # octets of an input
COMMANDS = 16384  # octets of a stream in which each line is a command that is answered
SUSPECT = 0.5  # seconds of processor time; whether what takes more is linear is looked at
SMALL = Limits(data_line=1000, smtp_line=200, smtp_line_logged_in=300, sasl_line=400)

SLOWEST = 0.5  # seconds of processor time for any input, read twice
SMALL = Limits(
    data_line=1000,
    smtp_line=200,
    smtp_line_logged_in=300,
    sasl_line=400,
    imap_line=200,
    imap_line_logged_in=300,
    imap_literals_logged_in=400,
)

DIALOGUES = Path(__file__).parents[1] / "dialogues"

TOKENS = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b".",
        b"\0",
        b" ",
        b"\t",
        b'"',
        b"\\",
        b"<",
    ),
    *(b">", b"@", b":", b";", b",", b"(", b")", b"=", b"=?utf-8?q?", b"?=", b"=?x?b?", b"\xff"),
    *(
        b"\xc3\xa4",
        b"\xe2\x80\xae",
        b"\xed\xa0\x80",
        b"%",
        b"{5+}",
        b"*",
        b"0",
        b"9" * 30,
        b"-1",
    ),
    *(b"EHLO x\r\n", b"LHLO x\r\n", b"MAIL FROM:<>", b"MAIL FROM:<a@b.c>", b"RCPT TO:<d@e.f>"),
    *(
        b"DATA\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"STARTTLS\r\n",
        b"AUTH PLAIN ",
        b"AGEAYg==",
        b"*",
    ),
    *(b"SIZE=", b"BODY=8BITMIME", b"USER u\r\n", b"PASS p\r\n", b"RETR 1\r\n", b"TOP 1 1\r\n"),
    *(b"UIDL\r\n", b"STLS\r\n", b"CAPA\r\n", b"Subject: ", b"From: ", b"Received: x\r\n"),
    *(b"Content-Type: text/plain; charset=", b"References: <a@b> ", b"Date: Mon, 1 Jan 2001 "),
    *(b"a LOGIN u p\r\n", b"b APPEND x {3+}\r\n", b"{3}\r\n", b"1:*", b"BODY[", b"]", b"UID "),
    *(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n", b"--x\r\n", b"--x--\r\n"),
    *(b"Content-Type: message/rfc822\r\n\r\n", b"Content-Transfer-Encoding: 8bit\r\n", b"--"),
    b"x" * 1100,
]

SMTP_SEEDS = [
    b"EHLO c\r\nMAIL FROM:<a@b.c> SIZE=5\r\nRCPT TO:<d@e.f>\r\nDATA\r\nSubject: x\r\n\r\n..y\r\n.\r\n",
    b"EHLO c\r\nAUTH PLAIN\r\nAGEAYg==\r\nMAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nRSET\r\nQUIT\r\n",
    b"STARTTLS\r\nEHLO x\r\n",
]
ANSWER_SEEDS = [
    (
        b"220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-SIZE 9\r\n250 DSN\r\n"
        b"250 2.1.0 ok\r\n250 ok\r\n550 5.1.1 no\r\n354 go\r\n250 2.0.0 kept\r\n421 bye\r\n"
    ),
    b"220 mx\r\n502 what\r\n250 mx\r\n250 ok\r\n451 4.0.0 no\r\n450 no\r\n250 ok\r\n",
    b"220 mx\r\n250-mx\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n554 no\r\n",
]
NAMES_QUESTION = Question(0x1234, "e.f", 15)
NAMES_HEAD = b"\x12\x34\x81\xa0\0\1\0\3\0\1\0\1\1e\1f\0\0\x0f\0\1"
NAMES_SEEDS = [
    b"\xc0\x0c\0\x05\0\1\0\0\0\x3c\0\4\1g\xc0\x0c\1g\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\4\0\x0a\xc0\x0c",
    b"\xc0\x0c\0\x10\0\1\0\0\0\x3c\0\6\2ab\2cd\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10" + b"x" * 16,
    b"\xc0\x0c\1\1\0\1\0\0\0\x3c\0\x0a\0\5issuecdef\xc0\x0c\0\x34\0\1\0\0\0\x3c\0\5\3\1\1ab",
]
POP3_SEEDS = [
    b"CAPA\r\nUSER u\r\nPASS p w\r\nSTAT\r\nLIST\r\nUIDL 1\r\nTOP 1 0\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n",
    b"AUTH PLAIN AGEAYg==\r\nUTF8\r\nLANG *\r\nSTLS\r\n",
]
IMAP_SEEDS = [
    b"a LOGIN u {1+}\r\np\r\nc UID FETCH 1:*,5 (BODY.PEEK[1.2.HEADER.FIELDS (From)]<0.9>)\r\n",
    b'd SEARCH CHARSET utf-8 OR (NOT SEEN 1:*) HEADER "x" {2+}\r\nab\r\nf IDLE\r\nDONE\r\n',
    b"a LOGIN u p\r\ng APPEND x (\\Seen) {3+}\r\na\nb ~{1+}\r\nc\r\n",
]
HEADER_SEEDS = [
    b"From: =?utf-8?q?M=C3=BCller?= <m@example.org>\r\nTo: a: b@c.d, e;\r\n\r\nbody\r\n",
    b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nReferences: <a@b>\r\n <c@d>\r\nSubject: x\r\n\ty\r\n",
    b"From: J\xc3\xbcrgen <j\xc3\xbcrgen@b\xc3\xbccher.example>\r\nTo: \xc3\xa4@b.c\r\n\r\n",
    b'Content-Type: text/plain; name="\xc3\xa4.txt"; x=y\r\n\r\n',
]
BODY_SEEDS = [
    b'"Doe, Jane" <jane@example.org>, a@b (c), G: <@r:x@y>, "q \\" r"@[::1];, d . e @ f . g',
    b"=?iso-2022-jp?b?GyRCNEE7ehsoQg==?= =?utf-8?q?=C3?= =?utf-8?q?=A9,?= <a@b>",
    b"Mon, 23 Nov 2026 12:00:00 +0100 (CET)",
    b"Mon Nov 23 12:00:00 EST 2026",
    b"2026-11-23T12:00:00.5Z",
    b'<a@b> (c <d@e>) <"f g"@h> word i@j> <k@l',
    b"Re: [list] Fwd: [fwd: hello (fwd) ] (fwd)",
]
CHARSETS = [
    "utf-8",
    "utf-7",
    "iso-2022-jp",
    "euc-jp",
    "big5",
    "gb2312",
    "hz",
    "iso-2022-kr",
    "x",
]
ADDRESS_SEEDS = [
    b"a@b.c",
    b'"a b"@[127.0.0.1]',
    b"j\xc3\xbcrgen@b\xc3\xbccher.example",
    b"a@[IPv6:::1]",
]

MIME_SEEDS = [sample.octets for sample in samples(40)]
FIELD_SEEDS = [
    b'text/plain; charset=utf-8; name="a b"; x=(c) y',
    b"attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=\"x\"; filename=y z",
    b"=?utf-8?q?x?=; a==?utf-8?b?eA==?=; b",
]
ENCODED_SEEDS = [
    b"aGVsbG8gdGhlcmU=\r\naGVsbG8=\r\n",
    b"a=3Db =\r\nc=C3=A4 \t\r\n=",
    b"begin 644 x\r\n#0V%T\r\n`\r\nend\r\n",
]
CODECS = (
    Base64Decoder,
    Base64Encoder,
    QuotedPrintableDecoder,
    QuotedPrintableEncoder,
    UuDecoder,
)


FROM = b"From a Mon Nov 23 12:00:00 2026\n"
MBOX_SEEDS = [
    FROM + b"Status: RO\nX-Status: A\nX-Keywords: x\na: b\n\n>From b\n\nFrom \nc: d\n\n",
    b"From - Mon Nov 23 12:00:00 2026\r\nX-Mozilla-Status: 0001\r\n\r\nbody\r\n\r\n" * 3,
    b"From a 12:00 2026\nContent-Length: 10\n\nFrom a\n\n\n\n" * 3,
]
MAILDIR_SEEDS = [b"0 $Work\n1 x\n", b"1.a.host,S=5:2,FSab", b".Entw&APw-rfe.&-.2026/.a/b"]


@attrs.frozen
class Target:
    """Something that reads what strangers send; ``read`` raises if it misbehaves."""

    name: str
    seeds: Sequence[bytes]
    read: Callable[[bytes, random.Random], None]

    def corpus(self) -> list[bytes]:
        """Return the seeds, and what clients say in the dialogues of the same name."""
        said = []
        for dialogue in (DIALOGUES / self.name).glob("*.txt"):
            lines = dialogue.read_text().splitlines()
            said.append(
                b"".join(
                    line[3:].encode() + b"\r\n" for line in lines if line.startswith("C: ")
                )
            )
        return [*self.seeds, *said]


def pieces_of(stream: bytes, chance: random.Random) -> list[bytes]:
    cuts = sorted(
        chance.randrange(len(stream) + 1) for _ in range(chance.choice((0, 1, 2, 20)))
    )
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def converse(
    engine: Engine, pieces: Sequence[bytes], answer: Callable[[object], object]
) -> list[object]:
    """Play a session that answers everything, and return what came out."""
    out: list[object] = []
    for piece in pieces:
        if engine.after is not After.GO_ON:
            break
        engine.receive(piece)
        while engine.after is After.GO_ON and (event := engine.next_event()) is not None:
            reply = answer(event)
            out.append((event, engine.send(reply)) if reply is not None else event)
        assert engine.held <= SMALL.sasl_line + len(piece) + 2, "holds too much"
    return joined(out)


def joined(events: Sequence[object]) -> list[object]:
    """Return the events with neighbouring pieces of content made one."""
    out: list[object] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Body | Piece) and isinstance(last, type(event)):
            out[-1] = type(event)(last.octets + event.octets)
        else:
            out.append(event)
    return out


def answer_smtp(event: object) -> Reply | None:
    match event:
        case Body():
            return None
        case EndOfData(failure) if failure:
            return Reply.refusing(failure)
        case Mistake(error, moment):
            return Reply.refusing(error, moment)
        case Data():
            return Reply.of(354, "go on")
        case Auth():
            return Reply.of(235, "hello") if event.initial else Reply.challenge(b"")
    return Reply.of(250, "yes")


def answer_pop3(event: object) -> object:
    match event:
        case Pop3Auth():
            return Challenge(b"what")
    return Ok("yes") if hash(repr(event)) % 3 else Err("no")


def read_smtp(lmtp: bool) -> Callable[[bytes, random.Random], None]:
    offer = Offer("mx.example.org", 5000, lmtp=lmtp, starttls=True, mechanisms=("PLAIN",))

    def read(stream: bytes, chance: random.Random) -> None:
        """Cuts may matter: what stands behind EHLO or STARTTLS must not have come with it."""
        stream = stream[:COMMANDS]
        for pieces in ([stream], pieces_of(stream, chance)):
            converse(Receiver(offer, SMALL, greeted=True), pieces, answer_smtp)

    return read


def read_data(stream: bytes, chance: random.Random) -> None:
    def content(pieces: Sequence[bytes]) -> object:
        reader = DotReader(SMALL.data_line, 5000)
        out: list[object] = []
        for number, piece in enumerate(pieces):
            out += reader.receive(piece)
            if out and isinstance(out[-1], EndOfData):
                rest = reader.trailing + b"".join(pieces[number + 1 :])
                return out[-1] if out[-1].failure else joined(out), rest
        return type(reader.failure)

    assert content([stream]) == content(pieces_of(stream, chance))


HOUSE = Envelope(None, (Recipient(Address.parse("a@b.c")), Recipient(Address.parse("d@e.f"))))


def read_answers(lmtp: bool) -> Callable[[bytes, random.Random], None]:
    def read(stream: bytes, chance: random.Random) -> None:
        """A server says what it likes, and loses nothing that was entrusted to it."""
        sender = Sender("out.example.net", lmtp=lmtp)
        sender.greet()
        for piece in pieces_of(stream, chance):
            sender.receive(piece)
            sender.take()
            if sender.wants_content:
                sender.feed(b"x", is_last=chance.random() < 0.5)
            elif sender.result is not None and not sender.closing:
                sender.send(Transaction(HOUSE, 5))
        if sender.result is None:
            sender.lost()
        match sender.result:
            case Carried(outcomes):
                assert len(outcomes) == 2
            case Failed(outcome):
                assert not outcome.status.is_success

    return read


def read_names(octets: bytes, chance: random.Random) -> None:
    for message in (octets, NAMES_HEAD + octets):
        with contextlib.suppress(BadMessage):
            read_response(message, NAMES_QUESTION)


def read_pop3(stream: bytes, chance: random.Random) -> None:
    stream = stream[:COMMANDS]
    whole, cut = (
        converse(Pop3Engine(SMALL), pieces, answer_pop3)
        for pieces in ([stream], pieces_of(stream, chance))
    )
    assert repr(whole) == repr(cut)


def answer_imap(event: object) -> object:
    match event:
        case Said(tag, name):
            with contextlib.suppress(MailError):
                command = IMAP[name].parse(event.cursor) if name in IMAP else None
                if isinstance(command, Search):
                    read_keys(command.keys, Reading(lambda numbers, _: numbers.up_to(9), 0.0))
            if name == b"IDLE":
                return GoOn(expecting=Expecting.DONE)
            effect = Effect.LOGGED_IN if name == b"LOGIN" else Effect.NONE
            return Tagged(tag, b"OK", "ok", effect=effect)
        case Announced():
            return GoOn()
        case Piece():
            return None
        case Unheard(tag, error):
            return Tagged.refusing(tag, error)
        case _:
            return Tagged(b"a", b"OK", "ok")


def read_imap(stream: bytes, chance: random.Random) -> None:
    stream = stream[:COMMANDS]
    whole, cut = (
        converse(ImapReceiver(SMALL), pieces, answer_imap)
        for pieces in ([stream], pieces_of(stream, chance))
    )
    assert repr(whole) == repr(cut)


def read_message(octets: bytes, chance: random.Random) -> None:
    header = Header.parse(octets)
    header.fields, header.count(b"received"), Message(header).subject
    edited = Edits().replace(b"Subject", "x").remove(b"From").add(b"X-New", "y").apply(header)
    assert edited.count(b"x-new") >= 1
    read_summary(summarise(octets).octets)
    downgraded_header(octets)
    assert envelope(header).startswith(b"(")
    str(Message(header).originator)


def read_words(octets: bytes, chance: random.Random) -> None:
    assert "\n" not in shown(octets)
    charset = charset_of(chance.choice(CHARSETS))
    (text_by_codec(octets, charset) if charset else decoded_words(octets)).encode()


def read_body(octets: bytes, chance: random.Random) -> None:
    listed = addresses_in(octets)
    address_list(listed), address_keys(octets), subject_key(octets)
    for address in listed.addresses[:10]:
        str(address)
    relatives_of(octets, octets, octets)
    if date := date_in(octets):
        moment_key(date.seconds)
        if date.day.year in range(2, 9999):
            imap_date_time_of(date.seconds, date.offset)


def read_address(octets: bytes, chance: random.Random) -> None:
    try:
        address = Address.parse(octets.decode("utf-8", "surrogateescape"))
    except BadAddress:
        return
    assert Address.parse(str(address)) == address


def read_structure(octets: bytes, chance: random.Random) -> None:
    structure = scan(octets)
    scanner = Scanner()
    for piece in pieces_of(octets, chance):
        scanner.feed(piece)
    assert scanner.finish() == structure
    layout = structure.layout
    assert Layout.unpack(layout.pack()) == layout
    at = 0
    for piece in layout.spans():
        assert piece.start == at
        at = piece.stop
    assert at == len(octets)
    for words in describe(structure):
        assert len(words_of(words)) == 1


def read_field(octets: bytes, chance: random.Random) -> None:
    type_, disposed = media_type(octets), disposition(octets)
    assert len(type_.parameters) <= 100
    for name in file_names(type_, disposed).texts:
        safe = safe_file_name(name)
        assert safe_file_name(safe) == safe
    tokens(octets), type_.parameters.joined, type_.parameters.octets(b"boundary")


def read_encoded(octets: bytes, chance: random.Random) -> None:
    for codec in CODECS:
        whole, cut = codec(), codec()
        result = whole.feed(octets) + whole.finish()
        pieces = [cut.feed(piece) for piece in pieces_of(octets, chance)]
        assert b"".join([*pieces, cut.finish()]) == result, codec


def read_to_recode(octets: bytes, chance: random.Random) -> None:
    structure = scan(octets)
    survey = Survey(structure.layout)
    for piece in pieces_of(octets, chance):
        survey.feed(piece)
    found = plan(structure, survey.finish(), Level.SEVEN)
    recoder = Recoder(structure, found.changes)
    written = [recoder.feed(piece) for piece in pieces_of(octets, chance)]
    assert b"".join([*written, recoder.finish()]).isascii() or not found.is_possible


def read_mbox(octets: bytes, chance: random.Random) -> None:
    def read(chunk: int) -> list[tuple[bytes, frozenset[str], float | None]]:
        found = mbox.letters(io.BytesIO(octets), "INBOX", "", chunk)
        return [(b"".join(one.pieces), one.flags, one.received) for one in found]

    messages = read(LONGEST)
    assert read(chance.choice((50, 300, 5000))) == messages
    moment = 1_700_000_000.0
    clean = [
        (octets.replace(b"\r", b"").replace(b"\n", b"\r\n"), flags, moment)
        for octets, flags, _ in messages
    ]
    kept = [one for one in clean if one[0].endswith(b"\r\n")]
    octets = b"".join(b"".join(mbox.written([one], *facts)) for one, *facts in kept)
    assert read(LONGEST) == kept


def read_maildir(octets: bytes, chance: random.Random) -> None:
    text = octets.decode("utf-8", "replace")
    keywords = maildir.read_keywords(octets)
    proper_flags([*maildir.flags_in(text, keywords), *keywords.values()])
    name = mailbox_name(maildir.mailbox_parts(text.split("/")))
    folder = maildir.folder_name(name.split("/"))
    assert mailbox_name(maildir.mailbox_parts([folder] if folder else [])) == name


def read_trust(octets: bytes, chance: random.Random) -> None:
    record = octets[: chance.choice((100, 1000, LONGEST))]
    mtasts.id_in([record]), tlsrpt.addressees([record]), key_info(octets)
    for read in (PublicKey.read, mtasts.StsPolicy.read):
        with contextlib.suppress(BadKey, mtasts.BadPolicy):
            read(record)
    with contextlib.suppress(NotAuthentic):
        records = [ROOT.record(2), Tlsa(2, 0, 0, record)]
        dane.TlsaPolicy.of(records).check([octets, LEAF, octets], ["x"], NOW)
    header = Header.parse(octets)
    for one in signatures_of(header):
        with contextlib.suppress(BadSignature):
            check(one, header, one.body_hash, TRUST_SEEDS[0], 1e9)


ROOT = issue("root", ca=True)
LEAF = issue("leaf", ROOT, hosts=["x"]).der
TRUST_SEEDS = [
    b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=s:y",
    b"v=STSv1; id=20160831085700Z;",
    b"v=TLSRPTv1; rua=mailto:a@b.example,https://c.example/",
    b"version: STSv1\r\nmode: enforce\r\nmx: *.b.example\r\nmax_age: 604800\r\n",
    (
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=simple/relaxed; d=b.example; s=c; t=1; x=2000000000;"
        b" h=from:to:from;\r\n bh=AAAA; b=/gCrinpcQOoI\r\n fuHNQA==; i=@b.example\r\nFrom: a@b.c\r\n\r\n"
    ),
    *(LEAF, ROOT.der, ROOT.spki),
]

TARGETS = [
    Target("trust", TRUST_SEEDS, read_trust),
    Target("structure", MIME_SEEDS, read_structure),
    Target("field", FIELD_SEEDS, read_field),
    Target("encoded", ENCODED_SEEDS, read_encoded),
    Target("recoding", MIME_SEEDS, read_to_recode),
    Target("smtp", SMTP_SEEDS, read_smtp(lmtp=False)),
    Target("lmtp", SMTP_SEEDS, read_smtp(lmtp=True)),
    Target("data", SMTP_SEEDS, read_data),
    Target("answers", ANSWER_SEEDS, read_answers(lmtp=False)),
    Target("answers-lmtp", ANSWER_SEEDS, read_answers(lmtp=True)),
    Target("names", NAMES_SEEDS, read_names),
    Target("pop3", POP3_SEEDS, read_pop3),
    Target("imap", IMAP_SEEDS, read_imap),
    Target("message", HEADER_SEEDS, read_message),
    Target("words", [*HEADER_SEEDS, *BODY_SEEDS], read_words),
    Target("body", BODY_SEEDS, read_body),
    Target("address", ADDRESS_SEEDS, read_address),
    Target("mbox", MBOX_SEEDS, read_mbox),
    Target("maildir", MAILDIR_SEEDS, read_maildir),
]


def mutated(seed: bytes, corpus: Sequence[bytes], chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 4, 8, 32))):
        at, to = sorted(chance.randrange(len(seed) + 1) for _ in range(2))
        match chance.randrange(6):
            case 0:
                seed = seed[:at] + chance.choice(TOKENS) + seed[at:]
            case 1:
                seed = seed[:at] + seed[to:]
            case 2:
                seed = seed[:to] + seed[at:]
            case 3:
                seed = seed[:at] + chance.choice(corpus)[at:]
            case 4:
                seed = seed[:at] + bytes([chance.randrange(256)]) + seed[at + 1 :]
            case 5:
                seed = seed[:at] + seed[at:to] * chance.choice((2, 30, 1000)) + seed[to:]
        seed = seed[:LONGEST]
    return seed


def show_linear(target: Target, stream: bytes) -> None:
    in_linear_time(
        lambda octets: target.read(octets, random.Random(1)),
        repeated(stream),
        GROWTH * len(stream),
    )


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_does_harm(target: Target, pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.getoption("fuzz_seconds") / len(TARGETS)
    end, corpus, number = time.monotonic() + seconds, target.corpus(), 0
    start = random.SystemRandom().randrange(2**32)
    while time.monotonic() < end:
        number += 1
        chance = random.Random(start + number)
        stream = mutated(chance.choice(corpus), corpus, chance)
        began = time.thread_time()
        try:
            target.read(stream, chance)
            if time.thread_time() - began > SUSPECT:
                show_linear(target, stream)
        except Exception as failure:
            raise AssertionError(f"{target.name}, {start + number}: {stream!r}") from failure
    print(f"{target.name}: {number} inputs")
