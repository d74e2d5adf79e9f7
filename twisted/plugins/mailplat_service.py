"""Tells twistd of the command ``twistd mailplat``."""

from twisted.application.service import ServiceMaker

mailplat = ServiceMaker(
    "mailplat",
    "mailplat.app.twistd",
    "A pluggable mail platform: SMTP, IMAP, POP3, stores, filters",
    "mailplat",
)
