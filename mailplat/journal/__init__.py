"""What was decided about each message, written behind; losing it loses no mail."""
