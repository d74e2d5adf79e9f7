"""Remembers which hosts had TLS, to say when one has none any more."""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import attrs
from twisted.logger import Logger

from mailplat.mail.hops import Shown

MOST_HOSTS = 10_000  # that are remembered, those that were met last


@attrs.define
class Levels:
    """The version of TLS by which each host was met last, as long as we run.

    A host that loses it is named once: it may have been set up anew, or somebody
    on the way may have taken away its offer.  The mail goes all the same, since
    nothing but a policy may keep it from going.
    """

    log: ClassVar[Logger] = Logger()
    _versions: OrderedDict[str, str] = attrs.field(factory=OrderedDict, init=False)

    def met(self, host: str, where: str, shown: Shown | None) -> None:
        """Hear how a host was met; ``where`` names it for the log."""
        before = self._versions.pop(host, "")
        if shown is not None:
            self._versions[host] = shown.version
            while len(self._versions) > MOST_HOSTS:
                self._versions.popitem(last=False)
        elif before:
            self.log.warn(
                "{host} had {version} before and gets mail in the clear now",
                host=where,
                version=before,
            )
