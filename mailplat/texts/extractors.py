"""Has extractors work in child processes, one part at a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from functools import lru_cache

import attrs

from mailplat.interfaces import ITextExtractor
from mailplat.mail.encodings import decoded
from mailplat.mail.entity import Entity
from mailplat.mail.limits import Limits
from mailplat.plugin import ConfigError
from mailplat.workers import Allowance, Workers

OCTETS_OF_A_CHARACTER = 4  # at most, in UTF-8


@attrs.frozen
class Extractor:
    """How a child process makes an extractor: its maker and what it is called with, pickled."""

    name: str
    recipe: bytes

    @classmethod
    def of(
        cls, name: str, maker: Callable[..., object], arguments: Mapping[str, object]
    ) -> Extractor:
        """Return what makes an extractor there.

        Raises `ConfigError` if the maker or an argument can't be sent: they must
        stand at the top of a module.
        """
        try:
            return cls(name, pickle.dumps((maker, dict(arguments))))
        except Exception as problem:
            raise ConfigError(f"can't be sent to a child process: {problem}") from problem

    def make(self) -> ITextExtractor:
        """Make the extractor, or take one that was made so before, in this process."""
        return _made(self.recipe)

    async def text(
        self, workers: Workers, limits: Limits, entity: Entity, octets: bytes
    ) -> str:
        """Return the text in a part's body.

        Raises `ChildFailed`, `OutOfTime`, `Overloaded` and `ShuttingDown`.
        """
        allowance = Allowance(
            seconds=limits.handler_patience,
            memory=limits.handler_memory,
            answer=OCTETS_OF_A_CHARACTER * limits.index_text,
        )
        arguments = (self.recipe, entity, octets, limits.index_text)
        answer = await workers.children.ask(allowance, extracted, *arguments)
        return answer.decode("utf-8", "replace")


# In the child process --------------------------------------------------------


def extracted(recipe: bytes, entity: Entity, octets: bytes, limit: int) -> bytes:
    """Make the extractor, or take one that was made so before, and let it work."""
    type_ = entity.media_type
    charset = type_.parameters.text(b"charset") or ""
    octets = decoded(octets, entity.encoding)
    text = _made(recipe).text(octets, type_.name, charset, limit)
    if not isinstance(text, str):
        raise TypeError(f"{type(text).__name__} in place of a text")
    return text[:limit].encode("utf-8", "replace")


@lru_cache(maxsize=32)
def _made(recipe: bytes) -> ITextExtractor:
    maker, arguments = pickle.loads(recipe)  # noqa: S301 - our own parent has written it
    made: ITextExtractor = maker(**arguments)
    return made
