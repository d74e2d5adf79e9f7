"""The text of messages for the index: ours for text, and for the rest what handlers give."""
