"""Makes a new house: its configuration, its certificate, its first domain and account."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from pydantic import ValidationError

from mailplat.app.config import Configuration
from mailplat.app.databases import insist_on
from mailplat.app.manual import Table, annotated, paragraph
from mailplat.app.mistakes import nearest
from mailplat.app.registry import Registry, UnknownComponent, discover, settings_class
from mailplat.app.tables import (
    AGENTS,
    ARRAYS,
    CONTENTS,
    DIRECTORY,
    PORTALS,
    STORES,
    TABLES,
    DatabaseSettings,
    HouseSettings,
)
from mailplat.files import Disk
from mailplat.mail.address import domain_of
from mailplat.mail.errors import BadAddress, MailError
from mailplat.mail.ports import STANDARD_PORTS
from mailplat.portals.tls import make_self_signed
from mailplat.sql import UnusableDatabase

CONFIG = "mailplat.toml"


@attrs.frozen
class Door:
    """A portal of a new house."""

    use: str
    service: str  # a key of `STANDARD_PORTS`
    set: Mapping[str, object]
    announced: bool = False  # to clients, by an SRV record (RFC 6186, 8314)

    @property
    def standard_port(self) -> int:
        """Where clients look for it."""
        return STANDARD_PORTS[self.service]


DOORS = {
    "mx": Door("smtp", "smtp", {"tls": "starttls", "pipeline": "inbound"}),
    "submission": Door(
        "smtp",
        "submission",
        {"tls": "starttls", "login": "required", "pipeline": "outbound"},
        announced=True,
    ),
    "submissions": Door(
        "smtp",
        "submissions",
        {"tls": "implicit", "login": "required", "pipeline": "outbound"},
        announced=True,
    ),
    "lmtp": Door("lmtp", "lmtp", {"tls": "off", "pipeline": "inbound"}),
    "imap": Door("imap", "imap", {"tls": "starttls"}, announced=True),
    "imaps": Door("imap", "imaps", {"tls": "implicit"}, announced=True),
    "pop3": Door("pop3", "pop3", {"tls": "starttls"}, announced=True),
    "pop3s": Door("pop3", "pop3s", {"tls": "implicit"}, announced=True),
}

PIPELINES = {
    "inbound": ["recipients", "relaying", "loops"],
    "outbound": ["senders", "recipients", "relaying", "loops", "complete", "sign"],
}


SENDS_NOTHING = (
    "Nothing is sent to other hosts from here until there is a way: [[routes]] with"
    ' agent = "relay" (`mailplat describe routes`).'
)


class NotMade(Exception):
    """The house can't be made; the text says why."""


IN_DATABASE = "database"


@attrs.frozen
class NewHouse:
    """A house that is to be made in a folder."""

    folder: Path
    domain: str
    port_base: int | None = None  # listens on loopback, that far above the standard ports
    state: str = "state"
    contents: str = IN_DATABASE  # where the octets of messages lie

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / CONFIG

    @property
    def hostname(self) -> str:
        """What the server calls itself until somebody knows better."""
        return "localhost" if self.domain == "localhost" else f"mail.{self.domain}"

    @property
    def places(self) -> dict[str, int]:
        """The port at which each service listens; LMTP only on loopback."""
        base = self.port_base
        return {
            name: (base or 0) + door.standard_port
            for name, door in DOORS.items()
            if base is not None or name != "lmtp"
        }

    def first_account(self, password: str) -> dict[str, str]:
        """Return the arguments of the operation that furnishes the house."""
        return {
            "domain": self.domain,
            "name": f"postmaster@{self.domain}",
            "password": password,
        }


HIGHEST_PORT = 65535
HIGHEST_BASE = HIGHEST_PORT - max(door.standard_port for door in DOORS.values())


