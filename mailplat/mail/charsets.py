"""Names of character sets as mail has them, to the codecs of Python that read them.

A label names what was meant, not always what was done: what calls itself
Latin-1 was written by a program that has the whole of windows-1252, what calls
itself KS C 5601 has all of its successor.  So a label leads to the widest set
that agrees with it (WHATWG Encoding Standard section 4.2, which browsers and
webmail follow), and what that standard leaves out, mail has, and Python knows
is read as well.
"""

from __future__ import annotations

import codecs
import pkgutil
import re
from encodings import __path__ as codec_modules
from encodings.aliases import aliases
from functools import lru_cache

LONGEST_LABEL = 60  # characters; IANA's longest name has 45

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_NO_CHARSETS = {
    "aliases", "base64_codec", "bz2_codec", "hex_codec", "idna", "mbcs", "oem", "punycode",
    "quopri_codec", "raw_unicode_escape", "rot_13", "undefined", "unicode_escape", "uu_codec",
    "zlib_codec",
}  # fmt: skip

# Names of charsets without their punctuation, where Python has none for them.
_MORE_NAMES = {
    "utf_8": "unicode11utf8 unicode20utf8 utf8mb4",
    "utf_7": "unicode11utf7",
    "utf_16": "iso10646 iso10646ucs2 ucs2 unicode unicodefeff",
    "utf_16_be": "unicodefffe",
    "utf_32": "iso10646ucs4 ucs4",
    "latin_1": "isolatin1 iso88591windows31latin1",
    "cp1252": "ansi msansi winlatin1",
    "iso8859_3": "isolatin3",
    "iso8859_6": "iso88596e iso88596i",
    "iso8859_7": "suneugreek",
    "iso8859_8": "iso88598e iso88598i logical visual",
    "iso8859_15": "isolatin9",
    "koi8_r": "koi koi8",
    "koi8_u": "koi8ru",
    "mac_roman": "mac",
    "mac_cyrillic": "macukrainian",
    "cp866": "866",
    "cp874": "dos874 ibm874 windows874",
    "cp932": "mscp932 windows31j windows932",
    "cp949": "isoir149 ks ksc5601 ksc56011989 windows949",
    "cp950": "windows950",
    "gb18030": "cp54936",
    "gbk": "windows936",
    "gb2312": "cngb isoir58",
    "big5": "big5eten cnbig5 xbig5",
    "euc_jp": "cp51932 eucjpms eucpkdfmtjapanese extendedunixcodepackedformatforjapanese",
    "iso2022_jp": "cp50220 cp50221 cp50222 iso2022jpms",
    "hz": "hzgb2312",
    "tis_620": "isoir166",
}

# Codecs that read everything that another does, by the names that `codecs.lookup` gives.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "iso2022_jp": "iso2022_jp_ext",
    "iso2022_jp_1": "iso2022_jp_ext",
}


def _named() -> dict[str, str]:
    """Return the codec modules of all charsets by their names without punctuation."""
    modules = {module.name for module in pkgutil.iter_modules(codec_modules)} - _NO_CHARSETS
    names = {_bare(module): module for module in modules}
    names |= {_bare(alias): name for alias, name in aliases.items() if name in modules}
    for module, more in _MORE_NAMES.items():
        names |= dict.fromkeys(more.split(), module)
    return names


def _bare(label: str) -> str:
    return _PUNCTUATION.sub("", label)


_NAMED = _named()


def charset_of(label: str) -> str:
    """Return the name of the Python codec for a charset's label, or "" if there is none.

    Case, quotes, white space and punctuation in the label don't matter, nor
    does ``x-`` or ``cs`` before a name.  The codec is one that turns octets into
    text; strangers' labels import nothing else, and few are remembered.
    """
    codec = charset_to_write(label)
    return _WIDER.get(codec, codec)


def charset_to_write(label: str) -> str:
    """Return the same, but a codec that writes just what the label promises."""
    return _charset_of(label) if len(label) <= LONGEST_LABEL else ""


@lru_cache(maxsize=512)
def _charset_of(label: str) -> str:
    if not label.isascii():
        return ""
    bare = _bare(label.lower())
    for name in (bare, bare.removeprefix("x"), bare.removeprefix("cs")):
        if name in _NAMED:
            return codecs.lookup(_NAMED[name]).name
    return ""


def text_by_codec(octets: bytes, codec: str) -> str:
    """Return octets as text by a codec that `charset_of` named; nothing is raised.

    What can't be read becomes U+FFFD.
    """
    text = octets.decode(codec, errors_of(codec))
    if codec == "utf-7":  # which can hide halves of surrogate pairs
        return text.encode("utf-8", "replace").decode("utf-8")
    return text


def is_utf8(octets: bytes) -> bool:
    """Say whether octets are UTF-8; those in ASCII are."""
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def errors_of(codec: str) -> str:
    """Return the name of the error handler to decode with, also a piece at a time."""
    return _PAIRS if codec in _PAIR_READERS else "replace"


# Characters that mail has in these charsets and that Python's codecs lack: the vendors'
# rows of JIS X 0208, which windows-31j has in other octets, and what only windows-950 has.


def _replaced(problem: UnicodeError) -> tuple[str, int]:
    """Read two octets that a codec can't, or else say that they are lost (`codecs`)."""
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    start = problem.start
    text = _read_pair(problem.encoding, problem.object[start : start + 2])
    return (text, start + 2) if text else ("\ufffd", problem.end)


@lru_cache(maxsize=1 << 14)
def _read_pair(codec: str, pair: bytes) -> str:
    if not _PAIRS_OF[codec].fullmatch(pair):
        return ""
    octets = pair if codec == "big5hkscs" else _shifted(pair)
    try:
        return octets.decode(_PAIR_READERS[codec])
    except UnicodeDecodeError:
        return ""


def _shifted(pair: bytes) -> bytes:
    """Return a pair of JIS X 0208, with or without its high bits, as Shift JIS writes it."""
    row, cell = (octet & 0x7F for octet in pair)
    first = (row - 0x21 >> 1) + 0x81
    second = cell + 0x7E if row % 2 == 0 else cell + 0x1F + (cell > 0x5F)
    return bytes((first + 0x40 * (first > 0x9F), second))


_PAIRS_OF = {  # a pair must be one whole, or how a stream is cut would matter
    "euc_jp": re.compile(rb"[\xa1-\xfe]{2}"),
    "iso2022_jp_ext": re.compile(rb"[\x21-\x7e]{2}"),
    "big5hkscs": re.compile(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]"),
}
_PAIR_READERS = {"euc_jp": "cp932", "iso2022_jp_ext": "cp932", "big5hkscs": "cp950"}
_PAIRS = "mailplat.pairs"
codecs.register_error(_PAIRS, _replaced)
