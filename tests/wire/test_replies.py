"""Every error has words in every protocol, and they say the same thing."""

import inspect

import pytest

from mailplat.mail import errors
from mailplat.mail.errors import MailError
from mailplat.wire.replies import WORDS, Moment, status_of, text_for, words_for

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, MailError)
]
IMAP = {
    "ALREADYEXISTS", "AUTHENTICATIONFAILED", "CANNOT", "CLIENTBUG", "INUSE", "LIMIT",
    "NONEXISTENT", "NOPERM", "OVERQUOTA", "PRIVACYREQUIRED", "SERVERBUG", "TOOBIG", "UNAVAILABLE",
}  # fmt: skip
POP3 = {"", "SYS/TEMP", "SYS/PERM", "AUTH", "IN-USE", "LOGIN-DELAY", "UTF8"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("moment", Moment)
def test_the_code_agrees_with_the_status(kind: type[MailError], moment: Moment) -> None:
    """The first digit says whether to retry (RFC 5321 section 4.2.1, RFC 3463 section 2)."""
    code = words_for(kind("")).smtp_at(moment)
    assert code // 100 == kind.status.klass
    assert 400 <= code <= 599


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not MailError])
def test_every_kind_has_words_of_its_own_or_its_ancestors(kind: type[MailError]) -> None:
    assert words_for(kind("")) is not WORDS[MailError]


@pytest.mark.parametrize("words", WORDS.values())
def test_words_are_those_that_are_registered(words: object) -> None:
    assert words.imap in IMAP
    assert words.pop3 in POP3
    assert words.text.isascii()
    assert len(words.text) < 60


@pytest.mark.parametrize(
    ("kind", "moment", "code"),
    [
        (errors.BareLineEnd, Moment.CONTENT, 550),
        (errors.BareLineEnd, Moment.COMMAND, 500),
        (errors.LineTooLong, Moment.CONTENT, 550),
        (errors.EncryptionRequired, Moment.LOGIN, 538),
        (errors.EncryptionRequired, Moment.COMMAND, 530),
        (errors.Overloaded, Moment.LOGIN, 454),
        (errors.Overloaded, Moment.COMMAND, 451),
        (errors.DiskFull, Moment.LOGIN, 454),
        (errors.ShuttingDown, Moment.LOGIN, 421),
        (errors.Refused, Moment.CONNECT, 554),
        (errors.NotNow, Moment.CONNECT, 421),
    ],
)
def test_the_moment_changes_the_code(kind: type[MailError], moment: Moment, code: int) -> None:
    assert words_for(kind("")).smtp_at(moment) == code


def test_a_kind_of_others_is_put_in_its_ancestors_words() -> None:
    class Virus(errors.Refused):
        """A plugin's own."""

    assert words_for(Virus("")).smtp == 550


def test_a_bug_is_our_mistake_and_passing() -> None:
    assert words_for(ZeroDivisionError()).smtp == 451
    assert status_of(ZeroDivisionError()).is_transient
    assert "zero" not in text_for(ZeroDivisionError("zero"))


def test_details_stay_with_us_and_public_words_are_made_safe() -> None:
    error = errors.Refused(
        "in /etc/secret", public="spam\r\n250 fine\0\x1b[31m\u2028é" + "x" * 999
    )
    text = text_for(error)
    assert "secret" not in text
    assert text.isprintable()
    assert text.isascii()
    assert text.startswith("Not wanted here: spam 250 fine")
    assert len(text) <= len("Not wanted here: ") + 400
