"""What is printed of a key comes from the class that checks it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mailplat.app import manual, newhouse
from mailplat.app.config import check, read
from mailplat.app.registry import Registry, UnknownComponent, discover
from mailplat.app.tables import PORTALS, ROOMS, TABLES
from mailplat.app.wiring import KINDS, draw

ETC = Path(__file__).parent.parent.parent / "etc"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover()


def test_the_sample_is_what_the_code_writes() -> None:
    """Mend it by what this prints:

    ``python -c 'from mailplat.app import newhouse; print(newhouse.sample(), end="")'``
    """
    assert (ETC / "mailplat.toml").read_text() == newhouse.sample()


@pytest.mark.parametrize(
    "file", [ETC / "mailplat.toml", *sorted(ETC.glob("variants/*.toml"))], ids=lambda f: f.name
)
def test_every_sample_can_be_used(file: Path, registry: Registry) -> None:
    draw(read(file, registry), KINDS)


def test_what_is_commented_out_is_the_default(registry: Registry) -> None:
    text = newhouse.sample()
    told = "\n".join(
        line[1:] if line[:1] == "#" and line[1:2].isalpha() and "…" not in line else line
        for line in text.splitlines()
    )
    plain = check(text, Path("/etc/mailplat/mailplat.toml"), registry)
    spelled_out = check(told, Path("/etc/mailplat/mailplat.toml"), registry)
    assert plain.house == spelled_out.house
    assert plain.tables == spelled_out.tables
    assert [e.settings for e in plain.entries] == [e.settings for e in spelled_out.entries]


def test_every_key_has_a_manual(registry: Registry) -> None:
    described = [manual.describe(registry, name) for name in [*TABLES, "smtp", "pop3", "loops"]]
    for description in [one for several in described for one in several]:
        assert description.manual, description.name
        assert all(key.manual for key in description.keys), description.name


def test_a_component_is_described(registry: Registry) -> None:
    [smtp] = manual.describe(registry, "smtp")
    text = smtp.as_text()
    assert text.startswith("smtp (IPortal)\n")
    assert '  login: "off" or "offered" or "required", default "off"\n' in text
    assert "  pipeline: name of an IPipeline, default none\n" in text
    [loops] = manual.describe(registry, "loops")
    keys = {key.name: key for key in loops.keys}
    assert keys["max_hops"].default == "100"
    assert keys["timeout"].kind == "duration"
    assert keys["timeout"].default == '"30 s"'
    with pytest.raises(UnknownComponent, match="did you mean 'loops'"):
        manual.describe(registry, "lopps")


def test_all_our_components_can_be_had(registry: Registry) -> None:
    """Names are only text until somebody uses them."""
    assert not registry.broken
    assert not registry.clashes()
    for known in registry.components:
        manual.describe(registry, known.component.name)
    for room in ROOMS:
        if room.default:
            assert room.default in registry.names(room.interface)
    assert {"smtp", "lmtp", "pop3"} <= set(registry.names(PORTALS.interface))


def test_a_new_house_is_private(tmp_path: Path, registry: Registry) -> None:
    house = newhouse.NewHouse(tmp_path / "h", "example.org", 20000)
    newhouse.make(house)
    modes = {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "h").rglob("*")}
    assert modes == {
        "mailplat.toml": 0o600,
        "state": 0o700,
        "tls": 0o700,
        "mail.example.org.pem": 0o600,
    }
    draw(read(house.config, registry), KINDS)
    ports = {
        n: t["listen"] for n, t in tomllib.loads(house.config.read_text())["portals"].items()
    }
    assert ports["mx"] == ["127.0.0.1:20025"]
    assert ports["pop3s"] == ["127.0.0.1:20995"]
    with pytest.raises(newhouse.NotMade, match="there already"):
        newhouse.make(house)


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    house = newhouse.NewHouse(tmp_path, "example.org")
    with pytest.raises(newhouse.NotMade, match="expected sqlite:FILE or postgresql://"):
        newhouse.make(house, database="mysql://x")
    assert list(tmp_path.iterdir()) == []


def test_a_bad_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(newhouse.NotMade, match=r"^'exa mple' is no domain$"):
        newhouse.make(newhouse.NewHouse(tmp_path, "exa mple"))


def test_dns_records_are_for_the_ports_in_use(registry: Registry) -> None:
    configuration = check(newhouse.sample(), ETC / "mailplat.toml", registry)
    records = [
        tuple(row.values()) for row in newhouse.dns_records(configuration, "example.com")
    ]
    assert ("example.com.", "MX", "10 mail.example.org.") in records
    assert ("_submissions._tcp.example.com.", "SRV", "0 1 465 mail.example.org.") in records


def test_importing_the_plugins_imports_none_of_what_they_name() -> None:
    """Discovery runs at every start of any twistd command."""
    names = ["mailplat.portals", "mailplat.pipeline", "mailplat.store", "mailplat.app"]
    code = (
        "import sys; from twisted.plugin import getPlugins; "
        "from twisted.application.service import IServiceMaker; "
        "from mailplat.plugin import IComponent; "
        "assert [m for m in getPlugins(IServiceMaker) if m.tapname == 'mailplat']; "
        "assert list(getPlugins(IComponent)); "
        f"assert not [m for m in {names} if m in sys.modules]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
