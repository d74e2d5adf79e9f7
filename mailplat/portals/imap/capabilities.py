"""What an IMAP session can do, and says that it can (RFC 9051 section 6.1.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

BOTH = ("IMAP4rev1", "IMAP4rev2")
ALWAYS = ("ID", "ENABLE", "SASL-IR")
LOGGED_IN = (
    "LITERAL+",
    "IDLE",
    "NAMESPACE",
    "UNSELECT",
    "CHILDREN",
    "UIDPLUS",
    "MOVE",
    "CONDSTORE",
    "QRESYNC",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "BINARY",
    "MULTIAPPEND",
    "OBJECTID",
    "SAVEDATE",
    "PREVIEW",
)


def before_login(
    mechanisms: Sequence[str], *, starttls: bool, private: bool
) -> tuple[str, ...]:
    """Return what a client may know that has not logged in."""
    names = [*BOTH, *ALWAYS, "LITERAL-"]
    names += ["STARTTLS"] if starttls else []
    names += [f"AUTH={name}" for name in mechanisms] if private else ["LOGINDISABLED"]
    return tuple(names)


def after_login(message_size: int, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return what a client may do that has logged in; ``without`` are switched off."""
    names = (*BOTH, *ALWAYS, *LOGGED_IN, f"APPENDLIMIT={message_size}")
    return tuple(name for name in names if name.partition("=")[0] not in without)
