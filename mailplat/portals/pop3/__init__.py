"""POP3: hands a maildrop out to those who may read it (RFC 1939, 2449, 5034, 6856)."""
