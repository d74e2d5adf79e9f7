"""The one table of limits, as frozen values that the configuration sets."""

from __future__ import annotations

from typing import TypeVar

import attrs

T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB


def _limit(value: T, manual: str) -> T:
    """Declare a limit with its default, and what the operator should know of it."""
    limit: T = attrs.field(default=value, metadata={"manual": manual})
    return limit


@attrs.frozen(kw_only=True)
class Limits:
    """What one peer, session or message may cost; sizes in octets, times in seconds."""

    message_size: int = _limit(50 * MIB, "The largest message that is taken.")
    header_size: int = _limit(MIB, "The largest header of a message.")
    header_fields: int = _limit(1000, "How many fields a header may have.")
    data_line: int = _limit(64 * KIB, "The longest line of a message, its end counted.")
    spool_above: int = _limit(64 * KIB, "Larger contents wait in a file, not in memory.")

    smtp_line: int = _limit(2048, "The longest command line of SMTP.")
    smtp_line_logged_in: int = _limit(4096, "The same, after a login.")
    sasl_line: int = _limit(12288, "The longest line of a login's exchange.")
    recipients: int = _limit(100, "How many recipients a message may have.")
    recipients_logged_in: int = _limit(500, "The same, after a login and by LMTP.")
    errors: int = _limit(10, "How many mistakes a session may make.")
    errors_logged_in: int = _limit(20, "The same, after a login and by LMTP.")
    deferrals: int = _limit(1000, "How often it may hear 4xx before each is a mistake.")
    junk_commands: int = _limit(30, "How many commands may lead to no message.")
    junk_commands_logged_in: int = _limit(100, "The same, after a login and by LMTP.")
    login_attempts: int = _limit(3, "How many logins may fail before the session is ended.")

    pop3_line: int = _limit(512, "The longest command line of POP3.")

    imap_line: int = _limit(8 * KIB, "The longest command line of IMAP.")
    imap_line_logged_in: int = _limit(64 * KIB, "The same, after a login.")
    imap_literals: int = _limit(4 * KIB, "The largest command with literals.")
    imap_literals_logged_in: int = _limit(
        MIB, "The same, after a login; messages that are appended don't count."
    )

    sieve_scripts: int = _limit(32, "How many Sieve scripts an account may have.")
    sieve_script: int = _limit(MIB, "The largest Sieve script.")
    annotations: int = _limit(100, "How many annotations a mailbox, or an account, may have.")
    annotation: int = _limit(64 * KIB, "The largest annotation.")
    sharers: int = _limit(500, "How many entries a mailbox's list of rights may have.")

    index_text: int = _limit(MIB, "How much text of a message is indexed.")
    handler_part: int = _limit(16 * MIB, "The largest part that a handler gets for the index.")
    handler_memory: int = _limit(512 * MIB, "How much memory a handler may take.")
    handler_patience: float = _limit(10.0, "How long a handler may work on one part.")

    unread: int = _limit(64 * KIB, "What a peer may send ahead of our answers.")
    unsent: int = _limit(64 * KIB, "What of our answers a peer may leave unread.")
    unsent_patience: float = _limit(60.0, "How long it may go on with that.")
    slowest: int = _limit(500, "How many octets a second flowing content must keep.")

    connections: int = _limit(10000, "How many connections there may be in all.")
    connections_per_address: int = _limit(20, "How many from one address, or IPv6 /64.")
    uncounted_networks: tuple[str, ...] = _limit(
        ("127.0.0.0/8", "::1/128"), "Networks whose connections count in the total only."
    )
    arrivals_per_address: int = _limit(600, "How many from one may begin in a minute.")
    handshakes_per_address: int = _limit(120, "How many TLS handshakes in a minute.")

    handshake_patience: float = _limit(15.0, "How long a TLS handshake may take.")
    smtp_patience: float = _limit(300.0, "How long SMTP waits for a command or for content.")
    smtp_patience_crowded: float = _limit(10.0, "The same, when connections grow few.")
    answer_within: float = _limit(
        60.0, "How long a sender waits at most for its answer; then the message is queued."
    )
    login_patience: float = _limit(60.0, "How long a client of POP3 or IMAP has for its login.")
    pop3_patience: float = _limit(600.0, "How long POP3 waits for a command after it.")
    imap_patience: float = _limit(1800.0, "How long IMAP waits for a command after it.")
    imap_content_patience: float = _limit(300.0, "How long for content that doesn't flow.")
