"""What every `ITextExtractor` promises, as tests that a plugin inherits."""

from __future__ import annotations

import pickle

import attrs
import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import ITextExtractor

ENOUGH = 1 << 20  # characters


@attrs.frozen
class Sample:
    """A part that an extractor understands, and words of it that somebody may look for."""

    octets: bytes
    media_type: str
    words: tuple[str, ...]
    charset: str = ""


class ExtractorContract:
    """Inherit, and say in fixtures ``extractor`` and ``sample`` what is to be tried on what."""

    @pytest.fixture
    def extractor(self) -> ITextExtractor:
        raise NotImplementedError("a plugin returns its extractor here")

    @pytest.fixture
    def sample(self) -> Sample:
        raise NotImplementedError("a plugin returns a part that its extractor understands")

    def test_it_provides_its_interface(self, extractor: ITextExtractor) -> None:
        verifyObject(ITextExtractor, extractor)

    def test_a_child_process_can_make_one(self, extractor: ITextExtractor) -> None:
        """Its maker is sent there by its name, so it stands at the top of a module."""
        assert pickle.loads(pickle.dumps(type(extractor))) is type(extractor)

    def test_it_finds_the_words(self, extractor: ITextExtractor, sample: Sample) -> None:
        text = extractor.text(sample.octets, sample.media_type, sample.charset, ENOUGH)
        assert isinstance(text, str)
        for word in sample.words:
            assert word in text

    def test_it_remembers_nothing(self, extractor: ITextExtractor, sample: Sample) -> None:
        """One extractor reads the parts of all accounts, one after the other."""
        arguments = (sample.media_type, sample.charset, ENOUGH)
        first = extractor.text(sample.octets, *arguments)
        self._try(extractor, b"", sample)
        assert extractor.text(sample.octets, *arguments) == first

    @pytest.mark.parametrize("limit", [0, 1, 10])
    def test_a_small_limit_is_no_error(
        self, extractor: ITextExtractor, sample: Sample, limit: int
    ) -> None:
        text = extractor.text(sample.octets, sample.media_type, sample.charset, limit)
        assert isinstance(text, str)

    @pytest.mark.parametrize("broken", [b"", b"\0", b"\xff" * 1000, b"BEGIN" * 1000])
    def test_what_makes_no_sense_is_read_or_raises(
        self, extractor: ITextExtractor, sample: Sample, broken: bytes
    ) -> None:
        self._try(extractor, broken, sample)

    def test_what_was_cut_anywhere_is_read_or_raises(
        self, extractor: ITextExtractor, sample: Sample
    ) -> None:
        for stop in range(0, len(sample.octets), len(sample.octets) // 50 + 1):
            self._try(extractor, sample.octets[:stop], sample)

    def test_an_unknown_charset_is_read_or_raises(
        self, extractor: ITextExtractor, sample: Sample
    ) -> None:
        self._try(extractor, sample.octets, attrs.evolve(sample, charset="x-nobody-knows"))

    def _try(self, extractor: ITextExtractor, octets: bytes, sample: Sample) -> None:
        try:
            text = extractor.text(octets, sample.media_type, sample.charset, ENOUGH)
        except Exception:  # noqa: BLE001 - it may raise what it likes, but end nothing
            return
        assert isinstance(text, str)
