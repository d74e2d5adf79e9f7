"""IMAP4rev1 and IMAP4rev2 whole: octets in, commands out; replies in, octets out."""
