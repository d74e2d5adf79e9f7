"""Takes mail in by SMTP and LMTP: as an MX, for submission, and from other MTAs."""
