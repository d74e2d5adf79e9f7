"""Messages of every kind, well made and broken, always the same: what parsers are compared on.

Each sample says by which of its oddities two readers may come to differ; one
without any should be read the same by everybody.
"""

from __future__ import annotations

import random
from base64 import encodebytes
from collections.abc import Callable, Iterator, Sequence
from quopri import encodestring

import attrs

SEED = 20261123


@attrs.frozen
class Sample:
    """A message, and the names of the oddities in it."""

    octets: bytes
    oddities: frozenset[str]


def samples(count: int, seed: int = SEED) -> Iterator[Sample]:
    """Yield so many messages; the first ones of a seed are always the same."""
    for number in range(count):
        writer = _Writer(random.Random(seed * 1_000_003 + number))  # noqa: S311
        octets = writer.message()
        yield Sample(octets, frozenset(writer.oddities))


NAMES = ["Alice Example", "Bob", '"Carol, C."', "=?utf-8?q?J=C3=BCrgen?=", "J\u00fcrgen", ""]
ADDRESSES = [
    "alice@example.net",
    "bob@example.org",
    "c.d+e@sub.example.com",
    '"f g"@example.net',
]
SUBJECTS = [
    "hello", "Re: hello", "=?utf-8?b?R3LDvMOfZQ==?=", "a long subject\r\n that is folded",
    "\u00fc in UTF-8", "", "  spaces  ", 'with "quotes" and \\',
]  # fmt: skip
WORDS = [
    "and",
    "so",
    "it",
    "was",
    "that",
    "the",
    "message",
    "arrived",
    "where",
    "nobody",
    "had",
    "expected",
    "it",
    "--",
    "at",
    "once",
]
BOUNDARIES = [
    "x", "xy", "=_x", "----=_Part_1", "0016e68", "a b", "a'()+_,-./:=?", "000000000000c1f4", "_=",
]  # fmt: skip
FILES = ["application/pdf", "image/png", "application/octet-stream", "audio/x"]
TOKENS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'+_-.")


Kind = Callable[[int], tuple[list[str], str]]