def make(house: NewHouse, *, database: str = "sqlite:mail.db") -> None:
    """Write configuration and certificate of a new house.

    Raises `NotMade` if there is one already, or if the folder or the database can't
    be used.
    """
    try:
        insist_on(DatabaseSettings(url=database))
    except ValidationError:
        raise NotMade(f"{database}: expected sqlite:FILE or postgresql://…") from None
    except UnusableDatabase as problem:
        raise NotMade(str(problem)) from None
    if not 0 <= (house.port_base or 0) <= HIGHEST_BASE:
        raise NotMade(
            f"--port-base {house.port_base}: expected 0 to {HIGHEST_BASE}, since ports end at "
            f"{HIGHEST_PORT}"
        )
    _insist_on_contents(house.contents, discover())
    if house.config.exists():
        raise NotMade(f"{house.config} is there already; it stays as it is")
    try:
        domain_of(house.domain)
    except BadAddress as problem:
        raise NotMade(str(problem)) from None
    try:
        (house.folder / house.state).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise NotMade(f"{house.folder} can't be used: {problem.strerror}") from None
    certificate = house.folder / "tls" / f"{house.hostname}.pem"
    if not certificate.exists():
        names = [house.hostname, house.domain, "localhost", "127.0.0.1", "::1"]
        pem = make_self_signed(list(dict.fromkeys(names)), datetime.now(UTC))
        _write_private(certificate, pem)
    _write_private(house.config, configuration_text(house, database).encode())


def _insist_on_contents(name: str, registry: Registry) -> None:
    try:
        if name != IN_DATABASE:
            settings_class(registry.find(CONTENTS.interface, name))
    except UnknownComponent as problem:
        known = {IN_DATABASE, *registry.names(CONTENTS.interface)}
        raise NotMade(f"--contents {name}: {problem}{nearest(name, known)}") from problem


def _write_private(path: Path, octets: bytes) -> None:
    """Write a file that only its owner may read; nobody sees it half written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        Disk().replace(path, octets)
    except (MailError, OSError) as problem:
        raise NotMade(f"{path} can't be written: {problem}") from problem


# The configuration -----------------------------------------------------------


def configuration_text(house: NewHouse, database: str = "sqlite:mail.db") -> str:
    """Return the annotated configuration of a new house."""
    title = (
        "The configuration of a mailplat house.  `mailplat check` looks for mistakes; "
        "`mailplat describe NAME` prints the manual of a component or table.  What is "
        "commented out is the default.  Relative paths start at this file's folder."
    )
    return annotated(title, _tables(house, database, discover()))


def sample() -> str:
    """Return ``etc/mailplat.toml``: the configuration of a house with the standard ports."""
    house = NewHouse(Path("/etc/mailplat"), "example.org", state="/var/lib/mailplat")
    return configuration_text(house)


def _tables(house: NewHouse, database: str, registry: Registry) -> Iterator[Table]:
    yield Table("", HouseSettings, {"hostname": house.hostname, "state": house.state})
    chosen: dict[str, Mapping[str, object]] = {
        "database": {"url": database},
        "tls": {"certificates": "tls"},
        "login": {} if house.port_base is None else {"login_without_tls": "loopback"},
    }
    for name, kind in TABLES.items():
        yield Table(name, kind, chosen.get(name, {}), paragraph(kind))
    explained: set[str] = set()
    for name, port in house.places.items():
        door = DOORS[name]
        where = {"port": port} if house.port_base is None else {"listen": [f"127.0.0.1:{port}"]}
        kind = settings_class(registry.find(PORTALS.interface, door.use))
        table = Table(f"portals.{name}", kind, {"use": door.use, **where, **door.set})
        yield table if door.use not in explained else table.brief()
        explained.add(door.use)
    manual = "The policies and filters of each pipeline, in their order."
    yield Table("pipelines", set=PIPELINES, manual=manual)
    if house.port_base is None:
        kind = ARRAYS["routes"]
        yield Table("[routes]", kind, {"match": "*", "agent": "relay"}, paragraph(kind))
    else:
        yield Table("", manual=SENDS_NOTHING)
    for room in (AGENTS, STORES, DIRECTORY):
        kind = settings_class(registry.find(room.interface, room.default))
        header = room.table if room.single else f"{room.table}.{room.instance}"
        own: dict[str, object] = {}
        if room is STORES and house.contents != IN_DATABASE:
            place = settings_class(registry.find(CONTENTS.interface, house.contents))
            yield Table(
                f"{CONTENTS.table}.{house.contents}",
                place,
                {"use": house.contents},
                CONTENTS.manual,
            )
            own = {"contents": house.contents}
        yield Table(header, kind, {"use": room.default, **own}, room.manual)


# What an operator has to know ------------------------------------------------


def new_password() -> str:
    """Return a password that is easy to type and hard to guess: 80 bits."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    word = "".join(secrets.choice(letters) for _ in range(16))
    return "-".join(word[at : at + 4] for at in range(0, 16, 4))


