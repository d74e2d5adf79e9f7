"""What has to be true of the directory's tables whatever happened, asked of them by SQL."""

from __future__ import annotations

from mailplat.mail.finding import Finding
from mailplat.sql import Connection

RULES = {
    "an account is in a domain that is not ours": """
        SELECT a.name FROM directory_accounts a
        LEFT JOIN directory_domains d ON d.name = a.domain WHERE d.name IS NULL
    """,
    "an alias is in a domain that is not ours": """
        SELECT a.source FROM directory_aliases a
        LEFT JOIN directory_domains d ON d.name = a.domain WHERE d.name IS NULL
    """,
    "an account's name is not in its domain": """
        SELECT name FROM directory_accounts WHERE name NOT LIKE '%_@' || domain
    """,
    "an alias is not in its domain": """
        SELECT source FROM directory_aliases WHERE source NOT LIKE '%@' || domain
    """,
    "an alias leads to what is no address": """
        SELECT source, target FROM directory_aliases WHERE target NOT LIKE '%_@%_'
    """,
    "an account has no password, or is neither enabled nor disabled": """
        SELECT name FROM directory_accounts
        WHERE password NOT LIKE '$%' OR enabled NOT IN (0, 1) OR version < 0 OR id = ''
    """,
    "two domains have one number": """
        SELECT number FROM directory_domains GROUP BY number HAVING count(*) > 1
    """,
}


def broken(db: Connection, rule: str) -> list[Finding]:
    """Return where a rule is broken; nothing in the directory is mended by itself."""
    return [
        Finding(rule, account=str(row[0]), detail=", ".join(map(str, row[1:])))
        for row in db.all(RULES[rule])
    ]
