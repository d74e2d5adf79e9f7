"""What the POP3 server says to people, and in which languages (RFC 6856 section 3).

English texts stand where they are said, and are the keys of the other
languages' tables; what a table doesn't have is said in English.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs


@attrs.frozen
class Language:
    """A language, and its words for our English ones."""

    tag: str
    name: str  # in that language
    texts: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def say(self, text: str) -> str:
        """Return a text in this language."""
        return self.texts.get(text, text)


ENGLISH = Language("en", "English")

GERMAN = Language(
    "de",
    "Deutsch",
    {
        # What goes well.
        "Send the password": "Jetzt das Passwort",
        "{messages} messages ({octets} octets)": "{messages} Nachrichten ({octets} Oktette)",
        "{octets} octets": "{octets} Oktette",
        "The top of the message": "Der Anfang der Nachricht",
        "Unique identifiers": "Eindeutige Kennungen",
        "Message {number} is marked": "Nachricht {number} ist vorgemerkt",
        "Here": "Ja, hier",
        "What I can do": "Was ich kann",
        "Languages": "Sprachen",
        "This is English": "Das ist Deutsch",
        "UTF-8 from now on": "Ab jetzt UTF-8",
        "Begin TLS now": "TLS kann beginnen",
        "Goodbye": "Auf Wiedersehen",
        "Goodbye, {messages} messages left": "Auf Wiedersehen, {messages} Nachrichten bleiben",
        # What doesn't.
        "Not spoken here": "Diese Sprache kann ich nicht",
        "Our mistake, try again later": "Unser Fehler, später noch einmal versuchen",
        "Not possible now, try again later": "Jetzt nicht möglich, später noch einmal versuchen",
        "Syntax error": "Fehler in der Syntax",
        "Line too long": "Zeile zu lang",
        "Lines end in CRLF, and in nothing else": "Zeilen enden mit CRLF und mit nichts anderem",
        "Unknown command": "Unbekannter Befehl",
        "Not now: bad sequence of commands": "Nicht jetzt: falsche Reihenfolge der Befehle",
        "Bad argument or parameter": "Falsches Argument oder falscher Parameter",
        "Too many mistakes, goodbye": "Zu viele Fehler, auf Wiedersehen",
        "Wrong name or password": "Name oder Passwort falsch",
        "Logins can't be checked now": "Anmeldungen sind jetzt nicht prüfbar",
        "Too soon after the last login": "Zu bald nach der letzten Anmeldung",
        "Login given up": "Anmeldung abgebrochen",
        "Mechanism not offered here": "Dieses Verfahren gibt es hier nicht",
        "Start TLS first": "Zuerst TLS beginnen",
        "TLS is not available now": "TLS ist jetzt nicht verfügbar",
        "Account disabled": "Das Konto ist gesperrt",
        "Too busy, try again later": "Zu viel zu tun, später noch einmal versuchen",
        "Closing down, come back soon": "Hier wird geschlossen, bitte bald wiederkommen",
        "Could not keep it, try again later": "Nicht gespeichert, später noch einmal versuchen",
        "No room now, try again later": "Kein Platz, später noch einmal versuchen",
        "Took too long, try again later": "Zu lange gedauert, später noch einmal versuchen",
        "Not supported here": "Das gibt es hier nicht",
        "No such message": "Keine solche Nachricht",
        "No such mailbox": "Kein solches Postfach",
        "Not permitted": "Nicht erlaubt",
        "In use by another session": "Von einer anderen Sitzung belegt",
    },
)

LANGUAGES = (ENGLISH, GERMAN, Language("i-default", "Default language"))


def language_for(wanted: str) -> Language | None:
    """Return the first language a basic language range matches (RFC 4647 section 3.3.1)."""
    low = wanted.lower()
    for language in LANGUAGES:
        if low in ("*", language.tag) or language.tag.startswith(f"{low}-"):
            return language
    return None
