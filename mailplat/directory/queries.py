"""What the directory asks of its tables; each function is a unit of work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import attrs

from mailplat.mail.address import Address, domain_of
from mailplat.mail.errors import (
    AlreadyExists,
    BadAddress,
    NoSuchAddress,
    NotPermitted,
)
from mailplat.mail.people import Account, AccountId, Alias, Domain, Place, no_account
from mailplat.sql import Connection, Row

DEPTH = 10  # aliases that may lead to aliases before we stop following
POSTMASTER = "postmaster"
ACCOUNT = "SELECT id, name, enabled, version FROM directory_accounts"


# Reading.


def domain(db: Connection, name: str) -> Domain | None:
    """Return the domain if it is local."""
    found = db.one("SELECT name FROM directory_domains WHERE name = ?", (name,))
    return Domain(*found) if found else None


def domains(db: Connection) -> list[Domain]:
    """Return every local domain, the house's first one first."""
    found = db.all("SELECT name FROM directory_domains ORDER BY number")
    return [Domain(name) for (name,) in found]


def account(db: Connection, name: str) -> Account | None:
    """Return the account of that name."""
    found = db.one(f"{ACCOUNT} WHERE name = ?", (name,))
    return _account(found) if found else None


def holder(db: Connection, identity: AccountId) -> Account | None:
    """Return the account of that identity."""
    found = db.one(f"{ACCOUNT} WHERE id = ?", (identity,))
    return _account(found) if found else None


def accounts(db: Connection) -> list[Account]:
    """Return every account, by name."""
    return [_account(row) for row in db.all(f"{ACCOUNT} ORDER BY name")]


def password(db: Connection, name: str) -> tuple[Account, str] | None:
    """Return an account with the hash of its password."""
    found = db.one(
        "SELECT id, name, enabled, version, password FROM directory_accounts WHERE name = ?",
        (name,),
    )
    return (_account(found[:4]), found[4]) if found else None


def aliases(db: Connection) -> list[Alias]:
    """Return every alias, by source."""
    found: dict[str, list[str]] = {}
    for source, target in db.all(
        "SELECT source, target FROM directory_aliases ORDER BY source, number"
    ):
        found.setdefault(source, []).append(target)
    return [Alias(source, tuple(targets)) for source, targets in found.items()]


def alias(db: Connection, source: str) -> Alias | None:
    """Return the alias of exactly that source."""
    targets = db.all(
        "SELECT target FROM directory_aliases WHERE source = ? ORDER BY number", (source,)
    )
    return Alias(source, tuple(target for (target,) in targets)) if targets else None


def _account(row: Row) -> Account:
    identity, name, enabled, version = row
    return Account(AccountId(identity), name, enabled=bool(enabled), credential_version=version)


# Where an address leads.


@attrs.frozen
class Way:
    """Where an address leads, and at which addresses it would have gone round in a circle."""

    places: tuple[Place, ...]
    circles: tuple[str, ...] = ()


@attrs.frozen
class _Step:
    """An address on the way, the subaddress cut off so far, and how we came here."""

    address: Address
    detail: str = ""
    before: tuple[str, ...] = ()
    via: tuple[str, ...] = ()  # the sources of the aliases that led here


def way(db: Connection, address: Address, delimiter: str) -> Way:
    """Follow an address through aliases to its ends.

    An exact name comes before one without its subaddress, and that before the
    domain's catch-all; at each of them an alias comes before an account, and
    an alias that names itself means the account of that name.
    """
    address = address if address.domain else _bare_postmaster(db, address)
    found = _ends(db, address, delimiter)
    if address.is_postmaster and domain(db, address.domain):
        served = tuple(filter(_takes_mail, found.places))
        return Way(served or _instead(db, address, delimiter), found.circles)
    return found


def _ends(db: Connection, address: Address, delimiter: str) -> Way:
    """Follow an address, whoever is at its ends."""
    found: dict[tuple[str, str], Place] = {}
    circles: list[str] = []
    seen: set[str] = set()
    steps = deque([_Step(address)])
    while steps:
        step = steps.popleft()
        key = step.address.key
        if key in step.before or len(step.before) > DEPTH:
            circles.append(key)
        elif key not in seen:
            seen.add(key)
            for end in _next(db, step, delimiter):
                if isinstance(end, Place):
                    found.setdefault(_identity(end), end)
                else:
                    steps.append(end)
    return Way(tuple(found.values()), tuple(circles))


