"""Every mistake in the file is found at once, each at its line."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailplat.app.config import LONGEST, check, read
from mailplat.app.mistakes import BadConfiguration
from mailplat.app.registry import Broken, Known, Registry
from mailplat.app.tables import DatabaseSettings, LimitsSettings, LogSettings, MimeSettings
from mailplat.interfaces import (
    IDeliveryAgent,
    IDirectory,
    IFilter,
    IMailStore,
    IPolicy,
    IPortal,
    ITextExtractor,
)
from mailplat.plugin import Component, Instance, Secret

MODULE = """
from typing import Literal
from pydantic import Field
from mailplat.interfaces import IPipeline
from mailplat.plugin import Duration, Instance, Secret, Settings, Size

class PortalSettings(Settings):
    port: int = Field(description="Where to listen.")
    tls: Literal["starttls", "implicit", "off"] = "off"
    patience: Duration | None = None
    room: Size = 5
    listen: tuple[str, ...] = ()
    password: Secret | None = None
    pipeline: Instance[IPipeline] | None = None

class Portal:
    def __init__(self, settings: PortalSettings) -> None: ...

class Plain:
    pass
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "shop_of_config.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    plain = "shop_of_config.Plain"
    components = [
        Component(
            name="smtp",
            provides=IPortal,
            settings="shop_of_config.PortalSettings",
            maker="shop_of_config.Portal",
        ),
        Component(name="loops", provides=IFilter, maker=plain),
        Component(name="recipients", provides=IPolicy, maker=plain),
        Component(name="indexed", provides=IMailStore, maker=plain),
        Component(name="calendar", provides=ITextExtractor, maker=plain),
        Component(name="local", provides=IDeliveryAgent, maker=plain),
        Component(name="database", provides=IDirectory, maker=plain),
        Component(
            name="nowhere", provides=IFilter, maker="shop_of_config.Missing", settings="x.Y"
        ),
    ]
    return Registry(tuple(Known(component, "shop 1.0") for component in components))


GOOD = """\
hostname = "mx.example.org"

[database]
url = "sqlite:other.db"

[limits]
message_size = "1 MiB"
recipients = 7
login_patience = "2 min"

[portals.mx]
use = "smtp"
port = 25
pipeline = "inbound"
password_file = "secret"

[pipelines]
inbound = ["recipients", "loops", "again"]

[filters.again]
use = "loops"
on_error = "keep"
timeout = "3 s"
"""


