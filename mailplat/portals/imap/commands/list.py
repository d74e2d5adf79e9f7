"""LIST and LSUB: which mailboxes there are (RFC 9051 section 6.3.9, RFC 5258, 5819, 6154)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, Self

import attrs

from mailplat.mail.errors import NotPermitted, TooMany
from mailplat.mail.mailbox import Mailbox, Role, names_above
from mailplat.portals.imap.command import Command, Cursor, Ok, Session, State
from mailplat.portals.imap.counts import read_counts, status_line
from mailplat.wire.imap.names import Pattern

MOST_PATTERNS = 100
_SELECTIONS = frozenset({b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"})
_RETURNS = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"})


@attrs.frozen
class List(Command):
    """What is selected and what is returned are the options of RFC 5258."""

    name = b"LIST"
    states = State.LOGGED_IN
    reference: bytes
    patterns: tuple[bytes, ...]
    select: frozenset[bytes] = frozenset()
    returns: frozenset[bytes] = frozenset()
    counts: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        select = _selections(cursor)
        reference = cursor.astring("a reference")
        cursor.space()
        patterns = _patterns(cursor)
        returns: set[bytes] = set()
        counts: tuple[bytes, ...] = ()
        if cursor.skip_word(b" RETURN "):
            for _ in cursor.list_items():
                if cursor.skip_word(b"STATUS "):
                    counts = read_counts(cursor)
                else:
                    returns.add(_option(cursor, _RETURNS))
        cursor.end()
        return cls(reference, patterns, select, frozenset(returns), counts)

    async def run(self, session: Session) -> Ok:
        if self.patterns == (b"",):
            session.say(b'* LIST (\\Noselect) "/" ""\r\n')
            return Ok("That is what divides names")
        patterns = read_patterns(session, self.reference, self.patterns)
        mailboxes = {one.name: one for one in await session.account.mailboxes()}
        subscribed = frozenset(await session.account.subscriptions())
        tree = _Tree(mailboxes, subscribed, _above(mailboxes), _above(subscribed))
        for name in sorted(self._chosen(tree), key=_inbox_first):
            if any(pattern.matches(name) for pattern in patterns):
                self._say(session, name, tree)
        return Ok("These are all")

    def _chosen(self, tree: _Tree) -> Collection[str]:
        names = set(tree.subscribed) if b"SUBSCRIBED" in self.select else set(tree.mailboxes)
        if b"RECURSIVEMATCH" in self.select:
            names |= tree.above_subscribed
        if b"SPECIAL-USE" in self.select:
            mailboxes = tree.mailboxes
            names = {name for name in names if name in mailboxes and _use(mailboxes[name])}
        return names

    def _say(self, session: Session, name: str, tree: _Tree) -> None:
        mailbox = tree.mailboxes.get(name)
        attributes = [] if mailbox else ["\\NonExistent"]
        attributes.append("\\HasChildren" if name in tree.above else "\\HasNoChildren")
        if name in tree.subscribed and b"SUBSCRIBED" in self.select | self.returns:
            attributes.append("\\Subscribed")
        if mailbox and (use := _use(mailbox)):
            attributes.append(use)
        extended = b""
        if b"RECURSIVEMATCH" in self.select and name in tree.above_subscribed:
            extended = b' ("CHILDINFO" ("SUBSCRIBED"))'
        session.say(
            b'* LIST (%b) "/" %b%b\r\n'
            % (" ".join(attributes).encode(), session.spelt(name), extended)
        )
        if mailbox and self.counts:
            session.say(status_line(session, mailbox, self.counts))


@attrs.frozen
class _Tree:
    """What there is to list: mailboxes, subscribed names, and the names above each of them."""

    mailboxes: Mapping[str, Mailbox]
    subscribed: Collection[str]
    above: frozenset[str]
    above_subscribed: frozenset[str]


def _use(mailbox: Mailbox) -> str:
    """Return the special-use attribute of a mailbox (RFC 6154 section 2)."""
    return mailbox.role.value if mailbox.role not in (Role.NONE, Role.INBOX) else ""


def _inbox_first(name: str) -> tuple[bool, str]:
    return name != "INBOX", name


def _selections(cursor: Cursor) -> frozenset[bytes]:
    if not cursor.sees(b"("):
        return frozenset()
    start = cursor.at
    found = frozenset([_option(cursor, _SELECTIONS) for _ in cursor.list_items()])
    if b"RECURSIVEMATCH" in found and not found & {b"SUBSCRIBED", b"SPECIAL-USE"}:
        cursor.at = start
        raise cursor.wrong("something else beside RECURSIVEMATCH")
    cursor.space()
    return found


def _option(cursor: Cursor, known: Collection[bytes]) -> bytes:
    start = cursor.at
    option = cursor.word("an option")
    if option not in known:
        cursor.at = start
        raise cursor.wrong("an option of LIST")
    return option


def _patterns(cursor: Cursor) -> tuple[bytes, ...]:
    if not cursor.sees(b"("):
        return (cursor.list_mailbox(),)
    patterns = tuple([cursor.list_mailbox() for _ in cursor.list_items()])
    if not patterns:
        raise cursor.wrong("a pattern")
    if len(patterns) > MOST_PATTERNS:
        raise TooMany("patterns", public=f"over {MOST_PATTERNS} patterns")
    return patterns


def read_patterns(
    session: Session, reference: bytes, patterns: Iterable[bytes]
) -> list[Pattern]:
    """Return patterns behind their reference; one that can't be read matches nothing."""
    found: list[Pattern] = []
    for pattern in patterns:
        try:
            found.append(Pattern(session.pattern_of(reference + pattern)))
        except NotPermitted:
            continue
    return found


@attrs.frozen
class Lsub(Command):
    """Lists subscriptions, also of what isn't there (RFC 3501 section 6.3.9)."""

    name = b"LSUB"
    states = State.LOGGED_IN
    division: ClassVar[bytes] = b"/"
    reference: bytes
    pattern: bytes

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        cursor.space()
        reference = cursor.astring("a reference")
        cursor.space()
        pattern = cursor.list_mailbox()
        cursor.end()
        return cls(reference, pattern)

    async def run(self, session: Session) -> Ok:
        patterns = read_patterns(session, self.reference, (self.pattern,))
        names = set(await session.account.subscriptions())
        above = _above(names) if self.pattern.endswith(b"%") else frozenset()
        for name in sorted(names | above, key=_inbox_first):
            if any(pattern.matches(name) for pattern in patterns):
                attribute = b"" if name in names else b"\\Noselect"
                session.say(b'* LSUB (%b) "/" %b\r\n' % (attribute, session.spelt(name)))
        return Ok("These are all")


def _above(names: Iterable[str]) -> frozenset[str]:
    return frozenset(above for name in names for above in names_above(name))