class _Writer:
    """Writes one message; what is odd in it is noted."""

    def __init__(self, chance: random.Random) -> None:
        self.oddities: set[str] = set()
        self._chance = chance
        self._taken: list[str] = []  # boundaries

    def message(self) -> bytes:
        text = self._entity(0, top=True)
        octets = text.encode("utf-8", "surrogateescape")
        if self._rarely(15):
            octets = self._cut(octets)
        if self._rarely(12):
            octets = octets.replace(b"\r\n", b"\n")
        return octets

    # Chances.

    def _rarely(self, often: int) -> bool:
        return self._chance.randrange(often) == 0

    def _one(self, of: Sequence[str]) -> str:
        return self._chance.choice(of)

    def _odd(self, name: str, often: int = 60) -> bool:
        """Whether this is to be done oddly; noted if so."""
        odd = self._rarely(often)
        if odd:
            self.oddities.add(name)
        return odd

    def _cut(self, octets: bytes) -> bytes:
        octets = octets[: self._chance.randrange(len(octets) + 1)]
        line = octets.rstrip().rpartition(b"\n")[2].lower()
        if line.startswith((b"content-", b" ", b"\t")) or (
            line and b"content-".startswith(line)
        ):
            self.oddities.add("cut in a field")
        return octets

    # Entities.

    def _entity(self, depth: int, top: bool = False) -> str:
        """Write a header, an empty line and a body."""
        kinds: list[Kind] = [self._text, self._text, self._text, self._file, self._file]
        if depth < 4:
            kinds += [self._multipart] * (6 if top else 3)
            kinds += [self._forward]
        if not top:
            kinds += [self._report_part, self._bare]
        fields, body = self._chance.choice(kinds)(depth)
        fields += self._extra_fields()
        self._chance.shuffle(fields)
        if top:
            fields = [*self._message_fields(bool(fields)), *fields]
        header = "".join(field + "\r\n" for field in fields)
        if self._odd("line without a colon", 80):
            header += "this is no field\r\n"
        return header + "\r\n" + body

    def _message_fields(self, mime: bool) -> list[str]:
        fields = [
            f"From: {self._mailbox()}",
            f"To: {self._mailboxes()}",
            f"Subject: {self._one(SUBJECTS)}",
            "Date: Mon, 23 Nov 2026 12:00:00 +0000",
            f"Message-ID: <{self._chance.randrange(10**9)}@example.net>",
        ]
        fields += [f"Cc: {self._mailboxes()}"] * self._rarely(3)
        fields += ["Reply-To: <reply@example.net>"] * self._rarely(5)
        fields += ["In-Reply-To: <1@example.net>"] * self._rarely(4)
        fields += ["X-Folded: one\r\n two\r\n\tthree"] * self._rarely(4)
        self._chance.shuffle(fields)
        if mime and not self._odd("no MIME-Version", 15):
            fields.append("MIME-Version: 1.0")
        if self._rarely(20):
            fields.insert(0, "From alice@example.net Mon Nov 23 12:00:00 2026")
        return fields[self._rarely(20) :]

    def _mailbox(self) -> str:
        name, address = self._one(NAMES), self._one(ADDRESSES)
        return f"{name} <{address}>" if name else address

    def _mailboxes(self) -> str:
        if self._rarely(10):
            return "friends: " + ", ".join(self._mailbox() for _ in range(2)) + ";"
        return ",\r\n ".join(self._mailbox() for _ in range(self._chance.randrange(1, 4)))

    def _extra_fields(self) -> list[str]:
        fields = []
        if self._rarely(6):
            fields.append("Content-ID: <part1@example.net>")
        if self._rarely(8):
            fields.append(f"Content-Description: {self._one(SUBJECTS)}")
        if self._rarely(12):
            fields.append(
                f"Content-Language: {self._one(['de', 'en, fr', 'de-DE (german), en'])}"
            )
        if self._rarely(15):
            fields.append("Content-Location: http://example.net/a?b=c")
        if self._rarely(15):
            fields.append("Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==")
        if self._odd("empty Content-Disposition", 100):
            fields.append("Content-Disposition: ")
        if self._rarely(30):
            fields.append("X-Content-Type: text/html")
        return fields

    def _bare(self, depth: int) -> tuple[list[str], str]:
        return [], self._prose()

    def _text(self, depth: int) -> tuple[list[str], str]:
        charset = self._one(["utf-8", "UTF-8", "us-ascii", "iso-8859-1", ""])
        subtype = self._one(["plain", "html", "x-unheard-of", "PLAIN", "rfc822-headers"])
        parameters = [("charset", charset)] if charset else []
        parameters += [("format", "flowed")] * self._rarely(4)
        parameters += [("name", self._file_name())] * self._rarely(6)
        fields = [self._content_type("text", subtype, parameters)]
        body, encoding = self._encoded(self._prose())
        fields += [f"Content-Transfer-Encoding: {encoding}"] * bool(encoding)
        fields += [self._disposition("inline")] * self._rarely(6)
        return fields, body

    def _file(self, depth: int) -> tuple[list[str], str]:
        type_, _, subtype = self._one(FILES).partition("/")
        parameters = [("name", self._file_name())] * self._rarely(2)
        fields = [self._content_type(type_, subtype, parameters)]
        fields.append("Content-Transfer-Encoding: base64")
        fields += [self._disposition("attachment")] * (not self._rarely(3))
        octets = encodebytes(self._chance.randbytes(self._chance.randrange(300)))
        return fields, octets.decode().replace("\n", "\r\n")

    def _report_part(self, depth: int) -> tuple[list[str], str]:
        kind = self._one(
            ["delivery-status", "disposition-notification", "partial", "external-body"]
        )
        body = "Reporting-MTA: dns; example.net\r\n\r\nFinal-Recipient: rfc822; bob@example.org\r\n"
        parameters = {
            "partial": [("id", "a@b"), ("number", "1")],
            "external-body": [("access-type", "x")],
        }
        return [self._content_type("message", kind, parameters.get(kind, []))], body

    def _forward(self, depth: int) -> tuple[list[str], str]:
        subtype = (
            "global" if self._odd("message/global", 25) else self._one(["rfc822", "RFC822"])
        )
        fields = [self._content_type("message", subtype, [])]
        if self._odd("encoded message", 25):
            fields.append("Content-Transfer-Encoding: base64")
        elif self._rarely(4):
            fields.append(f"Content-Transfer-Encoding: {self._one(['7bit', '8bit', 'binary'])}")
        return fields, self._entity(depth + 1, top=True)

    def _multipart(self, depth: int) -> tuple[list[str], str]:
        subtype = self._one(
            [
                "mixed",
                "alternative",
                "related",
                "MIXED",
                "report",
                "signed",
                "parallel",
                "digest",
                "x",
            ]
        )
        boundary = self._boundary()
        fields = [self._content_type("multipart", subtype, self._with_boundary(boundary))]
        fields += ["Content-Transfer-Encoding: base64"] * self._rarely(30)
        self._taken.append(boundary)
        parts = [
            self._entity(depth + 1)
            for _ in range(self._chance.randrange(0 if self._rarely(15) else 1, 4))
        ]
        self._taken.pop()
        return fields, self._joined(boundary, parts)

    def _joined(self, boundary: str, parts: list[str]) -> str:
        """Put parts between boundaries."""
        lines = [self._one(["", "", "This is a multi-part message in MIME format.\r\n"])]
        for part in parts:
            blank = self._one(["", "", "", " ", "\t "])
            gap = self._one(["\r\n", "\r\n", "\r\n\r\n"])
            lines += [f"--{boundary}{blank}\r\n", part, gap]
        if not self._rarely(12):
            lines.append(f"--{boundary}--")
        if not self._rarely(6):
            lines.append(self._one(["\r\n", "\r\n", "\r\nepilogue\r\n", "  \r\n"]))
        return "".join(lines)

    def _boundary(self) -> str:
        if self._taken and self._rarely(10):
            return self._one(
                [self._taken[-1], self._taken[-1] + "y", self._taken[-1][:-1] or "z"]
            )
        return self._one(BOUNDARIES) + str(self._chance.randrange(100))

    def _with_boundary(self, boundary: str) -> list[tuple[str, str]]:
        if self._odd("no boundary", 50):
            return []
        if self._odd("extended boundary", 50):
            return [
                ("boundary*", "us-ascii''" + "".join(f"%{ord(one):02X}" for one in boundary))
            ]
        parameters = [("boundary", boundary)]
        parameters += [("type", "text/plain")] * self._rarely(6)
        self._chance.shuffle(parameters)
        return parameters

    # Fields and texts.

    def _content_type(self, type_: str, subtype: str, parameters: list[tuple[str, str]]) -> str:
        name = self._one(["Content-Type", "Content-Type", "Content-type", "CONTENT-TYPE"])
        value = f"{type_}/{subtype}"
        if self._odd("broken type"):
            broken = [
                type_,
                f"{type_}/",
                "",
                f"{value} x",
                f'"{value}"',
                f"{value}/x",
                f"{value},",
            ]
            value = self._one(broken)
        elif self._rarely(40):
            value = f"(a) {type_} / {subtype} (b)"
        return (
            f"{name}:{self._one([' ', ' ', '', '  ', chr(13) + chr(10) + ' '])}{value}"
            + self._written(parameters)
        )

    def _disposition(self, kind: str) -> str:
        parameters = [("filename", self._file_name())] * (not self._rarely(5))
        parameters += [("size", "123")] * self._rarely(6)
        if self._odd("broken disposition", 80):
            kind = self._one(["", f'"{kind}"', f"{kind} x"])
        return f"Content-Disposition: {kind}" + self._written(parameters)

    def _file_name(self) -> str:
        return self._one(
            ["report.pdf", "my file.txt", 'quo"te.doc', "back\\slash", "gr\u00fc\u00dfe.odt", "[1].x",
             "=?utf-8?q?gr=C3=BC=C3=9Fe.txt?=", "semi;colon.txt", "", "a" * 90 + ".txt"]
        )  # fmt: skip

    def _written(self, parameters: list[tuple[str, str]]) -> str:
        """Write parameters with the semicolons before them."""
        pieces: list[str] = []
        for name, value in parameters:
            gap = self._one([" ", " ", "", "\r\n\t", "\r\n "])
            pieces += [f";{gap}{piece}" for piece in self._parameter(name, value)]
        text = "".join(pieces)
        if pieces and self._odd("missing semicolon", 80):
            text = text.replace(";", " ", 1)
        if self._odd("empty parameter", 80):
            text += self._one([";;", "; ;x", "; =y"])
        return text + ";" * self._rarely(15)

    def _parameter(self, name: str, value: str) -> list[str]:
        quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if name in ("name", "filename") and self._rarely(4):
            return self._extended(name, value)
        if self._odd("odd value", 50):
            return [
                self._one(
                    [
                        f"{name}={value}",
                        f"{name}={quoted[:-1]}",
                        f"{name}={quoted}x",
                        f"{name}='{value}'",
                    ]
                )
            ]
        if not value or set(value) - TOKENS:
            return [f"{name}={quoted}"]
        return [
            self._one(
                [
                    f"{name}={quoted}",
                    f"{name}={value}",
                    f"{name} = {quoted}",
                    f"{name}={value} (c)",
                ]
            )
        ]

    def _extended(self, name: str, value: str) -> list[str]:
        """Write a parameter as RFC 2231 has it."""
        octets = value.encode()
        escaped = "".join(chr(o) if chr(o) in TOKENS - {"'"} else f"%{o:02X}" for o in octets)
        if self._rarely(2):
            return [f"{name}*=utf-8''{escaped}"]
        middle = len(escaped) // 2
        pieces = [f"{name}*0*=utf-8''{escaped[:middle]}", f"{name}*1*={escaped[middle:]}"]
        if self._rarely(3):
            pieces.reverse()
        if self._odd("odd continuation", 15):
            pieces = self._chance.choice(
                [pieces[1:], [*pieces, f"{name}*3=x"], [pieces[0], pieces[0]]]
            )
        return pieces

    def _prose(self) -> str:
        lines = [
            " ".join(self._one(WORDS) for _ in range(self._chance.randrange(12)))
            for _ in range(self._chance.randrange(8))
        ]
        if self._rarely(4):
            lines.append(
                self._one(["--", "-- ", "--x", "----", "--=_x", "From here", "\u00fcber"])
            )
        return "\r\n".join(lines) + self._one(["\r\n", "\r\n", ""])

    def _encoded(self, text: str) -> tuple[str, str]:
        """Return a text and the name of the encoding in which it is, perhaps none."""
        encoding = self._one(["7bit", "8bit", "quoted-printable", "base64", "BASE64", "", ""])
        if encoding == "quoted-printable":
            text = (
                encodestring(text.encode()).decode().replace("\r\n", "\n").replace("\n", "\r\n")
            )
        elif encoding.lower() == "base64":
            text = encodebytes(text.encode()).decode().replace("\n", "\r\n")
        if self._odd("odd encoding", 60):
            encoding = self._one(
                ["x-unheard-of", "base64;", '"base64"', "base64 (c)", "8-bit", ""]
            )
        return text, encoding
