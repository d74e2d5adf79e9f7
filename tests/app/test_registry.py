"""Components are found at three doors; what is wrong with one is said, not swallowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailplat.app import registry
from mailplat.app.registry import Known, Registry, UnknownComponent, discover, wishes
from mailplat.interfaces import IFilter, IPolicy
from mailplat.plugin import Component, Settings

STRANGER = """
from mailplat.interfaces import IFilter
from mailplat.plugin import Component

other = Component(name="{name}", provides=IFilter, maker="{maker}")
"""


def run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run mailplat with ``tmp_path`` among the places where plugins are looked for."""
    return subprocess.run(
        [Path(sys.executable).with_name("mailplat"), *words],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "twisted/plugins"
    folder.mkdir(parents=True)
    (tmp_path / "mailplat.toml").write_text('hostname = "x"\n')
    return folder


def test_a_strangers_plugin_is_found(tmp_path: Path, plugins: Path) -> None:
    (plugins / "stranger.py").write_text(STRANGER.format(name="strange", maker="no.such.Thing"))
    listed = run(tmp_path, "plugin", "list")
    assert f"strange     {plugins}/stranger.py" in listed.stdout
    assert listed.returncode == 0


def test_the_same_name_twice_names_both(tmp_path: Path, plugins: Path) -> None:
    (plugins / "stranger.py").write_text(STRANGER.format(name="loops", maker="a.B"))
    for command in (["check"], ["plugin", "list"]):
        done = run(tmp_path, *command)
        assert done.returncode == 1
        assert "'loops' is there more than once: by " in done.stderr
        assert f"{plugins}/stranger.py" in done.stderr
        assert "mailplat_components.py" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"), [("1 / 0\n", "ZeroDivisionError"), ("import (", "SyntaxError")]
)
def test_a_plugin_that_fails_is_reported(
    tmp_path: Path, plugins: Path, text: str, said: str
) -> None:
    (plugins / "broken.py").write_text(text)
    done = run(tmp_path, "check")
    assert done.returncode == 1
    assert f"{plugins}/broken.py can't be imported" in done.stderr
    assert said in done.stderr
    assert run(tmp_path, "plugin", "list").returncode == 1


def test_entry_points(tmp_path: Path) -> None:
    (tmp_path / "mailplat.toml").write_text('hostname = "x"\n')
    (tmp_path / "shop.py").write_text(STRANGER.format(name="from_entry", maker="a.B"))
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mailplat.components]\ngood = shop:other\nbad = shop:missing\nwrong = shop:Component\n"
    )
    listed = run(tmp_path, "plugin", "list")
    assert "from_entry  shop 1.0" in listed.stdout
    assert listed.stderr.count("shop 1.0 can't be imported") == 2
    checked = run(tmp_path, "check").stderr
    assert "AttributeError" in checked
    assert "is no mailplat.plugin.Component" in checked


class Needy(Settings):
    """Keys."""


def maker(settings: Needy, other: IFilter, *rest: object, spare: int = 3) -> None: ...


def silent(settings) -> None: ...  # type: ignore[no-untyped-def]


def test_wishes_are_read_from_annotations() -> None:
    assert [(w.name, w.annotation, w.required) for w in wishes(maker)] == [
        ("settings", Needy, True),
        ("other", IFilter, True),
        ("spare", int, False),
    ]
    with pytest.raises(UnknownComponent, match="doesn't say what its settings is"):
        wishes(silent)
    with pytest.raises(UnknownComponent, match="no signature"):
        wishes(dict)


def test_what_can_be_named_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_registry.py").write_text(
        "from mailplat.plugin import Settings\nNUMBER = 3\n"
        "class Keys(Settings):\n    a: int = 1\n"
        "class Thing:\n    def __init__(self, settings: Keys) -> None: ...\n"
        "class Bad:\n    def __init__(self, settings: 'Missing') -> None: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    component = Registry().find(IFilter, "beside_registry:Thing")
    assert registry.settings_class(component).__name__ == "Keys"
    for use, said in [
        ("beside_registry:NUMBER", "can't be called"),
        ("beside_registry:Bad", "needs can't be found: name 'Missing' is not defined"),
        ("beside_registry:None", "has no None"),
        ("beside_missing:Thing", "can't be imported: ModuleNotFoundError"),
    ]:
        with pytest.raises(UnknownComponent, match=said):
            Registry().find(IFilter, use)


def test_names_are_by_interface() -> None:
    both = Component(name="x", provides=(IFilter, IPolicy), maker="a.B")
    other = Component(
        name="y", provides=IPolicy, maker="a.B", settings="mailplat.app.logs.LONGEST"
    )
    known = Registry((Known(both, "one"), Known(other, "two")))
    assert known.names(IFilter) == ["x"]
    assert known.names(IPolicy) == ["x", "y"]
    assert not known.clashes()
    with pytest.raises(UnknownComponent, match=r"is no mailplat\.plugin\.Settings"):
        registry.settings_class(other)


def test_ours_are_there() -> None:
    found = discover()
    assert not found.broken
    assert {"loops", "smtp", "indexed"} <= {known.component.name for known in found.components}
