"""Contents shown as maildirs that other programs read and write."""
