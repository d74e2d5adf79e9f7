"""Takes an account as another store had it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mailplat.mail.mailbox import INBOX, Mailbox, MailboxId, Role
from mailplat.mail.restoring import Restored
from mailplat.store.memory.mail import Box, Email, Mail, Message


def restore_mailboxes(
    mail: Mail, mailboxes: Sequence[Mailbox], subscribed: Collection[str], modseq: int
) -> list[MailboxId]:
    """Have these mailboxes and no others (see `IRestorable`)."""
    boxes = [_box(mail, mailbox) for mailbox in mailboxes]
    mail.boxes = {box.id: box for box in boxes}
    for box, mailbox in zip(boxes, mailboxes, strict=True):
        if box.uid_validity != mailbox.uid_validity:
            box.messages.clear()
        box.name, box.uid_validity = mailbox.name, mailbox.uid_validity
        box.role = Role.INBOX if mailbox.name == INBOX else mailbox.role
        box.uid_next = max(mailbox.uid_next, *box.messages, 1)
        box.modseq = max(box.modseq, mailbox.highest_modseq)
        mail.uid_validity = max(mail.uid_validity, box.uid_validity)
    mail.subscribed = set(subscribed)
    begin_anew(mail, modseq)
    return [box.id for box in boxes]


def _box(mail: Mail, mailbox: Mailbox) -> Box:
    """Return who this mailbox is here: of that identity, else of that name, else a new one."""
    found = mail.find(mailbox.name) if mailbox.name == INBOX else mail.boxes.get(mailbox.id)
    found = found or mail.find(mailbox.name)
    if found:
        return found
    number = mailbox.id[1:]
    if number.isascii() and number.isdigit():
        mail.made = max(mail.made, int(number))
    return Box(mailbox.id, mailbox.name, mailbox.role, mailbox.uid_validity)


def restore(
    mail: Mail, box: Box, messages: Sequence[Restored], octets: Sequence[bytes]
) -> None:
    """Have these messages at their UIDs (see `IRestorable`)."""
    for one, content in zip(messages, octets, strict=True):
        record = one.record
        flags = mail.spelt(record.flags or ())
        there = box.messages.get(record.uid)
        if there:
            there.flags, there.modseq = flags, record.modseq
            continue
        email = mail.emails.get(record.email_id)
        if email is None or email.content.octets != content:
            email = _email(mail, one, content)
        saved = record.saved.timestamp()
        box.messages[record.uid] = Message(record.uid, record.modseq, email, flags, saved)
    box.messages = dict(sorted(box.messages.items()))
    box.uid_next = max(box.uid_next, *(uid + 1 for uid in box.messages), 1)
    box.modseq = max(box.modseq, *(one.record.modseq for one in messages), 1)
    begin_anew(mail, box.modseq)


def _email(mail: Mail, one: Restored, octets: bytes) -> Email:
    record, message = one.record, one.message
    email = mail.keep(message, octets, record.received.timestamp())
    del mail.emails[email.id]
    email.id, email.received = record.email_id, record.received.timestamp()
    mail.emails[email.id] = email
    number = email.id[1:]
    if number.isascii() and number.isdigit():
        mail.made = max(mail.made, int(number))
    return email


def begin_anew(mail: Mail, modseq: int) -> None:
    """Let nobody ask for what was before."""
    mail.modseq = max(mail.modseq, modseq)
    mail.forgotten = mail.modseq
    mail.log.clear()
