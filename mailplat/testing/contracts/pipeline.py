"""What every `IPipeline` promises, as tests that an implementation inherits."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from mailplat.interfaces import IPipeline
from mailplat.mail.mailbox import Outcome
from mailplat.mail.transit import Disposition, Stage, Verdict
from mailplat.testing.fakes import FakeContent
from mailplat.testing.transits import new_transit, recipient

EVERYONE = ("alice@example.org", "bob@example.org")


class PipelineContract:
    """Inherit, and say in a fixture how to make one that refuses everybody but the postmaster.

    Those whom a transit's envelope names it delivers to none the less; its
    directory knows example.org, with alice and bob.
    """

    @pytest.fixture
    def pipeline(self) -> IPipeline:
        raise NotImplementedError("an implementation returns its pipeline here")

    def test_it_provides_its_interface(self, pipeline: IPipeline) -> None:
        verifyObject(IPipeline, pipeline)

    async def test_a_refusal_has_words(self, pipeline: IPipeline) -> None:
        transit = new_transit(to=[])
        transit.recipient = recipient("alice@example.org")
        verdict = await pipeline.ask(Stage.RECIPIENT, transit)
        assert verdict.disposition in (Disposition.DEFER, Disposition.REJECT)
        assert verdict.error
        assert not verdict.error.status.is_success

    @pytest.mark.parametrize("text", ["postmaster", "Postmaster@example.org"])
    async def test_the_postmaster_can_be_reached(self, pipeline: IPipeline, text: str) -> None:
        transit = new_transit(to=[])
        for stage in (Stage.CONNECT, Stage.GREETING, Stage.SENDER, Stage.RECIPIENT):
            transit.recipient = recipient(text) if stage is Stage.RECIPIENT else None
            verdict = await pipeline.ask(stage, transit)
            assert isinstance(verdict, Verdict)
            assert verdict.disposition in (Disposition.KEEP, Disposition.ACCEPT)

    @pytest.mark.parametrize("to", [EVERYONE[:1], EVERYONE, EVERYONE[::-1]])
    async def test_each_recipient_has_an_outcome(
        self, pipeline: IPipeline, to: tuple[str, ...]
    ) -> None:
        outcomes = await pipeline.accept(new_transit(to=to))
        assert len(outcomes) == len(to)
        assert all(isinstance(outcome, Outcome) for outcome in outcomes)
        assert all(outcome.status.is_success for outcome in outcomes)

    async def test_a_content_is_closed_when_all_is_over(self, pipeline: IPipeline) -> None:
        transit = new_transit(to=EVERYONE)
        transit.content = content = FakeContent(b"Subject: x\r\n\r\n")
        await pipeline.accept(transit)
        assert content.closed

    async def test_what_was_refused_can_be_dropped(self, pipeline: IPipeline) -> None:
        transit = new_transit(to=[])
        transit.recipient = recipient("alice@example.org")
        await pipeline.ask(Stage.RECIPIENT, transit)
        pipeline.drop(transit)
