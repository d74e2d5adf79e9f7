"""Judge the envelope, one class a file."""