def test_a_good_file_is_read(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    configuration = check(GOOD, tmp_path / "mailplat.toml", registry)
    assert configuration.house.hostname == "mx.example.org"
    assert configuration.house.state == tmp_path / "state"
    assert configuration.table(DatabaseSettings).url == "sqlite:other.db"
    assert configuration.table(LogSettings).format == "text"
    limits = configuration.table(LimitsSettings).limits()
    assert (limits.message_size, limits.recipients, limits.login_patience) == (
        1 << 20,
        7,
        120.0,
    )
    assert limits.errors == 10
    assert configuration.pipelines == {"inbound": ("recipients", "loops", "again")}
    by_name = {entry.name: entry for entry in configuration.entries}
    assert set(by_name) == {
        "mx",
        "again",
        "recipients",
        "loops",
        "calendar",
        "main",
        "local",
        "directory",
    }
    assert by_name["mx"].settings.pipeline == Instance("inbound")  # type: ignore[attr-defined]
    assert by_name["mx"].settings.password == Secret("hush")  # type: ignore[attr-defined]
    assert by_name["again"].guard.timeout == timedelta(seconds=3)
    assert by_name["again"].guard.on_error == "keep"
    assert by_name["loops"].guard.on_error == "defer"


BAD = """\
hostnme = "mx.example.org"

[portals.mx]
use = "smpt"

[portals.submission]
use = "smtp"
prot = 587
tls = "always"
patience = 30
listen = [
    "tcp:25",
    26,
]
pipeline = "inbuond"

[pipelines]
inbound = ["recipients", "lopps"]

[filters.other]
use = "nowhere"
"""


EXPECTED = """\
1: hostnme: there is no such key; did you mean 'hostname'?
4: portals.mx.use: there is no component 'smpt' here; did you mean 'smtp'?
6: portals.submission.port: is missing: Where to listen.
8: portals.submission.prot: there is no such key; did you mean 'port'?
9: portals.submission.tls: expected 'starttls', 'implicit' or 'off', not 'always'
10: portals.submission.patience: expected a duration with its unit, such as "30 s" or "5 days", not 30
13: portals.submission.listen[1]: expected a valid string, not 26
15: portals.submission.pipeline: there is no 'inbuond'; did you mean 'inbound'?
18: pipelines.inbound[1]: there is no policy or filter 'lopps'; did you mean 'loops'?
21: filters.other.use: x can't be imported: ModuleNotFoundError: No module named 'x'
"""


def mistakes(text: str, registry: Registry) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        check(text, Path("mailplat.toml"), registry)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_the_operators_types_are_read(registry: Registry) -> None:
    text = (
        '[mime.types]\n"Application/X-Report" = [".RPT", "rpt.gz"]\n"application/x-bare" = []'
    )
    mime = check(text, Path("/h/mailplat.toml"), registry).table(MimeSettings)
    assert mime.types == {"application/x-report": ("rpt", "rpt.gz"), "application/x-bare": ()}
    assert mime.system == Path("/etc/mime.types")


TYPES = """\
[mime.types]
"application/x-a" = ["aa", "b/b"]
"no type" = ["x"]
"application/x-b" = ["bb", 5]
"application/x-c" = "cc"
[mime]
sytem = "/etc/mime.types"
"""


TYPES_EXPECTED = """\
2: mime.types."application/x-a"[1]: expected an extension of file names, such as "pdf" or "tar.gz", not 'b/b'
3: mime.types."no type": expected a media type, such as application/pdf, not 'no type'
4: mime.types."application/x-b"[1]: expected a valid string, not 5
5: mime.types."application/x-c": expected a list, not 'cc'
7: mime.sytem: there is no such key; did you mean 'system'?
"""


def test_mistakes_in_the_operators_types(registry: Registry) -> None:
    said = [line.removeprefix("mailplat.toml:") for line in mistakes(TYPES, registry)]
    assert said == TYPES_EXPECTED.splitlines()


def test_an_extension_belongs_to_one_type(registry: Registry) -> None:
    text = '[mime.types]\n"a/x" = ["aa"]\n"a/y" = [\n  "bb",\n  "AA",\n]'
    assert mistakes(text, registry) == [
        "mailplat.toml:5: mime.types.\"a/y\"[1]: 'aa' belongs to a/x already"
    ]


def test_all_mistakes_at_once(registry: Registry) -> None:
    said = mistakes(BAD, registry)
    assert [line.removeprefix("mailplat.toml:") for line in said] == EXPECTED.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = \n", "mailplat.toml:2: Invalid value (column 5)"),
        ("[a]\n[a]\n", "mailplat.toml:2: Cannot declare ('a',) twice (column 3)"),
        ('a = "x', "mailplat.toml:1: Unterminated string"),
        ("portals = 3", "mailplat.toml:1: portals: expected a table"),
        ("[portals]\nmx = 3", "mailplat.toml:2: portals.mx: expected a table"),
        ("[portals.x]\nuse = 3", "mailplat.toml:2: portals.x.use: expected the name"),
        ("[pipelines]\na = 'x'", "mailplat.toml:2: pipelines.a: expected a list of names"),
        ("[limits]\nrecipients = 0", "recipients: expected greater than or equal to 1, not 0"),
        ("[filters.x]\nuse = 'no_such:X'", "mailplat.toml:2: filters.x.use: no_such can't be"),
        ("[filters.x]\nuse = 'shop_of_config:X'", "filters.x.use: shop_of_config has no X"),
        ("[filters.loops]\non_eror = 'keep'", "did you mean 'on_error'?"),
        (
            "[portals.smtp]\nport = 1\npassword_file = '/missing'",
            "mailplat.toml:3: portals.smtp.password_file: expected a readable file",
        ),
        (
            "[portals.smtp]\nport = 1\npassword = 5",
            "mailplat.toml:3: portals.smtp.password: expected a text",
        ),
    ],
)
def test_a_mistake_says_where_and_what(registry: Registry, text: str, said: str) -> None:
    assert said in "\n".join(mistakes(text, registry))


def test_a_secret_is_not_in_its_mistake(registry: Registry) -> None:
    text = "[portals.smtp]\nport = 1\npassword = 'hush'\npassword_file = 'x'"
    assert "hush" not in "\n".join(mistakes(text, registry))


def test_a_missing_file_is_a_mistake(registry: Registry, tmp_path: Path) -> None:
    from mailplat.app.config import read

    with pytest.raises(BadConfiguration, match="can't be read"):
        read(tmp_path / "none.toml", registry)


def test_a_name_given_twice_names_both_who_gave_it(registry: Registry) -> None:
    other = Component(name="loops", provides=IFilter, maker="a.B")
    registry = Registry((*registry.components, Known(other, "stall 2.0")), (Broken("x", "y"),))
    said = "the component 'loops' is there more than once: by shop 1.0 and stall 2.0"
    assert said in "\n".join(mistakes("", registry))


@pytest.mark.parametrize(
    "text",
    [
        "hostname = 1" + "0" * 5000,
        "hostname = " + "[" * 5000 + "]" * 5000,
        "hostname = " + "{a = " * 5000 + "1" + "}" * 5000,
    ],
)
def test_what_is_too_long_or_too_deep_is_a_mistake(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfiguration) as bad:
        check(text, tmp_path / "mailplat.toml", Registry())
    assert len(bad.value.mistakes) == 1


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "mailplat.toml"
    file.write_text("#" * (LONGEST + 1))
    with pytest.raises(BadConfiguration, match="more than 1048576 octets"):
        read(file, Registry())
