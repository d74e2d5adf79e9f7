"""What a content is by its first octets, for filters that ask.

    from mailplat.sniffing import sniffed

A name and a declared type are what a sender says; this is what the octets say.
The signatures are those of puremagic.  It costs a millisecond, so nobody asks
for each message as a matter of course.
"""

from __future__ import annotations

import re
from struct import Struct

import puremagic

LOOKED_AT = 65536  # octets at either end
SHORTEST = 3  # octets of a signature that is believed

_ZIP = b"PK\x03\x04"
_OURS = {  # what puremagic has no one name for
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "application/x-ole-storage",  # Office until 2003
    b"\x7fELF": "application/x-executable",
    b"L\0\0\0\x01\x14\x02\0": "application/x-ms-shortcut",  # [MS-SHLLINK] section 2.1
}
_MEMBER = re.compile(  # of a ZIP archive, by its local header or the directory at the end
    rb"PK\x03\x04.{26}(?=([!-~]{1,64}))|PK\x01\x02.{42}(?=([!-~]{1,64}))", re.DOTALL
)
_FIRST_MEMBER = Struct("<8xH8xIIHH")  # method, compressed size, size, length of name, of extra
_TYPE = re.compile(rb"[a-z]+/[a-z0-9.+-]{1,100}")
_SVG = re.compile(rb"<svg[\s>]")
_OFFICE = {
    b"word/": ("wordprocessingml.document", "word.document"),
    b"xl/": ("spreadsheetml.sheet", "excel.sheet"),
    b"ppt/": ("presentationml.presentation", "powerpoint.presentation"),
}
_TEXTS = {"text/html", "text/calendar", "text/vcard"}  # others are found by words of everyday
_SAY_NOTHING = {"", "application/octet-stream"}
_NAMED_ANEW = {
    "application/java": "application/java-vm",
    "application/vnd.fdf": "application/fdf",
    "application/x-gzip": "application/gzip",
    "application/x-sqlite3": "application/vnd.sqlite3",
    "audio/wave": "audio/vnd.wave",
    "audio/x-wav": "audio/vnd.wave",
    "image/x-icon": "image/vnd.microsoft.icon",
    "image/x-ms-bmp": "image/bmp",
    "video/avi": "video/x-msvideo",
}


def sniffed(octets: bytes) -> str | None:
    """Return the media type that a content's octets speak of; None if they say nothing.

    Give it the content whole, or its beginning at least.  Plain text has no
    signature, so nothing is said of it.  Nothing is raised, whatever the octets.
    """
    if octets.startswith(_ZIP):
        return _in_zip(octets)
    for signature, name in _OURS.items():
        if octets.startswith(signature):
            return name
    if _is_windows_program(octets):
        return "application/vnd.microsoft.portable-executable"
    found = _by_signature(octets[:LOOKED_AT])
    if found == "application/xml" and _SVG.search(octets, 0, 4096):
        return "image/svg+xml"
    return found


def _is_windows_program(octets: bytes) -> bool:
    """Say whether a DOS header leads to a PE header ([PE format], "Signature")."""
    if len(octets) < 64 or not octets.startswith(b"MZ"):
        return False
    return octets.startswith(b"PE\0\0", int.from_bytes(octets[60:64], "little"))


def _by_signature(octets: bytes) -> str | None:
    try:
        matches = puremagic.magic_string(octets)
    except (puremagic.PureError, ValueError):
        return None
    for match in matches:
        name: str = match.mime_type.lower()
        is_front = match.offset >= 0 and len(match.byte_match) >= SHORTEST
        if is_front and name not in _SAY_NOTHING and (name[:5] != "text/" or name in _TEXTS):
            return _NAMED_ANEW.get(name, name)
    return None


def _in_zip(octets: bytes) -> str:
    """Say what kind of document an archive is, by the names of its members."""
    if declared := _declared_in_zip(octets):
        return declared
    ends = octets[:LOOKED_AT] + octets[LOOKED_AT:][-LOOKED_AT:]
    names = [match[1] or match[2] for match in _MEMBER.finditer(ends)]
    for folder, (plain, with_macros) in _OFFICE.items():
        if any(name.startswith(folder) for name in names):
            if any(name.startswith(folder + b"vbaProject.bin") for name in names):
                return f"application/vnd.ms-{with_macros}.macroenabled.12"
            return f"application/vnd.openxmlformats-officedocument.{plain}"
    if any(name.startswith(b"META-INF/MANIFEST.MF") for name in names):
        return "application/java-archive"
    return "application/zip"


def _declared_in_zip(octets: bytes) -> str:
    """Return what OpenDocument and EPUB say in their first member, stored as it is."""
    if len(octets) < 30:
        return ""
    method, size, _, length, extra = _FIRST_MEMBER.unpack_from(octets)
    if method or octets[30 : 30 + length] != b"mimetype":
        return ""
    start = 30 + length + extra
    found = _TYPE.fullmatch(octets[start : start + min(size, 128)].strip())
    return found[0].decode("ascii") if found else ""
