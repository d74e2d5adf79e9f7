"""At which port each service of mail is looked for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

STANDARD_PORTS: Mapping[str, int] = MappingProxyType(
    {
        "smtp": 25,
        "submission": 587,
        "submissions": 465,
        "lmtp": 24,  # by custom: RFC 2033 section 5 forbids that of SMTP and names none
        "pop3": 110,
        "pop3s": 995,
        "imap": 143,
        "imaps": 993,
        "managesieve": 4190,
        "http": 80,
        "https": 443,
    }
)
"""By the service's name; IANA's registry has all but LMTP's (RFC 6335, 8314)."""