def _takes_mail(place: Place) -> bool:
    """Say whether mail arrives there now; nothing is sent elsewhere yet."""
    return bool(place.account and place.account.enabled)


def _next(db: Connection, step: _Step, delimiter: str) -> Iterator[Place | _Step]:
    """Return the ends and further steps that one address leads to."""
    if not domain(db, step.address.domain):
        if step.address.domain:
            yield Place(address=step.address, via=step.via)
        return
    for name, detail in _names(step, delimiter):
        known = alias(db, name)
        here = account(db, name)
        if known:
            before, via = (*step.before, step.address.key), (*step.via, name)
            for target in map(Address.parse, known.targets):
                if here and target.key == name:
                    yield Place(account=here, detail=detail, via=via)
                else:
                    yield _Step(target, detail, before, via)
            return
        if here:
            yield Place(account=here, detail=detail, via=step.via)
            return


def _names(step: _Step, delimiter: str) -> Iterator[tuple[str, str]]:
    """Return the names an address may be known by, each with the subaddress cut off."""
    address = step.address
    yield address.key, step.detail
    local, cut, detail = address.local.partition(delimiter) if delimiter else ("", "", "")
    if local and cut:
        yield Address(local, address.domain).key, detail
    yield f"@{address.domain}", step.detail


def _identity(place: Place) -> tuple[str, str]:
    if place.account:
        return place.account.id, place.detail
    return str(place.address), ""


def _bare_postmaster(db: Connection, address: Address) -> Address:
    """Return the postmaster of the first domain for the one without any."""
    first = db.one("SELECT name FROM directory_domains ORDER BY number LIMIT 1")
    return Address(address.local, first[0]) if first else address


def _instead(db: Connection, address: Address, delimiter: str) -> tuple[Place, ...]:
    """Return who answers for a domain whose own postmaster leads to nobody.

    That is the postmaster of the house's first domain, else the oldest account that
    is enabled, else the oldest (RFC 5321 section 4.5.1: somebody always does).
    """
    first = _bare_postmaster(db, Address(POSTMASTER, ""))
    if first.domain not in ("", address.domain):
        return way(db, first, delimiter).places
    found = db.one(f"{ACCOUNT} ORDER BY enabled DESC, number LIMIT 1")
    return (Place(account=_account(found)),) if found else ()


# Changing.


def add_domain(db: Connection, name: str, postmaster: str) -> Domain:
    """Make the domain local; postmaster and abuse of it lead to ``postmaster``."""
    if domain(db, name):
        raise AlreadyExists(f"the domain {name} is there already")
    db.execute(
        "INSERT INTO directory_domains (name, number)"
        " SELECT ?, coalesce(max(number), 0) + 1 FROM directory_domains",
        (name,),
    )
    for local in (POSTMASTER, "abuse"):
        source = f"{local}@{name}"
        if source != Address.parse(postmaster).key:
            _write_alias(db, source, [postmaster])
    return Domain(name)


def remove_domain(db: Connection, name: str) -> Domain:
    """Forget a domain that has no accounts, and into which nobody else's alias leads."""
    gone = domain(db, name)
    if not gone:
        raise NoSuchAddress(f"{name} is no domain of ours")
    if db.one("SELECT 1 FROM directory_accounts WHERE domain = ? LIMIT 1", (name,)):
        raise NotPermitted(f"{name} still has accounts")
    if leading := [one.source for one in aliases(db) if _leads_into(one, name)]:
        raise NotPermitted(f"aliases of other domains lead into {name}: {', '.join(leading)}")
    db.execute("DELETE FROM directory_aliases WHERE domain = ?", (name,))
    db.execute("DELETE FROM directory_domains WHERE name = ?", (name,))
    return gone


def _leads_into(known: Alias, name: str) -> bool:
    """Say whether an alias of another domain leads into the one of that name."""
    if domain_of(known.source.rpartition("@")[2]) == name:
        return False
    return any(Address.parse(target).domain == name for target in known.targets)


