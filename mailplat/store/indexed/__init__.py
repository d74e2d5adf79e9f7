"""The index in SQL: UIDs, flags, mod-sequences, threads and counts of every account's mail."""
