"""What is said: octets in, events out; no transport, clock, thread or Twisted."""
