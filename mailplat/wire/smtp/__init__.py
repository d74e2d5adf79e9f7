"""SMTP and LMTP as they are spoken (RFC 5321, 2033), without transport or clock."""
