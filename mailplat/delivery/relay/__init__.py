"""Carries messages to other hosts, by SMTP and LMTP (RFC 5321, 2033)."""