def dns_records(configuration: Configuration, domain: str) -> list[dict[str, Any]]:
    """Return the records to publish for a domain that this house serves, in A-labels."""
    domain, host = domain_of(domain), configuration.house.hostname
    records = [
        (f"{host}.", "A", "the IPv4 address of this host"),
        (f"{host}.", "AAAA", "its IPv6 address, if it has one"),
        (f"{domain}.", "MX", f"10 {host}."),
        (f"{domain}.", "TXT", '"v=spf1 mx ~all"'),
        (
            f"_dmarc.{domain}.",
            "TXT",
            f'"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"',
        ),
    ]
    for entry in configuration.entries_of(PORTALS):
        door = DOORS.get(entry.name)
        port = getattr(entry.settings, "port", None)
        if door and door.announced and port:
            name = f"_{door.service}._tcp.{domain}."
            records.append((name, "SRV", f"0 1 {port} {host}."))
    return [dict(zip(("name", "type", "value"), record, strict=True)) for record in records]


def welcome(house: NewHouse, configuration: Configuration, password: str) -> str:
    """Return what to tell, once, whoever has made a house."""
    records = dns_records(configuration, house.domain)
    return "\n".join(
        [
            f"The house of {house.domain} is in {house.folder}.",
            "",
            *_account(house, password),
            "",
            "Records to publish (they let others send for the domain too, until you say otherwise):",
            "",
            *(f"  {r['name']:<32} {r['type']:<4} {r['value']}" for r in records),
            "",
            "Start it:",
            "",
            f"  {_program('twistd')} -n --pidfile= mailplat --config {house.config}",
            "",
            "Look after it:",
            "",
            f"  {_program('mailplat')} --config {house.config} status",
        ]
    )


def _program(name: str) -> str:
    """Return the program of this installation as a terminal finds it, whatever its PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


def how_to_try(house: NewHouse, password: str) -> str:
    """Return what to tell whoever has started a house for trying out.

    An empty password is one that was shown before.
    """
    places = house.places
    account = house.first_account(password)["name"]
    secret = f"{account}:{password or 'PASSWORD'}"
    send = (
        f"--user {secret} --mail-from {account} --mail-rcpt {account} "
        f"--upload-file - smtp://127.0.0.1:{places['submission']}"
    )
    return "\n".join(
        [
            f"A house for trying out is in {house.folder}.",
            "",
            *(f"  {name:<12} 127.0.0.1:{port}" for name, port in places.items()),
            "",
            *_account(house, password),
            "",
            "Send a message, and read it:",
            "",
            f"  printf 'Subject: hello\\n\\nIt works.\\n' | curl -sSk --ssl-reqd --crlf {send}",
            f"  curl -sSk --user {secret} pop3s://127.0.0.1:{places['pop3s']}/1",
            "",
        ]
    )


def _account(house: NewHouse, password: str) -> list[str]:
    shown = (
        f"{password}   (shown this once)"
        if password
        else "(shown when it was made; `mailplat account passwd` gives another)"
    )
    return [
        f"  account      {house.first_account('')['name']}",
        f"  password     {shown}",
    ]
