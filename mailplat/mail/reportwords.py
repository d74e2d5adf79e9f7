"""What reports say to people, in the languages that the house speaks (RFC 3464 section 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from mailplat.mail.header import Header
from mailplat.mail.status import Status

_MOST_TAGS = 20  # languages that are read of one field
_TAG = re.compile(
    rb"\s*+([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*+)\s*+(?:;\s*+q\s*+=\s*+([01](?:\.\d{0,3})?+))?"
)


@attrs.frozen
class Language:
    """A language, and its words.

    ``subjects``, ``openings`` and ``closings`` belong to the actions of RFC
    3464 section 2.3.3; ``reasons`` to subject and detail of a status (RFC 3463
    section 3), with the detail 0 for all that have none of their own.
    """

    tag: str
    subjects: Mapping[str, str] = attrs.field(repr=False)
    openings: Mapping[str, str] = attrs.field(repr=False)
    closings: Mapping[str, str] = attrs.field(repr=False)
    reasons: Mapping[tuple[int, int], str] = attrs.field(repr=False)
    greeting: str = attrs.field(repr=False)
    subject: str = attrs.field(repr=False)
    sent: str = attrs.field(repr=False)
    said: str = attrs.field(repr=False)
    until: str = attrs.field(repr=False)
    ending: str = attrs.field(repr=False)

    def reason(self, status: Status) -> str:
        """Return what a status means, for somebody who knows nothing of mail servers."""
        key = (status.subject, status.detail)
        found = self.reasons.get(key) or self.reasons.get((status.subject, 0))
        return found or self.reasons[0, 0]


ENGLISH = Language(
    tag="en",
    subjects={
        "failed": "Not delivered",
        "delayed": "Not delivered yet",
        "expanded": "Passed on to a list",
        "relayed": "Passed on",
        "delivered": "Delivered",
    },
    openings={
        "failed": "Your message could not be delivered to:",
        "delayed": "Your message could not be delivered yet to:",
        "expanded": "Your message was passed on to the members of:",
        "relayed": "Your message was passed on, with no further report to come, for:",
        "delivered": "Your message was delivered to:",
    },
    closings={
        "failed": "This will not be tried again.",
        "delayed": "It is being tried again. You need not do anything.",
    },
    reasons={
        (0, 0): "The reason is not known.",
        (1, 0): "Something is wrong with the address.",
        (1, 1): "There is no such mailbox.",
        (1, 2): "There is no such domain.",
        (1, 3): "This is not a valid address.",
        (1, 4): "The address may mean several people.",
        (1, 6): "The mailbox has moved, and nobody knows where.",
        (1, 7): "The sender's address is not valid.",
        (1, 8): "The sender's domain is not known.",
        (1, 10): "This domain takes no mail.",
        (2, 0): "Something is wrong with the mailbox.",
        (2, 1): "The mailbox is closed.",
        (2, 2): "The mailbox is full.",
        (2, 3): "The message is too large for this mailbox.",
        (2, 4): "The members of this list could not be found out.",
        (3, 0): "Something is wrong with the mail system of the recipient.",
        (3, 1): "The mail system of the recipient has no room.",
        (3, 2): "The mail system of the recipient takes no mail now.",
        (3, 4): "The message is too large.",
        (4, 0): "The mail system of the recipient could not be reached.",
        (4, 1): "The mail system of the recipient does not answer.",
        (4, 2): "The connection to the mail system of the recipient broke.",
        (4, 3): "The recipient's domain could not be looked up.",
        (4, 4): "No way leads to the recipient's domain.",
        (4, 5): "The mail system of the recipient has too much to do.",
        (4, 6): "The message went round in a circle.",
        (4, 7): "It was tried for too long.",
        (5, 0): "The mail systems did not understand each other.",
        (5, 3): "There were too many recipients.",
        (6, 0): "The content of the message was not accepted.",
        (6, 7): "The mail system there takes no addresses with such letters.",
        (7, 0): "The message was refused.",
        (7, 1): "The message was refused.",
        (7, 2): "You may not write to this list.",
    },
    greeting="This is the mail system at {host}.",
    subject="Subject: {subject}",
    sent="Sent: {moment}",
    said="{host} said:",
    until="It will be tried until {moment}.",
    ending="The rest is for programs, and says which message this is about.",
)

GERMAN = Language(
    tag="de",
    subjects={
        "failed": "Nicht zugestellt",
        "delayed": "Noch nicht zugestellt",
        "expanded": "An eine Liste weitergegeben",
        "relayed": "Weitergegeben",
        "delivered": "Zugestellt",
    },
    openings={
        "failed": "Ihre Nachricht konnte nicht zugestellt werden an:",
        "delayed": "Ihre Nachricht konnte noch nicht zugestellt werden an:",
        "expanded": "Ihre Nachricht wurde weitergegeben an die Mitglieder von:",
        "relayed": "Ihre Nachricht wurde ohne weitere Rückmeldung weitergegeben für:",
        "delivered": "Ihre Nachricht wurde zugestellt an:",
    },
    closings={
        "failed": "Es wird nicht noch einmal versucht.",
        "delayed": "Es wird weiter versucht. Sie brauchen nichts zu tun.",
    },
    reasons={
        (0, 0): "Der Grund ist nicht bekannt.",
        (1, 0): "Mit der Adresse stimmt etwas nicht.",
        (1, 1): "Dieses Postfach gibt es nicht.",
        (1, 2): "Diese Domain gibt es nicht.",
        (1, 3): "Das ist keine gültige Adresse.",
        (1, 4): "Die Adresse kann mehrere Personen meinen.",
        (1, 6): "Das Postfach ist umgezogen, niemand weiß wohin.",
        (1, 7): "Die Adresse des Absenders ist nicht gültig.",
        (1, 8): "Die Domain des Absenders ist nicht bekannt.",
        (1, 10): "Diese Domain nimmt keine Post an.",
        (2, 0): "Mit dem Postfach stimmt etwas nicht.",
        (2, 1): "Das Postfach ist geschlossen.",
        (2, 2): "Das Postfach ist voll.",
        (2, 3): "Die Nachricht ist zu groß für dieses Postfach.",
        (2, 4): "Die Mitglieder dieser Liste waren nicht zu ermitteln.",
        (3, 0): "Mit dem Mailsystem des Empfängers stimmt etwas nicht.",
        (3, 1): "Das Mailsystem des Empfängers hat keinen Platz.",
        (3, 2): "Das Mailsystem des Empfängers nimmt zurzeit keine Post an.",
        (3, 4): "Die Nachricht ist zu groß.",
        (4, 0): "Das Mailsystem des Empfängers war nicht zu erreichen.",
        (4, 1): "Das Mailsystem des Empfängers antwortet nicht.",
        (4, 2): "Die Verbindung zum Mailsystem des Empfängers brach ab.",
        (4, 3): "Die Domain des Empfängers war nicht nachzuschlagen.",
        (4, 4): "Kein Weg führt zur Domain des Empfängers.",
        (4, 5): "Das Mailsystem des Empfängers hat zu viel zu tun.",
        (4, 6): "Die Nachricht lief im Kreis.",
        (4, 7): "Es wurde zu lange versucht.",
        (5, 0): "Die Mailsysteme haben einander nicht verstanden.",
        (5, 3): "Es waren zu viele Empfänger.",
        (6, 0): "Der Inhalt der Nachricht wurde nicht angenommen.",
        (6, 7): "Adressen mit solchen Buchstaben nimmt das Zielsystem nicht an.",
        (7, 0): "Die Nachricht wurde abgelehnt.",
        (7, 1): "Die Nachricht wurde abgelehnt.",
        (7, 2): "An diese Liste dürfen Sie nicht schreiben.",
    },
    greeting="Hier ist das Mailsystem von {host}.",
    subject="Betreff: {subject}",
    sent="Gesendet: {moment}",
    said="{host} meldete:",
    until="Versucht wird es bis {moment}.",
    ending="Der Rest ist für Programme und sagt, um welche Nachricht es geht.",
)

LANGUAGES = {language.tag: language for language in (ENGLISH, GERMAN)}


def language_for(tags: Sequence[str]) -> Language:
    """Return the first of these languages that is spoken here, else English (RFC 4647 3.4)."""
    for tag in tags:
        found = LANGUAGES.get(tag.partition("-")[0].lower())
        if found:
            return found
    return ENGLISH


def languages_in(header: Header) -> list[str]:
    """Return the languages that a message's sender reads, the favourite first.

    They stand in Accept-Language; else those that the message is written in are
    thought to be theirs (RFC 3282).
    """
    weighed = [
        (-float(weight or 1), tag.decode())
        for body in header.bodies(b"accept-language")
        for tag, weight in _tags(body)
        if float(weight or 1) > 0
    ]
    weighed.sort(key=lambda pair: pair[0])
    written = [tag.decode() for tag, _ in _tags(header.body(b"content-language"))]
    return [tag for _, tag in weighed] + written


def _tags(body: bytes) -> list[tuple[bytes, bytes]]:
    found = map(_TAG.match, body.split(b",", _MOST_TAGS)[:_MOST_TAGS])
    return [(one[1], one[2] or b"") for one in found if one]
