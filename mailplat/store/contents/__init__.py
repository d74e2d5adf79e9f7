"""Where the octets of messages may lie, beside the database of the index."""
