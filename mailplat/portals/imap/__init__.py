"""The IMAP portal."""
