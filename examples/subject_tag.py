"""Marks the subject of mail from outside."""

from mailplat.mail.transit import KEEP, Transit, Verdict


class SubjectTag:
    """A plain method may block: it runs in a worker thread."""

    def judge(self, transit: Transit) -> Verdict:
        if transit.login:
            return KEEP
        subject = transit.message.subject
        return Verdict.keep(transit.edit().replace(b"Subject", f"[external] {subject}"))
