"""Puts a note in the place of attachments that are too large."""

from mailplat.mail.multipart import text_part
from mailplat.mail.transit import KEEP, Transit, Verdict
from mailplat.plugin import Settings, Size


class StripSettings(Settings):
    above: Size = 1_000_000  # as they lie in the message
    spare_signed: bool = False  # leave mail alone whose DKIM signature that would break


class StripAttachments:
    def __init__(self, settings: StripSettings) -> None:
        self.settings = settings

    def judge(self, transit: Transit) -> Verdict:
        plan = transit.edit()
        for part in transit.message.attachments:
            if part.size > self.settings.above:
                plan = plan.replace_part(part.number, text_part(f"{part.name} was too big."))
        broken = ", ".join(map(str, transit.message.broken_by(plan)))
        is_spared = broken and self.settings.spare_signed
        return KEEP if is_spared else Verdict.keep(plan, breaks=broken)
