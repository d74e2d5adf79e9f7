"""Judge and amend the message, one class a file."""
