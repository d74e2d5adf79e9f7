"""Prints who wrote what, and saves all attachments: ten_lines.py MESSAGE FOLDER."""

import sys
from pathlib import Path

from mailplat.mail.message import Message

message = Message.of(Path(sys.argv[1]).read_bytes())
print(message.sender, message.subject, message.text, sep="\n")
for attachment in message.attachments:
    (Path(sys.argv[2]) / attachment.name).write_bytes(attachment.octets)
