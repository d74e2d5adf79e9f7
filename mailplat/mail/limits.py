"""The one table of limits, as frozen values that the configuration sets."""

from __future__ import annotations

import attrs

KIB = 1024
MIB = 1024 * KIB


@attrs.frozen(kw_only=True)
class Limits:
    """What one peer, session or message may cost; sizes in octets, times in seconds."""

    message_size: int = 50 * MIB
    header_size: int = MIB
    header_fields: int = 1000
    data_line: int = 64 * KIB
    spool_above: int = 64 * KIB  # larger contents wait in a file, not in memory

    smtp_line: int = 2048
    smtp_line_logged_in: int = 4096
    sasl_line: int = 12288
    recipients: int = 100
    recipients_logged_in: int = 500
    errors: int = 10
    errors_logged_in: int = 20
    junk_commands: int = 30
    junk_commands_logged_in: int = 100
    login_attempts: int = 3

    pop3_line: int = 512

    unread: int = 64 * KIB  # octets an engine may hold before its peer has to wait
    unsent: int = (
        64 * KIB
    )  # octets of replies a peer may leave unread before we stop serving it
    unsent_patience: float = 60.0
    slowest: int = 500  # octets a second that flowing content must keep

    connections: int = 10000
    connections_per_address: int = 20
    uncounted_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")  # count in the total only
    handshakes_per_address: int = 120  # of TLS, in a minute

    handshake_patience: float = 15.0
    smtp_patience: float = 300.0
    smtp_patience_crowded: float = 10.0
    login_patience: float = 60.0
    pop3_patience: float = 600.0
