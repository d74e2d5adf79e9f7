"""Whether a message and a host are who they say: pure judgements over keys, records and certificates.

Nothing here asks the DNS, opens a connection or looks at a clock: whoever asks
brings what was found, and the time.
"""