def add_account(db: Connection, identity: str, name: str, password_hash: str) -> Account:
    """Make an account in a local domain."""
    if account(db, name):
        raise AlreadyExists(f"{name} has an account already")
    if known := alias(db, name):
        leads = ", ".join(known.targets)
        raise AlreadyExists(f"{name} is an alias already, and leads to {leads}")
    db.execute(
        "INSERT INTO directory_accounts (id, name, domain, password, enabled, version, number)"
        " SELECT ?, ?, ?, ?, 1, 1, coalesce(max(number), 0) + 1 FROM directory_accounts",
        (identity, name, _local_domain(db, name), password_hash),
    )
    return Account(AccountId(identity), name, credential_version=1)


def set_password(db: Connection, name: str, password_hash: str) -> Account:
    """Give the account another password."""
    changed = db.one(
        "UPDATE directory_accounts SET password = ?, version = version + 1"
        " WHERE name = ? RETURNING id, name, enabled, version",
        (password_hash, name),
    )
    return _existing(db, changed, name)


def enable_account(db: Connection, name: str, enabled: bool) -> Account:
    """Let the account log in and receive, or stop it."""
    changed = db.one(
        "UPDATE directory_accounts SET enabled = ?, version = version + 1"
        " WHERE name = ? RETURNING id, name, enabled, version",
        (int(enabled), name),
    )
    return _existing(db, changed, name)


def _existing(db: Connection, row: Row | None, name: str) -> Account:
    if not row:
        raise no_account(name, alias(db, name))
    return _account(row)


def why_needed(db: Connection, name: str, delimiter: str) -> str:
    """Return why an account had better stay; empty if nobody would miss it.

    An account that is disabled counts too: it is, while it is being removed.
    """
    known = account(db, name)
    if not known:
        return ""
    if len(accounts(db)) == 1:
        return f"{name} is the last account"
    wanting = [
        postmaster
        for one in domains(db)
        if known.id in _meant(db, postmaster := f"{POSTMASTER}@{one.name}", delimiter)
    ]
    return f"{', '.join(wanting)} leads to {name} alone" if wanting else ""


def _meant(db: Connection, text: str, delimiter: str) -> set[AccountId]:
    """Return the only account that an address leads to by itself, if there is just one."""
    places = _ends(db, Address.parse(text), delimiter).places
    meant = {place.account.id for place in places if place.account}
    return meant if len(meant) == 1 else set()


def remove_account(db: Connection, name: str) -> Account:
    """Forget the account, and the aliases' targets that lead to it."""
    gone = db.one(
        "DELETE FROM directory_accounts WHERE name = ? RETURNING id, name, enabled, version",
        (name,),
    )
    for known in aliases(db):
        left = [target for target in known.targets if Address.parse(target).key != name]
        if len(left) < len(known.targets):
            _write_alias(db, known.source, left)
    return _existing(db, gone, name)


def add_alias(db: Connection, source: str, targets: Sequence[str], delimiter: str) -> Alias:
    """Make ``source`` lead to ``targets``.

    Refused if that would be a circle, or would hide an account that isn't among them.
    """
    if alias(db, source):
        raise AlreadyExists(f"{source} is an alias already")
    if account(db, source) and source not in {Address.parse(target).key for target in targets}:
        raise AlreadyExists(
            f"{source} is an account's address; to keep its mail coming there, let the "
            "alias lead to itself too"
        )
    _write_alias(db, source, targets)
    for target in map(Address.parse, targets):
        if target.key != source and (circles := way(db, target, delimiter).circles):
            raise BadAddress(f"{source} would lead in a circle, by {', '.join(circles)}")
    return Alias(source, tuple(targets))


def remove_alias(db: Connection, source: str) -> Alias:
    """Forget an alias."""
    gone = alias(db, source)
    if not gone and account(db, source):
        raise NoSuchAddress(f"{source} is no alias: it is an account")
    if not gone:
        raise NoSuchAddress(f"there is no alias {source}")
    _write_alias(db, source, ())
    return gone


def _write_alias(db: Connection, source: str, targets: Sequence[str]) -> None:
    """Make ``source`` lead to ``targets`` and to nothing else."""
    local = _local_domain(db, source)
    db.execute("DELETE FROM directory_aliases WHERE source = ?", (source,))
    db.executemany(
        "INSERT INTO directory_aliases (source, number, domain, target) VALUES (?, ?, ?, ?)",
        [(source, number, local, target) for number, target in enumerate(targets)],
    )


def _local_domain(db: Connection, name: str) -> str:
    local = domain(db, domain_of(name.rpartition("@")[2]))
    if not local:
        raise NoSuchAddress(f"the domain of {name} is not one of ours")
    return local.name
