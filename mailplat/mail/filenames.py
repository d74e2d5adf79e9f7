"""The name of the file that a part is, and what of it may touch a disk."""

from __future__ import annotations

import re
import unicodedata

import attrs

from mailplat.mail.parameters import Disposition, MediaType

LONGEST_NAME = 200  # octets of UTF-8: file systems have 255, and somebody will add something
LONGEST_EXTENSION = 32  # octets that are kept, with the dot, of a name that is too long
_READ = 4096  # characters of a name that are looked at

_SEPARATORS = re.compile(r"[/\\\u2044\u2215\u29f8\ufe68\uff0f\uff3c]")
_UNSAFE = re.compile(r'[<>:"|?*]')  # not allowed by Windows
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # general categories; Cf has the bidi overrides
_RESERVED = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(?:\.|\Z)",
    re.IGNORECASE,
)
_BLANK_OR_DOT = ". \t\u00a0"


@attrs.frozen
class FileNames:
    """Every name by which somebody may know the file that a part is.

    ``texts`` are decoded, what most programs show first; ``octets`` are the
    values as they stand in the fields, pieces of RFC 2231 each for itself.
    Whoever refuses files by their names looks at all of both.
    """

    texts: tuple[str, ...]
    octets: tuple[bytes, ...]


def file_names(type_: MediaType, disposition: Disposition | None) -> FileNames:
    """Return the names in Content-Disposition (RFC 2183 section 2.3), then in Content-Type."""
    texts: tuple[str, ...] = ()
    octets: tuple[bytes, ...] = ()
    if disposition is not None:
        texts = disposition.parameters.texts(b"filename")
        octets = disposition.parameters.raws(b"filename")
    texts += type_.parameters.texts(b"name")
    octets += type_.parameters.raws(b"name")
    return FileNames(tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(octets)))


def safe_file_name(name: str, otherwise: str = "attachment") -> str:
    """Return a name under which a file may be kept, whatever a stranger called it.

    It has no folder, no control, invisible or direction-changing character,
    none that some system forbids, no dot in front, no blank or dot at the end,
    is no device's name, has at most 200 octets of UTF-8 and keeps a short
    extension.  It is never empty: where nothing remains it is ``otherwise``,
    which must be safe itself.
    """
    seen = (one for one in name[:_READ] if unicodedata.category(one) not in _UNSEEN)
    name = unicodedata.normalize("NFC", "".join(seen))
    name = _SEPARATORS.split(name.rstrip(_BLANK_OR_DOT + "/\\"))[-1]
    name = _UNSAFE.sub("_", name).strip(_BLANK_OR_DOT)
    if _RESERVED.match(name):
        name = "_" + name
    return _shortened(name).strip(_BLANK_OR_DOT) or otherwise


def _shortened(name: str) -> str:
    octets = name.encode()
    if len(octets) <= LONGEST_NAME:
        return name
    stem, dot, extension = octets.rpartition(b".")
    if not stem or len(extension) >= LONGEST_EXTENSION:
        return octets[:LONGEST_NAME].decode("utf-8", "ignore")
    stem = stem[: LONGEST_NAME - 1 - len(extension)]
    return stem.decode("utf-8", "ignore") + dot.decode() + extension.decode()
